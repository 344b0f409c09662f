"""/metrics in Prometheus text format, straight from a snapshot. No account data: the route may be open to local scrapers."""

from __future__ import annotations

from collections.abc import Iterable

from admin.snapshot import Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "scalper"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def family(name: str, kind: str, sentence: str, samples: Iterable[tuple[dict[str, str], float]]) -> list[str]:
    """HELP, TYPE and samples of one metric; `samples` are (labels, value)."""
    lines = [f"# HELP {PREFIX}_{name} {sentence}", f"# TYPE {PREFIX}_{name} {kind}"]
    for labels, value in samples:
        inside = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
        lines.append(f"{PREFIX}_{name}{{{inside}}} {value:.10g}" if inside else f"{PREFIX}_{name} {value:.10g}")
    return lines


def render(snapshot: Snapshot) -> str:
    """The whole page."""
    control = snapshot.control
    quantiles = (("0.5", "p50_us"), ("0.99", "p99_us"), ("0.999", "p999_us"))
    lines: list[str] = []
    lines += family("ring_depth", "gauge", "cells or slots between writer and reader",
                    (({"ring": r["ring"], "reader": r["reader"]}, r["lag"]) for r in snapshot.rings))
    lines += family("ring_dropped_total", "counter", "messages a reader lost because it was overtaken",
                    (({"ring": r["ring"], "reader": r["reader"]}, r["lost"]) for r in snapshot.rings))
    lines += family("stage_latency_seconds", "gauge", "latency of a stage since the start of the run",
                    (({"stage": s["stage"], "quantile": q}, s[key] / 1e6) for s in snapshot.stages for q, key in quantiles))
    lines += family("stage_latency_count", "counter", "measurements of a stage",
                    (({"stage": s["stage"]}, s["n"]) for s in snapshot.stages))
    lines += family("process_up", "gauge", "1 = the process beats",
                    (({"process": p["name"]}, float(p["state"] == "RUN" and p["alive"])) for p in snapshot.processes))
    lines += family("process_heartbeat_age_seconds", "gauge", "time since the last heartbeat",
                    (({"process": p["name"]}, p["beat_ms"] / 1e3) for p in snapshot.processes
                     if p["beat_ms"] is not None))
    lines += family("process_restarts_total", "counter", "restarts by the supervisor",
                    (({"process": p["name"]}, p["restarts"]) for p in snapshot.processes))
    lines += family("kill_state", "gauge", "1 = the kill is latched", [({}, float(control["killed"]))])
    lines += family("pause_state", "gauge", "1 = entries are paused", [({}, float(control["paused"]))])
    lines += family("degraded_state", "gauge", "1 = DEGRADED", [({}, float(control["degraded"]))])
    lines += family("feed_connected", "gauge", "1 = the market feed is connected",
                    [({}, float(control["feed"] == "CONNECTED"))])
    lines += family("symbols", "gauge", "listed symbols", [({}, len(snapshot.ids))])
    account = snapshot.account[0]
    lines += family("orders_total", "counter", "orders by result",
                    [({"result": "accepted"}, int(account["orders"])), ({"result": "refused"}, int(account["rejects"])),
                     ({"result": "filled"}, int(account["fills"]))])
    gaps = snapshot.counters.get("gateway", {}).get("gaps", 0)
    lines += family("ws_gap_total", "counter", "gaps in book updates", [({}, gaps)])
    lines += family("counter_total", "counter", "every counter of the plant",
                    (({"process": process, "name": name}, value) for process, values in sorted(snapshot.counters.items())
                     for name, value in sorted(values.items())))
    return "\n".join(lines) + "\n"
