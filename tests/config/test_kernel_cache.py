"""A kernel is found again exactly as long as nothing it can reach by imports has changed."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import kernel_cache
from core.engine.engine import run_cells
from core.jit import _CacheFile


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """caller -> (multi-line import) middle -> sub.leaf; `other` stands alone."""
    files = {
        "pack/__init__.py": "", "pack/caller.py": "from pack.middle import (\n    helper,  # why (not)\n    more,\n)\n",
        "pack/middle.py": "import pack.sub.leaf, os\nfrom pack import sub\n", "pack/sub/__init__.py": "",
        "pack/sub/leaf.py": "X = 1\n", "lone/__init__.py": "", "lone/other.py": "import numpy\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(kernel_cache, "ROOT", tmp_path)
    yield tmp_path
    forget()


def forget() -> None:
    for remembered in (kernel_cache._source, kernel_cache.closure_digest, kernel_cache.tuples_digest):
        remembered.cache_clear()


def digest(path: Path) -> str:
    forget()
    return kernel_cache.closure_digest(path)


@pytest.mark.parametrize("edited", ["pack/caller.py", "pack/middle.py", "pack/sub/leaf.py", "pack/sub/__init__.py"])
def test_every_reachable_file_counts(project: Path, edited: str) -> None:
    before = digest(project / "pack/caller.py"), digest(project / "lone/other.py")
    (project / edited).write_text((project / edited).read_text() + "Y = 2\n")
    assert digest(project / "pack/caller.py") != before[0]
    assert digest(project / "lone/other.py") == before[1]


def test_file_times_do_not_count(project: Path) -> None:
    before = digest(project / "pack/caller.py")
    (project / "pack/sub/leaf.py").touch()
    assert digest(project / "pack/caller.py") == before


def test_kernels_are_kept_there() -> None:
    import inspect

    file = Path(inspect.getfile(run_cells.py_func if hasattr(run_cells, "py_func") else run_cells))
    stamp = kernel_cache.closure_digest(file.resolve())
    assert len(stamp) == 16
    cache = getattr(run_cells, "_cache", None)
    if cache is not None and hasattr(cache, "cache_path"):
        assert Path(cache.cache_path).parts[-2:] == ("core.engine.engine", stamp)


STATE = "class State(NamedTuple):\n    '''All of it.'''\n\n    price: Any  # int64[:]\n    qty: Any\n"


@pytest.mark.parametrize(("edited", "counts"), [
    (STATE.replace("price: Any", "cost: Any"), True),
    (STATE.replace("class State", "class Book"), True),
    ("class State(NamedTuple):\n    '''All of it.'''\n\n    qty: Any\n    price: Any\n", True),
    (STATE.replace("int64[:]", "int64[n]").replace("All of it", "Everything"), False),
    (STATE + "class Pair(NamedTuple):\n    left: int\n", False),  # holds no arrays
])
def test_tuples_of_arrays_count_for_every_kernel(project: Path, edited: str, counts: bool) -> None:
    """A kernel reads the fields of a tuple whose class its module never imports."""
    (project / "core").mkdir()
    (project / "core/state.py").write_text(STATE)
    before = digest(project / "lone/other.py")
    (project / "core/state.py").write_text(edited)
    assert (digest(project / "lone/other.py") != before) is counts


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", ["cut", "empty", "class gone"])
def test_files_that_cannot_be_read_are_made_again(
    tmp_path: Path, suffix: str, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _CacheFile(str(tmp_path), "kernel-1", "stamp")
    module = types.ModuleType("gone_tomorrow")
    module.Key = type("Key", (tuple,), {"__module__": "gone_tomorrow"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gone_tomorrow", module)
    key, data = (module.Key([1]), "x"), module.Key([2])
    made.save(key, data)
    assert made.load(key) == data
    file = next(tmp_path.glob(f"*.{suffix}"))
    if damage == "class gone":
        monkeypatch.delitem(sys.modules, "gone_tomorrow")
    else:
        file.write_bytes(file.read_bytes()[: -5 if damage == "cut" else 0])
    assert _CacheFile(str(tmp_path), "kernel-1", "stamp").load(key) is None
    monkeypatch.setitem(sys.modules, "gone_tomorrow", module)
    made.save(key, data)
    assert made.load(key) == data
