"""Faults on accounts: what the exchange, the user's phone or another program does to them, at once.

`uid` chooses the account (default: the first). Quantities and prices are texts or numbers in units of the contract.
"""

from __future__ import annotations

from typing import Any

from core.sim.exchange_types import CreateType, OrderFilter, OrderRequest, OrderType, TimeInForce
from core.sim.margin_types import PositionMode
from core.units import UnitsError, parse_units
from gateway.venue.fault_rules import Knob
from gateway.venue.faults import Action
from gateway.venue.instruments import Instrument, text_of
from gateway.venue.private_side import PrivateSide
from gateway.venue.synthetic import SyntheticExchange
from gateway.venue.truth import Happening

E8 = 100_000_000
SIDES = {"Buy": 1, "Sell": -1}
ORDER = {"side": "Buy", "qty": "0", "position_idx": 0}

ACCOUNT_KNOBS: dict[str, Knob] = {
    "acct.liq": Knob({"position_idx": 0}, "the position of a symbol is liquidated"),
    "acct.adl": Knob({"fraction": 1.0, "position_idx": 0}, "a fraction of the position is auto-deleveraged at the mark price"),
    "acct.funding": Knob({"rate": "0.0001"}, "funding of a symbol is settled now, at this rate"),
    "acct.ext_order": Knob({**ORDER, "price": ""}, "an order from elsewhere (price empty: market)"),
    "acct.ext_pos": Knob(ORDER, "a position is opened (or changed) from elsewhere"),
    "acct.ext_cancel": Knob({"filter": ""}, "orders of a symbol are cancelled from elsewhere (filter Order, StopOrder or all)"),
    "acct.ext_lev": Knob({"leverage": "5"}, "leverage of a symbol is set from elsewhere"),
    "acct.ext_mode": Knob({"mode": 3}, "position mode of a symbol is switched from elsewhere (0 one-way, 3 hedge)"),
    "acct.margin": Knob({"available": "0"}, "money is withdrawn until so many USDT are available"),
    "acct.deposit": Knob({"usdt": "1000"}, "money comes in (negative: goes out)"),
    "acct.reduce_only": Knob({"on": True}, "a symbol only takes orders that reduce"),
    "acct.delist": Knob({"final": False}, "a symbol is delisted: first only reducing orders, finally none"),
    "trade.vacuum": Knob({"seconds": 2.0}, "arriving orders meet no public liquidity for so long"),
    "rest.wipe_closed": Knob({}, "order/realtime forgets the closed orders, as after a restart"),
}


