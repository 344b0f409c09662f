"""Imports point down only; this test draws the picture of DESIGN.md back from the sources."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = {
    "config": set(),
    "core": {"config"},
    "shm": {"config", "core"},
    "gateway": {"config", "core", "shm"},
    "workers": {"config", "core", "shm", "gateway"},
    "admin": {"config", "core", "shm"},
}
ORDER_MODULES = {
    "gateway.order_link", "gateway.link_queue", "gateway.link_rest", "gateway.order_entry", "gateway.private_stream",
    "gateway.signed_rest", "gateway.signed_socket", "gateway.bybit.order_codec",
}
ORDER_USERS = {
    "workers/live.py", "workers/guardian.py", "workers/guardian_door.py", "workers/permit.py",
}
CORE_LIBRARIES = {
    "__future__", "collections", "dataclasses", "enum", "hashlib", "math", "numba", "numpy", "re", "typing", "config",
    "core", "struct", "zlib", "decimal", "fractions", "bisect", "functools", "statistics", "heapq",
}
CORE_CONFIG = {"config.schema"}


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_point_down(folder: str) -> None:
    ours = set(ALLOWED)
    for path in modules(folder):
        for name in imports(path):
            top = name.split(".")[0]
            if top in ours and top != folder:
                assert top in ALLOWED[folder], f"{path.relative_to(ROOT)} imports {name}"


def test_only_execution_and_the_guardian_can_reach_an_order_interface() -> None:
    for folder in ALLOWED:
        for path in modules(folder):
            relative = path.relative_to(ROOT).as_posix()
            if folder != "gateway" and relative not in ORDER_USERS:
                assert not imports(path) & ORDER_MODULES, relative
    market_data = imports(ROOT / "gateway/market_data.py") | imports(ROOT / "gateway/free_source.py")
    assert not market_data & ORDER_MODULES, "the gateway process trades nothing"


def test_core_is_pure() -> None:
    """No clock, socket, file, thread, log or randomness below `core/`."""
    for path in modules("core"):
        for name in imports(path):
            assert name.split(".")[0] in CORE_LIBRARIES, f"{path.relative_to(ROOT)} imports {name}"
            if name.startswith("config"):
                assert name in CORE_CONFIG, f"{path.relative_to(ROOT)} imports {name}"
        text = path.read_text()
        for word in (r"\bopen\(", r"\bprint\(", r"time_ns\(", r"np\.random"):
            assert not re.search(word, text), f"{path.relative_to(ROOT)} uses {word}"


def test_launch_needs_only_the_standard_library() -> None:
    tops = {name.split(".")[0] for name in imports(ROOT / "launch.py")}
    assert tops - {"config", "workers"} <= set(sys.stdlib_module_names)


def test_no_module_hides_a_standard_one() -> None:
    """Run by path, a sibling named like a standard module would shadow it."""
    bad = {"types", "queue", "signal", "statistics", "time", "logging", "select", "random", "json", "copy"}
    for folder in ALLOWED:
        for path in modules(folder):
            assert path.stem not in bad, path


def test_every_folder_explains_itself() -> None:
    for folder in ALLOWED:
        assert (ROOT / folder / "README.md").is_file(), f"{folder}/README.md is missing"
        for package in {path.parent for path in modules(folder)}:
            init = package / "__init__.py"
            assert init.is_file(), f"{package} lacks __init__.py"
            body = ast.parse(init.read_text()).body
            assert len(body) <= 2 and ast.get_docstring(ast.parse(init.read_text())), f"{init}: a docstring and nothing else"
