"""Every frame of every recording: scanner, msgspec path and naive twin say the same."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from gateway.bybit.decode import Outcome
from tests.gateway.bybit.decode_helpers import Rig, instrument_steps, read_tape
from tests.shared_data import SHARED, fixture

REAL = "bybit_v5_linear_20260809_BTCUSDT_DOGEUSDT.frames.gz"
DERIVED = "DERIVED_bybit_shape_from_binance_20240718_BTC_ETH.frames.gz"
OLD_BOOK = "2024-12-01_XRPUSDT_ob500.jsonl"
STEPS_2024 = {"BTCUSDT": ("0.10", "0.001"), "ETHUSDT": ("0.01", "0.001"), "XRPUSDT": ("0.0001", "1")}


def _count(rig: Rig, frames: list[bytes]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for frame in frames:
        decoded, scanned = rig.all_three(frame)
        counts[decoded.kind.name] += 1
        counts["scanned"] += scanned
    return counts


def test_real_tape_is_decoded_by_the_scanner() -> None:
    counts = _count(Rig(instrument_steps()), read_tape(REAL))
    assert counts == {"DECODED": 1210, "scanned": 1210, "OTHER": 17}


def test_archive_lines_with_line_ends() -> None:
    counts = _count(Rig(STEPS_2024), read_tape(OLD_BOOK))
    assert counts == {"DECODED": 50, "scanned": 50}


@pytest.mark.parametrize("step", [17, pytest.param(1, marks=pytest.mark.slow)])
def test_derived_tape(step: int) -> None:
    frames = read_tape(DERIVED)[::step]
    counts = _count(Rig(STEPS_2024), frames)
    assert counts == {"DECODED": len(frames), "scanned": len(frames)}


def test_binance_frames_are_not_ours() -> None:
    for frame in read_tape("binance_usdm_raw_btcusdt_20240718.gz")[:300]:
        assert Rig().all_three(frame)[0].kind is Outcome.REJECTED



def test_documentation_examples() -> None:
    """One line per example of Bybit's documentation pages; REST answers and requests among them."""
    steps = dict.fromkeys(("BTCUSDT", "MNTUSDT"), ("0.1", "0.001")) | {"ROSEUSDT": ("0.00001", "0.1")}
    rig = Rig(steps | {"BTC-26DEC25": ("0.5", "0.001")})
    counts: Counter[str] = Counter()
    for line in fixture("docs_examples/bybit_docs_json_examples.jsonl").read_bytes().splitlines():
        row = json.loads(line)
        frame = json.dumps(row["json"], separators=(",", ":")).encode()
        decoded, scanned = rig.all_three(frame)
        assert rig.slow(json.dumps(row["json"], indent=2).encode())[0].kind is decoded.kind
        if row["page"].startswith("docs/v5/websocket/public"):
            counts[decoded.kind.name] += 1
            counts["scanned"] += scanned
    assert counts["DECODED"] == counts["scanned"] == 7, counts  # two books, trade, two tickers, kline, liquidation


@pytest.mark.parametrize(
    ("name", "kind", "scanned"),
    [
        ("ws_orderbook_delta", Outcome.DECODED, True),
        ("ws_orderbook_snapshot", Outcome.DECODED, True),
        ("ws_public_trade", Outcome.UNKNOWN_TOPIC, False),
        ("ws_kline", Outcome.DECODED, True),
        ("ws_ticker_linear", Outcome.DECODED, True),
        ("ws_subscription_ack", Outcome.OTHER, False),
        ("ws_subscription_failure", Outcome.OTHER, False),
        ("ws_auth_success", Outcome.OTHER, False),
        ("ws_auth_failure", Outcome.OTHER, False),
        ("ws_order_response", Outcome.OTHER, False),
        ("ws_account_order", Outcome.OTHER, False),
        ("ws_account_execution_fast", Outcome.OTHER, False),
    ],
)
def test_adapter_fixtures(name: str, kind: Outcome, scanned: bool) -> None:
    rig = Rig({"BTCUSDT": ("0.1", "0.001")})
    pretty = fixture(f"nautilus/{name}.json").read_bytes()
    assert rig.all_three(pretty)[0].kind is kind
    compact = json.dumps(json.loads(pretty), separators=(",", ":")).encode()
    decoded, by_scanner = rig.all_three(compact)
    assert (decoded.kind, by_scanner) == (kind, scanned)


def test_every_adapter_fixture_survives() -> None:
    fixture("nautilus/ws_kline.json")
    rig = Rig()
    for path in sorted((SHARED / "nautilus").glob("*.json")):
        rig.all_three(path.read_bytes())
