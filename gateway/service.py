"""What the gateway does whatever its source is: the order of a run, the symbol table, what is decided once per TIMER.

    start          CONFIG, FEED, LISTING of every symbol by id, CONTROL if bits are set; then the source's data
    each TIMER     control bits -> CONTROL, reload requests -> CONFIG, prices -> GLOBAL (when it changed, else each second)

A source (live connections, tapes) owns a `GatewayService`, feeds frames to its `intake` and calls `publish_state`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from config.load import ConfigError
from config.paths import DataPaths
from config.profiles import changed_profiles, load_profiles
from config.reload import check_hot
from config.schema import Profile, Settings
from core.consumption import SettingsNote
from core.enums import ControlBits, DataReason, DataState, EventKind, FeedState, LogKind, Severity
from core.params import params_row, profile_row
from core.records import SYMBOL
from core.regime.global_regime import RULE_NAMES
from gateway import routing
from gateway.bybit.book_sync import SYNC_COUNT_NAMES
from gateway.bybit.decode import Decoded
from gateway.bybit.symbol_index import SymbolIndex
from gateway.bybit.universe import MAX_SYMBOLS, Changes, Universe
from gateway.intake import Intake
from gateway.publisher import Publisher, RingWriter
from gateway.regime_feed import RegimeFeed
from shm.tap import Tap
from shm.topology import Plant

REFUSALS_LOGGED_PER_S = 5
RESTART_SEQ_STEP = 1 << 20  # a gateway that died inside `publish` may have used more seqs than it had stored

# counters of the page that mirror counts kept by the kernels
_SYNC_COUNTERS = {
    "gaps": ("gaps",), "duplicates": ("duplicates", "out_of_order", "keepalives"), "resets": ("resets",),
    "no_base": ("delta_no_base",),
}
_ROUTE_COUNTERS = {"timers": "timers", "shed_events": "shed"}


class Sinks(NamedTuple):
    """Where events go, one writer per shard; `published(seq)` is called when all of them hold everything up to seq."""

    writers: Sequence[RingWriter]
    published: Callable[[int], None]


def ring_sinks(plant: Plant) -> Sinks:
    """The market rings of a plant and its control word."""
    spec = plant.spec
    writers = [plant.market(shard).writer(gated=spec.paced) for shard in range(spec.shards)]
    return Sinks(writers, lambda seq: plant.control.set("published_seq", seq))


class GatewayService:
    """Events, symbols and per-TIMER decisions of one run.

    `wait()` is called while a gated ring is full; `reload()` reads the configuration again, raising ConfigError.
    `sinks` replaces the market rings where the engines run in this process. `tap` takes the notes for the journal.
    """

    def __init__(
        self,
        plant: Plant,
        universe: Universe,
        settings: Settings,
        wait: Callable[[], bool],
        reload: Callable[[], Settings],
        sinks: Sinks | None = None,
        tap: Tap | None = None,
    ) -> None:
        spec = plant.spec
        sinks = sinks or ring_sinks(plant)
        self._tap = tap
        self._reload_settings = reload
        self.plant = plant
        self.universe = universe
        self.settings = settings
        self.counters = plant.counters()
        self.log = plant.log_writer(self._log_clock)
        self.symbols = SymbolIndex(MAX_SYMBOLS)
        self.feed_state = FeedState.DOWN
        self._profiles_file = DataPaths(Path(spec.data_dir), spec.mode).profiles_file
        self.profiles = load_profiles(self._profiles_file)
        self.config_version = plant.control.get("config_version")
        self.on_resync: Callable[[int, int, int], None] = lambda symbol, depth, what: None
        self.publisher = Publisher(
            sinks.writers,
            MAX_SYMBOLS,
            sinks.published,
            wait,
            self._on_timer,
            self._on_action,
            self._note,
        )
        self.intake = Intake(self.publisher, self.counters, self.symbols)
        self.intake.on_refused = self.on_refused
        published_seq = plant.control.get("published_seq")
        self.is_restart = published_seq > 0
        self.publisher.routes.clock[routing.K_SEQ] = published_seq + (RESTART_SEQ_STEP if self.is_restart else 0)
        self._board = plant.symbols()
        self._bits = ControlBits.NONE
        self._requests_seen = plant.control.config_requests()
        self._regime_feed = RegimeFeed(params_row(settings, max(1, self.config_version)))
        self._tracker = self._regime_feed.tracker
        self._regime = -1
        self._refusals_logged = 0
        self._base = {name: self.counters.get(name) for name in (*_SYNC_COUNTERS, *_ROUTE_COUNTERS)}

    def _note(self, note: Any) -> None:
        if self._tap is not None:
            self._tap.note(note)

    # --- start and symbols ------------------------------------------------------------------------------------------
    def start(self, now_ns: int, changes: Changes, feed: FeedState) -> None:
        """First events of the run, staged and published."""
        held = [self.plant.market(shard).total_messages for shard in range(self.plant.spec.shards)]
        self.publisher.start(now_ns, held, self.is_restart)
        self._publish_config(self.settings)
        self.set_feed(feed)
        self.list_symbols(changes.listed)
        if self.is_restart:
            for symbol in changes.listed:
                self.set_data_state(symbol, DataState.BROKEN, DataReason.DISCONNECTED)
        self._check_control()
        self.publisher.publish()
        self.publish_state()

    def list_symbols(self, symbols: Sequence[int]) -> None:
        """LISTING of these ids, also for changed records: index, table, event, log."""
        for symbol in symbols:
            record = self.universe.records[symbol : symbol + 1].copy()
            self.symbols.add(record)
            self._board.write(symbol, record)
            self.publisher.listing(record)
            profile = self.profiles.get(self.universe.name(symbol))
            if profile is not None:
                self._publish_profile(symbol, profile)
        self.counters.set("symbols", int(np.count_nonzero(self.publisher.routes.active)))

    def apply(self, changes: Changes) -> None:
        """A refreshed universe: LISTING of new and changed symbols, DELISTING of those that left."""
        self.list_symbols(sorted(changes.listed + changes.updated))
        for symbol in changes.listed:
            self.counters.add("listings")
            self.emit(LogKind.LISTING, symbol, Severity.INFO, a=1, text=self.universe.name(symbol))
        for symbol in changes.regridded:
            self.set_data_state(symbol, DataState.BROKEN, DataReason.RESET)
        for symbol in changes.delisted:
            self.set_data_state(symbol, DataState.BROKEN, DataReason.NOT_TRADING)
            self.publisher.delisting(symbol)
            self.symbols.remove(symbol)
            self._board.write(symbol, self.universe.records[symbol : symbol + 1].copy())
            self.counters.add("delistings")
            self.emit(LogKind.LISTING, symbol, Severity.WARNING, a=0, text=self.universe.name(symbol))
        self.counters.set("symbols", int(np.count_nonzero(self.publisher.routes.active)))

    def set_data_state(self, symbol: int, state: DataState, reason: DataReason) -> None:
        """SYMBOL_DATA event and its log line."""
        self.publisher.data_state(symbol, state, reason)
        severity = Severity.INFO if state == DataState.OK else Severity.WARNING
        self.emit(LogKind.DATA_STATE, symbol, severity, a=int(state), b=int(reason))

    # --- feed and control -------------------------------------------------------------------------------------------
    def set_feed(self, state: FeedState, text: str = "") -> None:
        """FEED event; the control word; a log line."""
        self.feed_state = state
        self.plant.control.set("feed_state", int(state))
        self.publisher.broadcast(EventKind.FEED, u=int(state))
        self._tracker.set_feed(self.publisher.last_ts_ns, state)
        severity = Severity.INFO if state == FeedState.CONNECTED else Severity.WARNING
        self.emit(LogKind.FEED, -1, severity, a=int(state), text=text or state.name)

    def emit(self, kind: LogKind, symbol: int, severity: Severity, text: str = "", **values: int) -> None:
        """A log record at the event time reached."""
        self.log.emit(kind, symbol, severity, self._log_clock(), self.publisher.seq, text=text, **values)

    def end(self) -> None:
        """END into every ring: the tape is read."""
        seq = self.publisher.broadcast(EventKind.END)
        self.publisher.publish()
        self.publish_state()
        self.counters.set("tape_done", 1)
        self.plant.control.set("end_seq", seq)

    def publish_state(self) -> None:
        """Bring the counter page up to date with what the kernels counted."""
        sync = dict(zip(SYNC_COUNT_NAMES, self.publisher.routes.sync_counts.tolist(), strict=False))
        routed = dict(zip(routing.ROUTE_COUNT_NAMES, self.publisher.routes.counts.tolist(), strict=False))
        for name, parts in _SYNC_COUNTERS.items():
            self.counters.set(name, self._base[name] + sum(sync[part] for part in parts))
        for name, part in _ROUTE_COUNTERS.items():
            self.counters.set(name, self._base[name] + routed[part])
        self.counters.set("events", self.publisher.seq)
        self.counters.set("log_records", self.log.written)

    # --- once per TIMER ---------------------------------------------------------------------------------------------
    def _on_timer(self, ts_ns: int) -> None:
        self._check_control()
        requests = self.plant.control.config_requests()
        if requests != self._requests_seen:
            self._requests_seen = requests
            self._reload()
        self._feed_regime(ts_ns)

    def _check_control(self) -> None:
        bits = self.plant.control.bits()
        if bits != self._bits:
            self._bits = bits
            self.publisher.broadcast(EventKind.CONTROL, u=int(bits))
            severity = Severity.CRITICAL if bits & ControlBits.KILL else Severity.WARNING if bits else Severity.INFO
            self.emit(LogKind.CONTROL, -1, severity, a=int(bits), text=bits.name or "NONE")

    def _reload(self) -> None:
        """Load the files again; a bad one changes nothing and the log says why."""
        try:
            settings = self._reload_settings()
            changed = check_hot(self.settings, settings)
            profiles = load_profiles(self._profiles_file)
        except ConfigError as error:
            reason = str(error)
            self.plant.cnc().errors.record("ConfigError", reason)
            self.emit(LogKind.CONFIG, -1, Severity.ERROR, reason, a=self.config_version, b=0)
            return
        self.settings = settings
        told = changed_profiles(self.profiles, profiles)
        self.profiles = profiles
        self._publish_config(settings, ", ".join([*sorted(changed), *(f"profile {name}" for name in told)]) or "no change")
        for name, profile in told.items():
            symbol = self.universe.ids.get(name)
            if symbol is not None and self.publisher.routes.active[symbol]:
                self._publish_profile(symbol, profile)

    def _publish_profile(self, symbol: int, profile: Profile) -> None:
        row = profile_row(profile, self.config_version)
        self.publisher.to_symbol(EventKind.PROFILE, symbol, u=self.config_version, payload=row)

    def _publish_config(self, settings: Settings, text: str = "start") -> None:
        self.config_version += 1
        row = params_row(settings, self.config_version)
        self._tracker.set_params(row)
        self._note(SettingsNote(self.config_version, msgspec.json.encode(settings)))
        self.publisher.broadcast(EventKind.CONFIG, u=self.config_version, payload=row)
        self.plant.control.set("config_version", self.config_version)
        self.emit(LogKind.CONFIG, -1, Severity.INFO, text, a=self.config_version, b=1)

    def _feed_regime(self, ts_ns: int) -> None:
        verdict = self._regime_feed.turn(
            ts_ns, self.universe.ids, self.publisher.routes.last_ticks, self.universe.records["tick_size"]
        )
        if verdict is None:
            return
        self.publisher.broadcast(EventKind.GLOBAL, u=int(verdict["regime"][0]), payload=verdict)
        self.plant.global_regime().write(0, verdict)
        regime = int(verdict["regime"][0])
        if regime != self._regime:
            before, self._regime = self._regime, regime
            severity = Severity.INFO if regime == 0 else Severity.WARNING
            self.emit(LogKind.GLOBAL_REGIME, -1, severity, a=max(before, 0), b=regime,
                      c=self._tracker.rule, text=RULE_NAMES[self._tracker.rule])

    # --- what went wrong --------------------------------------------------------------------------------------------
    def _on_action(self, symbol: int, depth: int, what: int, value: int) -> None:
        if what == routing.A_GAP:
            self.emit(LogKind.DATA_STATE, symbol, Severity.WARNING, a=int(DataState.BROKEN), b=int(DataReason.GAP), c=value)
        elif what == routing.A_RESET:
            self.emit(LogKind.DATA_STATE, symbol, Severity.INFO, a=int(DataState.OK), b=int(DataReason.RESET), c=value)
        elif what == routing.A_RECOVERED:
            self.emit(
                LogKind.DATA_STATE, symbol, Severity.INFO, a=int(DataState.OK), b=int(DataReason.SNAPSHOT), c=value
            )
        self.on_resync(symbol, depth, what)

    def on_refused(self, conn: int, decoded: Decoded) -> None:
        """A frame that could not be used; at most a few log lines a second, the counters hold the rest."""
        self.plant.cnc().errors.record(decoded.kind.name, decoded.detail)
        self._refusals_logged += 1
        if self._refusals_logged <= REFUSALS_LOGGED_PER_S:
            self.emit(LogKind.ERROR, decoded.symbol, Severity.WARNING, decoded.detail, a=int(decoded.kind), b=conn)

    def reset_refusal_budget(self) -> None:
        """Once a second."""
        self._refusals_logged = 0

    def _log_clock(self) -> int:
        return self.publisher.last_ts_ns or time.time_ns()


def known_symbols(plant: Plant) -> np.ndarray:
    """Rows of the symbol table that a previous gateway of this run has filled (SYMBOL[n], n = 0 at the first start)."""
    board = plant.symbols()
    rows = np.zeros(MAX_SYMBOLS, SYMBOL.dtype)
    board.read_all(rows)
    used = np.flatnonzero(rows["name"][:, 0])
    return rows[: int(used[-1]) + 1].copy() if used.size else rows[:0].copy()
