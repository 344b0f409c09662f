"""Exit codes of the command line, and the error that carries one."""

from __future__ import annotations

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
