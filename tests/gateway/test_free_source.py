"""The live gateway against a real socket: reconnects, resubscriptions, refusals, garbage, silence, control, shedding."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from picows import WSMsgType

from config.load import ConfigError
from config.news_file import NewsItem, append_news
from config.schema import Degraded, Feed, Safety, Settings, Symbols
from core.enums import ControlBits, DataReason, DataState, EventKind, FeedState
from core.records import CELL_WORDS, EVENT
from gateway.backpressure import ShedLevel, Verdict
from gateway.bybit.session import ConnectBudget, Session
from gateway.bybit.universe import Instrument
from gateway.connection import Connection, Stage, WallClock
from gateway.free_source import FreeSource, timing_of
from gateway.news import NewsFile
from gateway.rest import RestError
from shm.agent import Beat, StopFlag
from shm.run_spec import RunSpec
from shm.topology import SLOT_RECORDER, SLOT_SHARD, Plant
from tests.gateway.fake_venue import Client, FakeVenue, until
from tests.gateway.feed_tools import Event, split_events, trade_frame

DATA = EventKind.SYMBOL_DATA
A, B = "orderbook.50.AUSDT", "orderbook.50.BUSDT"
FEED = Feed(  # patient with pongs: venue and gateway share a loop that may stand still
    ping_s=0.1, pong_deadline_s=60.0, backoff_min_s=0.01, backoff_max_s=0.05, resubscribe_min_s=0.01, down_after_s=0.2,
    silent_topic_s=60.0, silent_wild_s=60.0, max_frame_bytes=100_000, connect_budget=100_000, instruments_refresh_s=1000.0,
)
SETTINGS = Settings(
    safety=Safety(feed=FEED, degraded=Degraded(enter_ms=1e6, leave_ms=1e5)), symbols=Symbols(prime=("AUSDT",))
)


def with_feed(**changes: float) -> Settings:
    feed = msgspec.structs.replace(FEED, **changes)
    return msgspec.structs.replace(SETTINGS, safety=msgspec.structs.replace(SETTINGS.safety, feed=feed))


def instrument(name: str, tick: tuple[int, int] = (1, 1)) -> Instrument:
    return Instrument(name, True, tick, (1, 3))


class FakeRest:
    calls = errors = 0

    def __init__(self, names: list[str]) -> None:
        self.list = [instrument(name) for name in names]
        self.failures = 0
        self.rates_e8: dict[str, int] | None = {}

    def instruments(self) -> tuple[list[Instrument], list[str]]:
        self.calls += 1
        if self.failures:
            self.failures -= 1
            raise RestError("no answer")
        return self.list, []

    def turnover(self) -> dict[str, float]:
        return {}

    def tiers(self, cursor: str) -> tuple[dict[str, int], str]:
        if self.rates_e8 is None:
            raise RestError("no such path")
        return (self.rates_e8, "next") if not cursor else ({}, "")


class Rig:
    """A gateway on a fake venue; `events` reads what the only shard would see."""

    def __init__(self, plant: Plant, venue: FakeVenue, source: FreeSource, rest: FakeRest) -> None:
        self.plant, self.venue, self.source, self.rest = plant, venue, source, rest
        self._reader = plant.market(0).reader(SLOT_SHARD, from_start=True)
        self._raw = plant.raw().reader(SLOT_RECORDER, from_start=True)
        self._buffer = np.zeros((16_384, CELL_WORDS), np.int64)
        self.seen: list[Event] = []

    def events(self) -> list[Event]:
        while count := self._reader.read(self._buffer):
            self.seen += split_events(self._buffer[:count].copy())
        return self.seen

    def raw_frames(self) -> list[bytes]:
        found, count = [], self._raw.read(self._buffer)
        at = 0
        while at < count:
            header = self._buffer[at : at + 1].view(EVENT.dtype)[0, 0]
            size, length = int(header["n_cells"]), int(header["u"])
            found.append(self._buffer[at + 1 : at + size].tobytes()[:length])
            at += size
        return found

    def states(self, symbol: int = 0) -> list[tuple[int, int]]:
        return [(e.u, e.xseq) for e in self.events() if e.kind == DATA and e.symbol == symbol]

    def count(self, kind: EventKind, symbol: int = 0) -> int:
        return sum(e.kind == kind and e.symbol == symbol for e in self.events())

    def counter(self, name: str) -> int:
        self.source._publish_counters()
        return self.source.service.counters.get(name)

    async def ok(self, symbol: int = 0) -> None:
        await until(lambda: (self.states(symbol) or [(0, 0)])[-1][0] == DataState.OK)

    @property
    def client(self) -> Client:
        return self.venue.clients[0]


def serve(
    test: Callable[[Rig], Awaitable[None]], names: list[str] | None = None, settings: Settings = SETTINGS,
    prepare: Callable[[FakeVenue, FakeRest], None] = lambda venue, rest: None,
    reload: Callable[[], Settings] = lambda: SETTINGS,
) -> None:
    """Run `test` beside a gateway, then stop it in order."""

    async def run() -> None:
        venue, rest = FakeVenue(), FakeRest(names or ["AUSDT", "BUSDT"])
        prepare(venue, rest)
        await venue.start()
        spec = RunSpec(
            run_id=f"t{os.getpid()}-{secrets.token_hex(3)}", market_cells=16_384, raw_cells=16_384, log_records=1024,
            intent_slots=64, report_slots=64, venue={"rest": "http://127.0.0.1:1", "ws_public": venue.url},
        )  # fmt: skip
        plant = Plant.create(spec)
        try:
            gateway = Plant(spec, plant._segments, "gateway", 0)
            flag, beat = StopFlag(), Beat(gateway)
            beat.start()
            source = FreeSource(gateway, settings, beat, flag, reload)
            source._rest = rest  # type: ignore[assignment]
            running = asyncio.create_task(source.run())
            rig = Rig(plant, venue, source, rest)
            testing = asyncio.ensure_future(test(rig))
            await asyncio.wait([running, testing], return_when=asyncio.FIRST_COMPLETED)
            flag.set = True
            await running
            await testing
            c = gateway.counters().as_dict(zeros=True)
            assert c["frames"] == c["decoded"] + c["other"] + c["rejected"]
        finally:
            plant.destroy()
            await venue.stop()

    asyncio.run(run())


def test_subscribes_decodes_publishes_and_records(tmp_path: Any) -> None:
    async def test(rig: Rig) -> None:
        await rig.ok(0)
        await rig.ok(1)
        rig.venue.deltas(A, 3)
        rig.client.send(trade_frame("BUSDT", 5))
        await until(lambda: rig.count(EventKind.BOOK_DELTA) == 3 and rig.count(EventKind.TRADES, 1) == 1)
        await until(lambda: rig.source.service.feed_state == FeedState.CONNECTED)
        await until(lambda: rig.counter("pongs") > 0 and rig.count(EventKind.TIMER, -1) > 2)
        kinds = [e.kind for e in rig.events()]
        assert kinds[:4] == [EventKind.CONFIG, EventKind.FEED, EventKind.LISTING, EventKind.LISTING]
        seqs = [e.seq for e in rig.events()]
        assert seqs == list(range(1, len(seqs) + 1))
        subscribed = [t for r in rig.venue.requests if r["op"] == "subscribe" for t in r["args"]]
        assert sorted(subscribed) == sorted(
            f"{topic}.{name}" for name in ("AUSDT", "BUSDT")
            for topic in ("orderbook.50", "publicTrade", "tickers", "allLiquidation", "kline.1")
        )  # fmt: skip
        assert rig.counter("subs") == 10 and rig.counter("connections") == 1
        frames = rig.raw_frames()
        assert trade_frame("BUSDT", 5) in frames and len([f for f in frames if b'"orderbook' in f]) == 5

    serve(test)


def test_a_lost_connection_breaks_its_books_and_everything_comes_back() -> None:
    async def test(rig: Rig) -> None:
        await rig.ok(0)
        await rig.ok(1)
        await until(lambda: rig.source.service.feed_state == FeedState.CONNECTED)
        for round_ in range(3):
            rig.client.cut()
            await until(lambda round_=round_: rig.states(1).count((DataState.BROKEN, DataReason.DISCONNECTED)) > round_)
            await rig.ok(0)
            await rig.ok(1)
        assert rig.counter("reconnects") == 3 and rig.counter("disconnects") == 3 and rig.counter("gaps") == 0
        feeds = [e.u for e in rig.events() if e.kind == EventKind.FEED]
        assert feeds[:3] == [FeedState.DOWN, FeedState.CONNECTED, FeedState.RECONNECTING] and rig.counter("resets") == 0

    serve(test)


def test_feed_goes_down_when_nobody_answers_and_recovers() -> None:
    async def test(rig: Rig) -> None:
        await rig.ok(0)
        rig.venue.refuse = True
        rig.client.cut()
        await until(lambda: rig.source.service.feed_state == FeedState.DOWN)
        rig.venue.refuse = False
        await rig.ok(0)
        await until(lambda: rig.source.service.feed_state == FeedState.CONNECTED)
        assert rig.plant.control.get("feed_state") == FeedState.CONNECTED

    serve(test)


def test_a_gateway_stopped_while_it_connects_leaves_no_socket_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cut the handshake off, and the socket was closed by whoever collected the garbage, with a warning."""
    monkeypatch.setattr("gateway.connection.CLOSE_S", 60.0, raising=False)

    async def life() -> None:
        asked, over = asyncio.Event(), asyncio.Event()

        async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            await over.wait()  # before the gateway hears anything it is told to stop
            writer.close()

        server = await asyncio.start_server(exchange, "127.0.0.1", 0)
        session = Session(1, timing_of(FEED), ConnectBudget(5, 0), random.Random(1))
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v5/public/linear"
        connection = Connection(session, url, Stage(lambda *frames: None, WallClock()), 100_000, lambda *change: None)
        session.want(["tickers.AUSDT"])
        connection.step()
        await asked.wait()
        asyncio.get_running_loop().call_later(0.2, over.set)
        await connection.close()
        server.close()

    asyncio.run(life())
    gc.collect()


