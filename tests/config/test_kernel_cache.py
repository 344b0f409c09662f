"""A kernel is found again exactly as long as nothing it can reach by imports has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import kernel_cache
from core.engine.engine import run_cells


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
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
    return tmp_path


def digest(path: Path) -> str:
    kernel_cache._source.cache_clear()
    kernel_cache.closure_digest.cache_clear()
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
