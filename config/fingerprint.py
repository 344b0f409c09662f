"""Names the kernel cache after what was compiled, so that an edited callee can never run as its old self."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from config.paths import ROOT

KERNEL_FOLDERS = ("core", "shm", "gateway")


def source_digest(folders: tuple[str, ...] = KERNEL_FOLDERS, root: Path = ROOT) -> str:
    """Sixteen hex digits over every Python source below `folders` (also the code hash of a run)."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_dir(root: Path = ROOT) -> Path:
    """Folder for numba's cache: sources, versions and machine in its name; beside the checkout, else the user's cache."""
    text = f"{source_digest(root=root)}|{sys.version}|{version('numba')}|{version('llvmlite')}|{platform.machine()}"
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    base = root / ".cache"
    if not os.access(root, os.W_OK):
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "scalper"
    return base / "numba" / name


def use_cache(root: Path = ROOT) -> Path:
    """Point numba at the cache (before it is imported) unless the caller chose one."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return Path(chosen)
    folder = cache_dir(root)
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    return folder


def prune(folder: Path, keep: int = 2) -> None:
    """Remove caches of older sources beside `folder`, all but the `keep` youngest."""
    others = [path for path in folder.parent.iterdir() if path.is_dir() and path != folder]
    for path in sorted(others, key=lambda p: p.stat().st_mtime, reverse=True)[keep:]:
        shutil.rmtree(path, ignore_errors=True)
