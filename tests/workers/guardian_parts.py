"""Stand-ins for the processes around a real guardian. `python -m tests.workers.guardian_parts PART RUN [PID FILE]`

execution   beats until it is killed; says that it has reconciled when asked to
supervisor  starts the guardian as its child, beats, and dies when it is killed
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from shm.agent import PARENT_VARIABLE, Beat
from shm.topology import Plant


def execution(run: str) -> None:
    plant = Plant.join(run, "execution")
    beat = Beat(plant)
    beat.start()
    beat.running()
    while not beat.tick():
        duty = plant.control.guardian_duty
        if duty:
            plant.control.exec_back = duty
        time.sleep(0.02)
    beat.end()


def supervisor(run: str, pid_file: str) -> None:
    plant = Plant.join(run, "supervisor")
    os.environ[PARENT_VARIABLE] = str(os.getpid())
    with Path(pid_file).with_suffix(".log").open("ab") as log:
        child = subprocess.Popen([sys.executable, "-m", "workers.guardian", "--run", run], stderr=log, stdout=log)
    Path(pid_file).write_text(str(child.pid))
    while child.poll() is None:
        plant.cnc().beat()
        time.sleep(0.02)
    sys.exit(child.returncode)


if __name__ == "__main__":
    {"execution": execution, "supervisor": supervisor}[sys.argv[1]](*sys.argv[2:])
