"""What execution decides about the ladder of an entry, a moved stop, and an addition. Pure functions of the broker's facts;
formulas and bounds stand in core/position/README.md.

A stop may always come nearer. It may go away from the market for the rule WIDEN only, and then neither farther than
`stop_max_bps` from the entry nor to a loss over the one the risk gate saw when the position was entered.
"""

from __future__ import annotations

from core.constants import E8, SIZE_FULL
from core.enums import Cause, Gate, ReportKind
from core.orders.router import Order
from core.orders.wire import Message, Report, target_fields, targets_of
from core.position.ladder import NO_TARGETS, Targets, share_out
from core.position.position import Grid, Position, open_risk_e8
from core.risk.gate import Verdict
from core.risk.policy import Instrument, Policy
from core.risk.sizing import order_risk_e8
from core.sim.desk_records import FLAG_REFUSED

BPS = 10_000


def first_lots(lots: int, instrument: Instrument, policy: Policy) -> int:
    """Lots of the first order of an entry whose whole plan, additions included, is `lots`. All of them where no additions
    are wanted, or where the first order would be too small."""
    if policy.add_max == 0:
        return lots
    first = lots * SIZE_FULL // (SIZE_FULL + policy.add_max * policy.add_share_e4)
    return first if first >= max(instrument.min_qty_lots, 1) else lots


def plan_targets(message: Message, lots: int, instrument: Instrument) -> Targets:
    """The ladder of an ENTER of `lots`. One that names a price but no shares takes everything there."""
    asked = targets_of(message)
    ticks, shares = [price for price, _ in asked], [share for _, share in asked]
    if not any(shares):
        shares = [SIZE_FULL, 0, 0]
    lowest = min([message.price_ticks, *(price for price in ticks if price > 0)])
    least = instrument.grid.least_lots(lowest, instrument.min_qty_lots, instrument.min_notional_e8)
    return share_out(lots, ticks, shares, least)


def open_from(position: Position, order: Order, instrument: Instrument, policy: Policy) -> None:
    """A position begins with what its order was allowed."""
    position.stop_ticks = order.stop_ticks
    position.targets = tuple((ticks, 0) for ticks, _ in order.targets)
    position.risk_lots = order.risk_lots or order.qty_lots
    position.risk_ticks = abs(order.price_ticks - order.stop_ticks) if order.stop_ticks > 0 else 0
    position.gated_value_e8 = instrument.grid.value_e8(order.price_ticks, position.risk_lots, round_up=True)
    position.gated_risk_e8 = order_risk_e8(
        instrument.grid, order.side, order.price_ticks, order.stop_ticks, position.risk_lots, policy.fee_of(instrument),
        policy.price_buffer_e8,
    )


