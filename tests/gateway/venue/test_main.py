"""The command line: the first line on stdout, orderly ends, clear refusals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from gateway.venue.accounts import Accounts

ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 240.0


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.venue", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=WAIT_S)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_line_tells_the_addresses_and_a_signal_ends_it(number: signal.Signals) -> None:
    with started("--symbols", "3", "--seed", "4", "--accounts", "2", "--json") as process:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        assert list(line) == ["rest", "ws_public", "symbols", "seed", "pid", "control", "ws_private", "ws_trade", "accounts"]
        assert (line["symbols"], line["seed"], line["pid"]) == (3, 4, process.pid)
        assert line["ws_public"].endswith("/v5/public/linear")
        assert line["ws_private"] == line["ws_public"].replace("/v5/public/linear", "/v5/private")
        assert line["ws_trade"] == line["ws_public"].replace("/v5/public/linear", "/v5/trade")
        assert line["accounts"] == Accounts(2, seed=4).announced(), "keys follow from the seed"
        reply = requests.get(line["rest"] + "/v5/market/instruments-info?category=linear", timeout=WAIT_S).json()
        assert len(reply["result"]["list"]) == 3
        process.send_signal(number)
        assert process.wait(WAIT_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_duration_ends_it_and_its_ports_can_be_had_again() -> None:
    def run(port: str) -> dict[str, Any]:
        with started("--symbols", "XRPUSDT,MOONUSDT", "--duration", "0.2", "--json", "--port", port) as process:
            code = process.wait(WAIT_S)
            assert process.stdout is not None and process.stderr is not None
            said = process.stderr.read()
            if code == 2 and "Fix: use another --port" in said:
                return {}  # somebody else has it by now
            assert code == 0, said
            return json.loads(process.stdout.readline())

    for _ in range(5):
        first = run("0")
        assert first["symbols"] == 2
        second = run(first["rest"].rsplit(":", 1)[1])
        if second:
            break
    assert (first["rest"], first["ws_public"]) == (second["rest"], second["ws_public"])


def test_it_dies_with_its_parent() -> None:
    script = (
        "import subprocess, sys, os\n"
        "p = subprocess.Popen([sys.executable, '-m', 'gateway.venue', '--symbols', '1', '--json', '--with-parent'],"
        " stdout=subprocess.PIPE)\n"
        "print(p.pid, flush=True); p.stdout.readline(); print('up', flush=True); sys.stdin.read()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdin is not None
    child = int(parent.stdout.readline())
    assert parent.stdout.readline().strip() == "up"
    watch = os.pidfd_open(child)
    parent.kill()
    parent.wait(WAIT_S)
    parent.stdin.close()
    parent.stdout.close()
    import select

    assert select.select([watch], [], [], WAIT_S)[0], "the venue outlived its parent"
    os.close(watch)


@pytest.mark.parametrize(("arguments", "text"), [
    (["--symbols", "0"], "--symbols 0"), (["--symbols", "BTCUSDT,moon"], "moon"), (["--symbols", "-3"], "-3"),
    (["--symbols", "801"], "--symbols 801"), (["--rate", "0"], "--rate"),
    (["--port", "70000"], "--port"), (["--speed", "fast"], "--speed"), (["--tape", "/nowhere/x"], "/nowhere/x"),
    (["--scenario", "/nowhere/x.toml"], "/nowhere/x.toml"), (["--instruments", "/nowhere/x"], "/nowhere/x"),
    (["--seed", "-1"], "--seed"), (["--duration", "-1"], "--duration"), (["--accounts", "-1"], "--accounts"),
    (["--accounts", "1001"], "--accounts"), (["--deposit", "-1"], "--deposit"), (["--fault", "/nowhere/x.toml"], "/nowhere/x"),
    (["--latency-ms", "-1"], "--latency-ms"),
])
def test_bad_arguments_are_refused_with_cause_and_fix(arguments: list[str], text: str,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    from gateway.venue.__main__ import main

    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert text in captured.err and "Fix: " in captured.err
    assert captured.out == ""


def test_a_taken_port_is_refused_with_the_fix() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with started("--symbols", "1", "--port", str(taken.getsockname()[1])) as process:
            assert process.wait(WAIT_S) == 2
            assert process.stderr is not None
            assert "Fix: use another --port" in process.stderr.read()