def test_a_gap_resubscribes_only_that_topic() -> None:
    async def test(rig: Rig) -> None:
        await rig.ok(0)
        await rig.ok(1)
        rig.venue.deltas(A, 2, skip=4)
        await until(lambda: rig.states(0)[-1] == (DataState.OK, DataReason.SNAPSHOT) and len(rig.states(0)) == 3)
        assert rig.states(0)[1] == (DataState.BROKEN, DataReason.GAP) and len(rig.states(1)) == 1
        assert (rig.venue.asked("unsubscribe", A), rig.venue.asked("unsubscribe", B)) == (1, 0)
        assert rig.counter("gaps") == 1 and rig.counter("resyncs") == 1 and rig.count(EventKind.BOOK_DELTA) == 0

    serve(test)


def test_a_refused_topic_is_retried_alone_and_the_others_live() -> None:
    async def test(rig: Rig) -> None:
        await rig.ok(1)
        assert rig.count(EventKind.BOOK_SNAPSHOT, 0) == 0
        await until(lambda: rig.venue.asked("subscribe", A) >= 2)
        rig.venue.nacks.clear()
        await rig.ok(0)
        assert rig.counter("nacks") >= 2

    serve(test, prepare=lambda venue, rest: venue.nacks.add(A))


def test_a_half_open_connection_is_found_by_its_missing_pong() -> None:
    async def test(rig: Rig) -> None:
        await rig.ok(0)
        rig.venue.pongs = False
        await until(lambda: rig.venue.connects >= 3)
        rig.venue.pongs = True
        assert (DataState.BROKEN, DataReason.DISCONNECTED) in rig.states(0)
        await rig.ok(0)

    serve(test, settings=with_feed(pong_deadline_s=0.1))