class AccountFaults:
    """The actions. Refusals are ValueErrors."""

    def __init__(self, side: PrivateSide, market: SyntheticExchange | None) -> None:
        self._side = side
        self._link = side.link
        self._x = side.exchange
        self._market = market

    # -- whom and what -----------------------------------------------------------------------------------------------
    def _uid(self, body: dict[str, Any]) -> int:
        text = str(body.get("uid") or self._side.accounts.uids[0])
        if not text.isdigit() or int(text) not in self._side.accounts.accounts:
            raise ValueError("uid must be that of an account of this venue")
        return int(text)

    def _contract(self, body: dict[str, Any]) -> Instrument:
        found = self._link.market.instruments().get(str(body.get("symbol")))
        if found is None:
            raise ValueError("give the symbol of a listed contract")
        self._link.touch(found.symbol)
        return found

    @staticmethod
    def _units(body: dict[str, Any], name: str, mant: int, exp: int) -> int:
        try:
            return parse_units(str(body.get(name, "")), mant, exp)
        except UnitsError as error:
            raise ValueError(f"{name}: {error}") from None

    def _accepted(self, code: int, text: str) -> None:
        if code:
            raise ValueError(f"the exchange refuses: {code} {text}")
        self._side.pump()

    # -- actions -----------------------------------------------------------------------------------------------------
    def liquidate(self, body: dict[str, Any], happening: Happening) -> None:
        uid, contract = self._uid(body), self._contract(body)
        if not self._x.force_liquidate(self._link.now_ns, uid, contract.symbol, int(body.get("position_idx", 0))):
            raise ValueError("the account has no such position")
        self._side.pump()

    def adl(self, body: dict[str, Any], happening: Happening) -> None:
        uid, contract, idx = self._uid(body), self._contract(body), int(body.get("position_idx", 0))
        held = [p.lots for p in self._x.positions(uid, contract.symbol) if p.position_idx == idx]
        lots = max(1, int(sum(held) * float(body.get("fraction", 1.0))))
        if not sum(held) or not self._x.force_adl(self._link.now_ns, uid, contract.symbol, lots, position_idx=idx):
            raise ValueError("the account has no such position")
        happening.details["lots"] = lots
        self._side.pump()

    def external_order(self, body: dict[str, Any], happening: Happening) -> None:
        uid, contract = self._uid(body), self._contract(body)
        if body.get("side", "Buy") not in SIDES:
            raise ValueError("side must be Buy or Sell")
        price = self._units(body, "price", contract.tick_mant, contract.price_exp) if body.get("price") else 0
        request = OrderRequest(
            symbol=contract.symbol, side=SIDES[body.get("side", "Buy")],
            order_type=OrderType.LIMIT if price else OrderType.MARKET,
            qty_lots=self._units(body, "qty", contract.lot_mant, contract.qty_exp), price_ticks=price,
            tif=TimeInForce.GTC if price else TimeInForce.IOC, position_idx=int(body.get("position_idx", 0)),
        )
        answer = self._x.external_order(self._link.now_ns, uid, request, CreateType.USER)
        happening.details["order_id"] = answer.order_id
        self._accepted(answer.ret_code, answer.ret_msg)

    def external_cancel(self, body: dict[str, Any], happening: Happening) -> None:
        uid = self._uid(body)
        kinds = {"": OrderFilter.ALL, "Order": OrderFilter.ORDER, "StopOrder": OrderFilter.STOP_ORDER}
        if body.get("filter", "") not in kinds:
            raise ValueError("filter must be Order, StopOrder or empty")
        symbol = self._contract(body).symbol if body.get("symbol") else None
        answer = self._x.cancel_all(self._link.now_ns, uid, symbol, kinds[body.get("filter", "")])
        happening.details["cancelled"] = len(answer.cancelled)
        self._accepted(answer.result.ret_code, answer.result.ret_msg)

    def external_leverage(self, body: dict[str, Any], happening: Happening) -> None:
        uid, contract = self._uid(body), self._contract(body)
        leverage_e2 = self._units({"leverage": str(body.get("leverage", "5"))}, "leverage", 1, 2)
        answer = self._x.set_leverage(self._link.now_ns, uid, contract.symbol, leverage_e2, leverage_e2)
        self._accepted(answer.ret_code, answer.ret_msg)

    def external_mode(self, body: dict[str, Any], happening: Happening) -> None:
        uid = self._uid(body)
        mode = {0: PositionMode.ONE_WAY, 3: PositionMode.HEDGE}.get(body.get("mode", 3))
        if mode is None:
            raise ValueError("mode must be 0 or 3")
        symbol = self._contract(body).symbol if body.get("symbol") else None
        answer = self._x.switch_position_mode(uid, mode, symbol)
        self._accepted(answer.ret_code, answer.ret_msg)

    def transfer(self, body: dict[str, Any], happening: Happening) -> None:
        text = str(body.get("usdt", "1000"))
        sign = -1 if text.startswith("-") else 1
        self._move(self._uid(body), sign * self._units({"usdt": text.removeprefix("-")}, "usdt", 1, 8), happening)

    def drain_margin(self, body: dict[str, Any], happening: Happening) -> None:
        uid = self._uid(body)
        wanted = self._units({"available": str(body.get("available", "0"))}, "available", 1, 8)
        self._move(uid, wanted - self._x.wallet(uid).available_e8, happening)

    def _move(self, uid: int, change_e8: int, happening: Happening) -> None:
        happening.details["change_usdt"] = ("-" if change_e8 < 0 else "") + text_of(abs(change_e8), 8)
        if not self._x.transfer(self._link.now_ns, uid, change_e8, f"transfer-{happening.start_ms}"):
            raise ValueError("not so much is available")
        self._side.pump()

    def fund(self, body: dict[str, Any], happening: Happening) -> None:
        symbol, text = self._contract(body).symbol, str(body.get("rate", "0.0001"))
        sign = -1 if text.startswith("-") else 1
        rate_e10 = sign * self._units({"rate": text.removeprefix("-")}, "rate", 1, 10)
        self._x.settle_now(self._link.now_ns, symbol, rate_e10)
        self._side.pump()

    def reduce_only(self, body: dict[str, Any], happening: Happening) -> None:
        self._x.restrict(self._contract(body).symbol, bool(body.get("on", True)))

    def vacuum(self, body: dict[str, Any], happening: Happening) -> None:
        seconds = float(body.get("seconds") or 2.0)
        self._x.vacuum(self._link.now_ns, self._contract(body).symbol, seconds)
        happening.end_ms = happening.start_ms + int(seconds * 1000)

    def delist(self, body: dict[str, Any], happening: Happening) -> None:
        symbol, final = self._contract(body).symbol, bool(body.get("final", False))
        self._x.delist(self._link.now_ns, symbol, final=final)
        if final and self._market is not None:
            self._market.delist(symbol)
        self._side.pump()

    def wipe_closed(self, _body: dict[str, Any], happening: Happening) -> None:
        self._side.venue.closed_wiped_ns = self._link.now_ns + 1


def account_faults(side: PrivateSide, market: SyntheticExchange | None) -> dict[str, tuple[Knob, Action]]:
    """Kind -> (knob, action)."""
    do = AccountFaults(side, market)
    actions: dict[str, Action] = {
        "acct.liq": do.liquidate, "acct.adl": do.adl, "acct.ext_order": do.external_order,
        "acct.ext_pos": do.external_order, "acct.ext_cancel": do.external_cancel, "acct.ext_lev": do.external_leverage,
        "acct.ext_mode": do.external_mode, "acct.margin": do.drain_margin, "acct.deposit": do.transfer,
        "acct.funding": do.fund, "acct.reduce_only": do.reduce_only, "acct.delist": do.delist,
        "trade.vacuum": do.vacuum, "rest.wipe_closed": do.wipe_closed,
    }
    return {kind: (ACCOUNT_KNOBS[kind], action) for kind, action in actions.items()}
