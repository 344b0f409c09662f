"""Decisions in words: every gate has a clause, unknown is said, numbers stay exact."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from core.decision import DECISION
from core.engine.gate_list import GATES
from core.enums import Cause, Gate, State
from core.explain import (
    GATE_WORDS,
    REFUSAL_WORDS,
    RULE_WORDS,
    Naming,
    brief,
    explanation,
    gate_words,
    plain,
    protect_words,
    text,
)
from core.risk.gate import CHECKS

NAMING = Naming("DOGEUSDT", 5, 5)


def record(**fields: object) -> np.void:
    row = np.zeros(1, DECISION.dtype)[0]
    for name in ("terms_long", "terms_short", "gate_value", "gate_limit", "features"):
        row[name][:] = math.nan
    values: dict[str, object] = {"seq": 812, "ts_ns": 1_763_683_081_123_456_789, "side": 1, "watch": 44.0, "arm": 56.0,
                                 "profile_size": 1.0, "config_version": 3}  # fmt: skip
    for name, value in (values | fields).items():
        row[name] = value
    return row


def test_a_record_of_which_nothing_is_known_is_told_and_is_json() -> None:
    d = plain(record(gate=int(Gate.WARMUP)), NAMING)
    e = explanation(json.loads(json.dumps(d)))
    assert e["id"] == d["id"] == "812-DOGEUSDT" and e["ts"] == 1_763_683_081_123
    assert e["words"][0] == "DOGEUSDT: no long entry, because the features are still warming up."
    assert any(sentence.startswith("Not known, so without points:") for sentence in e["words"])
    assert e["plan"] is None and {t["long"] for t in e["terms"]} == {None}
    assert brief(d) == {"id": d["id"], "ts": e["ts"], "side": "long", "verdict": "rejected", "gate": "WARMUP", "score": 0.0}


def test_an_entry_is_told_with_exact_prices() -> None:
    d = plain(record(verdict=1, price_ticks=6421, stop_ticks=6401, target_ticks=6460, attempts=1, score_long=71.25,
                     state_from=int(State.WATCHING_LONG), state_to=int(State.ORDER_PLACED)), NAMING)  # fmt: skip
    e = explanation(d)
    assert e["verdict"] == "accepted" and e["plan"]["entry"] == "0.32105" and e["plan"]["zone_min"] is None
    assert e["words"][0] == "DOGEUSDT: long entry sent at 0.32105, stop 0.32005, targets 0.32300 (attempt 1)."
    assert "71.2" in e["words"][1]
    d = plain(record(verdict=1, price_ticks=6421, target_ticks=6460, target2_ticks=6480, target3_ticks=6500), NAMING)
    assert explanation(d)["plan"]["targets"] == ["0.32300", "0.32400", "0.32500"]
    assert "targets 0.32300, 0.32400, 0.32500 (" in explanation(d)["words"][0]


def test_every_rule_that_moves_a_stop_has_words() -> None:
    for rule in (Cause.BREAK_EVEN, Cause.TRAIL, Cause.TIGHTEN, Cause.WIDEN):
        told = protect_words(rule, "99.68", "100.11", 13.8, 0.43)
        assert told.startswith("stop 99.68 to 100.11 at +13.8 bps (+0.43 R): ") and RULE_WORDS[rule] in told
    assert protect_words(Cause.TIGHTEN, "1", "1", 5.0, 0.1).startswith("stop stays at 1 ")
    assert protect_words(Cause.TRAIL, None, "1", 5.0, 0.1).startswith("stop none to 1 ")
    assert protect_words(9999, "1", "2", 5.0, 0.1).endswith(": 9999")


def test_the_profile_is_named_when_it_raises() -> None:
    e = explanation(plain(record(profile_raise=6.0), NAMING))
    assert "(raised by 6 by the symbol profile)" in e["words"][1]


@pytest.mark.parametrize("gate", GATES, ids=lambda g: g.name)
def test_every_gate_has_words_with_and_without_numbers(gate: Gate) -> None:
    for value, limit in ((None, None), (1.0, 2.0)):
        assert len(gate_words(gate, value, limit)) > 10


def test_every_refusal_of_execution_has_words() -> None:
    assert {row.gate for row in CHECKS} <= set(GATE_WORDS) | set(REFUSAL_WORDS)


def test_numbers_for_people() -> None:
    assert (text(None), text(3.0), text(0.256), text("1.20"), text(7.6, 0)) == ("unknown", "3", "0.26", "1.20", "8")
