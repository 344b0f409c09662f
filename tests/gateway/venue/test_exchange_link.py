"""The market as the exchange sees it: from the synthetic market, from a tape, and only where somebody holds something."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.jit import KERNELS
from core.sim.queue_model import QueueModel
from gateway.venue.instrument_specs import spec_of
from gateway.venue.instruments import recorded_instruments, synthetic_instruments
from gateway.venue.market_views import SyntheticView, TapeView
from gateway.venue.tape_feed import TapeFeed
from gateway.venue.warm import warm_up_private
from tests.gateway.venue.virtual import Plant
from tests.shared_data import recording

TAPE = "bybit_v5_linear_20260809_BTCUSDT_DOGEUSDT.frames.gz"


def test_every_contract_has_a_specification() -> None:
    contracts = synthetic_instruments(300, 3)
    contracts += recorded_instruments(recording("bybit_v5_instruments_info_linear_20260809.json.gz"), 600, 3)
    for contract in contracts:
        spec = spec_of(contract)
        first = spec.tiers[0]
        assert spec.min_qty_lots >= 1 and spec.max_qty_lots >= spec.max_market_qty_lots >= 1
        assert first.max_leverage_e2 == spec.max_leverage_e2 and 0 < first.mm_rate_e8 < first.im_rate_e8
        assert spec.funding_interval_ns % 60_000_000_000 == 0, "timers are looked at once a minute"
    btc = spec_of(contracts[0])
    assert (btc.tiers[0].limit_value_e8, btc.tiers[0].mm_rate_e8) == (2_000_000 * 10**8, 500_000), "BTCUSDT: 0.5 % to 2 M"


def test_the_synthetic_book_is_that_of_the_public_stream() -> None:
    plant = Plant()
    plant.step(50)
    view = SyntheticView(plant.market)
    line = plant.public()
    line.send(op="subscribe", args=["orderbook.200.BTCUSDT"])
    shown = next(m for m in line.got() if "data" in m)["data"]
    contract = plant.market.by_symbol["BTCUSDT"]
    for side, levels in zip("ba", view.book("BTCUSDT"), strict=True):
        theirs = [[round(float(p) / contract.tick_size), round(float(q) / contract.lot_size)] for p, q in shown[side]]
        assert levels.tolist() == theirs


def test_trades_are_handed_over_once_and_in_order() -> None:
    plant = Plant(rate=20.0)
    view = SyntheticView(plant.market)
    handed: list[list[int]] = []
    since = view.trade_count("BTCUSDT")
    for _ in range(40):
        plant.step(5)
        handed += view.trades("BTCUSDT", since).tolist()
        since = view.trade_count("BTCUSDT")
    assert len(handed) == since > 100
    row = plant.market.row_of["BTCUSDT"]
    ring = plant.market.market.trades[row]
    last = [[int(t.ticks), int(t.lots), int(t.side)] for t in ring[np.arange(max(0, since - len(ring)), since) % len(ring)]]
    assert handed[-len(last):] == last


@pytest.mark.parametrize("model", list(QueueModel))
def test_a_resting_order_fills_when_the_public_market_comes_to_it(model: QueueModel) -> None:
    plant = Plant(rate=10.0, queue_model=model)
    plant.step(20)
    private, trade = plant.private("order", "execution"), plant.trade()
    told = trade.order("order.create", plant.resting(percent=-0.002, qty="0.001"))
    assert told["retCode"] == 0
    for _ in range(600):
        plant.step(10)
        fills = [row for topic, row in private.rows() if topic == "execution"]
        if fills:
            break
    assert fills and fills[0]["isMaker"] is True
    assert plant.link.watched == ["BTCUSDT"], "a position is held now"


def test_funding_is_settled_at_the_whole_minute_of_the_interval() -> None:
    """Also for a symbol whose first order came in the same minute."""
    plant = Plant()
    interval_ms = 8 * 3_600_000
    instant = (plant.now_ms // interval_ms + 1) * interval_ms
    plant.now_ms = instant - 40
    plant.step()
    private, trade = plant.private("execution"), plant.trade()
    assert trade.order("order.create", plant.market_order(qty="0.01"))["retCode"] == 0
    private.got()
    plant.step(5)
    rows = [row for _, row in private.rows("execution")]
    assert [(row["execType"], row["execTime"]) for row in rows] == [("Funding", str(instant))]


def tape_plant(tmp_path: Path) -> Plant:
    return Plant(feed=TapeFeed([recording(TAPE)], "10"), accounts=1)


def test_orders_on_a_tape(tmp_path: Path) -> None:
    """The exchange stands in the tape's book: a taker gets its best price, positions are marked by its tickers."""
    plant = tape_plant(tmp_path)
    plant.public("orderbook.200.BTCUSDT", "publicTrade.BTCUSDT", "tickers.BTCUSDT")
    plant.step(200)
    view = TapeView(plant.venue.feed)  # type: ignore[arg-type]
    bids, asks = view.book("BTCUSDT")
    assert len(bids) == len(asks) == 200 and bids[0, 0] < asks[0, 0]
    private, trade = plant.private("order", "execution", "position"), plant.trade()
    told = trade.order("order.create", {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.001"})
    assert told["retCode"] == 0, told
    fills = [row for topic, row in private.rows() if topic == "execution"]
    contract = view.instruments()["BTCUSDT"]
    assert float(fills[0]["execPrice"]) == pytest.approx(int(asks[0, 0]) * contract.tick_size)
    ticker = plant.venue.feed.state.tickers["tickers.BTCUSDT"]["data"]  # type: ignore[union-attr]
    assert float(fills[0]["markPrice"]) == pytest.approx(float(ticker["markPrice"]))
    before = plant.link.looks
    plant.step(50)
    assert plant.link.looks == before + 50
    answer = plant.get("/v5/position/list", symbol="BTCUSDT")["result"]["list"][0]
    assert (answer["side"], answer["size"]) == ("Buy", "0.001")


def test_before_the_tape_has_a_book_a_market_order_is_refused(tmp_path: Path) -> None:
    plant = tape_plant(tmp_path)
    trade = plant.trade()
    told = trade.order("order.create", {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.001"})
    assert told["retCode"] != 0 and told["retMsg"]


def test_warming_leaves_nothing_to_compile() -> None:
    warm_up_private()
    ours = [kernel for kernel in KERNELS if kernel.__module__.startswith(("core.sim.matching", "core.book"))]
    before = {kernel.__name__: len(kernel.signatures) for kernel in ours}
    plant = Plant()
    plant.step(5)
    trade = plant.trade()
    trade.order("order.create", plant.market_order())
    trade.order("order.create", plant.resting())
    plant.step(20)
    assert {kernel.__name__: len(kernel.signatures) for kernel in ours} == before
    assert max(before.values()) == 1
    assert json.dumps(plant.venue.status())
