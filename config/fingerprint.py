"""Folder of the kernel cache, and a digest of the sources.

The folder is named by interpreter, compiler and machine; what is in it is kept apart by source (`config/kernel_cache.py`).
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from config.paths import KERNEL_FOLDERS, ROOT


def source_digest(folders: tuple[str, ...] = KERNEL_FOLDERS, root: Path = ROOT) -> str:
    """Sixteen hex digits over every Python source below `folders` (also the code hash of a run)."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_dir(root: Path = ROOT) -> Path:
    """Folder for numba's cache: versions, machine and checks in its name; beside the checkout, else the user's cache."""
    text = (
        f"{sys.version}|{version('numba')}|{version('llvmlite')}|{version('numpy')}|{platform.machine()}"
        f"|{os.environ.get('NUMBA_BOUNDSCHECK', '')}"
    )
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


def is_warm(cache: Path) -> bool:
    """True when a warm-up of these very sources has finished."""
    return (cache / f"WARM-{source_digest()}").exists()


def mark_warm(cache: Path, keep: int = 3) -> None:
    """Note that these sources are compiled; of every module the `keep` youngest versions stay."""
    for module in cache.iterdir():
        if module.is_dir():
            versions = sorted(module.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
            for old in versions[keep:]:
                shutil.rmtree(old, ignore_errors=True)
        elif module.name.startswith("WARM-"):
            module.unlink(missing_ok=True)
    (cache / f"WARM-{source_digest()}").write_text("warmed\n")
