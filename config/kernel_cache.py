"""Where a compiled kernel is kept: under a digest of its source file and of everything that file imports.

numba's own cache looks at the file of the kernel alone and would run an edited callee as its old self. Here a kernel is
looked up under `<module>/<digest>`, the digest being over the sources its module can reach by imports inside the
project, and over the fields of every tuple of arrays: a kernel is handed such a tuple without importing its class. An edit
compiles what depends on it again and nothing else; the clock of a file does not matter.
numba asks for such a class by its setting CACHE_LOCATOR_CLASSES (set in `core/jit.py`).
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from numba import config
from numba.core.caching import _CacheLocator

from config.paths import KERNEL_FOLDERS

ROOT = Path(__file__).resolve().parent.parent
_TUPLE = re.compile(rb"^class (\w+)\(NamedTuple\):\n((?:[ \t]+.*\n|\n)+)", re.MULTILINE)
_FIELD = re.compile(rb"^    (\w+: *[\w.\[\], ]+?) *(?:#.*)?$", re.MULTILINE)
_IMPORT = re.compile(rb"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import\b|import[ \t]+([\w., \t]+))", re.MULTILINE)


@cache
def _source(path: Path) -> tuple[bytes, tuple[Path, ...]]:
    """(digest, project files imported) of one file. A package named in an import counts with all its modules."""
    text = path.read_bytes()
    found: set[Path] = set()
    for from_name, names in _IMPORT.findall(text):
        for name in [from_name] if from_name else names.split(b","):
            parts = name.split()[0].decode().split(".") if name.strip() else []
            if not parts:
                continue
            place = ROOT.joinpath(*parts)
            if place.is_dir():
                found.update(place.glob("*.py"))
            elif place.with_suffix(".py").is_file():
                found.add(place.with_suffix(".py"))
            while len(parts) > 1:  # importing a module runs the packages above it
                parts.pop()
                init = ROOT.joinpath(*parts, "__init__.py")
                if init.is_file():
                    found.add(init)
    return hashlib.sha256(text).digest(), tuple(sorted(found))


@cache
def tuples_digest() -> bytes:
    """Over module, name and fields of every NamedTuple that holds arrays (fields of type Any or ndarray)."""
    digest = hashlib.sha256()
    for folder in KERNEL_FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            for name, body in _TUPLE.findall(file.read_bytes()):
                fields = b";".join(_FIELD.findall(body))
                if b"Any" in fields or b"ndarray" in fields:
                    digest.update(file.relative_to(ROOT).as_posix().encode() + b":" + name + b":" + fields + b"\n")
    return digest.digest()


@cache
def closure_digest(path: Path) -> str:
    """Sixteen hex digits over the file, every project file it can reach by imports, and the tuples of arrays."""
    reached: set[Path] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file not in reached:
            reached.add(file)
            waiting.extend(_source(file)[1])
    digest = hashlib.sha256(tuples_digest())
    for file in sorted(reached):
        digest.update(file.relative_to(ROOT).as_posix().encode())
        digest.update(_source(file)[0])
    return digest.hexdigest()[:16]


class SourceLocator(_CacheLocator):
    """numba's question "where, and is it fresh?" answered by content instead of file times."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        path = Path(py_file).resolve()
        module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        self._stamp = closure_digest(path)
        self._folder = Path(config.CACHE_DIR) / module / self._stamp  # type: ignore[attr-defined]
        self._line = py_func.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        """Folder of the kernel's files."""
        return str(self._folder)

    def get_source_stamp(self) -> str:
        """Digest of the sources."""
        return self._stamp

    def get_disambiguator(self) -> str:
        """Line of the kernel in its file."""
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> SourceLocator | None:
        """None where no cache folder is set or the kernel is not of this project: numba's own places are asked then."""
        if not config.CACHE_DIR or not Path(py_file).resolve().is_relative_to(ROOT):  # type: ignore[attr-defined]
            return None
        return cls(py_func, py_file)
