"""Scripted happenings do what their names promise, and the truth says when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.venue.errors import VenueError
from gateway.venue.faults import Faults
from gateway.venue.hub import Counters, Hub
from gateway.venue.scenarios import DEMO, KINDS, Event, ScenarioEngine, Timeline, load_timeline
from gateway.venue.streams import STEP_MS
from gateway.venue.synthetic import SyntheticExchange
from gateway.venue.truth import Happening, Truth
from tests.gateway.venue.running import FakeTransport, new_exchange


class Stage:
    """An exchange with a timeline, one listening client, and virtual time."""

    def __init__(self, timeline: Timeline, count: int = 30, seed: int = 7) -> None:
        self.exchange: SyntheticExchange = new_exchange(count, seed)
        self.hub = Hub(self.exchange, Counters())
        self.truth = Truth()
        self.scenario = ScenarioEngine(
            self.exchange, timeline, self.truth, Faults(self.hub, self.truth, self.exchange)
        )
        self.transport = FakeTransport()
        self.client = self.hub.connect(self.transport)

    def listen(self, *topics: str) -> None:
        self.hub.request(self.client, json.dumps({"op": "subscribe", "args": list(topics)}).encode())

    def run(self, seconds: float, each: Any = None) -> None:
        for _ in range(int(seconds * 1000) // STEP_MS):
            now_ms = self.exchange.now_ms + STEP_MS
            self.hub.now_ms = now_ms
            self.scenario.advance(now_ms)
            self.hub.publish((key, bytes(frame)) for key, frame in self.exchange.step(now_ms))
            self.hub.flush_all()
            if each is not None:
                each()

    def only(self, kind: str) -> Happening:
        found = [h for h in self.truth.happenings if h.kind == kind]
        assert len(found) == 1
        return found[0]


def phases(happening: Happening) -> list[str]:
    return [row["phase"] for row in happening.phases]


def test_pump_runs_up_blows_off_and_dumps() -> None:
    stage = Stage(Timeline((Event(2.0, "pump", "NEARUSDT"),)))
    row = stage.exchange.row_of["NEARUSDT"]
    s = stage.exchange.market.symbols[row]
    stage.run(2.0)
    start, trades_before = int(s.last_ticks), int(s.trade_head)
    prices: list[int] = []
    stage.run(20.0, lambda: prices.append(int(s.last_ticks)))
    happening = stage.only("pump")
    assert phases(happening) == ["PREPUMP", "PUMPING", "BLOWOFF", "DUMP"]
    top = max(prices)
    assert 1.03 < top / start < 1.12
    assert prices[-1] < start + 0.7 * (top - start)
    assert int(s.trade_head) - trades_before > 20 * 20 * s.taker_rate  # far busier than its base rate
    assert happening.end_ms is not None and happening.end_ms - happening.start_ms == 18_000
    assert s.drift == 0 and s.buy_boost == s.sell_boost == s.depth_factor == s.churn == 1


def test_spoof_is_big_and_pulled_before_it_is_reached() -> None:
    stage = Stage(Timeline((Event(1.0, "spoof", "LINKUSDT"),)))
    row = stage.exchange.row_of["LINKUSDT"]
    s = stage.exchange.market.symbols[row]
    mask = stage.exchange.market.ladder.shape[1] - 1
    seen: list[tuple[int, int]] = []
    stage.run(16.0, lambda: seen.append((int(s.wall_lots), int(stage.exchange.market.ladder[row, s.wall_ticks & mask]))))
    happening = stage.only("spoof")
    assert happening.details["pulled"] == 3
    assert phases(happening) == ["PLACED", "PULLED"] * 3
    for placed, pulled in zip(happening.phases[::2], happening.phases[1::2], strict=True):
        assert placed["lots"] > 15 * s.level_lots
        assert pulled["lots"] == placed["lots"], "a spoofed wall is never traded"
    standing = [(wall, level) for wall, level in seen if wall]
    assert standing and all(level >= wall for wall, level in standing)
    assert s.wall_lots == 0


@pytest.mark.parametrize("side", ["ask", "bid"])
def test_absorbed_wall_is_eaten_by_trades(side: str) -> None:
    stage = Stage(Timeline((Event(1.0, "absorbed_wall", "LINKUSDT", {"side": side}),)))
    row = stage.exchange.row_of["LINKUSDT"]
    s = stage.exchange.market.symbols[row]
    stage.run(20.0)
    happening = stage.only("absorbed_wall")
    assert phases(happening) == ["PLACED", "ABSORBING", "GONE"]
    assert happening.details["eaten"] == happening.details["lots"]
    ring = stage.exchange.market.trades[row][: min(1024, int(s.trade_head))]
    hit = ring[(ring["ticks"] == happening.details["ticks"]) & (ring["ts_ms"] >= happening.start_ms)]
    assert hit["lots"].sum() >= happening.details["eaten"]
    assert len(hit) >= 10, "in many bites"
    assert happening.phases[2]["start_ms"] - happening.phases[1]["start_ms"] > 500


def test_news_listing_is_listed_and_streams() -> None:
    stage = Stage(Timeline((Event(1.0, "news_listing"),)), count=5)
    stage.run(1.5)
    symbol = stage.only("news_listing").symbol
    assert stage.exchange.instruments[-1].symbol == symbol
    assert stage.exchange.instruments[-1].answer["launchTime"] == str(stage.only("news_listing").start_ms - STEP_MS)
    stage.listen(f"orderbook.50.{symbol}", f"publicTrade.{symbol}")
    stage.run(9.0)
    messages = stage.transport.messages()
    assert messages[0]["success"] is True
    assert {m["topic"].rpartition(".")[0] for m in messages[1:]} == {"orderbook.50", "publicTrade"}
    assert stage.only("news_listing").end_ms is not None


def test_btc_shock_takes_everything_along() -> None:
    stage = Stage(Timeline((Event(1.0, "btc_shock"),)))
    stage.run(1.0)
    before = stage.exchange.market.symbols["fair"][:30].copy()
    stage.run(5.5)
    moves = stage.exchange.market.symbols["fair"][:30] / before - 1
    assert moves[0] < -0.012
    assert (moves < -0.005).mean() > 0.9
    stage.run(6.0)
    assert phases(stage.only("btc_shock")) == ["SHOCK", "BOUNCE"]
    assert stage.exchange.market.factor[1] == 0


def test_gap_stale_and_restart() -> None:
    timeline = Timeline((
        Event(1.0, "gap", "BTCUSDT"), Event(2.0, "stale", "ETHUSDT", {"seconds": 2.0}), Event(5.0, "restart_u1", "BTCUSDT"),
    ))
    stage = Stage(timeline, count=3)
    stage.listen("orderbook.50.BTCUSDT", "orderbook.50.ETHUSDT", "tickers.ETHUSDT")
    stage.run(7.0)
    messages = stage.transport.messages()[1:]
    btc = [m for m in messages if m["topic"] == "orderbook.50.BTCUSDT"]
    u = [m["data"]["u"] for m in btc]
    steps = np.diff(u).tolist()
    assert steps.count(2) == 1, "one frame was lost"
    restart = next(k for k in range(1, len(btc)) if btc[k]["type"] == "snapshot")
    assert u[restart:restart + 3] == [1, 2, 3]
    assert {s for k, s in enumerate(steps) if k + 1 != restart} <= {1, 2}
    stale = stage.only("stale")
    assert stale.end_ms == stale.start_ms + 2000
    eth = [m["ts"] for m in messages if "ETHUSDT" in m["topic"]]
    assert not [ts for ts in eth if stale.start_ms <= ts < stale.end_ms]
    assert [ts for ts in eth if ts >= stale.end_ms]


def test_demo_happens_within_the_first_minute_and_again_elsewhere() -> None:
    stage = Stage(DEMO, count=40)
    origin = stage.exchange.now_ms
    stage.run(62.0)
    found = {(h.kind, round((h.start_ms - origin) / 1000)): h for h in stage.truth.happenings}
    assert ("spoof", 8) in found and ("pump", 34) in found and ("absorbed_wall", 20) in found
    assert all(h.end_ms is not None for h in stage.truth.happenings)
    stage.run(34.0)
    pumps = [h.symbol for h in stage.truth.happenings if h.kind == "pump"]
    assert len(pumps) == len(set(pumps)) == 2
    assert not {"BTCUSDT", "ETHUSDT"} & set(pumps)


def test_timelines_are_read_from_toml_and_json(tmp_path: Path) -> None:
    toml = tmp_path / "a.toml"
    toml.write_text('repeat_s = 30\n[[event]]\nat_s = 5\nkind = "pump"\nsymbol = "XRPUSDT"\nsize_pct = 9.0\n')
    as_json = tmp_path / "a.json"
    as_json.write_text(json.dumps({"repeat_s": 30, "event": [
        {"at_s": 5, "kind": "pump", "symbol": "XRPUSDT", "size_pct": 9.0}]}))
    assert load_timeline(str(toml)) == load_timeline(str(as_json))
    assert load_timeline(str(toml)).events[0].parameters == {"size_pct": 9.0}
    assert load_timeline("none").events == ()
    assert {event.kind for event in load_timeline("demo").events} <= set(KINDS)


@pytest.mark.parametrize("text", [
    "[[event]]\nat_s = 1\nkind = 'moon'\n", "[[event]]\nat_s = 1\nkind = 'pump'\nhow_high = 3\n",
    "[[event]]\nkind = 'pump'\n", "repeat = 3\n", "not toml",
])
def test_bad_timelines_are_refused_with_their_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(VenueError, match=r"bad\.toml"):
        load_timeline(str(path))
    with pytest.raises(VenueError, match="Fix: "):
        load_timeline(str(tmp_path / "absent.toml"))


def test_a_happening_on_an_unknown_symbol_is_noted_as_refused() -> None:
    stage = Stage(Timeline((Event(0.5, "pump", "NOPEUSDT"), Event(0.5, "gap", "NOPEUSDT"))), count=2)
    stage.run(1.0)
    assert all("refused" in h.details and h.end_ms for h in stage.truth.happenings)
    assert len(stage.truth.happenings) == 2
