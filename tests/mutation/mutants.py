"""Mutants of a module: one small mistake each, made in its syntax tree.

    comparison flipped or at its neighbour (< <=, == !=, in not in) · and/or swapped · not and minus dropped
    + - * // / exchanged · min/max exchanged · number off by one · True/False exchanged
    condition always true or always false · element of a table, set or sum dropped
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import NamedTuple

COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.Mod: ast.Mult,
}
NAMES = {"min": "max", "max": "min"}


class Mutant(NamedTuple):
    """`key` names the mistake independently of line numbers; `source` is the whole wrong module."""

    key: str
    source: str


class _Change(NamedTuple):
    node: ast.AST
    do: Callable[[], None]
    undo: Callable[[], None]


def _set(node: ast.AST, name: str, value: object) -> _Change:
    old = getattr(node, name)
    return _Change(node, lambda: setattr(node, name, value), lambda: setattr(node, name, old))


def _item(node: ast.AST, items: list, at: int, value: object) -> _Change:
    old = items[at]

    def do() -> None:
        items[at] = value

    def undo() -> None:
        items[at] = old

    return _Change(node, do, undo)


def _drop(node: ast.AST, items: list, at: int) -> _Change:
    old = items[at]
    return _Change(node, lambda: items.pop(at) and None, lambda: items.insert(at, old))


def _changes(node: ast.AST) -> Iterator[_Change]:
    if isinstance(node, ast.Compare):
        for at, op in enumerate(node.ops):
            for other in COMPARE.get(type(op), ()):
                yield _item(node, node.ops, at, other())
    elif isinstance(node, ast.BoolOp):
        yield _set(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
        if len(node.values) > 2:
            for at in range(len(node.values)):
                yield _drop(node, node.values, at)
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        yield _set(node, "op", ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield _set(node, "op", ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not())
        if isinstance(node.op, ast.Not):
            yield _set(node, "operand", ast.UnaryOp(ast.Not(), node.operand))
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield _set(node, "value", not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield _set(node, "value", node.value + 1)
        yield _set(node, "value", node.value - 1)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMES:
        yield _set(node, "func", ast.Name(NAMES[node.func.id], ast.Load()))
        for at in range(len(node.args) if len(node.args) > 2 else 0):
            yield _drop(node, node.args, at)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        yield _set(node, "test", ast.Constant(True))
        yield _set(node, "test", ast.Constant(False))
    elif isinstance(node, ast.Tuple | ast.Set) and len(node.elts) > 2 and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        for at in range(len(node.elts)):
            yield _drop(node, node.elts, at)


def _skipped(tree: ast.Module) -> set[int]:
    """Nodes whose meaning is none: annotations, documentation, `not` and `-` that stay themselves."""
    found: set[int] = set()
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            note = getattr(node, name, None)
            if note is not None:
                found |= {id(each) for each in ast.walk(note)}
        if isinstance(node, ast.AnnAssign) and node.value is None:
            found |= {id(each) for each in ast.walk(node)}
    return found


def _places(tree: ast.Module) -> dict[int, str]:
    """The statement on module or class level that every node belongs to, by name."""
    names: dict[int, str] = {}

    def visit(node: ast.AST, name: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            name = f"{name}.{node.name}" if name else node.name
        elif not name and isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            name = ast.unparse(target)
        names[id(node)] = name
        for child in ast.iter_child_nodes(node):
            visit(child, name)

    visit(tree, "")
    return names


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its text."""
    tree = ast.parse(source)
    skipped, places = _skipped(tree), _places(tree)
    parents = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    seen: dict[str, int] = {}
    for node in ast.walk(tree):
        if id(node) in skipped or not places.get(id(node)):
            continue
        for change in _changes(node):
            shown = change.node
            while isinstance(shown, ast.Constant | ast.UnaryOp | ast.Tuple) and isinstance(parents.get(id(shown)), ast.expr):
                shown = parents[id(shown)]
            before = ast.unparse(shown)
            change.do()
            try:
                text = ast.unparse(tree)
                after = ast.unparse(shown)
            finally:
                change.undo()
            if after == before:
                continue
            key = f"{places[id(node)]}: {_difference(before, after)}"
            seen[key] = seen.get(key, 0) + 1
            yield Mutant(key if seen[key] == 1 else f"{key} #{seen[key]}", text)


def _difference(before: str, after: str, around: int = 36) -> str:
    """`before -> after`, cut to where they differ."""
    start = next((k for k, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
    end = next((k for k, (a, b) in enumerate(zip(reversed(before), reversed(after), strict=False)) if a != b), 0)
    start = max(0, start - around)
    end = max(0, end - around)
    return f"{before[start:len(before) - end]} -> {after[start:len(after) - end]}"
