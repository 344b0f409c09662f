"""What the terminal shows: the live table while it runs, the summary at the end, `status`."""

from __future__ import annotations

import contextlib
import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from core.words import plural

STAGES = ("decode", "recv_to_publish", "recv_to_shard", "step", "wire_to_decision", "wire_to_intent", "execution")


def _header(state: dict[str, Any], extra: str = "") -> Text:
    account, bits = state["account"], state["control"]
    text = Text(f"{state['mode']}  ", style="bold")
    text.append(f"feed {state['feed']}  ", style="green" if state["feed"] == "CONNECTED" else "yellow")
    for bit in bits:
        text.append(f"{bit} ", style="bold red" if bit == "KILL" else "bold yellow")
    text.append(f"{plural(state['symbols'], 'symbol')}  equity {account['equity']:,.2f}  realised {account['realised']:+,.2f}  ")
    text.append(f"positions {account['open_positions']}  trades {account['trades_closed']}  ")
    text.append(f"up {state['uptime_s']:.0f} s")
    if extra:
        text.append(f"\n{extra}", style="dim")
    return text


def _processes(state: dict[str, Any], usage: dict[str, tuple[float, float]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("process", "pid", "state", "cpu %", "MB", "heartbeat ms", "worst turn ms", "restarts"):
        table.add_column(name, justify="left" if name in ("process", "state") else "right")
    for row in state["processes"]:
        cpu, rss = usage.get(row["name"], (0.0, 0.0))
        good = row["state"] == "RUN"
        table.add_row(
            row["name"], str(row["pid"]), Text(row["state"], style="green" if good else "red"),
            f"{cpu:.0f}" if row["name"] in usage else "", f"{rss:.0f}" if row["name"] in usage else "",
            f"{row['heartbeat_age_ms'] or 0:.0f}", f"{row['stall_max_ms']:.1f}", str(row["restarts"]),
        )
    return table


def _latency(state: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("stage (µs)", "n", "p50", "p99", "p99.9", "max"):
        table.add_column(name, justify="left" if name.startswith("stage") else "right")
    for name in STAGES:
        row = state["stages_us"].get(name)
        if row:
            table.add_row(name, f"{row['count']:,}", *(f"{row[q]:,.1f}" for q in ("p50", "p99", "p99_9", "max")))
    return table


def _flow(state: dict[str, Any]) -> Text:
    gateway = state["gateway"]
    lags = ", ".join(f"{r['name']} {100 * r['lag_cells'] / r['capacity_cells']:.1f} %" for r in state["rings"])
    lost = sum(r["lost"] for r in state["rings"])
    names = ("frames", "decoded", "other", "rejected", "gaps", "resyncs")
    counts = "  ".join(f"{name} {gateway[name]:,}" for name in names)
    return Text(f"{counts}  ring lag {lags}  lost {lost:,}", style="red" if lost else "default")


def print_status(state: dict[str, Any]) -> None:
    """`launch.py status`."""
    Console().print(Group(_header(state), _processes(state, {}), _flow(state), _latency(state)))


class LiveTable:
    """The table that moves while the plant runs; silent when standard error is no terminal or `enabled` is false."""

    def __init__(self, supervisor: Any, *, enabled: bool, hz: float = 2.0) -> None:
        self._supervisor = supervisor
        self._period_s = 1.0 / hz
        self._next = 0.0
        console = Console(stderr=True)
        on = enabled and sys.stderr.isatty()
        self._live = Live(console=console, auto_refresh=False, transient=True) if on else None

    def __enter__(self) -> LiveTable:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def refresh(self) -> None:
        """Redraw at most `hz` times a second."""
        now = time.monotonic()
        if self._live is None or now < self._next:
            return
        self._next = now + self._period_s
        from workers.summary import status

        with contextlib.suppress(OSError):
            state = status(self._supervisor.plant)
            usage = {c.name: (c.cpu_percent(), c.rss_mb()) for c in self._supervisor.children if c.process}
            url = self._supervisor.admin_url
            head = _header(state, f"page {url}   pause, kill: Ctrl-C stops" if url else "")
            self._live.update(Group(head, _processes(state, usage), _flow(state), _latency(state)), refresh=True)


def print_summary(summary: dict[str, Any]) -> None:
    """The closing lines of a run, on standard error."""
    console = Console(stderr=True)
    console.print(
        f"[bold]stopped[/] after {summary['wall_s']:.1f} s: {plural(summary['frames'], 'frame')} "
        f"({summary['decoded']:,} decoded, {summary['other']:,} other, {summary['rejected']:,} rejected), "
        f"gaps {summary['gaps']}, resyncs {summary['resyncs']}, lost {summary['ring_lost']}\n"
        f"{plural(summary['decisions'], 'decision')}, {plural(summary['orders'], 'order')}, {plural(summary['fills'], 'fill')}, "
        f"{plural(summary['trades_closed'], 'trade')} closed, {summary['open_positions']} open, "
        f"realised {summary['realised_pnl']:+.4f} USDT, digest {summary['decision_digest']}",
        highlight=False,
    )
    console.print(_latency(summary))