@pytest.mark.parametrize("junk", [
    b"", b"{", b"null", b"[" * 100_000, b'{"topic":"orderbook.50.AUSDT","ts":NaN}', b"\xff\xfe\x00",
    b'{"topic":"orderbook.50.AUSDT","type":"delta","ts":1,"data":{"s":"AUSDT","b":[["1e400","1"]],"a":[],"u":1,"seq":1}}',
    b'{"topic":"tickers.XSS<>USDT","data":{}}', b'{"a":' + b"9" * 5000 + b"}",
])  # fmt: skip
def test_garbage_is_counted_and_the_stream_goes_on(junk: bytes) -> None:
    async def test(rig: Rig) -> None:
        await rig.ok(0)
        rig.client.send(junk)
        rig.venue.deltas(A)
        await until(lambda: rig.count(EventKind.BOOK_DELTA) == 1)
        assert rig.counter("rejected") + rig.counter("unknown_symbol") == 1 and rig.venue.connects == 1

    serve(test)


def test_a_stream_of_garbage_replaces_the_connection() -> None:
    async def test(rig: Rig) -> None:
        await rig.ok(0)
        for _ in range(12):
            rig.client.send(b"garbage")
        await until(lambda: rig.venue.connects == 2)
        await rig.ok(0)

    serve(test)


