"""launch.py before its environment exists: standard library only, and byte code that survives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ASK = (
    "import os, sys, launch; launch.keep_bytecode(); "
    "print(sys.pycache_prefix, sys.dont_write_bytecode, os.environ.get('PYTHONPYCACHEPREFIX'),"
    " os.environ.get('PYTHONDONTWRITEBYTECODE'))"
)


@pytest.mark.parametrize("forbidden", [True, False])
def test_byte_code_is_kept_for_the_children_where_it_may_not_lie_beside_its_source(forbidden: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONDONTWRITEBYTECODE",
                                                                                   "PYTHONPYCACHEPREFIX")}
    if forbidden:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    said = subprocess.run([sys.executable, "-c", ASK], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    kept = str(ROOT / ".cache" / "bytecode")
    assert said.stdout.split() == ([kept, "False", kept, "None"] if forbidden else ["None", "False", "None", "None"])
    if not forbidden:
        return
    environment |= {"PYTHONPYCACHEPREFIX": kept}
    del environment["PYTHONDONTWRITEBYTECODE"]
    subprocess.run([sys.executable, "-c", "import config.schema"], cwd=ROOT, env=environment, check=True)
    assert list(Path(kept).rglob("schema.*.pyc"))
