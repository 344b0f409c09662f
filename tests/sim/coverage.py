"""The order faults of the catalogue (O01..O46): how each is provoked here, and by which counter its handler shows.

A directed session is an ordinary one with the fault laid on thick. Where a fault cannot happen here (it needs bytes on a
wire, or is the gate's business) `tests` names the tests that have it. One table: `test_coverage.py` checks that every fault
has its place in it, that the tests exist and that the counters are counted somewhere.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.sim.host import CRASH_POINTS
from tests.sim.swarm import SECOND, Happening, Plan, draw
from tests.sim.totals import Totals

MS = 1_000_000


@dataclass(frozen=True)
class Fault:
    """`hits` of the link (one of them) prove that it happened, `counters` of the desk (one of them) that it was handled."""

    id: str
    title: str
    hits: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()
    weather: dict[str, Any] = field(default_factory=dict)
    matching: dict[str, float] = field(default_factory=dict)
    happenings: tuple[str, ...] = ()
    crashes: tuple[str, ...] = ()
    kill: bool = False
    pace_ms: tuple[int, int] = (150, 1_000)
    active_s: int = 22
    tests: tuple[str, ...] = ()  # node ids, where no session can have it


FAULTS: tuple[Fault, ...] = (
    Fault("O01", "ack timeout, result unknown", ("ack lost", "vanish"), ("unknown_resolved",),
          {"ack_lost_ppm": 200_000, "vanish_ppm": 100_000}),
    Fault("O02", "duplicate send on retry", ("code 10006", "code 110072"), ("dup_attempt",),
          {"per_second": 2, "ack_lost_ppm": 100_000}),
    Fault("O03", "fill before ack", (), ("fill_before_ack",),
          {"fill_first_ppm": 800_000, "frame_swap_ppm": 500_000, "frame_drop_ppm": 200_000}),
    Fault("O04", "fill after cancel, double Filled", ("trade.fill_on_cancel",), ("fill_after_cancel", "exec_dup"),
          {"frame_swap_ppm": 300_000}, {"trade.fill_on_cancel": 0.8}),
    Fault("O05", "partial fill, then cancel", (), ("partial_cancel",), {}, {"trade.partial": 0.8}, ("batch of fills",) * 6),
    Fault("O06", "amend race", ("trade.fill_on_cancel",), ("amend_race",), {}, {"trade.fill_on_cancel": 0.5}),
    Fault("O07", "duplicate and reordered executions", ("frame doubled",), ("exec_dup",),
          {"exec_dup_ppm": 500_000, "frame_swap_ppm": 200_000}),
    Fault("O08", "private frames lost on a healthy socket", ("frame dropped",), ("recon_diff",), {"frame_drop_ppm": 600_000}),
    Fault("O09", "private reconnect", ("cut PRIVATE",), ("priv_gap_ms",), {}, {}, ("cut private",) * 5),
    Fault("O10", "trade error without reqId", ("no reqId",), ("unknown_resolved",), {"no_req_id_ppm": 150_000}),
    Fault("O11", "late answer", ("late ack",), ("late_ack",), {"ack_late_ppm": 300_000}, {}, ("cut trade",) * 3),
    Fault("O12", "stop through at entry", ("refused 10001",), ("ret_B",), {"entry_ns": (5 * MS, 300 * MS)}, {},
          ("stop out",) * 8),
    Fault("O13", "no stop on an open position", ("do ext stop gone",), ("sl_set",), {}, {}, ("ext stop gone",) * 5),
    Fault("O14", "stop triggered, not filled", ("do vacuum",), ("sl_local", "sl_set", "ioc_leaves"), {}, {},
          ("vacuum",) * 8),
    Fault("O15", "stop cancelled", ("do ext stop gone", "do ext cancel"), ("sl_lost",), {}, {}, ("ext stop gone",) * 5),
    Fault("O16", "stop replaced", ("do ext stop moved",), ("sl_changed",), {}, {}, ("ext stop moved",) * 8),
    Fault("O17", "child orders without our id", (), ("orphan_child",)),
    Fault("O18", "rule of the link id", tests=("tests/core/orders/test_order_faults.py::test_o18_ids",
                                               "tests/core/orders/test_order_store.py::test_a_tag_the_venue_might_refuse_is_refused_here")),
    Fault("O19", "rate limit", ("code 10006",), ("rate_refused",), {"per_second": 2}),
    Fault("O20", "IP ban", ("forbidden",), ("ip_ban",), {}, {}, ("ip ban",) * 3),
    Fault("O21", "position from outside", ("do ext position",), ("ext_position",), {}, {}, ("ext position",) * 4),
    Fault("O22", "our order changed outside, strange orders", ("do ext order", "do ext amend"), ("ext_order",), {}, {},
          ("ext order", "ext amend", "ext cancel") * 3),
    Fault("O23", "liquidation", ("do liquidate",), ("liquidation",), {}, {}, ("liquidate",) * 4),
    Fault("O24", "auto-deleveraging", ("do adl",), ("adl",), {}, {}, ("adl",) * 6),
    Fault("O25", "funding", ("do funding",), ("funding",), {}, {}, ("funding",) * 6),
    Fault("O26", "no margin", ("code 110007", "code 110004", "code 110012"), ("margin_reject",),
          {"reject_ppm": 300_000, "reject_codes": (110007, 110004, 110012)}),
    Fault("O27", "dust", ("do dust",), ("dust",), {}, {}, ("dust",) * 6),
    Fault("O28", "off the grid", tests=("tests/core/test_units.py::test_round_trip",
                                       "tests/core/test_units.py::test_off_grid_is_its_own_error",
                                       "tests/gateway/bybit/test_order_codec.py::test_a_body_that_says_something_else_is_not_sent")),
    Fault("O29", "instrument filters change", ("do filters",), ("instr_change",), {}, {}, ("filters",) * 6),
    Fault("O30", "leverage not as thought", ("do ext leverage",), ("lev_set", "lev_mismatch"), {}, {}, ("ext leverage",) * 5),
    Fault("O31", "hedge mode", ("do ext mode",), ("mode_mismatch", "ret_J"), {}, {}, ("ext mode",) * 12),
    Fault("O32", "reduce-only refused, flat already", (), ("close_race",), {"entry_ns": (20 * MS, 300 * MS)}, {},
          ("stop out", "ext cancel") * 8),
    Fault("O33", "market order without a market", ("do vacuum", "trade.partial", "do no market"), ("ioc_leaves",), {},
          {"trade.partial": 0.5}, ("vacuum", "no market") * 4),
    Fault("O34", "price beyond the limit", ("do narrow limits", "code 110003", "code 110120", "code 110121"),
          ("price_limit_hit",), {"reject_ppm": 150_000, "reject_codes": (110003, 110120, 110121)}, {}, ("narrow limits",) * 5),
    Fault("O35", "post-only that would take", (), ("maker_to_taker",), {"entry_ns": (50 * MS, 200 * MS)}),
    Fault("O36", "conditional slots used up: ours need none", ("do fill slots",), ("sl_set",), {}, {},
          ("fill slots", "ext stop gone") * 4),
    Fault("O37", "batch partly failed", tests=(
        "tests/gateway/test_order_link.py::test_killing_uses_the_batch_counters_too",
        "tests/core/orders/test_send_queue.py::test_a_batch_that_is_refused_in_part")),
    Fault("O38", "key gone", ("do key",), ("key",), {}, {}, ("key",) * 2),
    Fault("O39", "venue restart wipes closed orders", ("do wipe", "venue restart"), ("closed_wiped", "look_empty"),
          {"frame_drop_ppm": 300_000}, {}, ("wipe", "restart venue", "wipe")),
    Fault("O40", "down for days", ("crash outage",), ("recover_unknown", "recovered"), {}, {}, ("outage",) * 3),
    Fault("O41", "pages", (), ("cursor_repeated",), {"page_rows": 1, "cursor_repeats_ppm": 500_000}),
    Fault("O42", "self-match", ("do self match",), ("smp",), {}, {}, ("self match",) * 12),
    Fault("O43", "runaway loop", tests=(
        "tests/core/risk/test_ledger.py::test_more_orders_than_allowed_latch_the_symbol",
        "tests/core/orders/test_exposure.py::test_churn_latches_a_symbol_until_a_person_enables_it")),
    Fault("O44", "venue only reduces", ("do reduce only",), ("venue_reduce_only",), {}, {}, ("reduce only",) * 6),
    Fault("O45", "ledger drift", ("do deposit", "do withdraw"), ("ledger_diff",), {}, {}, ("deposit", "withdraw") * 3,
          pace_ms=(12_000, 25_000), active_s=110),
    Fault("O46", "clock or reconnect while killing", ("code 10002", "cut TRADE", "cut REST"), ("kill_attempts",),
          {"clock_error_ms": -5_000}, {}, (), (), kill=True),
)
STORMS = (  # several at once, for the bugs that need them
    Fault("lost", "answers and private frames lost", weather={"ack_lost_ppm": 250_000, "vanish_ppm": 100_000,
                                                             "frame_drop_ppm": 600_000}),
    Fault("late", "requests are carried out late, frames are lost", weather={"stall_ppm": 300_000, "frame_drop_ppm": 300_000}),
    Fault("pages", "short pages, frames are lost", weather={"page_rows": 2, "frame_drop_ppm": 700_000}, crashes=("idle",),
          happenings=("crash", "cut private")),
    Fault("doubt", "errors that were carried out", weather={"reject_ppm": 400_000, "frame_drop_ppm": 400_000,
                                                            "reject_codes": (10000, 10016, 170007)}),
)
BY_ID = {fault.id: fault for fault in (*FAULTS, *STORMS)}


def plan_of(name: str, seed: int) -> Plan:
    """A plan by name: of a fault by its id, "kill" and "crash" of a drawn session with one, "" as drawn."""
    if name in BY_ID:
        return directed(BY_ID[name], seed)
    plan = draw(seed)
    rng = random.Random(f"{name} {seed}")
    if name == "kill":
        plan.kill_at_ns = plan.active_ns // 2
    elif name == "crash":
        plan.happenings += [Happening(plan.active_ns * k // 4, "crash", rng.getrandbits(32)) for k in (1, 2, 3)]
        plan.crashes = [rng.choice(CRASH_POINTS[:9]) for h in plan.happenings if h.kind == "crash"]
    return plan


def directed(fault: Fault, seed: int) -> Plan:
    """A session in which the fault happens as often as it can."""
    rng = random.Random(f"{fault.id} {seed}")
    plan = draw(seed)
    plan.crashes, plan.kill_at_ns, plan.kill_at_end = list(fault.crashes), 0, False
    plan.active_ns = fault.active_s * SECOND
    plan.pace_ns = fault.pace_ms[0] * MS, fault.pace_ms[1] * MS
    calm = draw(seed).weathers[0][1]
    weather = replace(type(calm)(), entry_ns=calm.entry_ns, answer_ns=calm.answer_ns, feed_ns=calm.feed_ns)
    weather = replace(weather, **fault.weather)
    plan.weathers = [(0, weather, dict(fault.matching))]
    if fault.kill:  # the clock goes wrong at the very command
        plan.weathers = [(0, replace(weather, clock_error_ms=0), {}), (15 * SECOND - MS, weather, {})]
        plan.kill_at_ns = 15 * SECOND
        plan.happenings = [Happening(15 * SECOND + 5 * MS, "cut trade", 1)]
        return plan
    plan.happenings = [
        Happening(3 * SECOND + k * ((fault.active_s - 4) * SECOND // max(len(fault.happenings), 1)) + rng.randrange(SECOND), kind,
                  rng.getrandbits(32))
        for k, kind in enumerate(fault.happenings)
    ]
    return plan


def missing(fault: Fault, totals: Totals) -> list[str]:
    """What has not been seen of a fault: that it happened, that it was handled."""
    found = []
    if fault.hits and not any(totals.hits[name] for name in fault.hits):
        found.append(f"{fault.id} never happened ({' or '.join(fault.hits)})")
    if fault.counters and not any(totals.counters[name] for name in fault.counters):
        found.append(f"{fault.id} was never handled ({' or '.join(fault.counters)})")
    return found


def rows(totals: Totals) -> Iterator[str]:
    reached = 0
    for fault in FAULTS:
        if fault.tests:
            reached += 1
            yield f"{fault.id} {fault.title:45} tests: {', '.join(fault.tests)}"
            continue
        reached += not missing(fault, totals)
        happened = sum(totals.hits[name] for name in fault.hits)
        handled = ", ".join(f"{name} {totals.counters[name]}" for name in fault.counters)
        yield f"{fault.id} {fault.title:45} happened {happened if fault.hits else '-'}; {handled}"
    yield f"{reached} of {len(FAULTS)} (the directed sessions of test_coverage.py have every one that is missing here)"


def table(totals: Totals) -> str:
    """The coverage of a run as text."""
    return "\n".join(rows(totals))
