"""What pages say about gates and features: nothing is missing, nothing is said twice."""

from __future__ import annotations

from admin.catalogue import GATE_REASONS, GROUPS, OTHER, features_json, gate_reason, group_of
from core.enums import Gate
from core.features.registry import ALL_FEATURE_NAMES


def test_every_gate_has_a_reason_of_its_own() -> None:
    assert set(GATE_REASONS) == set(Gate)
    assert len(set(GATE_REASONS.values())) == len(Gate)
    assert gate_reason("FLOW") == GATE_REASONS[Gate.FLOW] and gate_reason("SOME_NEW_ONE") == "some new one"


def test_features_are_grouped_in_their_order() -> None:
    rows = features_json()
    assert [row["name"] for row in rows] == list(ALL_FEATURE_NAMES)
    assert all(row["meaning"] and row["unit"] for row in rows)
    titles = {title for title, _ in GROUPS}
    assert {row["group"] for row in rows} <= titles | {OTHER} and len({row["group"] for row in rows}) >= 5
    for name, title in (("wall_bid_x", "Walls"), ("liq_burst", "Leverage and news"), ("change_5m_pct", "Price"),
                        ("trades_surge", "Flow"), ("min_move_bps", "Volatility"), ("thinning", "Book"),
                        ("never_heard_of", OTHER)):  # fmt: skip
        assert group_of(name) == title