@pytest.mark.parametrize("misbehave", [
    lambda c: c.send(b"\x00\x01", WSMsgType.BINARY),
    lambda c: c.raw(b"\x83\x05hello"),  # opcode 3 does not exist
    lambda c: c.raw(b"\xc1\x05hello"),  # compressed, never negotiated
    lambda c: c.raw(b"\x81\x7f" + (200_000).to_bytes(8, "big") + b"x" * 200_000),  # larger than max_frame_bytes
    lambda c: c.raw(b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"),
    lambda c: c.raw(b"\x81\x85abcdhello"),  # masked by a server
    lambda c: c.send(b"tail of nothing", WSMsgType.CONTINUATION),
    lambda c: [c.send(b"x" * 60_000, WSMsgType.TEXT if i == 0 else WSMsgType.CONTINUATION, False) for i in range(3)],
    lambda c: c.send((1001).to_bytes(2, "big"), WSMsgType.CLOSE),
])  # fmt: skip
def test_protocol_errors_replace_the_connection(misbehave: Callable[[Client], object]) -> None:
    async def test(rig: Rig) -> None:
        await rig.ok(0)
        misbehave(rig.client)
        await until(lambda: rig.venue.connects == 2)
        await until(lambda: len(rig.states(0)) >= 3)
        await rig.ok(0)

    serve(test)


def test_fragments_are_joined_and_pings_at_the_end_of_a_read_hold_nothing_back() -> None:
    async def test(rig: Rig) -> None:
        await rig.ok(0)
        frame = trade_frame("AUSDT", 7)
        rig.client.send(frame[:30], fin=False)
        rig.client.send(b"", WSMsgType.PING)
        rig.client.send(frame[30:50], WSMsgType.CONTINUATION, False)
        rig.client.send(frame[50:], WSMsgType.CONTINUATION)
        text = bytes([0x81, 126]) + len(frame).to_bytes(2, "big") + frame
        rig.client.raw(text + b"\x89\x00")  # one read: a frame, then a ping
        await until(lambda: rig.count(EventKind.TRADES) == 2)

    serve(test)


def test_a_silent_book_becomes_stale_is_resubscribed_and_then_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.free_source.FIRST_DATA_NS", 50_000_000)

    async def test(rig: Rig) -> None:
        await rig.ok(0)
        await rig.ok(1)
        await until(lambda: (DataState.STALE, DataReason.SILENT) in rig.states(0))
        await until(lambda: rig.states(0)[-1][0] == DataState.OK), "its snapshot brings it back"
        rig.venue.frozen.add(A)
        stale = rig.states(0).count((DataState.STALE, DataReason.SILENT))
        await until(lambda: rig.states(0).count((DataState.STALE, DataReason.SILENT)) > stale)
        subscriptions = rig.source.subscriptions
        now = rig.source._clock.now_ns()
        for _ in range(4):
            for symbol in subscriptions.silent([0], now):
                rig.source.service.set_data_state(symbol, DataState.BROKEN, DataReason.SILENT)
        await until(lambda: rig.venue.connects == 2)
        rig.venue.frozen.clear()
        await until(lambda: rig.source.subscriptions.is_open(0))
        await rig.ok(0)
        assert subscriptions.home[0] is not subscriptions.home[1] and len(rig.states(1)) == 1

    serve(test, names=["AUSDT", "BUSDT", "CUSDT"], settings=with_feed(silent_topic_s=0.2))


def test_listing_delisting_and_a_new_grid_do_not_disturb_the_others() -> None:
    async def test(rig: Rig) -> None:
        await rig.ok(0)
        await rig.ok(1)
        rig.rest.list = [instrument("AUSDT"), instrument("CUSDT")]
        await rig.source._refresh()
        await rig.ok(2)
        assert [(e.kind, e.symbol) for e in rig.events() if e.kind in (EventKind.LISTING, EventKind.DELISTING)][2:] == [
            (EventKind.LISTING, 2), (EventKind.DELISTING, 1)
        ]  # fmt: skip
        await until(lambda: rig.venue.asked("unsubscribe", B) == 1)
        row = rig.plant.symbols().read(2)
        assert (int(row["flags"][0]), int(row["category"][0])) == (1, 2)
        rig.rest.list = [instrument("AUSDT", (5, 2)), instrument("CUSDT")]
        await rig.source._refresh()
        await until(lambda: rig.states(0)[-1] == (DataState.OK, DataReason.SNAPSHOT) and len(rig.states(0)) == 3)
        assert rig.counter("listings") == 1 and rig.counter("delistings") == 1 and len(rig.states(2)) == 1
        rig.rest.failures = 1
        await rig.source._refresh()
        assert rig.counter("symbols") == 2

    serve(test)


def test_start_asks_again_until_the_exchange_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.free_source.REST_RETRY_S", 0.05)

    async def test(rig: Rig) -> None:
        await rig.ok(0)
        assert rig.rest.calls == 3 and rig.plant.cnc("gateway").errors.total() == 2

    def prepare(venue: FakeVenue, rest: FakeRest) -> None:
        rest.failures = 2

    serve(test, prepare=prepare)


def test_control_bits_and_configuration_become_events() -> None:
    good = msgspec.structs.replace(
        SETTINGS, trading=msgspec.structs.replace(
            SETTINGS.trading, account=msgspec.structs.replace(SETTINGS.trading.account, max_positions=7)))  # fmt: skip
    answers: list[Settings | ConfigError] = [ConfigError(["trading.toml:3: no such key"]), good, SETTINGS]

    def reload() -> Settings:
        answer = answers.pop(0)
        if isinstance(answer, ConfigError):
            raise answer
        return answer

    async def test(rig: Rig) -> None:
        control = rig.plant.control
        await rig.ok(0)
        control.request_kill("admin")
        await until(lambda: [e.u for e in rig.events() if e.kind == EventKind.CONTROL] == [ControlBits.KILL])
        control.clear_kill()
        control.request_pause("cli", True)
        await until(lambda: [e.u for e in rig.events() if e.kind == EventKind.CONTROL][-1:] == [ControlBits.PAUSE])
        control.request_config("admin")
        await until(lambda: len(answers) == 2)
        assert control.get("config_version") == 1
        control.request_config("cli")
        await until(lambda: [e.u for e in rig.events() if e.kind == EventKind.CONFIG] == [1, 2])
        assert control.get("config_version") == 2 and rig.source.service.settings is good
        logs = [bytes(r["text"]).rstrip(b"\0") for r in rig.plant.log_readers(2)["gateway"].read()]
        assert any(b"no such key" in text for text in logs)

    serve(test, reload=reload)


def test_symbol_profiles_become_events_at_a_reload(tmp_path: Path) -> None:
    async def test(rig: Rig) -> None:
        control, service, path = rig.plant.control, rig.source.service, tmp_path / "profiles.json"
        service._profiles_file = path
        await rig.ok(0)
        assert rig.count(EventKind.PROFILE, 0) == 0
        path.write_text('{"symbols": {"AUSDT": {"size": 0.5}, "NOTLISTED": {"size": 0.5}}}')
        control.request_config("cli")
        await until(lambda: control.get("config_version") == 2 and rig.count(EventKind.PROFILE, 0) == 1)
        path.write_text("not json")
        control.request_config("admin")
        await until(lambda: any(b"profiles.json" in bytes(r["text"]) for r in rig.plant.log_readers(2)["gateway"].read()))
        assert control.get("config_version") == 2 and service.profiles["AUSDT"].size == 0.5
        path.unlink()
        control.request_config("cli")
        await until(lambda: rig.count(EventKind.PROFILE, 0) == 2)
        assert service.profiles == {} and rig.count(EventKind.PROFILE, 1) == 0

    serve(test)


def test_shedding_breaks_wild_symbols_counts_and_recovers_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.backpressure.RESUME_NS", 10**15)  # the level ends when the test says so
    async def test(rig: Rig) -> None:
        await rig.ok(0)
        await rig.ok(1)
        source = rig.source
        source.universe.records["category"][1] = 2
        source.pressure.levels[0] = ShedLevel(SETTINGS.safety.degraded, level=1)
        source._shed(Verdict(False, 0, [1], [0]))
        rig.venue.deltas(A, 2)
        rig.venue.deltas(B, 3)
        await until(lambda: rig.count(EventKind.BOOK_DELTA, 0) == 2)
        await until(lambda: sum(e.u for e in rig.events() if e.kind == EventKind.SHED and e.symbol == 1) == 3)
        assert rig.count(EventKind.BOOK_DELTA, 1) == 0 and len(rig.states(0)) == 1
        assert rig.states(1)[-1] == (DataState.BROKEN, DataReason.SHED)
        source.pressure.levels[0].level = 0
        source._shed(Verdict(False, 0, [0], [0]))
        await rig.ok(1)
        assert rig.counter("shed_symbols") == 1 and rig.counter("shed_events") == 3

    serve(test)


def test_shards_get_the_snapshots_they_ask_for() -> None:
    async def test(rig: Rig) -> None:
        await rig.ok(0)
        rig.plant.request_resync(0)
        await until(lambda: rig.states(0)[-1] == (DataState.OK, DataReason.SNAPSHOT) and len(rig.states(0)) == 3)
        assert rig.states(0)[1][0] == DataState.BROKEN and rig.venue.asked("unsubscribe", A) == 1

    serve(test)


def test_risk_tiers_come_one_page_per_refresh_and_reach_the_shards() -> None:
    async def test(rig: Rig) -> None:
        await rig.ok(0)
        rig.rest.rates_e8 = {"BUSDT": 500_000, "XUSDT": 1}
        await rig.source._refresh()
        rig.source.service.publisher.publish()
        await until(lambda: [e.symbol for e in rig.events() if e.kind is EventKind.LISTING][2:] == [1])
        assert rig.plant.symbols().read(1)["maintenance_e8"][0] == 500_000
        assert rig.source._tier_cursor == "next"
        rig.rest.rates_e8 = None
        for _ in range(3):
            await rig.source._refresh()
        assert rig.source._tier_cursor == "" and rig.source._tiers_refused

    serve(test)


def test_news_join_the_one_order_and_the_raw_journal(tmp_path: Path) -> None:
    path = tmp_path / "news.jsonl"

    async def test(rig: Rig) -> None:
        await rig.ok(0)
        rig.source._news = [NewsFile(path)]
        append_news(path, NewsItem("BUSDT", "HACK", 90.0))
        append_news(path, NewsItem("NOUSDT", "HACK"))
        rig.source._take_news()
        await until(lambda: [e.symbol for e in rig.events() if e.kind is EventKind.NEWS] == [1])
        assert any(frame.startswith(b'{"topic": "scalper.news.BUSDT"') for frame in rig.raw_frames())

    serve(test)
