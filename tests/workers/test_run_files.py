"""What a run was, on disk once; samples of the boards; the recorder puts both into the database."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sqlalchemy import select

from config.paths import DataPaths
from config.schema import Database, Settings, System
from core.records import ACCOUNT_ROW, SYMBOL_ROW
from shm.database.connect import database_url, reader
from shm.database.tables import balances, sessions
from shm.topology import Plant
from tests.core.engine.streams import symbol_record
from tests.workers.support import make_plant
from workers import journal_files
from workers.recorder import Recorder
from workers.run_files import RunFile


@pytest.fixture
def plant(tmp_path, monkeypatch):
    monkeypatch.delenv("SCALPER_DATABASE_URL", raising=False)
    made = make_plant(tmp_path)
    made.symbols().write(3, symbol_record(3, "BTCUSDT"))
    yield made
    made.destroy()


def lines(path) -> list[dict]:
    return [json.loads(text) for text in path.read_text().splitlines() if text.strip()]


def test_a_run_file_tells_the_run_once(plant, tmp_path):
    file = RunFile(tmp_path / "runs", plant, Settings())
    file.begin()
    file.turn()
    plant.symbols().write(5, symbol_record(5, "ETHUSDT"))
    file.turn()
    again = RunFile(tmp_path / "runs", plant, Settings())  # a restarted recorder
    again.begin()
    again.end()
    found = lines(file.path)
    assert [line["t"] for line in found][:3] == ["run", "instrument", "instrument"]
    assert len([line for line in found if line["t"] == "run"]) == 1
    assert found[-1]["t"] == "end"
    assert {line["name"]: line["id"] for line in found if line["t"] == "instrument"} == {"BTCUSDT": 3, "ETHUSDT": 5}
    assert found[0]["settings"]["trading"]["account"]["start_balance_usdt"] == 1000.0
    assert file.names == {3: "BTCUSDT", 5: "ETHUSDT"}


def test_a_disk_that_refuses_delays_the_lines(plant, tmp_path, monkeypatch):
    told = []
    file = RunFile(tmp_path / "runs", plant, Settings(), told.append)

    def full(*arguments):
        raise OSError(28, "no space left")

    monkeypatch.setattr(journal_files.os, "write", full)
    file.begin()
    monkeypatch.undo()
    assert told
    file.turn()
    assert [line["t"] for line in lines(file.path)] == ["run", "instrument"]


def test_the_recorder_samples_the_account_and_the_books(plant, tmp_path):
    account = ACCOUNT_ROW.dtype
    row = symbol_record(3, "BTCUSDT")
    board = Plant.join(tmp_path / "run.json", "execution")
    values = np.zeros(1, account)
    for name, value in (("balance_e8", 100), ("equity_e8", 107), ("margin_used_e8", 30), ("unrealised_e8", 7), ("updated_ns", 1)):
        values[name] = value
    board.account().write(0, values)
    symbol = np.zeros(1, SYMBOL_ROW.dtype)
    for name, value in (("symbol", 3), ("name_hash", row["name_hash"][0]), ("bid_ticks", 100), ("ask_ticks", 101),
                        ("tick_size", 0.5), ("lot_size", 0.1), ("bid_lots", 7)):
        symbol[name] = value
    plant.symbol_rows().write(3, symbol)
    recorder = Recorder(Plant.join(tmp_path / "run.json", "recorder"), Settings(system=System(database=Database())))
    recorder.cnc.start()
    recorder.on_start()
    recorder.do_work()
    recorder.on_close()
    paths = DataPaths(tmp_path / "data", "SIM")
    (account_file,) = paths.metrics_dir.glob("*/account.jsonl")
    sample = lines(account_file)[-1]
    assert (sample["equity_e8"], sample["available_e8"], sample["sid"]) == (107, 77, plant.spec.run_id)
    (top,) = paths.store_dir("orderbook").glob("*/top.jsonl")
    book = lines(top)[-1]
    assert (book["symbols"], book["bid"], book["ask"], book["bid_qty"], book["state"]) == (
        ["BTCUSDT"], [50.0], [50.5], [0.7], ["FLAT"])
    assert json.loads((paths.metrics_dir / "account.json").read_text())["balance_e8"] == 100
    assert recorder.database.drain()
    engine = reader(database_url(paths), "SIM")
    with engine.connect() as connection:
        found = connection.execute(select(balances.c.source, balances.c.equity_e8, balances.c.unrealised_pnl_e8)).all()
        session = connection.execute(select(sessions.c.status, sessions.c.symbols)).one()
    engine.dispose()
    assert set(found) == {("SAMPLE", 107, 7)}
    assert tuple(session) == ("STOPPED", ["BTCUSDT"])
