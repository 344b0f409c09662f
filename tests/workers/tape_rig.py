"""A tape run with its journal, in one process: gateway core, shards, execution and recorder over real rings, turned by hand."""

from __future__ import annotations

from pathlib import Path

from gateway.tape_source import TapeSource
from shm.agent import StopFlag
from tests.workers.journal_rig import end_threads, market
from tests.workers.support import EAGER, System
from workers.recorder import Recorder

RINGS = {"market_cells": 1 << 18, "raw_cells": 1 << 18, "intent_slots": 1024, "report_slots": 1024}


def record_tape(folder: Path, seed: int, shards: int, seconds: float) -> Path:
    """A synthetic market as a tape, the run over it recorded; its data folder."""
    tape = folder / "market.frames"
    tape.write_bytes(b"".join(b"%d %s\n" % row for read in market(seed, seconds) for row in read))
    system = System(folder, shards=shards, paced=True, tape=[str(tape)], tape_speed=0.0, **RINGS)
    plant = system.join("recorder")
    recorder = Recorder(plant, EAGER)
    plant.cnc().start()
    recorder.on_start()
    try:
        source = TapeSource(system.join("gateway"), EAGER, StopFlag(), lambda: EAGER)
        source.on_start()
        while not (source.is_done and system.plant.control.get("drained")):
            source.do_work()
            system.settle()
            recorder.do_work()
        source.on_close()
    finally:
        system.destroy()
        recorder.on_close()
        end_threads(recorder)
    return folder / "data"
