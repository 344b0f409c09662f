"""The only door to an order: what it does per mode, and that the sources have no other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from core.constants import FLAG_EXTERNAL
from core.enums import Gate, Mode, OrderRole, ReportKind
from core.orders.exchange_desk import ExchangeDesk
from core.orders.router import DRY_RUN_ID, LINK_ID_MAX, ExecutionRouter, LiveUnavailable, Order, link_id
from core.position.position import Grid
from core.risk.policy import Instrument

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("config", "core", "shm", "gateway", "workers", "admin")
DOOR = Path("core/orders/router.py")
INSTRUMENT = Instrument(3, "1000PEPEUSDT", 1, 0, Grid(1, 1, 4), 0.01, 0.01, 1, 0, 0, 0, 0, True, False)
ORDER = Order(7, 3, "1000PEPEUSDT", -1, 50, 1234, 1240, 1200, 99, 3, 41, 0x7FFFFFFFFFFF)


def test_sim_accepts():
    router = ExecutionRouter(Mode.SIM)
    report, label = router.submit(ORDER, 1000, INSTRUMENT)
    assert (report.kind, report.order_id, report.qty_lots, report.effect_ns) == (ReportKind.ACCEPTED, 7, 50, 1000)
    assert (report.seq, report.symbol, report.side, report.flags) == (ORDER.seq, 3, -1, 3)
    assert label == link_id(ORDER)
    assert len(label) <= LINK_ID_MAX
    assert label.replace("-", "").replace("_", "").isalnum()
    assert router.sent == 1


def test_dry_run_sends_nothing():
    router = ExecutionRouter(Mode.DRY_RUN)
    report, label = router.submit(ORDER, 1000, INSTRUMENT)
    assert (report.kind, report.reason, report.order_id) == (ReportKind.REJECTED, Gate.MODE, 0)
    assert label == DRY_RUN_ID == "DRY-RUN"
    assert (router.sent, router.dry_runs) == (0, 1)


def test_live_refuses_to_be_made_without_a_desk():
    with pytest.raises(LiveUnavailable, match="SIM or DRY_RUN"):
        ExecutionRouter(Mode.LIVE)


@pytest.mark.parametrize("mode", [Mode.SIM, Mode.DRY_RUN])
def test_no_other_mode_may_have_a_desk(mode):
    with pytest.raises(LiveUnavailable):
        ExecutionRouter(mode, ExchangeDesk())


class Recorder:
    """A desk that takes everything, or refuses with `gate`."""

    ready = True

    def __init__(self, gate: Gate = Gate.NONE) -> None:
        self.gate = gate
        self.calls: list[tuple] = []

    def submit(self, *args):
        self.calls.append(("submit", *args))
        return self.gate

    def label(self, order):
        return f"desk-{order.order_id}"

    def cancel(self, *args):
        self.calls.append(("cancel", *args))
        return True

    def close(self, *args):
        self.calls.append(("close", *args))
        return True

    def protect(self, *args):
        self.calls.append(("protect", *args))
        return True


def test_live_hands_everything_to_the_desk():
    desk = Recorder()
    router = ExecutionRouter(Mode.LIVE, desk)
    router.now_ns = 5
    report, label = router.submit(ORDER, 50, INSTRUMENT, 500)
    assert label == "desk-7"
    assert (report.kind, report.flags) == (ReportKind.ACCEPTED, 3 | FLAG_EXTERNAL)
    router.cancel(3, 7)
    router.close(3, OrderRole.EXIT, 8)
    router.protect(3, 1230, None)
    assert desk.calls == [
        ("submit", 5, ORDER, INSTRUMENT, 49, 500), ("cancel", 5, 3, 7), ("close", 5, 3, OrderRole.EXIT, 8),
        ("protect", 5, 3, 1230, None),
    ]


def test_what_the_desk_refuses_is_a_refusal():
    router = ExecutionRouter(Mode.LIVE, Recorder(Gate.FEED))
    report, label = router.submit(ORDER, 50, INSTRUMENT)
    assert (report.kind, report.reason, label, router.sent) == (ReportKind.REJECTED, Gate.FEED, "", 0)


def test_link_ids_follow_from_the_decision_alone():
    assert link_id(ORDER) == link_id(ORDER._replace(order_id=99, qty_lots=1))
    assert link_id(ORDER) != link_id(ORDER._replace(side=1))


def sources():
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def accepted_outside_comparisons(tree: ast.AST) -> list[int]:
    """Lines that use ReportKind.ACCEPTED (or an alias of it) for something else than comparing or naming it."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    aliases = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            pairs = zip(target.elts, value.elts, strict=False) if isinstance(target, ast.Tuple) and isinstance(
                value, ast.Tuple) else [(target, value)]
            aliases |= {
                name.id for name, given in pairs if isinstance(name, ast.Name)
                and any(isinstance(n, ast.Attribute) and n.attr == "ACCEPTED" for n in ast.walk(given))
            }
    lines = []
    for node in ast.walk(tree):
        direct = isinstance(node, ast.Attribute) and node.attr == "ACCEPTED"
        alias = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in aliases
        if not direct and not alias:
            continue
        at: ast.AST = node
        while at in parents and not isinstance(at, ast.stmt):
            at = parents[at]
            if isinstance(at, ast.Compare):
                break
        named = isinstance(at, ast.Assign) and isinstance(at.targets[0], ast.Name | ast.Tuple)
        if not isinstance(at, ast.Compare) and not named:
            lines.append(node.lineno)
    return lines


def test_nothing_else_accepts_orders():
    for path in sources():
        if path.relative_to(ROOT) != DOOR:
            assert not accepted_outside_comparisons(ast.parse(path.read_text())), path


def test_the_reader_of_sources_sees_what_it_should():
    bad = "A = int(ReportKind.ACCEPTED)\nreport.kind = A\nf(kind=ReportKind.ACCEPTED)\nif k == ReportKind.ACCEPTED: pass\n"
    assert accepted_outside_comparisons(ast.parse(bad)) == [2, 3]


def test_nothing_talks_to_an_order_interface():
    """No order client and no order endpoint outside the venue (which is the exchange's side)."""
    words = ("place_order", "/v5/order", "order.create", "unified_trading", "set_trading_stop")
    for path in sources():
        relative = path.relative_to(ROOT)
        if relative == DOOR or relative.parts[:2] in (("gateway", "venue"), ("core", "sim")):  # the side of the exchange
            continue
        tree = ast.parse(path.read_text())
        docs = {id(n.body[0].value) for n in ast.walk(tree)
                if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                and n.body and isinstance(n.body[0], ast.Expr)}
        for node in ast.walk(tree):
            text = ""
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                text = node.value
            elif isinstance(node, ast.Attribute):
                text = node.attr
            elif isinstance(node, ast.ImportFrom):
                text = node.module or ""
            assert not any(word in text for word in words), f"{relative}:{getattr(node, 'lineno', 0)}: {text}"
