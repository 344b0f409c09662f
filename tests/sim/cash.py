"""Our cash against the exchange's, term by term and to 1e-8 USDT, with positions open or not.

    balance = deposit - fees - funding + realised results          (of the very executions the exchange has written down)

Fees and funding are those of the exchange, execution by execution. The realised result of closed lots depends on the
order in which fills are averaged. Booked in the exchange's order, it is the exchange's. An execution found late is booked
behind younger ones: then the result must be what the *exchange's* fills give in *our* order, computed here, and it may
differ from the exchange's only while a position is open that those fills belong to; flat, both are the same sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from core.orders.broker import Broker
from core.orders.desk_journal import Executed
from core.orders.exchange_desk_fills import ADOPTED, FUNDING, LATE
from core.position.position import book_fill
from core.sim.exchange import Exchange
from core.sim.margin_types import Cause


class Cash(NamedTuple):
    """The verdict: `found` what does not agree ([] = equal to 1e-8), `reordered` symbols whose split differs while open,
    `adopted` symbols taken over, whose executions were never told (their split is the average price's)."""

    found: list[str]
    reordered: list[str]
    adopted: list[str]


def compare(
    records: Iterable[Executed], exchange: Exchange, uid: int, broker: Broker, deposit_e8: int
) -> Cash:
    """`records`: what is in our journal, in its order. Look only where positions agree."""
    theirs = {e.exec_id: e for e in exchange.executions(uid)}
    booked = list(records)
    adopted = sorted({r.symbol for r in booked if r.exec_type in (ADOPTED, LATE)})
    found = [f"{r.symbol}: {r.exec_id} was booked, and is not the exchange's" for r in booked
             if r.exec_id not in theirs and r.exec_type not in (ADOPTED, LATE)]
    found += [f"{e.symbol}: {e.exec_id} ({e.exec_type.text}) was never booked"
              for e in theirs.values() if e.exec_id not in {r.exec_id for r in booked} and e.symbol not in adopted]
    if found:
        return Cash(found, [], adopted)
    fees = funding = realised = 0
    open_values: dict[str, int] = {}
    reordered: list[str] = []
    for symbol, instrument in broker.instruments.items():
        name, lots, value, newest, late = instrument.name, 0, 0, 0, False
        for r in (r for r in booked if r.symbol == name):
            e = theirs.get(r.exec_id)
            if e is not None and r.exec_type != LATE and (r.fee_e8, r.qty_lots) != (e.fee_e8, e.qty_lots):
                found.append(f"{name}: {r.exec_id} fee {r.fee_e8} for {e.fee_e8}, lots {r.qty_lots} for {e.qty_lots}")
            if r.exec_type == FUNDING:
                funding += r.fee_e8
                continue
            fees += r.fee_e8
            if r.exec_type == LATE:
                continue
            price = e.price_ticks if e is not None else r.price_ticks
            filled = book_fill(instrument.grid, lots, value, r.side * r.qty_lots, price)
            lots, value = filled.lots, filled.entry_value_e8
            realised += filled.realised_e8
            seq = e.seq if e is not None else r.seq
            late = lots != 0 and (late or seq < newest)
            newest = max(newest, seq)
        if late:
            reordered.append(name)
        open_values[name] = value
        position = broker.account.positions.get(symbol)
        if value != (position.entry_value_e8 if position else 0):
            found.append(f"{name}: entry value {position.entry_value_e8 if position else 0}, its fills give {value}")
    account, ledger = broker.account, exchange.account(uid).ledger
    expected = deposit_e8 - fees - funding + realised
    if account.balance_e8 != expected:
        found.append(f"cash: {account.balance_e8}, its terms give {expected}: fees {fees}, funding {funding}, "
                     f"realised {realised}")
    moved = ledger.totals_e8[Cause.DEPOSIT] + ledger.totals_e8[Cause.WITHDRAWAL] - deposit_e8
    cash = ledger.balance_e8 - moved  # money moved in or out is no result of ours
    insured = ledger.totals_e8[Cause.INSURANCE]
    if not adopted and (-fees, -funding) != (ledger.totals_e8[Cause.FEE], ledger.totals_e8[Cause.FUNDING]):
        found.append(f"fees {fees}, funding {funding}; the ledger: {ledger.totals_e8[Cause.FEE]}, "
                     f"{ledger.totals_e8[Cause.FUNDING]}")
    taken = [name for name in adopted if open_values.get(name)]
    if account.balance_e8 + insured != cash and not reordered and not taken:
        found.append(f"cash: {account.balance_e8} here, {cash} there ({account.balance_e8 + insured - cash:+d} e8)")
    return Cash(found, reordered, adopted)

