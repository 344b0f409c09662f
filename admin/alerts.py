"""What a person must know at once, as sentences for the banner of every page. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.enums import Mode


def alerts(
    words: Mapping[str, int], processes: Sequence[Mapping], counters: Mapping[str, Mapping[str, int]], pause: Mapping | None,
) -> list[str]:
    """`words`: control words; `processes`: rows of plant_stats; `counters`: by process; `pause`: the latch, if any."""
    found = []
    by_role = {row["role"]: row for row in processes}
    if words.get("guardian_duty"):
        found.append(f"GUARDIAN on duty (takeover {words['guardian_duty']}): execution is gone or silent, entries are off, "
                     "positions keep their stops")
    execution = by_role.get("execution")
    if execution is not None and execution["alive"] is False:
        found.append("EXECUTION does not answer: orders and positions below may be old")
    if words.get("mode") == Mode.LIVE:
        guardian = by_role.get("guardian")
        if guardian is None or guardian["alive"] is False or guardian["state"] != "RUN":
            found.append("NO GUARDIAN: nobody watches execution")
    troubles = counters.get("execution", {}).get("troubles", 0)
    if troubles:
        found.append(f"INTEGRITY: {troubles} difference{'s' if troubles > 1 else ''} between us and the exchange keep entries "
                     "away; see the events of kind ERROR")
    if pause is not None and pause.get("source") == "exec":
        found.append(f"PAUSED by execution: {pause.get('reason')}; RESUME once you have looked")
    return found
