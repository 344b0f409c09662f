"""Why and why not over REST: live records, records of earlier runs, symbols without any, the funnel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from admin.explain import Funnel, funnel
from config.paths import DataPaths
from core.decision import DECISION, FUNNEL, FUNNEL_ACCEPTED, N_FUNNEL
from core.engine.gate_list import GATES
from core.enums import Gate, State
from core.explain import Naming
from shm.decisions import DecisionWriter
from tests.admin.conftest import Browser
from tests.admin.engine_part import EnginePart
from workers.decision_files import DecisionFiles

KEYS = {"id", "symbol", "ts", "side", "verdict", "gate", "words", "state", "regime", "pump", "global_regime", "scores", "terms",
        "features", "gates", "plan", "config_version", "live"}


def records(n: int, symbol: int, first_seq: int = 100) -> np.ndarray:
    rows = np.zeros(n, DECISION.dtype)
    rows["seq"], rows["ts_ns"] = np.arange(first_seq, first_seq + n), 1_763_683_081_000_000_000 + np.arange(n)
    rows["symbol"], rows["side"], rows["gate"] = symbol, 1, int(Gate.SCORE_ARM)
    rows["score_long"], rows["watch"], rows["arm"] = 50.0 + np.arange(n), 44.0, 56.0
    rows["state_to"] = int(State.WATCHING_LONG)
    return rows


def write_live(engine: EnginePart, rows: np.ndarray) -> None:
    DecisionWriter(engine.plant.decisions(0)).write(rows)


def test_the_latest_decision_of_a_symbol(engine: EnginePart, browser: Browser) -> None:
    write_live(engine, records(30, 1))
    engine.tick()
    e = browser.get("/api/explain/ETHUSDT").json["result"]
    assert set(e) >= KEYS and (e["id"], e["live"], e["scores"]["long"]) == ("129-ETHUSDT", False, 79.0)
    page = browser.get("/api/symbol/ETHUSDT").json["result"]
    assert page["explain"]["id"] == "129-ETHUSDT" and set(page["walls"]) == {"bids", "asks"}
    assert [d["id"] for d in page["decisions"]] == [f"{seq}-ETHUSDT" for seq in range(129, 109, -1)]
    assert set(page["decisions"][0]) == {"id", "ts", "side", "verdict", "gate", "score"}


def test_by_id_live_and_from_the_data_folder(engine: EnginePart, browser: Browser) -> None:
    paths = DataPaths(Path(engine.plant.spec.data_dir), "SIM")
    out = DecisionFiles(paths.decisions_dir, "older", lambda symbol: Naming("ETHUSDT", 1, 2), segment_bytes=10**7, level=3)
    out.add(records(5, 1, first_seq=7))
    out.close()
    write_live(engine, records(2, 1))
    assert browser.get("/api/explain/101-ETHUSDT").json["result"]["scores"]["long"] == 51.0
    assert browser.get("/api/explain/9-ETHUSDT").json["result"]["scores"]["long"] == 52.0
    refused = browser.get("/api/explain/55-ETHUSDT")
    assert refused.status_code == 404 and refused.json["retExtInfo"]["hint"]


def test_a_symbol_without_decisions_shows_its_present_values(browser: Browser) -> None:
    e = browser.get("/api/explain/BTCUSDT").json["result"]
    assert set(e) >= KEYS and e["live"] is True and e["id"] == "" and "no decision yet" in e["words"][0]
    assert browser.get("/api/explain/NOSUCHUSDT").status_code == 404


def test_funnel_over_rest(engine: EnginePart, browser: Browser) -> None:
    rows = np.zeros(2, FUNNEL.dtype)
    rows["symbol"] = [0, 1]
    rows["looks"][0, [0, Gate.SPREAD, Gate.SCORE_WATCH]] = [5, 20, 75]
    rows["looks"][1, [Gate.SCORE_ARM, Gate.MAX_POSITIONS, FUNNEL_ACCEPTED]] = [100, 3, 2]
    engine.plant.funnel().write_rows(np.arange(2), 2, rows)
    f = browser.get("/api/funnel").json["result"]
    assert (f["window_s"], f["evaluations"], f["accepted"]) == (3600, 200, 2)
    gates = {g["name"]: g for g in f["gates"]}
    assert gates["SPREAD"] == {"name": "SPREAD", "stage": "symbol", "passed": 180, "blocked": 20}
    assert gates["SCORE_ARM"]["passed"] == 5 and gates["SKIP_VOLATILITY"]["passed"] == 5
    assert gates["MAX_POSITIONS"] == {"name": "MAX_POSITIONS", "stage": "execution", "passed": 2, "blocked": 3}
    assert f["top_blockers"] == [
        {"symbol": "ETHUSDT", "gate": "SCORE_ARM", "share": 1.0, "count": 100},
        {"symbol": "BTCUSDT", "gate": "SCORE_WATCH", "share": 0.75, "count": 75},
    ]


def test_the_funnel_forgets_what_is_older_than_an_hour_and_survives_a_restarted_shard(engine: EnginePart) -> None:
    board, minute = engine.plant.funnel(), 60 * 10**9
    measured = Funnel(engine.plant)
    row = np.zeros(1, FUNNEL.dtype)
    for k in range(200):
        row["looks"][0, Gate.SPREAD] = 10 * k
        board.write(0, row)
        measured.look(k * minute)
    answer = measured.answer({}, 199 * minute)
    assert answer["covered_s"] == 3600 and answer["evaluations"] == 600
    row["looks"][0, Gate.SPREAD] = 7
    board.write(0, row)
    assert measured.answer({}, 199 * minute + 1)["evaluations"] == 7
    measured.clear(100 * minute)  # a replay went back: its board counts from the run's beginning on, and so it is told
    answer = measured.answer({}, 110 * minute)
    assert (answer["covered_s"], answer["evaluations"]) == (600, 7)


@pytest.mark.parametrize("seed", range(3))
def test_what_enters_a_gate_leaves_it_or_is_blocked_there(seed: int) -> None:
    looks = np.random.default_rng(seed).integers(0, 1000, (4, N_FUNNEL))
    left = (answer := funnel(looks, {}))["evaluations"]
    for gate in answer["gates"][: len(GATES)]:
        assert gate["passed"] + gate["blocked"] == left
        left = gate["passed"]
    assert left == looks[:, 0].sum()
