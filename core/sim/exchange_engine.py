"""The mechanics of the exchange: orders arrive, rest, fill and end; every change is told once, in Bybit's order.

An operation (a request, a print, a book change) collects what it touched; `flush` then emits, per order, one
OrderUpdate with its final state and its Executions, then one PositionUpdate per touched position (also where nothing
changed: Bybit pushes it on every order action), then a WalletUpdate where cash or order margin changed. A state that
exists only for an instant (Triggered) is emitted at once, before the rest.
"""

from __future__ import annotations

from core.sim.exchange_state import E8, AccountState, SymbolState
from core.sim.exchange_types import (
    CancelType,
    ClosedPnl,
    CreateType,
    Event,
    Execution,
    InstrumentSpec,
    OrderStatus,
    OrderType,
    OrderUpdate,
    PositionUpdate,
    RejectReason,
    SimOrder,
    SlippageType,
    SmpType,
    TimeInForce,
    WalletUpdate,
)
from core.sim.liquidation import InsuranceFund
from core.sim.margin_types import ExecType
from core.sim.matching import PUBLIC
from core.sim.matching_book import Fill, MatchingBook
from core.sim.orders import IdSource
from core.sim.queue_model import QueueModel
from core.sim.ret_codes import RetCode

CHARGED = (ExecType.TRADE, ExecType.BUST_TRADE)  # the takeover pays the fee that the margin has reserved
MARKET_IOC = (TimeInForce.IOC, TimeInForce.FOK)


