"""Exit codes of the command line, and the error that carries one."""

from __future__ import annotations

import errno
from typing import Any

import click

EXIT_OK, EXIT_UNEXPECTED, EXIT_USAGE, EXIT_CONFIG, EXIT_CREDENTIALS, EXIT_PREFLIGHT = 0, 1, 2, 3, 4, 5
EXIT_KILLED, EXIT_LOCKED, EXIT_CRASH_LOOP = 6, 7, 8


class Fault(click.ClickException):
    """An error in one sentence of cause and one of fix, with its exit code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]

    def show(self, file: Any = None) -> None:
        click.echo(f"E{self.exit_code} {self.message}", err=True)


FIXES = {
    errno.EACCES: "Run it as the owner of that place, or name another with --data-dir.",
    errno.EPERM: "Run it as the owner of that place, or name another with --data-dir.",
    errno.EROFS: "Name a place that can be written with --data-dir.",
    errno.ENOSPC: "Free some space, or name another disk with --data-dir.",
    errno.EDQUOT: "Free some space, or name another disk with --data-dir.",
}


def of_disk(error: OSError) -> Fault | None:
    """What the disk or the rights of the user refused, with the fix; None for anything else."""
    fix = FIXES.get(error.errno or 0)
    where = f"{error.filename}: " if error.filename else ""
    return Fault(EXIT_UNEXPECTED, f"{where}{error.strerror}. {fix}") if fix else None
