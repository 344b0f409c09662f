"""Every counter and every latency stage of the system, once; a page of them per process.

A page has one writer (its process) and is read by anybody. `C_<NAME>` are word indices for kernels that count on
`page.array`; `S_<NAME>` number the stages, each a log-linear histogram of ns (`core/histogram.py`) in `page.hist(...)`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from core.histogram import WORDS as HISTOGRAM_WORDS
from core.histogram import hist_count, hist_max, hist_merge, hist_percentile, hist_record, new_histogram

COUNTER_WORDS = 128


class CounterRow(NamedTuple):
    name: str
    unit: str
    sentence: str


class StageRow(NamedTuple):
    name: str
    sentence: str


COUNTERS: list[CounterRow] = []
STAGES: list[StageRow] = []


def _counter(name: str, unit: str, sentence: str) -> int:
    COUNTERS.append(CounterRow(name, unit, sentence))
    return len(COUNTERS) - 1


def _stage(name: str, sentence: str) -> int:
    STAGES.append(StageRow(name, sentence))
    return len(STAGES) - 1


# every process
C_LOOPS_BUSY = _counter("loops_busy", "1", "turns of the loop that found work")
C_PARKS = _counter("parks", "1", "times the process slept for lack of work")
C_ERRORS = _counter("errors", "1", "errors recorded in the distinct error log")
C_LOG_RECORDS = _counter("log_records", "1", "records written to the process's log ring")
# gateway: frames
C_FRAMES = _counter("frames", "frames", "frames read from sockets or tapes")
C_BYTES = _counter("bytes", "bytes", "payload bytes of them (recorder: bytes journalled)")
C_DECODED = _counter("decoded", "frames", "frames decoded into events")
C_DECODED_SLOW = _counter("decoded_slow", "frames", "of them by the msgspec path")
C_OTHER = _counter("other", "frames", "acknowledgements, pongs and other non-data frames")
C_REJECTED = _counter("rejected", "frames", "malformed frames dropped")
C_UNKNOWN_TOPIC = _counter("unknown_topic", "frames", "frames of a topic we did not ask for")
C_UNKNOWN_SYMBOL = _counter("unknown_symbol", "frames", "frames of a symbol not in the table")
C_OFF_GRID = _counter("off_grid", "frames", "frames with a price or quantity off the tick or lot grid")
C_EVENTS = _counter("events", "events", "gateway: events published; shard: events stepped")
C_CELLS = _counter("cells", "cells", "gateway: cells published; shard: cells read")
C_TIMERS = _counter("timers", "events", "TIMER events published")
C_BATCHES = _counter("batches", "1", "batches published (gateway) or stepped (shard)")
C_GATED_WAITS = _counter("gated_waits", "1", "publications held back by a gating shard (paced runs)")
# gateway: feed integrity
C_GAPS = _counter("gaps", "1", "holes in the update ids of books")
C_DUPLICATES = _counter("duplicates", "1", "book frames with an old update id, dropped")
C_RESYNCS = _counter("resyncs", "1", "books subscribed again to get a snapshot")
C_RESETS = _counter("resets", "1", "snapshots nobody asked for (u = 1 or unsolicited)")
C_STALE = _counter("stale", "1", "times a symbol's topic fell silent")
C_CROSSED = _counter("crossed", "1", "times a book stayed crossed too long")
C_NO_BASE = _counter("no_base", "frames", "deltas before the first snapshot, dropped")
C_SHED_EVENTS = _counter("shed_events", "events", "events dropped under back-pressure")
C_SHED_SYMBOLS = _counter("shed_symbols", "1", "times a symbol was shed")
C_DEGRADED_ENTERED = _counter("degraded_entered", "1", "times the system became DEGRADED")
# gateway: connections
C_CONNECTS = _counter("connects", "1", "connections opened")
C_RECONNECTS = _counter("reconnects", "1", "of them after a loss")
C_DISCONNECTS = _counter("disconnects", "1", "connections lost or closed by us as dead")
C_CONNECTIONS = _counter("connections", "1", "connections open now")
C_SUBS = _counter("subs", "topics", "topics subscribed now")
C_ACKS = _counter("acks", "1", "subscriptions acknowledged")
C_NACKS = _counter("nacks", "1", "subscriptions refused")
C_PINGS = _counter("pings", "1", "pings sent")
C_PONGS = _counter("pongs", "1", "pongs received")
C_PONG_TIMEOUTS = _counter("pong_timeouts", "1", "pongs that did not come in time")
C_REST_CALLS = _counter("rest_calls", "1", "REST requests")
C_REST_ERRORS = _counter("rest_errors", "1", "of them failed")
C_SYMBOLS = _counter("symbols", "1", "symbols carried now")
C_LISTINGS = _counter("listings", "1", "symbols that appeared during the run")
C_DELISTINGS = _counter("delistings", "1", "symbols that left during the run")
C_TAPE_DONE = _counter("tape_done", "bool", "1 = the tape is read to its end")
C_RECV_LAG_NS = _counter("recv_lag_ns", "ns", "smoothed receive time minus exchange time")
C_CLOCK_OFFSET_NS = _counter("clock_offset_ns", "ns", "exchange clock minus ours, as measured")
# shard
C_DECISIONS = _counter("decisions", "1", "evaluations of a symbol that reached the state machine")
C_RECORDED = _counter("recorded", "1", "decision records (shard: written to its ring; recorder: written to disk)")
C_RECORDS_LOST = _counter("records_lost", "1", "decision records lost (shard: no room; recorder: too slow)")
C_TRANSITIONS = _counter("transitions", "1", "state transitions")
C_INTENTS = _counter("intents", "1", "ENTER, CANCEL and EXIT messages (shard: sent; execution: received)")
C_MESSAGES = _counter("messages", "1", "messages of any kind (shard: sent; execution: handled)")
C_REPORTS = _counter("reports", "1", "reports (execution: sent; shard: taken)")
C_LOST_MESSAGES = _counter("lost_messages", "1", "market-ring messages lost by laps")
C_LAPS = _counter("laps", "1", "times the market ring overtook the reader")
C_BLOCKED_TURNS = _counter("blocked_turns", "1", "turns a paced shard waited for a report")
C_PUSH_REFUSED = _counter("push_refused", "1", "pushes refused by a full intent or report ring")
C_RESYNC_WISHES = _counter("resync_wishes", "1", "books a shard asked the gateway to resynchronise")
C_BROKEN_SYMBOLS = _counter("broken_symbols", "1", "symbols in quarantine now")
C_ROWS_WRITTEN = _counter("rows_written", "1", "board rows written")
# execution
C_ORDERS = _counter("orders", "1", "entries accepted")
C_FILLS = _counter("fills", "1", "fills booked")
C_REJECTS = _counter("rejects", "1", "intents refused")
C_CANCELS = _counter("cancels", "1", "working entries cancelled")
C_CLOSES = _counter("closes", "1", "positions told to close")
C_TRADES_CLOSED = _counter("trades_closed", "1", "positions closed")
C_WINS = _counter("wins", "1", "of them with a profit")
C_STALE_INTENTS = _counter("stale_intents", "1", "intents too old to act on")
C_DUPLICATE_INTENTS = _counter("duplicate_intents", "1", "intents seen before, dropped")
C_DRY_RUN_ORDERS = _counter("dry_run_orders", "1", "orders built and logged as DRY-RUN")
C_TROUBLES = _counter("troubles", "1", "differences to the exchange that keep entries away now (LIVE)")
C_ORDERS_JOURNALLED = _counter("orders_journalled", "1", "durable order records written")
# recorder
C_SEGMENTS = _counter("segments", "1", "journal segments closed")
C_RAW_FRAMES = _counter("raw_frames", "frames", "raw frames journalled")
C_RAW_LOST = _counter("raw_lost", "frames", "raw frames lost (recorder: lapped; gateway: not offered)")
C_LOG_LINES = _counter("log_lines", "1", "JSON lines written")
C_LOG_LOST = _counter("log_lost", "1", "log records lost by laps")
C_DISK_ERRORS = _counter("disk_errors", "1", "writes that failed")
C_DATABASE_ROWS = _counter("database_rows", "rows", "rows written to the database")
C_DATABASE_ERRORS = _counter("database_errors", "1", "transactions the database refused; they are tried again")
C_DATABASE_LAG_MS = _counter("database_lag_ms", "ms", "how long something has been waiting for the database")
C_SYNCS = _counter("syncs", "1", "fdatasync calls")
C_COMPRESSED_BYTES = _counter("compressed_bytes", "bytes", "bytes on disk after compression")
# admin
C_REQUESTS = _counter("requests", "1", "HTTP requests answered")
C_REQUEST_ERRORS = _counter("request_errors", "1", "of them with a 5xx answer")
C_AUTH_FAILURES = _counter("auth_failures", "1", "requests refused for lack of a login")
C_PUSHES = _counter("pushes", "1", "WebSocket messages sent to pages")
C_PUSH_BYTES = _counter("push_bytes", "bytes", "bytes of them")
C_CLIENTS = _counter("clients", "1", "pages connected now")
C_KILL_REQUESTS = _counter("kill_requests", "1", "kill requests taken")
C_PAUSE_REQUESTS = _counter("pause_requests", "1", "pause requests taken")

S_DECODE = _stage("decode", "gateway: decoding one frame (batch time / frames)")
S_RECV_TO_PUBLISH = _stage("recv_to_publish", "gateway: frame read to its events published")
S_RECV_TO_SHARD = _stage("recv_to_shard", "shard: frame read to its event copied out of the market ring")
S_STEP = _stage("step", "shard: stepping one event (batch time / events)")
S_WIRE_TO_DECISION = _stage("wire_to_decision", "shard: frame read to the batch with its decision handed on")
S_INTENT_HOP = _stage("intent_hop", "execution: message sent by the shard to taken by execution")
S_WIRE_TO_INTENT = _stage("wire_to_intent", "execution: frame read to the intent taken")
S_EXECUTION = _stage("execution", "execution: handling one message")
S_REPORT_HOP = _stage("report_hop", "shard: report sent by execution to taken by the shard")
S_RAW_TO_DISK = _stage("raw_to_disk", "recorder: frame read to written to the journal file")
S_PUSH = _stage("push", "admin: building and sending one update of the page")
S_LOOP_STALL = _stage("loop_stall", "every process: how long one working turn of its loop took")

if len(COUNTERS) > COUNTER_WORDS:
    raise AssertionError(f"{len(COUNTERS)} counters, room for {COUNTER_WORDS}")

COUNTER_INDEX: dict[str, int] = {row.name: index for index, row in enumerate(COUNTERS)}
STAGE_INDEX: dict[str, int] = {row.name: index for index, row in enumerate(STAGES)}
PAGE_WORDS = COUNTER_WORDS + len(STAGES) * HISTOGRAM_WORDS


class CounterPage:
    """Counters and histograms of one process: `array` is int64[PAGE_WORDS], counters first."""

    def __init__(self, array: np.ndarray) -> None:
        if array.dtype != np.int64 or array.size < PAGE_WORDS:
            raise ValueError(f"a counter page is int64[{PAGE_WORDS}]")
        self.array: np.ndarray = array[:PAGE_WORDS]
        self._hists = [
            self.array[COUNTER_WORDS + i * HISTOGRAM_WORDS : COUNTER_WORDS + (i + 1) * HISTOGRAM_WORDS]
            for i in range(len(STAGES))
        ]

    @staticmethod
    def bytes_needed() -> int:
        return PAGE_WORDS * 8

    def add(self, name: str, n: int = 1) -> None:
        self.array[COUNTER_INDEX[name]] += n

    def set(self, name: str, value: int) -> None:
        self.array[COUNTER_INDEX[name]] = value

    def get(self, name: str) -> int:
        return int(self.array[COUNTER_INDEX[name]])

    def as_dict(self, zeros: bool = False) -> dict[str, int]:
        """Counters by name; those at zero only with `zeros`."""
        values = self.array[: len(COUNTERS)].tolist()
        return {row.name: value for row, value in zip(COUNTERS, values, strict=True) if zeros or value}

    def hist(self, stage: str | int) -> np.ndarray:
        """int64 histogram of a stage (name or S_ index), for the kernels of `core.histogram`."""
        return self._hists[stage if isinstance(stage, int) else STAGE_INDEX[stage]]

    def record(self, stage: str | int, value_ns: int) -> None:
        """Count one duration (ns). Kernels should call `hist_record` on `hist(stage)` instead."""
        hist_record(self.hist(stage), int(value_ns))


def sum_counters(pages: Iterable[CounterPage]) -> dict[str, int]:
    """All counters by name, added over pages."""
    total = np.zeros(len(COUNTERS), np.int64)
    for page in pages:
        total += page.array[: len(COUNTERS)]
    return {row.name: int(value) for row, value in zip(COUNTERS, total, strict=True)}


def summary(h: np.ndarray) -> dict[str, float]:
    """{count, p50, p99, p99_9, max} of one histogram, in µs (count: 1)."""
    return {
        "count": int(hist_count(h)),
        "p50": int(hist_percentile(h, 50.0)) / 1000.0,
        "p99": int(hist_percentile(h, 99.0)) / 1000.0,
        "p99_9": int(hist_percentile(h, 99.9)) / 1000.0,
        "max": int(hist_max(h)) / 1000.0,
    }


def merged_latency(pages: Iterable[CounterPage]) -> dict[str, dict[str, float]]:
    """{stage: {count, p50, p99, p99_9, max}} in µs over all pages; stages without a value are left out."""
    kept = list(pages)
    result: dict[str, dict[str, float]] = {}
    for index, row in enumerate(STAGES):
        total = new_histogram()
        for page in kept:
            hist_merge(total, page.hist(index))
        figures = summary(total)
        if figures["count"]:
            result[row.name] = figures
    return result
