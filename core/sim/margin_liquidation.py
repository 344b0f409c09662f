"""The ladder of a liquidation (Bybit's, MARGIN.md): what the exchange must do next, derived from the state alone.

    margin holds ──due──► CANCEL working orders ──still due──► REDUCE to a lower tier (FillOrKill)
                                                                    │ no lower tier helps, or not filled
                                                                    ▼
                                                               TAKEOVER at the bankruptcy price

Isolated: each position alone, when the mark eats its margin. Cross: the account, when maintenance margin reaches the
margin balance; positions one after the other, the largest maintenance margin first.
"""

from __future__ import annotations

from core.sim.liquidation import Ratio, bankruptcy_ratio, bankruptcy_ticks, leg_of, liquidation_price_e8
from core.sim.margin_book import MarginBook
from core.sim.margin_types import Due, DueKind, MarginRule, PositionStatus
from core.sim.money import E8, fee_up_e8
from core.sim.positions import SimPosition
from core.sim.risk_tiers import maintenance_e8, tier_index


def next_steps(book: MarginBook) -> list[Due]:
    """Steps to carry out now (cross: at most one); sets the positions' status."""
    return _cross_steps(book) if book.cross else _isolated_steps(book)


def _cross_steps(book: MarginBook) -> list[Due]:
    due = cross_due(book)
    if not due and not book.liquidating:
        return []
    for p in book.open_positions():
        p.status = PositionStatus.LIQ if due else PositionStatus.NORMAL
    book.liquidating = due
    if not due:
        return []
    working = tuple(symbol for symbol, holds in book.holds.items() if holds)
    worst = min(book.open_positions(), key=lambda p: (-p.mm_e8, p.instrument.symbol, p.position_idx))
    return [_step(book, worst, working)]


def _isolated_steps(book: MarginBook) -> list[Due]:
    steps = []
    for p in list(book.open_positions()):
        due = isolated_due(book, p)
        if due and p.auto_add_margin:
            book.set_extra(p, p.extra_margin_e8 + max(0, min(book.available_e8(), p.im_e8)))
            due = isolated_due(book, p)
        p.status = PositionStatus.LIQ if due else PositionStatus.NORMAL
        if due:
            symbol = p.instrument.symbol
            steps.append(_step(book, p, (symbol,) if book.holds.get(symbol) else ()))
    return steps


def _step(book: MarginBook, p: SimPosition, working: tuple[str, ...]) -> Due:
    symbol, idx = p.instrument.symbol, p.position_idx
    bust = bankruptcy_ticks(p.instrument, p.side, bankruptcy(book, p))
    if working:
        return Due(DueKind.CANCEL, symbol, idx, -p.side, 0, bust, working)
    reduction = 0 if p.reduce_refused else _reduction_lots(book, p)
    kind, lots = (DueKind.REDUCE, reduction) if reduction else (DueKind.TAKEOVER, p.size)
    return Due(kind, symbol, idx, -p.side, lots, bust, ())


def _reduction_lots(book: MarginBook, p: SimPosition) -> int:
    """Lots to close, at the mark, to reach the highest lower tier that ends the liquidation; 0: there is none."""
    tiers = p.instrument.tiers
    exposed = book.exposed_lots(p)
    value = book.margin_value_e8(p, exposed) if exposed else 0
    for index in range(tier_index(tiers, value) - 1, -1, -1):
        kept = exposed * tiers[index].limit_value_e8 // value
        if kept > 0 and not _due_after(book, p, p.size - exposed + kept):
            return exposed - kept
    return 0


def _due_after(book: MarginBook, p: SimPosition, left: int) -> bool:
    exposed = max(0, left - (p.size - book.exposed_lots(p)))
    maintenance = maintenance_e8(p.instrument.tiers, book.margin_value_e8(p, exposed))
    if not book.cross:
        return maintenance >= (isolated_buffer_e8(book, p) + p.unrealised_e8) * left // p.size
    closed = book.mark_or_entry_e8(p, p.size - left, round_up=True)
    fee = int(fee_up_e8(closed, book.fee_rate_e8(p.instrument.symbol, maker=False)))
    close_fee = book.close_fee_e8(p) * left // p.size
    return book.margin_balance_e8 - fee <= book.mm_e8 - p.mm_e8 + maintenance + close_fee


def cross_due(book: MarginBook) -> bool:
    """Maintenance margin rate of the account at 100 % or more."""
    return book.mm_e8 > 0 and book.margin_balance_e8 <= book.mm_e8


def isolated_due(book: MarginBook, p: SimPosition) -> bool:
    """The mark has eaten what carries the position, down to its maintenance margin."""
    maintenance = maintenance_e8(p.instrument.tiers, book.margin_value_e8(p, p.size))
    return maintenance >= isolated_buffer_e8(book, p) + p.unrealised_e8


def isolated_buffer_e8(book: MarginBook, p: SimPosition) -> int:
    """What carries an isolated position: initial margin without the closing fee, and the added margin, net of what it
    changes in the closing fee."""
    fee = book.margin_fee_e8(p.instrument.symbol)
    return p.im_e8 - book.close_fee_e8(p) + p.extra_margin_e8 * E8 // (E8 - p.side * fee)


def liquidation_price(book: MarginBook, p: SimPosition) -> int:
    """Mark price (1e-8 USDT) at which the liquidation begins, all else unchanged; 0 outside the price range."""
    by_mark = book.spec.rule is MarginRule.MARK_2025
    if not book.cross:
        return liquidation_price_e8(p.instrument, [leg_of(p, p.size)], isolated_buffer_e8(book, p), by_mark=by_mark)
    legs = [q for q in book.positions(p.instrument.symbol) if q.lots]
    others = book.margin_balance_e8 - book.mm_e8
    own = sum(q.mm_e8 - q.unrealised_e8 - book.close_fee_e8(q) for q in legs)
    exposed = [leg_of(q, book.exposed_lots(q)) for q in legs]
    return liquidation_price_e8(p.instrument, exposed, others + own, by_mark=by_mark)


def bankruptcy(book: MarginBook, p: SimPosition) -> Ratio:
    """Price at which nothing is left: of the position's margin (isolated), of the account's equity (cross)."""
    if not book.cross:
        return bankruptcy_ratio(p.instrument, leg_of(p, p.size), isolated_buffer_e8(book, p), 0)
    fee = book.margin_fee_e8(p.instrument.symbol)
    return bankruptcy_ratio(p.instrument, leg_of(p, p.size), book.margin_balance_e8 - p.unrealised_e8, fee)
