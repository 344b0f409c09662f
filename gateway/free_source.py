"""Live connections as the source: mainnet, testnet or the embedded venue, in real time.

One asyncio loop. Socket callbacks decode and publish at once; everything else happens in `_step`, some forty times a
second: sessions, TIMERs while no data comes, back-pressure each 100 ms, silent topics and the symbol list less often.
"""

from __future__ import annotations

import asyncio
import functools
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from config.paths import DataPaths
from config.schema import Feed, Settings
from core.constants import NS_PER_S
from core.enums import DataReason, DataState, EventKind, FeedState, LogKind, Severity
from gateway import routing
from gateway.backpressure import BackPressure, FeedLag, ProgressClock, Verdict, feed_state
from gateway.bybit.book_sync import LIVE, depth_column_of
from gateway.bybit.decode import Decoded, Outcome
from gateway.bybit.messages import Control
from gateway.bybit.session import ConnectBudget, Session, Timing
from gateway.bybit.universe import Instrument, Selector, Universe, UniverseError
from gateway.connection import Connection, Stage, WallClock
from gateway.news import CONN_LOCAL, NewsFile, NewsSource, frames_of
from gateway.rest import PublicRest, RestError
from gateway.service import GatewayService, known_symbols
from gateway.subscriptions import FIRST_DATA_NS, Subscriptions
from shm.agent import Beat, StopFlag
from shm.atomics import LINE_WORDS
from shm.tap import Tap
from shm.topology import SLOT_SHARD, Plant

STEP_S = 0.025
REST_RETRY_S = 2.0
REFUSALS_PER_MIN = 10  # rejected frames after which a connection is replaced
COUNTED = {"acks": "acks", "nacks": "nacks", "pongs": "pongs"}


def timing_of(feed: Feed) -> Timing:
    """Session waits from the settings."""
    return Timing(
        ping_ns=int(feed.ping_s * NS_PER_S),
        pong_deadline_ns=int(feed.pong_deadline_s * NS_PER_S),
        backoff_min_ns=int(feed.backoff_min_s * NS_PER_S),
        backoff_max_ns=int(feed.backoff_max_s * NS_PER_S),
        resubscribe_min_ns=int(feed.resubscribe_min_s * NS_PER_S),
    )


