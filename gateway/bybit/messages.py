"""Typed shapes of the frames we read: names as on the wire, numbers still text where the wire has text.

Fields we do not use are not declared: msgspec checks that they are JSON and skips them. `rename` maps the wire's
one-letter keys to words.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from core.units import TIME_MS_MAX

TimeMs = Annotated[int, Meta(ge=0, le=TIME_MS_MAX)]
Sequence = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Level = tuple[str, str]


class Envelope(Struct, gc=False):
    """Outside of every frame; `data` stays undecoded until the topic is known."""

    topic: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    ts: TimeMs | UnsetType = UNSET
    cts: TimeMs | UnsetType = UNSET
    cs: Sequence | UnsetType = UNSET
    data: Raw | UnsetType = UNSET


class Book(Struct, gc=False, rename={"symbol": "s", "bids": "b", "asks": "a"}):
    """orderbook.*: levels are [price, size], best first."""

    symbol: str
    bids: list[Level]
    asks: list[Level]
    u: Sequence
    seq: Sequence


class Trade(
    Struct,
    gc=False,
    rename={"time_ms": "T", "symbol": "s", "side": "S", "qty": "v", "price": "p", "is_block": "BT", "is_rpi": "RPI"},
):
    """publicTrade.*: `side` is the taker's."""

    time_ms: TimeMs
    symbol: str
    side: Literal["Buy", "Sell"]
    qty: str
    price: str
    is_block: bool = False
    is_rpi: bool = False
    seq: Sequence = 0


class Liquidation(Struct, gc=False, rename={"time_ms": "T", "symbol": "s", "side": "S", "qty": "v", "price": "p"}):
    """allLiquidation.*: `side` is the position's; `price` is the bankruptcy price."""

    time_ms: TimeMs
    symbol: str
    side: Literal["Buy", "Sell"]
    qty: str
    price: str


class Candle(Struct, gc=False):
    """kline.*: `start` in ms."""

    start: TimeMs
    open: str
    high: str
    low: str
    close: str
    volume: str
    turnover: str
    confirm: bool


class Ticker(Struct, gc=False, rename="camel"):
    """tickers.*: what is absent, or "", has not changed."""

    symbol: str
    last_price: str = ""
    bid1_price: str = ""
    bid1_size: str = ""
    ask1_price: str = ""
    ask1_size: str = ""
    mark_price: str = ""
    index_price: str = ""
    open_interest: str = ""
    turnover24h: str = ""
    volume24h: str = ""
    funding_rate: str = ""
    next_funding_time: str = ""
    price24h_pcnt: str = ""


class Control(Struct, gc=False, rename={"ret_code": "retCode", "trade_msg": "retMsg", "trade_req_id": "reqId"}):
    """Acknowledgements, pongs and failures of all three sockets (public and private: ret_msg, trade: retMsg)."""

    op: str = ""
    success: bool | None = None
    ret_msg: str | None = None
    conn_id: str | None = None
    req_id: str | None = None
    ret_code: int | None = None
    trade_msg: str | None = None
    trade_req_id: str | None = None

    @property
    def is_pong(self) -> bool:
        """Public linear answers a ping with op "ping" and ret_msg "pong"; the other sockets with op "pong"."""
        return self.op == "pong" or (self.op == "ping" and self.ret_msg == "pong")

    @property
    def is_failure(self) -> bool:
        return self.success is False or (self.ret_code is not None and self.ret_code != 0)

    @property
    def text(self) -> str:
        return self.ret_msg or self.trade_msg or ""


class News(Struct, gc=False):
    """scalper.news.*: an item about the symbol of the topic, as gateway/news.py writes it."""

    type: str
    impact_e2: Annotated[int, Meta(ge=0, le=10_000)]
    happened_ns: Sequence
    half_life_ns: Sequence
    ttl_ns: Sequence
    text: str = ""
