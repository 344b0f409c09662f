"""The gateway process: `python -m gateway.market_data --run RUN.json`.

The run description names the source: tapes when it has any, else the public side of an exchange (mainnet, testnet or
the embedded venue, by addresses). Exit codes: 0 orderly stop, 1 unexpected, 2 a tape cannot be used,
3 the configuration is wrong; each with cause and fix on standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from config.load import ConfigError, load
from config.schema import Settings
from gateway.free_source import FreeSource
from gateway.tape import TapeError
from gateway.tape_source import TapeSource
from shm.agent import Beat, StopFlag, die_with_parent, run
from shm.run_spec import RunSpec
from shm.scheduling import go_first
from shm.topology import Plant

EXIT_USAGE = 2
EXIT_CONFIG = 3


def settings_of(spec: RunSpec) -> Settings:
    """The configuration as the files of this run say it now. Raises ConfigError."""
    return load([Path(name) for name in spec.config_files], os.environ, spec.overrides).settings


def run_tape(plant: Plant, settings: Settings, flag: StopFlag) -> int:
    """Read the run's tapes to the end, then wait for the stop word."""
    plant.cnc().start()
    try:
        source = TapeSource(plant, settings, flag, lambda: settings_of(plant.spec))
    except TapeError as error:
        plant.cnc().fail(error)
        print(f"gateway: {error}", file=sys.stderr)
        return EXIT_USAGE
    return run(source, plant, flag=flag)


def run_live(plant: Plant, settings: Settings, flag: StopFlag) -> int:
    """Connect and serve until the stop word."""
    beat = Beat(plant)
    beat.start()
    try:
        asyncio.run(FreeSource(plant, settings, beat, flag, lambda: settings_of(plant.spec)).run())
    except Exception as error:
        print(f"gateway: {type(error).__name__}: {error}", file=sys.stderr)
        beat.end(error)
        raise
    return beat.end()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="gateway.market_data", description="public market data to the market rings")
    parser.add_argument("--run", required=True, help="run description (run.json)")
    arguments = parser.parse_args(argv)
    die_with_parent()
    go_first()
    flag = StopFlag()
    flag.install()
    plant = Plant.join(arguments.run, "gateway")
    try:
        settings = settings_of(plant.spec)
    except ConfigError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return EXIT_CONFIG
    if plant.spec.tape:
        return run_tape(plant, settings, flag)
    if plant.spec.venue is None:
        print("gateway: the run names neither a tape nor an exchange. Give --tape or --venue.", file=sys.stderr)
        return EXIT_USAGE
    return run_live(plant, settings, flag)


if __name__ == "__main__":
    sys.exit(main())
