"""DECISION records: when they are written, what is in them, and that nothing waits for their reader."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from config.schema import Profile
from core.decision import FUNNEL_ACCEPTED
from core.detail import DETAIL
from core.engine.board import fill_detail
from core.engine.decision import take_decisions
from core.engine.gate_list import GATES
from core.engine.state import MAX_DECISIONS
from core.enums import Category, ControlBits, EventKind, Gate, MessageKind, ReportKind, State
from core.explain import Naming, explanation, plain
from core.params import profile_row
from tests.core.engine.rig import MS, Rig, S, accept, enter

NAMING = Naming("AAAUSDT", 1, 2)


def decisions(rig: Rig) -> list[np.void]:
    records, lost = take_decisions(rig.state)
    assert lost == 0
    return [record.copy() for record in records]


@pytest.mark.parametrize("lean", [1, -1])
def test_an_entry_is_recorded_with_everything_behind_it(lean: int) -> None:
    rig = Rig()
    rig.warm(lean)
    rig.go()
    (entry,) = rig.sent(MessageKind.ENTER)
    rows = decisions(rig)
    (record,) = [r for r in rows if r["verdict"]]
    assert (record["seq"], record["side"], record["gate"]) == (entry["seq"], lean, Gate.NONE)
    assert record["price_ticks"] == entry["price_ticks"] and record["stop_ticks"] == entry["stop_ticks"]
    assert record["zone_min_ticks"] == entry["zone_min_ticks"] < record["price_ticks"] < record["zone_max_ticks"]
    assert record["state_to"] == State.ORDER_PLACED and record["config_version"] == 1
    terms = record["terms_long"] if lean > 0 else record["terms_short"]
    score = record["score_long"] if lean > 0 else record["score_short"]
    assert np.nansum(terms) == pytest.approx(score) and score >= record["arm"]
    assert rows[0]["state_from"] == State.FLAT
    ids = [(int(r["seq"]), int(r["symbol"])) for r in rows]
    assert len(set(ids)) == len(ids)


def test_features_in_the_record_are_those_of_the_detail_board() -> None:
    rig = Rig(record_every_ns=1, record_gap_ns=0)
    rig.warm()
    rig.stream.now_ns += 1
    rig.stream.timer()
    rig.go()
    detail = np.zeros(1, DETAIL.dtype)
    fill_detail(rig.state, 5, detail, 0)
    np.testing.assert_array_equal(decisions(rig)[-1]["features"], detail[0]["features"])


def test_a_shut_gate_is_named_with_its_numbers() -> None:
    rig = Rig(skip_enabled=1, skip_volatility=35.0)
    rig.warm()
    rig.go()
    assert not rig.sent(MessageKind.ENTER) and rig.trade["gate"] in (Gate.SKIP_DAY, Gate.SKIP_HOURS, Gate.SKIP_VOLATILITY)
    last = decisions(rig)[-1]
    at = GATES.index(Gate.SKIP_VOLATILITY)
    assert not last["gates_open"] >> at & 1 and (last["gate_value"][at], last["gate_limit"][at]) == (35.0, 30.0)
    assert last["gates_open"] >> GATES.index(Gate.SPREAD) & 1


@pytest.mark.parametrize(("fields", "gate"), [
    ({"skip_days": 0}, Gate.SKIP_DAY), ({"skip_days": 127, "skip_from_hour": 0, "skip_to_hour": 1}, Gate.SKIP_HOURS),
    ({"skip_days": 127, "skip_from_hour": 0, "skip_to_hour": 24, "skip_volatility": 31.0}, Gate.SKIP_VOLATILITY),
])  # fmt: skip
def test_every_skip_filter_has_its_own_reason_and_is_counted(fields: dict[str, float], gate: Gate) -> None:
    rig = Rig(skip_enabled=1, **fields)
    rig.warm()
    rig.go()
    assert rig.trade["gate"] == gate and rig.state.funnel[0, gate] > 0
    assert rig.trade["state"] == State.ARMED_LONG  # found, and held back


def test_what_stays_the_same_is_written_once_a_second() -> None:
    rig = Rig()
    rig.stream.event(EventKind.CONTROL, u=int(ControlBits.PAUSE))
    rig.warm(seconds=6)
    rig.go()
    rows = [r for r in decisions(rig) if r["gate"] == Gate.PAUSED and r["score_long"] > 60]
    gaps = np.diff([int(r["ts_ns"]) for r in rows])
    assert len(rows) >= 3 and (gaps >= S).all()


def test_a_quiet_symbol_writes_nothing() -> None:
    rig = Rig()
    rig.snapshot()
    for _ in range(50):
        rig.stream.now_ns += 100 * MS
        rig.stream.timer()
    rig.go()
    assert decisions(rig) == []


def test_records_nobody_takes_are_counted_and_change_nothing() -> None:
    one, two = Rig(record_every_ns=1, record_gap_ns=0), Rig(record_every_ns=1, record_gap_ns=0)
    for rig, often in ((one, False), (two, True)):
        for _ in range(3):
            rig.warm(seconds=9)
            rig.go()
            if often:
                take_decisions(rig.state)
    records, lost = take_decisions(one.state)
    assert len(records) == MAX_DECISIONS and lost > 0
    assert one.trade["digest"] == two.trade["digest"]


def test_the_funnel_counts_looks_and_what_execution_said() -> None:
    rig = Rig()
    message = enter(rig)
    looks = rig.state.funnel[0]
    assert looks[: FUNNEL_ACCEPTED].sum() == 80  # one per TIMER
    accept(rig, message)
    rig.stream.now_ns += 30 * MS
    rig.stream.timer()
    rig.go()
    assert looks[FUNNEL_ACCEPTED] == 1
    rig = Rig()
    message = enter(rig)
    before = int(rig.state.funnel[0, Gate.MAX_POSITIONS])
    rig.report(ReportKind.REJECTED, int(message["seq"]), int(message["ts_event_ns"]) + 20 * MS, reason=Gate.MAX_POSITIONS,
               decision_id=message["decision_id"])  # fmt: skip
    rig.stream.now_ns += 100 * MS
    rig.stream.timer()
    rig.go()
    assert rig.state.funnel[0, Gate.MAX_POSITIONS] == before + 1


def test_a_profile_raises_the_threshold_cuts_the_size_and_blacklists() -> None:
    rig = Rig()
    arm = 56.0
    rig.stream.event(EventKind.PROFILE, 5, profile_row(Profile(raise_points=3.0, size=0.25), 7))
    rig.warm()
    rig.go()
    (entry,) = rig.sent(MessageKind.ENTER)
    assert entry["qty_lots"] == 2500
    record = next(r for r in decisions(rig) if r["verdict"])
    assert (record["arm"], record["profile_version"], record["profile_size"]) == (arm + 3.0, 7, 0.25)
    for profile, gate in ((Profile(raise_points=60.0), Gate.SCORE_WATCH), (Profile(blacklisted=True), Gate.BLACKLIST)):
        rig = Rig()
        rig.stream.event(EventKind.PROFILE, 5, profile_row(profile, 2))
        rig.warm()
        rig.go()
        assert not rig.sent(MessageKind.ENTER) and rig.trade["gate"] == gate


def test_the_explanation_of_a_record_is_complete_and_json() -> None:
    rig = Rig()
    rig.warm()
    rig.go()
    for record in decisions(rig):
        d = plain(record, NAMING)
        e = explanation(json.loads(json.dumps(d)))
        assert e["id"] == f"{int(record['seq'])}-AAAUSDT" and e["words"] and e["category"] == Category.PRIME.name
        assert [t["name"] for t in e["terms"]] and [g["name"] for g in e["gates"]] == [g.name for g in GATES]
        for term in e["terms"]:
            assert term["long"] is None or math.isfinite(term["long"])
        if e["verdict"] == "accepted":
            assert e["plan"]["entry"] == "1000.00" and "entry sent" in e["words"][0]
        elif e["gate"] != "NONE":
            assert not next(g for g in e["gates"] if g["name"] == e["gate"])["ok"]