def loss_at_e8(grid: Grid, signed_lots: int, entry_value_e8: int, stop_ticks: int, fee_rate_e8: int) -> int:
    """Loss of a position at a stop with the fees of both sides: what is compared with the gated risk."""
    entry_fee = -(-abs(entry_value_e8) * fee_rate_e8 // E8)
    return open_risk_e8(grid, signed_lots, entry_value_e8, stop_ticks, fee_rate_e8) + entry_fee


def decide_protect(
    message: Message, position: Position | None, instrument: Instrument | None, policy: Policy, effect_ns: int
) -> tuple[Report, Verdict | None]:
    """(PROTECTED with what is in force from `effect_ns` on, the refusal's numbers or None).

    Targets only come nearer, stay on the side of profit, and keep their lots; a wish against that is left out. A stop
    that would raise the risk refuses the whole wish.
    """
    base = Report(
        seq=message.seq, effect_ns=effect_ns, decision_id=message.decision_id, order_id=message.order_id,
        symbol=message.symbol, kind=int(ReportKind.PROTECTED), side=message.side, reason=message.reason,
    )
    if position is None or instrument is None or position.closing:
        return base._replace(flags=FLAG_REFUSED), None
    side = position.side
    stop = message.stop_ticks if message.stop_ticks > 0 else position.stop_ticks
    base = base._replace(
        side=side, decision_id=position.decision_id, order_id=position.order_id, risk_ticks=position.risk_ticks,
        risk_lots=position.risk_lots, realised_e8=position.realised_e8, entry_value_e8=position.entry_value_e8,
    )
    if position.stop_ticks > 0 and side * (stop - position.stop_ticks) < 0:
        refusal = _widening(message, position, instrument, policy, stop)
        if refusal is not None:
            kept = base._replace(
                flags=FLAG_REFUSED, stop_ticks=position.stop_ticks, **target_fields(position.targets)
            )
            return kept, refusal
    targets = []
    for (ticks, lots), (wanted, _) in zip(position.targets, targets_of(message), strict=True):
        nearer = wanted > 0 and side * (ticks - wanted) >= 0
        profit = position.grid.signed_value_e8(wanted, position.lots) >= position.entry_value_e8 if wanted > 0 else False
        targets.append((wanted if nearer and profit else ticks, lots))
    return base._replace(stop_ticks=stop, **target_fields(tuple(targets))), None


def _widening(
    message: Message, position: Position, instrument: Instrument, policy: Policy, stop: int
) -> Verdict | None:
    """Why a stop may not go away from the market, None where it may."""
    if message.reason != Cause.WIDEN:
        return Verdict(Gate.NO_STOP, float(stop), float(position.stop_ticks))
    fee = policy.fee_of(instrument)
    gross = open_risk_e8(position.grid, position.lots, position.entry_value_e8, stop, 0)
    farthest = policy.stop_max_bps
    distance = gross * BPS / max(abs(position.entry_value_e8), 1)
    if distance > farthest:
        return Verdict(Gate.NO_STOP, distance, farthest)
    loss = loss_at_e8(position.grid, position.lots, position.entry_value_e8, stop, fee)
    if loss > position.gated_risk_e8:
        return Verdict(Gate.HEAT, loss / E8, position.gated_risk_e8 / E8)
    return None


def addition_lots(message: Message, position: Position, instrument: Instrument, policy: Policy) -> int:
    """Lots of an addition at the message's price, 0 = none: a share of the first order, cut so that position and addition
    together stay within the size, the value (so the margin) and the loss at the stop that were gated at the entry."""
    side, price, stop = position.side, message.price_ticks, position.stop_ticks
    if position.additions >= policy.add_max or stop <= 0 or price <= 0 or side * (price - stop) <= 0:
        return 0
    held, grid, fee = abs(position.lots), position.grid, policy.fee_of(instrument)
    if message.side != side or held == 0:
        return 0
    first = first_lots(position.risk_lots, instrument, policy)

    def allowed(lots: int) -> bool:
        value = position.entry_value_e8 + grid.signed_value_e8(price, side * lots)
        total = side * (held + lots)
        return (
            held + lots <= position.risk_lots and abs(value) <= position.gated_value_e8
            and loss_at_e8(grid, total, value, stop, fee) <= position.gated_risk_e8
        )

    low, high = 0, first * policy.add_share_e4 // SIZE_FULL  # the largest allowed; what is allowed shrinks with lots
    while low < high:
        middle = (low + high + 1) // 2
        if allowed(middle):
            low = middle
        else:
            high = middle - 1
    least = grid.least_lots(price, instrument.min_qty_lots, instrument.min_notional_e8)
    return low if low >= least else 0


def added_targets(position: Position, lots: int) -> Targets:
    """What an addition gives to the targets of its position: in the proportion they stand in now."""
    held = abs(position.lots)
    ticks, shares = [t for t, _ in position.targets], [size * SIZE_FULL // held for _, size in position.targets]
    if not any(shares):
        return NO_TARGETS
    sizes = share_out(lots, ticks, shares, 1)
    return tuple((price, size) for (price, _), (_, size) in zip(position.targets, sizes, strict=True))
