"""What the verbs of the command line share: options, settings, kernels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from config.load import ConfigError, Loaded, load
from config.paths import default_data_dir
from workers.cli_errors import EXIT_CONFIG, Fault

MODES = click.Choice(["SIM", "PAPER", "DRY_RUN", "LIVE"], case_sensitive=False)
data_dir_option = click.option(
    "--data-dir", "--userdir", type=click.Path(path_type=Path), default=None, help="where data lives [data/]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="machine output: the last line is one JSON object")
config_option = click.option(
    "-c", "--config", "config_files", multiple=True, type=click.Path(path_type=Path), help="TOML layered on top (repeatable)"
)


def data_dir_of(value: Path | None) -> Path:
    """`--data-dir`, else the environment, else `data/`."""
    return value.expanduser().resolve() if value else default_data_dir()


def compile_kernels() -> None:
    """Fill the kernel cache, with a progress bar on standard error; at once when it is warm."""
    from workers.compiling import CompileError, warm

    try:
        warm(Path(os.environ["NUMBA_CACHE_DIR"]))
    except CompileError as error:
        raise Fault(1, str(error)) from None


def load_config(files: tuple[Path, ...], overrides: dict[str, Any]) -> Loaded:
    """Settings from every layer; all faults in one message, exit code 3."""
    try:
        return load(files, os.environ, overrides)
    except ConfigError as error:
        raise Fault(EXIT_CONFIG, "config: " + "\n   ".join(error.errors)) from None


def mode_name(mode: str) -> str:
    """As the settings have it: PAPER is another word for SIM."""
    return {"PAPER": "SIM"}.get(mode.upper(), mode.upper())


def mode_of(mode: str | None, settings: Any) -> str:
    """`--mode`, else what the settings say."""
    return mode_name(mode) if mode else settings.trading.mode
