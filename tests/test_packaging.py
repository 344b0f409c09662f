"""The wheel holds our packages and nothing else; the lock names no host; the root holds only what the owner listed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"core", "workers", "gateway", "shm", "admin", "config", "tests", "bench"}


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return done.stdout.split()


def test_root_holds_only_what_was_agreed() -> None:
    tops = {name.split("/")[0] for name in tracked()}
    files = {"pyproject.toml", "launch.py", "README.md", "CHANGELOG.md", "LICENSE", "requirements.lock"}
    assert {top for top in tops if not top.startswith(".")} <= FOLDERS | files


def test_lock_has_versions_and_hashes_and_no_addresses() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text and "--index" not in text
    entries = re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ \\]+)", text, re.M)
    assert len(entries) == text.count("==") - text.count(" == ") - text.count("!=") or len(entries) > 40
    for block in re.split(r"\n(?=[a-z0-9])", text.strip()):
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_lock_satisfies_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["test"]
    locked = set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", (ROOT / "requirements.lock").read_text(), re.M))
    names = {re.split(r"[<>=!~ \[;]", line)[0].lower() for line in wanted}
    assert names <= locked


def test_no_other_distribution_provides_our_names() -> None:
    owners = packages_distributions()
    for name in FOLDERS - {"tests", "bench"}:
        others = [owner for owner in owners.get(name, []) if owner != "scalper"]
        assert others == [], f"{name} is also installed by another package"


def test_wheel_holds_only_our_packages(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for name in tracked():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    target.mkdir()
    script = "import setuptools.build_meta as b, sys; b.build_wheel(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", script, str(target)], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = target.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} <= (FOLDERS - {"tests", "bench"}) | {"launch.py"}
    assert "config/trading.toml" in names