class Engine:
    """State of all symbols and accounts, and what happens to orders. `after_fill` is hooked by the stop orders."""

    def __init__(self, seed: int, model: QueueModel, power: float) -> None:
        self.model = model
        self.power = power
        self.instruments: dict[str, InstrumentSpec] = {}
        self.symbols: dict[str, SymbolState] = {}
        self.accounts: dict[int, AccountState] = {}
        self.events: list[Event] = []
        self.fund = InsuranceFund(0)
        self.ids = IdSource(seed)
        self.seq = 0
        self._by_handle: dict[int, SimOrder] = {}
        self._handles: dict[str, int] = {}
        self._next_handle = 0
        self._dirty: dict[str, SimOrder] = {}
        self._fills: dict[str, list[Execution]] = {}
        self._positions: dict[tuple[int, str, int], None] = {}
        self._wallets: dict[int, None] = {}
        self._results: dict[str, list[tuple[int, int, int, int, int]]] = {}

    def new_market(self) -> MatchingBook:
        return MatchingBook(self.model, self.power)

    def order_number(self, order_id: str) -> int:
        """Orders count up in the order of their admission."""
        return self._handles[order_id]

    # --- telling ------------------------------------------------------------------------------------------------

    def touch(self, order: SimOrder) -> None:
        """This order changed: it is told at the next flush, with its position."""
        self._dirty[order.order_id] = order
        self._positions[order.uid, order.symbol, order.position_idx] = None
        self._wallets[order.uid] = None

    def touch_position(self, uid: int, symbol: str, idx: int) -> None:
        self._positions[uid, symbol, idx] = None
        self._wallets[uid] = None

    def tell_now(self, ts_ns: int, order: SimOrder) -> None:
        """Emit the present state of an order at once."""
        self.seq += 1
        order.seq = self.seq
        order.updated_ns = ts_ns
        self.events.append(OrderUpdate(order.uid, ts_ns, order.copy()))

    def flush(self, ts_ns: int) -> None:
        """Emit everything touched since the last flush."""
        dirty, self._dirty = self._dirty, {}
        fills, self._fills = self._fills, {}
        for order_id, order in dirty.items():
            if order.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED):
                market = self.symbols[order.symbol].market
                order.queue_ahead_lots = market.queue_ahead(order.side, self._handles[order_id])
            self.tell_now(ts_ns, order)
            self.events.extend(fills.get(order_id, ()))
        positions, self._positions = self._positions, {}
        for uid, symbol, idx in positions:
            margin = self.accounts[uid].margin
            self.seq += 1
            margin.position(symbol, idx).seq = self.seq
            self.events.append(PositionUpdate(uid, ts_ns, margin.snapshot(symbol, idx)))
        wallets, self._wallets = self._wallets, {}
        for uid in wallets:
            account = self.accounts[uid]
            wallet = account.margin.wallet()
            mark = wallet.wallet_balance_e8, wallet.order_im_e8, len(account.executions)
            if mark != account.wallet_mark:
                account.wallet_mark = mark
                self.events.append(WalletUpdate(uid, ts_ns, wallet))

    # --- life of an order ---------------------------------------------------------------------------------------

    def admit(self, account: AccountState, order: SimOrder) -> None:
        """A new order exists from here on (working or untriggered)."""
        account.open.setdefault(order.symbol, {})[order.order_id] = order
        account.orders[order.order_id] = order
        if order.order_link_id:
            account.links[order.order_link_id] = order.order_id
        self._handles[order.order_id] = self._next_handle
        self._by_handle[self._next_handle] = order
        self._next_handle += 1
        if order.status is OrderStatus.UNTRIGGERED:
            self.symbols[order.symbol].stops[order.order_id] = order
        self.touch(order)

    def market_price_ticks(self, state: SymbolState, order: SimOrder) -> int:
        """The IOC limit behind a market order: a band around the last price, or the slippage the user tolerates
        around the touch; rounded to the inside. 0 = no price to go by."""
        if order.slippage_type is not SlippageType.NONE:
            touch = state.market.best(-order.side)
            if order.slippage_type is SlippageType.TICK_SIZE:
                return max(touch + order.side * order.slippage, 1) if touch else 0
            return touch + order.side * (touch * order.slippage // 10_000) if touch else 0
        reference = state.reference_ticks()
        return reference + order.side * (reference * state.spec.market_band_e8 // E8) if reference else 0

    def reserve(self, account: AccountState, order: SimOrder) -> RetCode:
        state = self.symbols[order.symbol]
        if state.mark_e10:
            account.margin.mark(order.symbol, state.mark_e10)
        return account.margin.reserve(order)

    def arrive(self, ts_ns: int, state: SymbolState, account: AccountState, order: SimOrder) -> None:
        """The order (margin already held) meets the market: takes, then rests or ends."""
        order.status = OrderStatus.PARTIALLY_FILLED if order.cum_qty_lots else OrderStatus.NEW
        market = state.market
        public = ts_ns >= state.vacuum_until_ns
        if order.tif is TimeInForce.POST_ONLY:
            best = market.best(-order.side)
            if best and order.side * (order.price_ticks - best) >= 0:
                self.end(ts_ns, order, OrderStatus.CANCELLED, reject=RejectReason.POST_ONLY_WILL_TAKE)
                return
        if order.tif is TimeInForce.FOK and not self._can_fill(state, order, public):
            self.end(ts_ns, order, OrderStatus.CANCELLED, reject=RejectReason.NO_FULL_FILL)
            return
        self._walk(ts_ns, state, order, public)
        if order.status not in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED):
            return
        if order.tif in MARKET_IOC:
            reason = RejectReason.NO_FULL_FILL if order.cum_qty_lots else RejectReason.NO_IMMEDIATE_QTY
            self.end(ts_ns, order, OrderStatus.CANCELLED, reject=reason)
            return
        market.rest(order.side, order.price_ticks, order.leaves_lots, self._handles[order.order_id])
        self.touch(order)

    def _can_fill(self, state: SymbolState, order: SimOrder, public: bool) -> bool:
        shown, own = state.market.fillable(order.side, order.price_ticks, public=public)
        if order.smp is not SmpType.NONE:
            own -= sum(other.leaves_lots for other in self._met(state, order) if other.uid == order.uid)
        return shown + own >= order.leaves_lots

    def _met(self, state: SymbolState, order: SimOrder) -> list[SimOrder]:
        return [self._by_handle[h] for h in state.market.first_own(order.side, order.price_ticks)]

    def _walk(self, ts_ns: int, state: SymbolState, order: SimOrder, public: bool) -> None:
        """Take what the limit allows, own orders of other accounts (and, without SMP, our own) in price-time order."""
        while order.leaves_lots > 0 and order.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED):
            stop_at = PUBLIC
            if order.smp is not SmpType.NONE:
                own = [other for other in self._met(state, order) if other.uid == order.uid]
                stop_at = self._handles[own[0].order_id] if own else PUBLIC
            fills, met = state.market.take(
                order.side, order.price_ticks, order.leaves_lots, public=public, stop_at=stop_at
            )
            self.book_taking(ts_ns, state, order, fills)
            if met == PUBLIC:
                return
            if met == stop_at and (not fills or fills[-1][0] != met):
                self._prevent(ts_ns, order, self._by_handle[met])

    def book_taking(self, ts_ns: int, state: SymbolState, order: SimOrder, fills: list[Fill]) -> None:
        """Book the fills of a taker and of the own orders it met."""
        for handle, price, lots in fills:
            if handle != PUBLIC:
                self.fill(ts_ns, self._by_handle[handle], lots, price, maker=True)
            self.fill(ts_ns, order, lots, price, maker=False)
        if any(handle != PUBLIC for handle, _, _ in fills):
            state.market.sweep()

    def book_resting(self, ts_ns: int, state: SymbolState, fills: list[Fill]) -> None:
        """Book the fills of resting orders against the public market. One of them may end or shrink a later one
        (reduce-only): what that one could still fill decides, and the market is told what it has left."""
        for handle, price, lots in fills:
            order = self._by_handle.get(handle)
            if order is not None:
                self.fill(ts_ns, order, lots, price, maker=True)
                if order.leaves_lots and self.only_reduces(order):
                    self.resize(order)
        if fills:
            state.market.sweep()

    def _prevent(self, ts_ns: int, taker: SimOrder, maker: SimOrder) -> None:
        """Self-match prevention, by the taker's choice."""
        taker.smp_order_id, maker.smp_order_id = maker.order_id, taker.order_id
        ends = {SmpType.CANCEL_MAKER: (maker,), SmpType.CANCEL_TAKER: (taker,), SmpType.CANCEL_BOTH: (maker, taker)}
        for order in ends[taker.smp]:
            self.end(ts_ns, order, OrderStatus.CANCELLED, CancelType.SMP, RejectReason.BY_SELF_MATCH)

    def end(
        self, ts_ns: int, order: SimOrder, status: OrderStatus, cancel: CancelType = CancelType.NONE,
        reject: RejectReason = RejectReason.NO_ERROR,
    ) -> None:
        """The order is over. What it had left is gone from `leaves_lots`, as Bybit shows it."""
        account, state = self.accounts[order.uid], self.symbols[order.symbol]
        handle = self._handles[order.order_id]
        state.stops.pop(order.order_id, None)
        state.market.reduce(order.side, handle, 0)
        order.status, order.cancel_type, order.reject_reason = status, cancel, reject
        order.leaves_lots = 0
        order.queue_ahead_lots = 0
        account.margin.release(order.order_id)
        account.open[order.symbol].pop(order.order_id, None)
        account.ended.append(order)
        self._by_handle.pop(handle, None)
        self._close_result(ts_ns, account, order)
        self.touch(order)

    # --- fills --------------------------------------------------------------------------------------------------

    def closable_lots(self, order: SimOrder) -> int:
        """Lots of the order's position that it could close."""
        lots = self.accounts[order.uid].margin.position(order.symbol, order.position_idx).lots
        return abs(lots) if lots * order.side < 0 else 0

    @staticmethod
    def only_reduces(order: SimOrder) -> bool:
        """Reduce-only by flag, or because it trades against its hedge leg."""
        return order.reduce_only or (order.position_idx == 1 and order.side < 0) or (
            order.position_idx == 2 and order.side > 0
        )

    def fill(
        self, ts_ns: int, order: SimOrder, lots: int, price_ticks: int, *, maker: bool,
        exec_type: ExecType = ExecType.TRADE,
    ) -> None:
        """Book `lots` of the order at a price: account, execution, status; then what follows from the position."""
        if self.only_reduces(order):
            lots = min(lots, self.closable_lots(order))
        if lots <= 0 or order.leaves_lots <= 0:
            return
        account, state = self.accounts[order.uid], self.symbols[order.symbol]
        rate = account.margin.fee_rate_e8(order.symbol, maker=maker) if exec_type in CHARGED else 0
        exec_id = self.ids.next()
        booked = account.margin.apply_fill(
            ts_ns, order.order_id, exec_id, order.symbol, order.position_idx, order.side, lots, price_ticks, rate,
            exec_type,
        )
        state.holders.add(order.uid)
        order.cum_qty_lots += lots
        order.leaves_lots -= lots
        order.cum_value_e8 += booked.value_e8
        order.cum_fee_e8 += booked.fee_e8
        order.closed_pnl_e8 += booked.closed_pnl_e8
        order.status = OrderStatus.PARTIALLY_FILLED
        if booked.closed_lots:
            self._results.setdefault(order.order_id, []).append(
                (booked.closed_lots, booked.entry_value_e8, booked.exit_value_e8, booked.open_fee_e8,
                 booked.close_fee_e8)
            )
        self.seq += 1
        execution = Execution(
            uid=order.uid, ts_ns=ts_ns, exec_id=exec_id, exec_type=exec_type, symbol=order.symbol, side=order.side,
            position_idx=order.position_idx, order_id=order.order_id, order_link_id=order.order_link_id,
            order_type=order.order_type, stop_order_type=order.stop_order_type, create_type=order.create_type,
            order_price_ticks=order.price_ticks, order_qty_lots=order.qty_lots, leaves_lots=order.leaves_lots,
            price_ticks=price_ticks, qty_lots=lots, value_e8=booked.value_e8, fee_e8=booked.fee_e8, fee_rate_e8=rate,
            is_maker=maker, closed_lots=booked.closed_lots, exec_pnl_e8=booked.realised_e8, mark_e10=state.mark_e10,
            index_e10=state.index_e10, seq=self.seq,
        )
        account.executions.append(execution)
        self._fills.setdefault(order.order_id, []).append(execution)
        self.touch(order)
        if order.leaves_lots == 0:
            self.end(ts_ns, order, OrderStatus.FILLED)
        self.after_fill(ts_ns, order)

    def after_fill(self, ts_ns: int, order: SimOrder) -> None:
        """Consequences of a fill: attached stops, reduce-only orders that have become too large."""
        raise NotImplementedError

    def _close_result(self, ts_ns: int, account: AccountState, order: SimOrder) -> None:
        """One closed-pnl row per order that closed something."""
        rows = self._results.pop(order.order_id, None)
        if not rows:
            return
        closed, entry, exit_value, open_fee, close_fee = (sum(column) for column in zip(*rows, strict=True))
        executions = [e for e in self._fills.get(order.order_id, []) if e.closed_lots]
        account.closed.append(
            ClosedPnl(
                uid=order.uid, symbol=order.symbol, order_id=order.order_id, side=order.side, qty_lots=order.qty_lots,
                order_price_ticks=order.price_ticks, order_type=order.order_type,
                exec_type=executions[-1].exec_type if executions else ExecType.TRADE,
                closed_lots=closed, entry_value_e8=entry, exit_value_e8=exit_value,
                closed_pnl_e8=order.closed_pnl_e8, open_fee_e8=open_fee, close_fee_e8=close_fee,
                fill_count=len(rows),
                leverage_e2=account.margin.position(order.symbol, order.position_idx).leverage_e2,
                created_ns=order.created_ns, updated_ns=ts_ns,
            )
        )

    def shrink(self, ts_ns: int, order: SimOrder, leaves_lots: int) -> None:
        """A reduce-only order larger than its position is cut down; to nothing: cancelled."""
        if leaves_lots <= 0:
            self.end(ts_ns, order, OrderStatus.CANCELLED, CancelType.REDUCE_ONLY, RejectReason.PER_CANCEL_REQUEST)
            return
        order.qty_lots = order.cum_qty_lots + leaves_lots
        order.leaves_lots = leaves_lots
        self.symbols[order.symbol].market.reduce(order.side, self._handles[order.order_id], leaves_lots)
        self.touch(order)

    def requeue(self, ts_ns: int, state: SymbolState, account: AccountState, order: SimOrder) -> None:
        """An amended order loses its place and arrives again."""
        state.market.reduce(order.side, self._handles[order.order_id], 0)
        self.arrive(ts_ns, state, account, order)

    def resize(self, order: SimOrder) -> None:
        """Fewer lots left than before: the order keeps its place."""
        self.symbols[order.symbol].market.reduce(order.side, self._handles[order.order_id], order.leaves_lots)

    def system_order(
        self, ts_ns: int, account: AccountState, symbol: str, idx: int, side: int, lots: int, price_ticks: int,
        create_type: CreateType,
    ) -> SimOrder:
        """An order of the exchange itself (liquidation, ADL, delisting): a market order that needs no margin."""
        order = SimOrder(
            order_id=self.ids.next(), order_link_id="", uid=account.uid, symbol=symbol, side=side,
            order_type=OrderType.MARKET, tif=TimeInForce.IOC, price_ticks=price_ticks, qty_lots=lots, leaves_lots=lots,
            status=OrderStatus.NEW, position_idx=idx, create_type=create_type, reduce_only=True, close_on_trigger=True,
            last_price_on_created_ticks=self.symbols[symbol].last_ticks, created_ns=ts_ns, updated_ns=ts_ns,
        )
        self.admit(account, order)
        return order
