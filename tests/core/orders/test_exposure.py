"""What the gate is told: everything on its way counts as filled, what the exchange has not said is unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from config.schema import Account, Limits, Safety, Settings, Symbols, Trading
from core.constants import DAY_NS
from core.enums import Gate, MessageKind, Mode, OrderRole, ReportKind
from core.orders.broker import Broker, Controls
from core.orders.exchange_words import PositionRow, WalletRow
from core.orders.exposure import ExchangeFacts, exchange_facts, liquidation_distance_bps
from core.orders.router import ExecutionRouter
from core.orders.rows import account_row
from core.orders.wire import Message
from core.position.position import Grid
from core.records import ACCOUNT_ROW
from core.risk.gate import FAR, UNKNOWN
from core.risk.policy import Instrument, policy
from core.risk.tiers import Rank

E8 = 10**8
S = 10**9
TOLD = ExchangeFacts(True, 3, 1000 * E8, 1000 * E8, 1000 * E8, 1001, FAR, 0)


class Wide(ExecutionRouter):
    """Accepts like SIM, in a mode that SIM is not: what is under test is the gate."""

    def __init__(self, mode: Mode) -> None:
        super().__init__(Mode.SIM)
        self.mode = mode

    @property
    def sends(self) -> bool:
        return True


def broker(mode: Mode = Mode.SIM, tier: str = "NONE", margin: float = 25.0, limits: Limits | None = None,
           uncorrelated: tuple[str, ...] = (), leverage: float = 5.0) -> Broker:
    settings = Settings(
        trading=Trading(capital_tier=tier, account=Account(
            max_positions=5, margin_per_trade_usdt=margin, leverage=leverage)),
        safety=Safety(limits=limits or Limits(max_heat_pct=50.0)), symbols=Symbols(uncorrelated=uncorrelated))
    made = Broker(policy(settings), Wide(mode))
    for symbol in range(6):
        made.instruments[symbol] = Instrument(
            symbol, f"S{symbol}USDT", 100 + symbol, 0, Grid(1, 1, 4), 0.01, 0.01, 1, 0, 5 * E8, 0, 0, True, False,
            symbol % 3, 500_000, 2_000_000)
    return made


def enter(symbol=0, seq=1, side=1, at=0, **fields) -> Message:
    values = {"price_ticks": 1000, "stop_ticks": 1000 - side * 10} | fields
    return Message(seq=seq, ts_event_ns=at or seq * S, symbol=symbol, kind=int(MessageKind.ENTER), side=side,
                   decision_id=seq, **values)


def fill(order_id, qty, leaves=0, symbol=0, seq=2, side=1, price=1000, role=OrderRole.ENTRY) -> Message:
    return Message(seq=seq, ts_event_ns=seq * S, symbol=symbol, kind=int(MessageKind.FILL), side=side, price_ticks=price,
                   qty_lots=qty, role=int(role), order_id=order_id, leaves_lots=leaves)


def gate_of(b: Broker, message: Message, exchange: ExchangeFacts = TOLD) -> Gate:
    report, _ = b.handle(message, Controls(exchange=exchange))
    return Gate.NONE if report.kind == ReportKind.ACCEPTED else Gate(report.reason)


def test_live_believes_the_exchange_only():
    b = broker(Mode.LIVE, "NORMAL")
    facts = b.facts(S, Controls(exchange=TOLD._replace(equity_e8=900 * E8, balance_e8=800 * E8, available_e8=7)))
    assert (facts.live, facts.equity_e8, facts.balance_e8, facts.available_e8) == (True, 900 * E8, 800 * E8, 7)
    assert gate_of(b, enter(), ExchangeFacts()) == Gate.INTEGRITY
    assert gate_of(b, enter(seq=2), TOLD._replace(tier_allowed=2)) == Gate.TIER
    assert gate_of(b, enter(seq=3), TOLD._replace(equity_e8=UNKNOWN)) == Gate.DATA
    assert gate_of(b, enter(seq=4), TOLD._replace(balance_e8=UNKNOWN)) == Gate.DATA
    assert gate_of(b, enter(seq=5), TOLD._replace(available_e8=UNKNOWN)) == Gate.BALANCE
    assert gate_of(b, enter(seq=6), TOLD._replace(mark_ticks=UNKNOWN)) == Gate.COLLAR
    assert gate_of(b, enter(seq=7), TOLD._replace(mark_ticks=1011)) == Gate.COLLAR
    assert gate_of(b, enter(seq=8), TOLD._replace(adl_rank=4)) == Gate.ADL
    assert gate_of(b, enter(seq=9), TOLD._replace(open_liquidation_bps=10)) == Gate.LIQUIDATION
    assert gate_of(b, enter(seq=10)) == Gate.NONE
    assert b.ledger.day_start_equity_e8 == 1000 * E8


def test_sim_asks_nobody():
    facts = broker().facts(S, Controls(exchange=ExchangeFacts()))
    assert (facts.live, facts.settled, facts.mark_ticks, facts.open_liquidation_bps, facts.adl_rank) == (
        False, True, UNKNOWN, FAR, 0)
    assert facts.equity_e8 == facts.available_e8 == facts.balance_e8 == 1000 * E8


def test_what_is_on_its_way_counts_as_filled():
    b = broker()
    first, _ = b.handle(enter())
    assert first.qty_lots == 1250
    assert gate_of(b, enter(1, 2, -1)) == Gate.NONE
    facts = b.facts(3 * S, Controls(), b.instruments[3], enter(3, 3), 100)
    assert (facts.positions, facts.category_positions, facts.trades_day, facts.orders_minute) == (2, 1, 2, 2)
    assert (facts.margin_used_e8, facts.margin_new_e8) == (50 * E8, 2 * E8)
    assert (facts.correlated_e8, facts.correlated_new_e8) == (125 * E8, 10 * E8)  # longs only
    assert facts.available_e8 == 950 * E8
    risk_of_first = 125 * 10**6 + 125 * E8 // 10_000 + round((125 + 123.75) * 0.00055 * E8)
    assert abs(facts.heat_e8 - 2 * risk_of_first) < 2 * 10**6
    b.handle(fill(first.order_id, 250, 1000))
    after = b.facts(3 * S, Controls(), b.instruments[3], enter(3, 3), 100)
    assert (after.positions, after.trades_day, after.margin_used_e8) == (2, 2, 50 * E8)
    assert after.correlated_e8 == 125 * E8
    b.handle(Message(seq=4, ts_event_ns=4 * S, symbol=1, kind=int(MessageKind.DONE), order_id=2))
    assert b.facts(5 * S, Controls()).trades_day == 1  # an entry that ended without a fill was no trade


def test_values_and_margins_of_odd_sizes_are_rounded_up():
    """23 lots at 1003 ticks are 4844.49e-8 USDT; the seventh part is margin, of 4844e-8 it would be one unit less."""
    b = broker(leverage=7.0)
    for symbol, found in b.instruments.items():
        b.instruments[symbol] = replace(found, grid=Grid(3, 7, 10), max_qty_lots=23, min_notional_e8=0)
    prices = {"price_ticks": 1003, "stop_ticks": 993}
    assert gate_of(b, enter(**prices)) == Gate.NONE
    facts = b.facts(2 * S, Controls(), b.instruments[1], enter(1, 2, **prices), 23)
    assert (facts.notional_e8, facts.correlated_new_e8, facts.correlated_e8) == (4845, 4845, 4845)
    assert (facts.margin_new_e8, facts.margin_used_e8, facts.available_e8) == (693, 693, 1000 * E8 - 693)
    assert facts.risk_new_e8 == facts.heat_e8 > 0  # the same order, asked for and on its way


def test_without_an_entry_no_order_is_described():
    """What the account board asks: symbols 0, 1 and 3 are open, working and latched, and none of it is said of "no symbol"."""
    b = broker(limits=Limits(max_heat_pct=50.0, max_category_positions=(3, 2, 1)))
    for symbol in (0, 1, 3):
        report, _ = b.handle(enter(symbol, symbol + 1))
        b.handle(fill(report.order_id, 1, 1249, symbol))
        b.ledger.latch(symbol, S)
    f = b.facts(3 * S, Controls())
    assert not (f.churned or f.in_position or f.order_working or f.blacklisted or f.duplicate)
    assert f.trading
    assert (f.age_ns, f.positions, f.category_positions, f.max_category_positions) == (0, 3, 0, 3)
    assert (f.qty_lots, f.min_qty_lots, f.max_qty_lots, f.notional_e8, f.min_notional_e8, f.max_notional_e8) == (0,) * 6
    assert (f.price_ticks, f.stop_ticks, f.price_limit_e8, f.risk_new_e8, f.correlated_e8, f.correlated_new_e8) == (0,) * 6
    assert (f.leverage_e2, f.margin_new_e8, f.liquidation_bps) == (500, 0, FAR)
    told = replace(b.instruments[4], min_qty_lots=2, max_qty_lots=9, min_notional_e8=3, price_limit_e8=4)
    one = b.facts(3 * S, Controls(), told, enter(4, 3), 7)
    assert (one.category_positions, one.max_category_positions, one.leverage_e2) == (1, 2, 500)
    assert (one.qty_lots, one.min_qty_lots, one.max_qty_lots, one.min_notional_e8, one.price_limit_e8) == (7, 2, 9, 3, 4)
    assert (one.max_notional_e8, one.liquidation_bps) == (b.policy.notional_of(told), b.policy.liquidation_bps(told))
    assert (one.price_ticks, one.stop_ticks) == (1000, 990)
    assert b.facts(3 * S, Controls(), b.instruments[1], enter(1, 3), 7).churned


def test_one_direction_of_what_moves_together_is_limited():
    limits = Limits(max_heat_pct=50.0, max_correlated_pct=25.0)
    b = broker(limits=limits)
    assert [gate_of(b, enter(s, s + 1)) for s in range(3)] == [Gate.NONE, Gate.NONE, Gate.CORRELATED]
    assert gate_of(b, enter(2, 4, -1)) == Gate.NONE
    free = broker(limits=limits, uncorrelated=("S1USDT",))
    assert free.facts(S, Controls(), free.instruments[1], enter(1), 9).correlated_new_e8 == 0
    assert [gate_of(free, enter(s, s + 1)) for s in range(4)] == [Gate.NONE, Gate.NONE, Gate.NONE, Gate.CORRELATED]


@pytest.mark.parametrize("opened", [True, False], ids=["open", "on its way"])
def test_only_what_moves_with_btc_in_the_same_direction_is_correlated(opened):
    b = broker(uncorrelated=("S1USDT",))
    for symbol, side in ((0, 1), (1, 1), (2, -1)):
        report, _ = b.handle(enter(symbol, symbol + 1, side))
        if opened:
            b.handle(fill(report.order_id, report.qty_lots, 0, symbol, symbol + 1, side))
    assert bool(b.account.positions) == opened != bool(b.working)
    for side in (1, -1):
        assert b.facts(9 * S, Controls(), b.instruments[4], enter(4, 9, side), 1).correlated_e8 == 125 * E8, side


def test_a_tier_makes_the_order_smaller_and_stops_where_it_ends():
    b = broker(Mode.LIVE, "MICRO", margin=200.0)
    told = TOLD._replace(equity_e8=200 * E8, balance_e8=200 * E8, available_e8=200 * E8)
    report, _ = b.handle(enter(), Controls(exchange=told))
    assert report.qty_lots == 1250  # 25 USDT of capital at 5x, not 200
    assert gate_of(b, enter(1, 2), told) == Gate.MAX_POSITIONS
    for k in range(1, 4):
        b.handle(fill(k, 1, 0, k - 1, 10 * k), Controls(exchange=told))
        b.handle(fill(k, 1, 0, k - 1, 10 * k + 1, -1, role=OrderRole.EXIT), Controls(exchange=told))
        wanted = Gate.NONE if k < 3 else Gate.TRADES_A_DAY
        assert gate_of(b, enter(k, 10 * k + 2), told) == wanted
    assert gate_of(b, enter(5, 86_400), told) == Gate.NONE


def test_churn_latches_a_symbol_until_a_person_enables_it():
    b = broker(limits=Limits(max_heat_pct=50.0, churn_round_trips=2))
    for k in range(3):
        report, _ = b.handle(enter(0, 10 * k + 1))
        b.handle(fill(report.order_id, report.qty_lots, 0, 0, 10 * k + 2))
        b.handle(fill(report.order_id, report.qty_lots, 0, 0, 10 * k + 3, -1, role=OrderRole.STOP))
    assert gate_of(b, enter(0, 40)) == Gate.CHURN
    assert gate_of(b, enter(1, 41)) == Gate.NONE
    assert gate_of(b, enter(0, 90_000)) == Gate.CHURN
    b.ledger.enable(0)
    assert gate_of(b, enter(0, 90_001)) == Gate.NONE


def test_the_roll_of_the_journal_is_the_baseline():
    b = broker()
    b.handle(enter())
    (record,) = b.ledger.records()
    again = broker()
    again.account.balance_e8 = 1  # whatever the restarted one thinks it has
    again.restore_roll(record)
    assert again.account.day == 0
    assert again.account.day_start_equity_e8 == again.ledger.hours[0][1] == 1000 * E8
    again.handle(enter(1, 2))
    assert again.ledger.day_start_equity_e8 == 1000 * E8


def test_the_losses_of_the_day_and_of_24_hours_have_baselines_of_their_own():
    b = broker()
    b.handle(enter())
    b.ledger.day_start_equity_e8 = 900 * E8
    facts = b.facts(2 * S, Controls())
    assert (facts.day_start_equity_e8, facts.rolling_start_equity_e8, facts.equity_e8) == (900 * E8, 1000 * E8, 1000 * E8)


def test_at_a_risk_limit_the_riskiest_is_named():
    b = broker(limits=Limits(max_heat_pct=50.0, max_unrealised_loss_pct=1.0))
    for k, stop in enumerate((990, 970, 980)):
        report, _ = b.handle(enter(k, k + 1, stop_ticks=stop))
        b.handle(fill(report.order_id, report.qty_lots, 0, k, k + 1))
    assert b.riskiest(Controls()) is None  # no limit is reached
    b.handle(Message(seq=9, ts_event_ns=9 * S, symbol=0, kind=int(MessageKind.MARK), price_ticks=2 * 910))
    assert b.account.unrealised_e8 < -10 * E8
    assert b.riskiest(Controls()) == 1  # the farthest stop, from where the price is
    b.account.positions[1].closing = True
    assert b.riskiest(Controls()) == 2
    b.policy = policy(Settings(safety=Safety(limits=Limits(max_heat_pct=0.1))))
    assert b.riskiest(Controls()) == 2
    b.account.positions.clear()
    assert b.riskiest(Controls()) is None


def position(side=1, lots=5, mark=100, liq=90, rank=1) -> PositionRow:
    return PositionRow("XUSDT", 0, side, lots, 0, 0, 0, 0, 0, 500, mark * E8, liq * E8, rank, "Normal", False, 0, 1, 1)


@pytest.mark.parametrize(("row", "bps"), [
    (position(), 1000), (position(side=-1, liq=110), 1000), (position(mark=0), UNKNOWN), (position(liq=0), FAR),
    (position(liq=101), 0), (position(side=-1, liq=500), FAR), (position(side=-1, liq=0), FAR),
    (position()._replace(mark_price_e8=1, liq_price_e8=1), 0), (position()._replace(mark_price_e8=1, liq_price_e8=2), 0),
])
def test_distance_to_liquidation(row, bps):
    assert liquidation_distance_bps(row) == bps


def test_facts_of_the_exchange():
    assert ExchangeFacts() == (False, Rank.PAPER, *[UNKNOWN] * 6)  # nothing said: nothing allowed, nothing known
    assert exchange_facts([], None, True, 0, 1).mark_ticks == 1
    wallet = WalletRow(10, 11, 12, 0, 0, 0, 0)
    rows = [position(), position(rank=3, liq=70), position(lots=0, rank=5, liq=99)]
    assert exchange_facts(rows, wallet, True, 2, 77) == (True, 2, 11, 10, 12, 77, 1000, 3)
    assert exchange_facts([], None, False, 0, 0) == (False, 0, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, FAR, 0)
    for order in ([position(mark=0), position()], [position(), position(mark=0)]):
        assert exchange_facts(order, wallet, True, 2, 77).open_liquidation_bps == UNKNOWN


def test_a_live_wallet_that_is_not_the_paper_balance_is_no_loss_of_the_day():
    """Until a message has made the first baseline, the day begins with what the exchange told."""
    b = broker(Mode.LIVE, "NORMAL")
    small = Controls(exchange=TOLD._replace(equity_e8=500 * E8, balance_e8=500 * E8))
    assert b.account.equity_e8 == 1_000 * E8
    facts = b.facts(S, small)
    assert facts.day_start_equity_e8 == facts.rolling_start_equity_e8 == facts.equity_e8 == 500 * E8
    assert b.risk_off(S, small) == Gate.NONE
    b.handle(enter(), small)
    lost = Controls(exchange=TOLD._replace(equity_e8=470 * E8, balance_e8=470 * E8))
    assert b.risk_off(2 * S, lost) == Gate.DAILY_LOSS, "6 % of what there was, not of what the paper account has"


@pytest.mark.parametrize("told", [True, False])
def test_the_accounts_row_in_live_is_the_exchanges_wallet(told):
    b = broker(Mode.LIVE, "NORMAL")
    exchange = TOLD._replace(balance_e8=520 * E8, equity_e8=500 * E8, available_e8=400 * E8) if told else ExchangeFacts()
    rows = np.zeros(1, ACCOUNT_ROW.dtype)
    account_row(rows, b, S, Gate.NONE, exchange)
    shown = [int(rows[0][f"{name}_e8"]) // E8 for name in ("balance", "equity", "margin_used", "unrealised", "day_start_equity",
                                                        "max_equity")]
    assert shown == ([520, 500, 100, -20, 500, 500] if told else [0] * 6)
    account_row(rows, b, S, Gate.NONE, TOLD._replace(equity_e8=450 * E8))
    assert int(rows[0]["max_equity_e8"]) == (500 if told else 450) * E8


def test_the_accounts_row_of_the_paper_account():
    b = broker()
    rows = np.zeros(1, ACCOUNT_ROW.dtype)
    account_row(rows, b, S, Gate.NONE)
    assert {int(rows[0][f"{name}_e8"]) for name in ("balance", "equity", "day_start_equity")} == {1_000 * E8}


@pytest.mark.parametrize("mode", [Mode.SIM, Mode.LIVE])
def test_the_day_of_a_quiet_account_ends_in_its_row_too(mode):
    b = broker(mode, "NORMAL")
    exchange = TOLD._replace(balance_e8=900 * E8, equity_e8=900 * E8) if mode == Mode.LIVE else None
    b.handle(enter(), Controls(exchange=TOLD))
    b.account.realised_day_e8 = -100 * E8
    rows = np.zeros(1, ACCOUNT_ROW.dtype)
    account_row(rows, b, 2 * S, Gate.NONE, exchange)
    assert (int(rows[0]["day"]), int(rows[0]["realised_day_e8"]), int(rows[0]["day_start_equity_e8"])) == (
        0, -100 * E8, 1_000 * E8)
    account_row(rows, b, DAY_NS + S, Gate.NONE, exchange)  # nothing was said since
    equity = int(rows[0]["equity_e8"])
    assert (int(rows[0]["day"]), int(rows[0]["realised_day_e8"]), int(rows[0]["day_start_equity_e8"])) == (1, 0, equity)