class FreeSource:
    """Connections, subscriptions and back-pressure of a live run."""

    def __init__(
        self, plant: Plant, settings: Settings, beat: Beat, flag: StopFlag, reload: Callable[[], Settings]
    ) -> None:
        spec = plant.spec
        assert spec.venue is not None, "a live run names an exchange"
        self._plant = plant
        self._feed = settings.safety.feed
        self._beat = beat
        self._flag = flag
        self._rest = PublicRest(spec.venue["rest"])
        self._url = spec.venue["ws_public"]
        self._clock = WallClock()
        self._stage = Stage(self._on_frames, self._clock)
        self._tap = Tap(plant.tap())
        self._rng = random.Random(spec.seed)
        self._budget = ConnectBudget(self._feed.connect_budget, time.monotonic_ns())
        self._conns = 0
        self._tier_cursor, self._tiers_refused = "", False
        self._news: list[NewsSource] = [NewsFile(DataPaths(Path(spec.data_dir), spec.mode).news_file)]
        self.subscriptions = Subscriptions(self._new_connection)
        universe = Universe(settings.symbols, settings.trading.fees, Selector.parse(spec.symbols), spec.shards)
        universe.adopt(known_symbols(plant))
        self.universe = universe
        self.service = GatewayService(plant, universe, settings, lambda: True, reload, tap=self._tap)
        self.service.intake.on_control = self._on_control
        self.service.intake.on_refused = self._on_refused
        self.service.on_resync = self._on_resync
        self.pressure = BackPressure(settings.safety.degraded, spec.shards)
        self._progress = ProgressClock()
        self._lag = FeedLag()
        self._opened_ns: dict[int, int] = {}
        self._refusals: dict[int, list[int]] = {}
        self._resync_seen = self._resync_counts()
        self._closed_since_ns = time.monotonic_ns()
        self._next_ns = {"pressure": 0, "second": 0, "refresh": 0}
        self._refreshing: asyncio.Task[None] | None = None
        self._refresh_now = False
        self._is_ending = False
        self._base = {name: self.service.counters.get(name) for name in ("resyncs", "raw_lost", "rest_calls",
                                                                         "rest_errors", *COUNTED)}

    # --- life -------------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Until the stop word or SIGTERM."""
        if not await self._start():
            return
        self._beat.running()
        while not self._stopping():
            self._step(time.monotonic_ns())
            await asyncio.sleep(STEP_S)
        self._is_ending = True
        if self._refreshing is not None:
            self._refreshing.cancel()
        await asyncio.gather(*(connection.close() for connection in self.subscriptions.connections))
        self.service.publisher.publish()
        self.service.publish_state()

    def _stopping(self) -> bool:
        return self._beat.tick() or self._flag.set

    async def _start(self) -> bool:
        """Symbols from REST (asked again until it answers), first events, subscriptions. False: told to stop."""
        loop = asyncio.get_running_loop()
        while not self._stopping():
            asking = loop.run_in_executor(None, self._ask)
            while not asking.done():
                if self._stopping():
                    return False
                await asyncio.wait([asking], timeout=STEP_S)
            try:
                instruments, turnover = asking.result()
                changes = self.universe.start(instruments, turnover, self._clock.now_ns())
            except (RestError, UniverseError) as error:
                self._complain(error)
                for _ in range(int(REST_RETRY_S / STEP_S)):
                    if self._stopping():
                        return False
                    await asyncio.sleep(STEP_S)
                continue
            self.service.start(self._clock.now_ns(), changes, FeedState.DOWN)
            self._subscribe(changes.listed)
            self._next_ns["refresh"] = time.monotonic_ns() + int(self._feed.instruments_refresh_s * NS_PER_S)
            return True
        return False

    def _ask(self) -> tuple[list[Instrument], dict[str, float]]:
        """In a thread: the instruments and their turnover."""
        return self._rest.instruments()[0], self._rest.turnover()

    def _complain(self, error: Exception) -> None:
        self._plant.cnc().errors.record(error)
        self.service.emit(LogKind.ERROR, -1, Severity.ERROR, str(error))

    def _new_connection(self) -> Connection:
        self._conns += 1
        session = Session(self._conns, timing_of(self._feed), self._budget, self._rng)
        return Connection(session, self._url, self._stage, self._feed.max_frame_bytes, self._on_changed)

    def _subscribe(self, symbols: list[int]) -> None:
        records = self.universe.records
        self.subscriptions.add(symbols, [self.universe.name(s) for s in symbols], records["depth"][symbols].tolist())

    # --- callbacks of sockets ---------------------------------------------------------------------------------------
    def _on_frames(self, stage: np.ndarray, frames: np.ndarray, n_frames: int, n_bytes: int) -> None:
        try:
            self._tap.offer(stage, frames, n_frames)  # first: what is not in the journal must not be decided upon
            self.service.intake.process(stage, frames, n_frames, n_bytes)
        except Exception as error:
            self._plant.cnc().errors.record(error)
            raise
        self._progress.published(self.service.publisher.seq, int(frames[0, 3]))

    def _on_control(self, conn: int, control: Control) -> None:
        for connection in self.subscriptions.connections:
            if connection.session.conn == conn:
                refusal = connection.reply(control)
                if refusal:
                    self.service.emit(LogKind.ERROR, -1, Severity.WARNING, f"refused: {refusal}"[:40], b=conn)

    def _on_refused(self, conn: int, decoded: Decoded) -> None:
        """Count what could not be used; many malformed frames on one connection mean that its stream is broken."""
        self.service.on_refused(conn, decoded)
        if decoded.kind == Outcome.OFF_GRID:
            self._refresh_now = True  # the instrument may have changed
        elif decoded.kind == Outcome.REJECTED:
            now_ns = time.monotonic_ns()
            recent = [at for at in self._refusals.get(conn, []) if now_ns - at < 60 * NS_PER_S] + [now_ns]
            self._refusals[conn] = recent
            if len(recent) > REFUSALS_PER_MIN:
                self._refusals[conn] = []
                for connection in self.subscriptions.connections:
                    if connection.session.conn == conn:
                        connection.session.close("too many malformed frames")

    def _on_changed(self, connection: Connection, reason: str) -> None:
        """A connection was opened (reason "") or lost."""
        if self._is_ending:
            return
        conn = connection.session.conn
        counters = self.service.counters
        if not reason:
            counters.add("connects")
            if connection.session.stats.opened > 1:
                counters.add("reconnects")
            self._opened_ns[conn] = self.service.publisher.last_ts_ns
            self.service.emit(LogKind.FEED, -1, Severity.INFO, "connected", a=int(FeedState.CONNECTED), b=conn)
            return
        if self._opened_ns.pop(conn, None) is not None:
            counters.add("disconnects")
            for symbol in self.subscriptions.symbols_of(connection):
                if self.service.publisher.routes.active[symbol]:
                    self.service.publisher.data_state(symbol, DataState.BROKEN, DataReason.DISCONNECTED)
        self.service.emit(LogKind.FEED, -1, Severity.WARNING, reason[:40], a=int(FeedState.RECONNECTING), b=conn)
        self._check_feed(time.monotonic_ns())

    def _on_resync(self, symbol: int, depth: int, what: int) -> None:
        if what in (routing.A_GAP, routing.A_NO_BASE):
            self._resubscribe(symbol)
        else:
            self.subscriptions.answered(symbol)

    def _resubscribe(self, symbol: int) -> None:
        column = depth_column_of(int(self.service.publisher.routes.driving[symbol]))
        self.service.publisher.ask(symbol, column)
        self.subscriptions.resubscribe(symbol)

    # --- the rest, on the clock -------------------------------------------------------------------------------------
    def _step(self, mono_ns: int) -> None:
        publisher = self.service.publisher
        for connection in self.subscriptions.connections:
            connection.step()
        publisher.tick(self._clock.now_ns(), mono_ns)
        if mono_ns >= self._next_ns["pressure"]:
            self._next_ns["pressure"] = mono_ns + routing.TIMER_NS
            self._check_feed(mono_ns)
            self._check_pressure(mono_ns)
            self._check_resync_wishes()
        if mono_ns >= self._next_ns["second"]:
            self._next_ns["second"] = mono_ns + NS_PER_S
            self._check_silence()
            self.service.reset_refusal_budget()
            self._take_news()
            self._publish_counters()
        if mono_ns >= self._next_ns["refresh"] or self._refresh_now:
            self._next_ns["refresh"] = mono_ns + int(self._feed.instruments_refresh_s * NS_PER_S)
            self._refresh_now = False
            if self._refreshing is None or self._refreshing.done():
                self._refreshing = asyncio.get_running_loop().create_task(self._refresh())
        if publisher.publish():
            self._progress.published(publisher.seq, mono_ns)

    def _take_news(self) -> None:
        """Once a second: items of the news sources, as frames like those of a socket."""
        for source in self._news:
            items, refused = source.poll()
            for why in refused:
                self.service.emit(LogKind.ERROR, -1, Severity.WARNING, f"news: {why}")
            listed = [name for name, symbol in self.universe.ids.items() if self.service.publisher.routes.active[symbol]]
            for item in items:
                frames = frames_of(item, self.service.settings.thresholds.news, listed, self._clock.now_ns())
                if not frames:
                    text = f"news: {item.symbol} is not traded here, or too old"
                    self.service.emit(LogKind.ERROR, -1, Severity.WARNING, text)
                    continue
                self._stage.begin()
                self._stage.pending.extend(frames)
                self._stage.flush(CONN_LOCAL)

    async def _refresh(self) -> None:
        """Ask for the instruments again; a failure changes nothing."""
        try:
            instruments, _ = await asyncio.get_running_loop().run_in_executor(None, self._rest.instruments)
            changes = self.universe.refresh(instruments, self._clock.now_ns())
        except (RestError, UniverseError) as error:
            self._complain(error)
            return
        if changes:
            self.service.apply(changes)
            self.subscriptions.remove(changes.delisted)
            for connection in self.subscriptions.prune():
                await connection.close()
            for symbol in changes.regridded:
                self._resubscribe(symbol)
            self._subscribe(changes.listed)
        await self._take_tiers()

    async def _take_tiers(self) -> None:
        """One page of the risk limits per refresh, round and round: they change seldom, and the start must not wait."""
        try:
            ask = functools.partial(self._rest.tiers, self._tier_cursor)
            tiers, self._tier_cursor = await asyncio.get_running_loop().run_in_executor(None, ask)
        except RestError as error:
            self._tier_cursor = ""
            if not self._tiers_refused:  # told once: the settings' rate serves meanwhile
                self._tiers_refused = True
                self.service.emit(LogKind.ERROR, -1, Severity.WARNING, str(error))
            return
        self._tiers_refused = False
        changed = [s for s in self.universe.take_tiers(tiers) if self.service.publisher.routes.active[s]]
        self.service.list_symbols(changed)

    def _check_feed(self, mono_ns: int) -> None:
        connections = self.subscriptions.connections
        n_open = sum(bool(connection.session.live) for connection in connections)  # accepting and closing is no feed
        if n_open:
            self._closed_since_ns = mono_ns
        down_after_ns = int(self._feed.down_after_s * NS_PER_S)
        state = feed_state(n_open, len(connections), mono_ns - self._closed_since_ns, down_after_ns)
        if state == FeedState.RECONNECTING and self.service.feed_state == FeedState.DOWN and n_open == 0:
            return  # before the first connection, and until one is back, it stays DOWN
        if state != self.service.feed_state:
            self.service.set_feed(state)

    def _check_pressure(self, mono_ns: int) -> None:
        shards = self._plant.spec.shards
        clock = self.service.publisher.routes.clock
        feed_lag_ns = self._lag.update(int(clock[routing.K_SKEW_MIN]), int(clock[routing.K_SKEW_COUNT]))
        clock[routing.K_SKEW_MIN] = routing.SKEW_UNKNOWN
        clock[routing.K_SKEW_COUNT] = 0
        seq = self.service.publisher.seq
        handled = [
            self._plant.watermark(i) if self._plant.cnc("shard", i).ready else seq for i in range(shards)
        ]
        rings = [self._plant.market(i) for i in range(shards)]
        lags_pct = [100.0 * ring.slot_lag_cells(SLOT_SHARD) / ring.capacity_cells for ring in rings]
        published_seq = self._plant.control.get("published_seq")
        ages_ns = self._progress.ages_ns(handled, published_seq, mono_ns)
        was_degraded = self.pressure.degraded.is_on
        if self.service.settings.safety.degraded is not self.pressure.degraded.settings:
            self.pressure.configure(self.service.settings.safety.degraded)
        verdict = self.pressure.update(ages_ns, lags_pct, feed_lag_ns, mono_ns)
        if verdict.is_degraded != was_degraded:
            self._plant.control.set("degraded", int(verdict.is_degraded))
            self.service.counters.add("degraded_entered", int(verdict.is_degraded))
            severity = Severity.WARNING if verdict.is_degraded else Severity.INFO
            self.service.emit(LogKind.DEGRADED, -1, severity, a=int(verdict.is_degraded), b=verdict.latency_ns)
        self._shed(verdict)

    def _shed(self, verdict: Verdict) -> None:
        """Start and stop shedding where a shard's level moved; tell how many events were dropped since the last TIMER."""
        publisher, records = self.service.publisher, self.universe.records
        routes = publisher.routes
        for shard in verdict.changed:
            sheds = self.pressure.levels[shard].sheds
            for symbol in np.flatnonzero((routes.active == 1) & (routes.shard == shard)).tolist():
                wanted = int(records["category"][symbol]) in sheds
                if wanted and not routes.shedding[symbol]:
                    publisher.shed(symbol, True)
                    self.service.counters.add("shed_symbols")
                    publisher.data_state(symbol, DataState.BROKEN, DataReason.SHED)
                elif not wanted and routes.shedding[symbol]:
                    publisher.shed(symbol, False)
                    publisher.data_state(symbol, DataState.BROKEN, DataReason.SHED)
                    self._resubscribe(symbol)
            level = verdict.levels[shard]
            self.service.emit(LogKind.SHED, -1, Severity.WARNING if level else Severity.INFO, a=level, b=shard)
        for symbol in np.flatnonzero(routes.shed).tolist():
            publisher.to_symbol(EventKind.SHED, symbol, u=int(routes.shed[symbol]))
            routes.shed[symbol] = 0

    def _resync_counts(self) -> np.ndarray:
        return self._plant.resync_words()[::LINE_WORDS].copy()

    def _check_resync_wishes(self) -> None:
        """Shards ask for snapshots of books they cannot believe any more."""
        counts = self._resync_counts()
        wishes = np.flatnonzero(counts != self._resync_seen).tolist()
        self._resync_seen = counts
        for symbol in wishes:
            if self.service.publisher.routes.active[symbol]:
                reason = DataReason.LAPPED if len(wishes) > 1 else DataReason.CROSSED
                self.service.set_data_state(symbol, DataState.BROKEN, reason)
                self.service.emit(LogKind.RESYNC, symbol, Severity.WARNING, a=int(counts[symbol]))
                self._resubscribe(symbol)

    def _check_silence(self) -> None:
        """Books without frames: STALE when they were alive, then the ladder of `Subscriptions.silent`."""
        publisher, subscriptions = self.service.publisher, self.subscriptions
        routes, sync = publisher.routes, publisher.sync
        now_ns = self._clock.now_ns()
        prime_ns, other_ns = int(self._feed.silent_topic_s * NS_PER_S), int(self._feed.silent_wild_s * NS_PER_S)
        due: list[int] = []
        for symbol, connection in list(subscriptions.home.items()):
            if not routes.active[symbol] or not connection.is_open or routes.shedding[symbol]:
                continue
            column = depth_column_of(int(routes.driving[symbol]))
            since_ns = subscriptions.waiting_since_ns(symbol, self._opened_ns.get(connection.session.conn, now_ns))
            seen_ns = int(sync.seen_ns[symbol, column])
            if sync.phase[symbol, column] != LIVE:
                if now_ns - since_ns >= FIRST_DATA_NS:
                    due.append(symbol)
                continue
            limit_ns = prime_ns if self.universe.records["category"][symbol] == 0 else other_ns
            if now_ns - seen_ns < limit_ns:
                subscriptions.answered(symbol)
                continue
            if routes.data_state[symbol] == int(DataState.OK):
                self.service.counters.add("stale")
                self.service.set_data_state(symbol, DataState.STALE, DataReason.SILENT)
                due.append(symbol)
            elif now_ns - since_ns >= FIRST_DATA_NS:
                due.append(symbol)
        for symbol in due:
            column = depth_column_of(int(routes.driving[symbol]))
            publisher.ask(symbol, column)
        for symbol in subscriptions.silent(due, now_ns):
            self.service.set_data_state(symbol, DataState.BROKEN, DataReason.SILENT)

    def _publish_counters(self) -> None:
        self.service.publish_state()
        counters, connections = self.service.counters, self.subscriptions.connections
        sessions = [connection.session for connection in connections]
        counters.set("connections", sum(connection.is_open for connection in connections))
        counters.set("subs", sum(len(session.live) for session in sessions))
        counters.set("resyncs", self._base["resyncs"] + sum(session.stats.resubscribes for session in sessions))
        for name, attribute in COUNTED.items():
            counters.set(name, self._base[name] + sum(getattr(session.stats, attribute) for session in sessions))
        counters.set("raw_lost", self._base["raw_lost"] + self._tap.not_offered)
        counters.set("rest_calls", self._base["rest_calls"] + self._rest.calls)
        counters.set("rest_errors", self._base["rest_errors"] + self._rest.errors)
        counters.set("recv_lag_ns", self._lag.lag_min_ns)
        counters.set("clock_offset_ns", -self._lag.baseline_ns)
