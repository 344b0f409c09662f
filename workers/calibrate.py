"""`launch.py calibrate`: what the own fills of a LIVE run, or of several, say about the paper engine (requirement G10).

    execution journal -> stamps of the orders ------------------------------> latency
    raw stream -> book and prints at the prices of own maker entries -------> queue
    execution journal and backtest of the run's journal --------------------> divergence

A tier allows a few trades a day, so the fills of many runs of one exchange are taken together (`--last N`). The answer
is `<mode>/calibration/<run id>.toml`, a layer for `-c FILE`, and `.json` beside it for the page. Nothing applies it
but `calibrate --apply`, which puts it into `config/calibrated.toml`: a layer under your own `local.toml`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from config.atomic_file import write_atomic
from config.paths import DataPaths
from config.schema import Settings
from core.consumption import Kind
from core.orders.lifecycle import OrderState
from core.performance.calibration import (
    MINIMUM,
    Divergence,
    Estimate,
    OwnOrder,
    QueueWatch,
    divergence,
    latency_ms,
    queue_share,
)
from core.performance.comparison import Pair, pairs
from core.words import plural
from workers.backtest import Job, run
from workers.backtest_store import StoreError
from workers.latency_export import ledger_rows
from workers.run_journal import NoJournal, Record, RunJournal
from workers.run_result import result_of_run, run_file_of, settings_of_run

MAKER = 1  # flag of an ORDER_ROW


class Calibration(msgspec.Struct):
    """What was found; `config_*` is what paper assumed in run `run_id`, the newest of `runs`. `orders`: that were not refused."""

    run_id: str
    mode: str
    orders: int
    latency: Estimate
    queue: Estimate
    divergence: Divergence
    config_latency_ms: float
    damage: list[str]
    config_queue_share: float = 1.0
    runs: int = 1

    @property
    def settings(self) -> dict[str, float]:
        """What is suggested of `[trading.orders]`; nothing from too few orders or fills."""
        found = {}
        if self.latency.is_enough and self.latency.value is not None:
            found["latency_ms"] = round(self.latency.value, 2)
        if self.queue.is_enough and self.queue.value is not None:
            found["queue_share"] = round(self.queue.value, 2)
        return found

    @property
    def suggests(self) -> bool:
        return bool(self.settings)


# --- the queue, from the public stream -----------------------------------------------------------------------------------
@dataclass
class _Resting:
    """A maker entry at the exchange, from its first sign of life to its first fill or its end (CLOCK_MONOTONIC ns)."""

    symbol: str
    side: int
    price: float
    tick: float
    lot: float
    live_ns: int
    until_ns: int
    filled: bool
    ahead: float = -1.0  # displayed at its price, -1 = not looked at yet
    traded: float = 0.0

    def is_at(self, price: str) -> bool:
        return abs(float(price) - self.price) < self.tick / 2


def resting_orders(rows: Iterable[np.void]) -> list[_Resting]:
    """Orders that stood in the book: acknowledged, told live, and not filled before that."""
    found = []
    for row in rows:
        live, fill, done = (int(row[name]) for name in ("live_ns", "fill_ns", "done_ns"))
        if not live or not int(row["ack_ns"]) or not (fill or done) or (fill and fill <= live):
            continue
        maker = bool(fill) and bool(int(row["flags"]) & MAKER)
        found.append(_Resting(
            bytes(row["name"]).rstrip(b"\0").decode(), int(row["side"]), int(row["price_ticks"]) * float(row["tick_size"]),
            float(row["tick_size"]), float(row["lot_size"]), live, fill or done, maker,
        ))
    return sorted(found, key=lambda order: order.live_ns)


def watch_queues(records: Iterable[Record], orders: list[_Resting]) -> Iterator[QueueWatch]:
    """Lots ahead of every order and what traded at its price, by the public frames in the order they were received."""
    books: dict[str, tuple[dict[float, float], dict[float, float]]] = {}
    waiting: dict[str, list[_Resting]] = defaultdict(list)
    for order in reversed(orders):
        waiting[order.symbol].append(order)
    resting: dict[str, list[_Resting]] = defaultdict(list)
    for frame, _ in records:
        if frame.kind > Kind.FRAME_END:
            continue
        try:
            body = msgspec.json.decode(frame.data)
            topic = body["topic"].split(".")
        except (msgspec.MsgspecError, KeyError, TypeError, AttributeError):
            continue
        symbol = topic[-1]
        if symbol not in waiting:
            continue
        while waiting[symbol] and waiting[symbol][-1].live_ns <= frame.mono_ns:
            order = waiting[symbol].pop()
            order.ahead = _displayed(books.get(symbol), order)
            resting[symbol].append(order)
        for order in [o for o in resting[symbol] if o.until_ns < frame.mono_ns]:
            resting[symbol].remove(order)
            yield _watch(order)
        if topic[0] == "orderbook" and topic[1] != "1":
            _take_book(books, symbol, body)
        elif topic[0] == "publicTrade":
            for trade in body["data"]:
                for order in resting[symbol]:
                    if order.is_at(trade["p"]) and (trade["S"] == "Sell") == (order.side > 0) and not trade.get("BT"):
                        order.traded += float(trade["v"])
    for left in resting.values():
        yield from (_watch(order) for order in left)


def _watch(order: _Resting) -> QueueWatch:
    return QueueWatch(round(max(order.ahead, 0.0) / order.lot), round(order.traded / order.lot), order.filled)


def _displayed(book: tuple[dict[float, float], dict[float, float]] | None, order: _Resting) -> float:
    if book is None:
        return 0.0
    side = book[0] if order.side > 0 else book[1]
    return next((quantity for price, quantity in side.items() if abs(price - order.price) < order.tick / 2), 0.0)


def _take_book(books: dict[str, Any], symbol: str, body: dict[str, Any]) -> None:
    if body.get("type") == "snapshot" or symbol not in books:
        books[symbol] = ({}, {})
    for side, name in zip(books[symbol], ("b", "a"), strict=True):
        for price, quantity in body["data"].get(name, ()):
            if float(quantity):
                side[float(price)] = float(quantity)
            else:
                side.pop(float(price), None)


# --- all of it -----------------------------------------------------------------------------------------------------------
def calibrate(
    data_dir: Path, run_id: str = "", progress: Callable[[float], None] = lambda share: None, last: int = 1
) -> Calibration:
    """Look at a run (the newest for ""), and with `last` at so many runs in all: those before it at the same exchange. Raises
    StoreError, TapeError."""
    paths, run_file = run_file_of(data_dir, run_id)
    damage: list[str] = []
    run_ids = runs_before(paths, run_file, last, damage)
    rows: dict[str, list[np.void]] = {each: [] for each in run_ids}
    for entry in ledger_rows(paths, damage.append):
        if entry.run_id in rows:
            rows[entry.run_id].append(entry.row)
    watches: list[QueueWatch] = []
    found: list[Pair] = []
    for k, each in enumerate(run_ids):
        job = Job(journal=str(paths.journal_dir), run_id=each)
        paper = run(job, partial(_part, progress, k, len(run_ids)), settings_of_run(data_dir, each))
        found += pairs(result_of_run(data_dir, each).trades, paper.trades)
        watches += watch_queues(RunJournal(paths.journal_dir, each).read("raw"), resting_orders(rows[each]))
    together = [row for each in run_ids for row in rows[each]]
    settings = settings_of_run(data_dir, run_ids[0])
    return calibration_of(run_ids[0], paths.mode, together, watches, divergence(found), settings, damage, len(run_ids))


def _part(progress: Callable[[float], None], k: int, count: int, share: float) -> None:
    """Share of run k of `count`, as one of all."""
    progress((k + share) / count)


def runs_before(paths: DataPaths, newest: Path, last: int, damage: list[str]) -> list[str]:
    """`newest` and up to last - 1 runs before it at the same exchange, newest first; what cannot be read is told and left out."""
    files = sorted(paths.runs_dir.glob("*.jsonl"), key=lambda file: file.stat().st_mtime, reverse=True)
    taken, venue = [newest.stem], ""
    for file in files[files.index(newest) :]:
        if len(taken) >= last:
            break
        try:
            name = RunJournal(paths.journal_dir, file.stem).spec().venue_name
        except NoJournal as error:
            damage += [str(error)] * (file != newest)
            continue
        venue = venue or name
        if file != newest and name == venue:
            taken.append(file.stem)
    return taken


def calibration_of(
    run_id: str, mode: str, rows: list[np.void], watches: Iterable[QueueWatch], found: Divergence, settings: Settings,
    damage: list[str], runs: int = 1,
) -> Calibration:
    """From what was gathered."""
    orders = [OwnOrder(int(row["decided_ns"]), int(row["wire_ns"]), int(row["ack_ns"])) for row in rows]
    return Calibration(
        run_id, mode, sum(int(row["state"]) != OrderState.REJECTED for row in rows), latency_ms(orders),
        queue_share(list(watches)), found, settings.trading.orders.latency_ms, damage, settings.trading.orders.queue_share, runs,
    )


def number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def said(found: Calibration) -> list[str]:
    """For a person."""
    latency, queue, money = found.latency, found.queue, found.divergence
    few = f" (fewer than {MINIMUM}: nothing is suggested)"
    return [
        (f"run {found.run_id} ({found.mode}){f' and {found.runs - 1} before it' if found.runs > 1 else ''}, "
         f"{plural(found.orders, 'order')}"),
        (f"latency, decision to exchange: {number(latency.value)} ms, 95 % {number(latency.low)} to {number(latency.high)}, "
         f"{plural(latency.n, 'order')}{'' if latency.is_enough else few}; paper assumes {number(found.config_latency_ms)} ms"),
        (f"share of the queue ahead that traded before a fill: {number(queue.value)}, 95 % {number(queue.low)} to "
         f"{number(queue.high)}, {plural(queue.n, 'fill')}{'' if queue.is_enough else few}; "
         f"paper assumes {number(found.config_queue_share)}"),
        (f"account against paper: {number(money.bps)} bps of the value traded less than paper, "
         f"{number(None if money.matched_share is None else 100 * money.matched_share, 0)} % of "
         f"{plural(money.trades, 'trade')} in both"),
        *(f"damaged: {text}" for text in found.damage),
    ]


def as_toml(found: Calibration) -> str:
    """A configuration layer with what is suggested, the rest as comments."""
    lines = ["# Suggested by `launch.py calibrate`. Use it with -c FILE after reading it, or with `calibrate --apply`.",
             *(f"# {line}" for line in said(found)), ""]
    if found.suggests:
        lines += ["[trading.orders]", *(f"{name} = {value}" for name, value in found.settings.items()), ""]
    else:
        lines += ["# Not enough orders: no setting is suggested.", ""]
    return "\n".join(lines)


def save(found: Calibration, paths: DataPaths) -> Path:
    """Write the suggestion and its figures; returns the TOML file. Raises StoreError."""
    folder = paths.calibration_dir
    file = folder / f"{found.run_id}.toml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(as_toml(found), encoding="utf-8")
        plain = {"run_id": found.run_id, "mode": found.mode, "runs": found.runs, "orders": found.orders, "minimum": MINIMUM,
                 "latency_ms": found.latency._asdict(), "config_latency_ms": found.config_latency_ms,
                 "queue_share": found.queue._asdict(), "divergence": found.divergence._asdict(), "said": said(found)}
        file.with_suffix(".json").write_bytes(msgspec.json.encode(plain))
    except OSError as error:
        raise StoreError(f"the suggestion cannot be written ({error})") from None
    return file


def apply(found: Calibration, target: Path) -> dict[str, float]:
    """Put what is suggested into the layer `target`, in place of what an earlier run suggested. Raises StoreError where nothing
    is, or the file cannot be written."""
    if not found.suggests:
        raise StoreError(f"run {found.run_id} has too few orders to say anything (at least {MINIMUM}): nothing was applied.")
    try:
        write_atomic(target, as_toml(found).encode(), 0o644)
    except OSError as error:
        raise StoreError(f"{target} cannot be written ({error}): nothing was applied.") from None
    return found.settings
