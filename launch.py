#!/usr/bin/env python3
"""The one door to Scalper: `python3 launch.py --shards 2`, `python3 launch.py test`, `python3 launch.py --help`.

On a bare Python >= 3.11 the first call makes `.venv` from `requirements.lock` (versions and hashes) and runs itself again
inside it. This file therefore uses the standard library only; everything else lives behind `workers.cli`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
MARKER = VENV / ".scalper-installed"
EXIT_PREFLIGHT = 5


def say(text: str) -> None:
    """Progress goes to standard error: standard output belongs to `--json`."""
    print(text, file=sys.stderr, flush=True)


def wanted() -> str:
    """What the environment must have been made from."""
    return f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()} {sys.version_info[0]}.{sys.version_info[1]}"


def installed() -> bool:
    """True when `.venv` was completely installed from the present lock file."""
    try:
        return MARKER.read_text().strip() == wanted()
    except OSError:
        return False


def run_step(title: str, command: list[str]) -> None:
    """Run one installation step, showing its output; on failure say what failed and how to go on, exit code 5."""
    say(f"  {title}")
    started = time.monotonic()
    try:
        code = subprocess.run(command, stdout=sys.stderr, cwd=ROOT).returncode
    except OSError as error:
        say(f"  cannot run {command[0]}: {error}")
        code = 1
    if code:
        say(
            f"E5 installation failed at: {' '.join(command)}\n"
            "   Cause: see the lines above (no package index in reach, no disk space, or no `venv` module).\n"
            "   Fix that and call the same command again; a half-made .venv is replaced."
        )
        raise SystemExit(EXIT_PREFLIGHT)
    say(f"  done in {time.monotonic() - started:.1f} s")


def install() -> None:
    """Make `.venv` from the lock file with uv where it is installed, else with pip."""
    say(f"First run: installing the pinned packages into {VENV.name}/ (once)")
    uv = shutil.which("uv")
    if uv and subprocess.run([uv, "--version"], capture_output=True).returncode:
        uv = None  # a shim without a program behind it
    python = str(VENV / "bin" / "python")
    if VENV.exists():
        shutil.rmtree(VENV)
    if uv:
        run_step("creating the environment (uv)", [uv, "venv", "--quiet", "--python", sys.executable, str(VENV)])
        command = [uv, "pip", "install", "--python", python, "--require-hashes", "-r", str(LOCK)]
    else:
        run_step("creating the environment (venv)", [sys.executable, "-m", "venv", str(VENV)])
        command = [python, "-m", "pip", "install", "--require-hashes", "--progress-bar", "on", "-r", str(LOCK)]
        command[4:4] = ["--disable-pip-version-check", "--no-input"]
    run_step("installing packages", command)
    MARKER.write_text(wanted() + "\n")


def ensure_environment() -> None:
    """Return inside the right environment; otherwise make it and replace this process by one that runs there."""
    if sys.version_info < (3, 11):
        say(f"E5 Python {sys.version.split()[0]} is too old: Scalper needs 3.11 or newer. Call it with python3.11 or later.")
        raise SystemExit(EXIT_PREFLIGHT)
    if os.environ.get("SCALPER_NO_VENV"):
        return  # the caller answers for the packages (containers, packagers)
    inside = Path(sys.prefix).resolve() == VENV.resolve()
    if inside and installed():
        return
    with (ROOT / ".venv.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # two first starts at once: one installs, the other waits
        if not installed():
            install()
    python = str(VENV / "bin" / "python")
    os.execv(python, [python, str(ROOT / "launch.py"), *sys.argv[1:]])


def keep_bytecode() -> None:
    """Where byte code may not lie beside its source (PYTHONDONTWRITEBYTECODE, usual in containers) it goes to `.cache`:
    without it each of the seven processes would compile two thousand modules at every start, over a second of CPU each."""
    if sys.dont_write_bytecode:
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(ROOT / ".cache" / "bytecode")
        sys.dont_write_bytecode = False
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def main() -> None:
    """Console entry point."""
    keep_bytecode()
    ensure_environment()
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from config.fingerprint import use_cache

    use_cache()
    from workers.cli import main as cli

    cli()


if __name__ == "__main__":
    main()
