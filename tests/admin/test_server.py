"""The admin as a process: binds, announces, serves, survives its own restart, ends in order, refuses unsafe addresses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from admin.server import BindRefused, listening_address
from config.paths import ROOT
from shm.control import ProcessState
from shm.run_spec import RunSpec
from shm.topology import Plant
from tests.admin.engine_part import EnginePart, make_plant

pytestmark = pytest.mark.timeout(900)
WAIT_S = 200.0  # an interpreter with everything in it starts, on a loaded machine
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def start(folder: Path, **environ: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "admin.server", "--run", str(folder / "data" / "run" / "run.json")],
        cwd=ROOT,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(true: Callable[[], object], process: subprocess.Popen) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def address_of(folder: Path) -> dict:
    return json.loads((folder / "data" / "run" / "admin.json").read_text())


def get(port: int, path: str) -> tuple[int, str]:
    with LOCAL.open(f"http://127.0.0.1:{port}{path}", timeout=WAIT_S) as answer:
        return answer.status, answer.read().decode()


def test_life_of_the_process(engine: EnginePart, tmp_path: Path) -> None:
    process = start(tmp_path)
    admin_file = tmp_path / "data" / "run" / "admin.json"
    page = engine.plant.cnc("admin")
    try:
        until(lambda: admin_file.exists() and page.state == ProcessState.RUN, process)
        told = address_of(tmp_path)
        assert told["port"] > 0 and told["ws_port"] > 0 and told["pid"] == process.pid == page.pid
        assert admin_file.stat().st_mode & 0o077 == 0
        assert get(told["port"], "/healthz") == (200, "ok\n")
        assert "scalper_symbols 10" in get(told["port"], "/metrics")[1]
        engine.plant.control.request_kill("cli")
        until(lambda: page.kill_seen_ns > 0, process)
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0 and out == "" and err == ""
    assert page.state == ProcessState.HALT and not admin_file.exists()
    assert (
        len(Plant.join(tmp_path / "data" / "run" / "run.json", "admin").control.kill_sources()) == 1
    )  # memory is intact


def test_stop_word_ends_it_and_sigint_does_not(engine: EnginePart, tmp_path: Path) -> None:
    process = start(tmp_path)
    page = engine.plant.cnc("admin")
    until(lambda: page.state == ProcessState.RUN, process)
    process.send_signal(signal.SIGINT)
    loops = page.loops
    until(lambda: page.loops > loops + 3, process)
    engine.plant.control.request_stop()
    out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_public_address_without_protection_is_refused(tmp_path: Path) -> None:
    plant = make_plant(tmp_path, admin={"host": "0.0.0.0", "port": 0})
    try:
        process = start(tmp_path)
        out, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 3 and out == ""
        assert "SCALPER_ADMIN_PASSWORD" in err and "SCALPER_ADMIN_HOSTS" in err and "127.0.0.1" in err
        assert plant.cnc("admin").state == ProcessState.FAIL and not (tmp_path / "data" / "run" / "admin.json").exists()
    finally:
        plant.destroy()


def test_a_taken_port_is_a_sentence_at_the_first_start_and_another_port_at_a_restart(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        plant = make_plant(tmp_path, admin={"host": "127.0.0.1", "port": port})
        try:
            process = start(tmp_path)
            out, err = process.communicate(timeout=WAIT_S)
            assert process.returncode == 3 and out == "" and "Traceback" not in err
            assert f"port {port} of 127.0.0.1 cannot be used" in err and "--admin-port" in err
            ports = tmp_path / "data" / "run" / "admin_ports.json"
            ports.write_text(json.dumps({"run_id": plant.spec.run_id, "port": port, "ws_port": port}))
            process = start(tmp_path)
            page = plant.cnc("admin")
            until(lambda: page.pid == process.pid and page.state == ProcessState.RUN, process)
            assert address_of(tmp_path)["port"] not in (0, port)
            plant.control.request_stop()
            assert process.communicate(timeout=WAIT_S) == ("", "")
        finally:
            plant.destroy()


def test_a_second_page_process_of_a_run_is_refused_and_takes_nothing_from_the_first(tmp_path: Path) -> None:
    plant = make_plant(tmp_path)
    first = start(tmp_path)
    try:
        page = plant.cnc("admin")
        until(lambda: page.pid == first.pid and page.state == ProcessState.RUN, first)
        told = address_of(tmp_path)
        second = start(tmp_path)
        out, err = second.communicate(timeout=60)
        assert second.returncode == 7 and out == "" and "Traceback" not in err
        assert f"process {first.pid} serves the page of this run already" in err and "launch.py status" in err
        assert page.pid == first.pid and address_of(tmp_path) == told and get(told["port"], "/healthz")[0] == 200
        first.kill()
        first.communicate()
        third = start(tmp_path)
        until(lambda: page.pid == third.pid and page.state == ProcessState.RUN, third)
        plant.control.request_stop()
        assert third.communicate(timeout=60) == ("", "")
    finally:
        first.kill()
        first.communicate()
        plant.destroy()


@pytest.mark.parametrize(
    ("host", "environ", "password", "allowed"),
    [
        ("127.0.0.1", {}, None, True),
        ("localhost", {}, None, True),
        ("0.0.0.0", {}, None, False),
        ("10.0.0.5", {}, "h", False),
        ("10.0.0.5", {"SCALPER_ADMIN_HOSTS": "desk.example"}, None, False),
        ("::1", {}, "h", False),
        ("10.0.0.5", {"SCALPER_ADMIN_HOSTS": "desk.example"}, "h", True),
        ("example.org", {}, None, False),
    ],
)
def test_listening_address(host: str, environ: dict, password: str | None, allowed: bool) -> None:
    spec = RunSpec(run_id="r", admin={"host": host, "port": 0})
    if not allowed:
        with pytest.raises(BindRefused):
            listening_address(spec, environ, password)
        return
    where = listening_address(spec, environ, password)
    assert where.secure == bool(environ)
    if environ:
        assert where.origins() >= {"https://desk.example"} and where.ws_url("desk.example") == "wss://desk.example/push"
