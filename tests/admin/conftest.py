"""A plant with its engine part, and the admin's pieces around it without sockets."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from admin.server import AdminServer
from shm.topology import Plant
from tests.admin.engine_part import TOKEN, EnginePart, be_patient, make_plant


@contextmanager
def engine_on(folder: Path) -> Iterator[EnginePart]:
    """The engine's part on a plant with ten symbols, one tick old."""
    plant = make_plant(folder)
    part = EnginePart(plant)
    part.tick()
    yield part
    part.stop()
    plant.destroy()


@contextmanager
def admin_on(folder: Path) -> Iterator[AdminServer]:
    """An admin server joined to that plant, its address pretended bound: REST goes through the test client."""
    server = AdminServer(Plant.join(folder / "data" / "run" / "run.json", "admin"), environ={})
    server.where.port, server.where.ws_port = 8787, 8788
    server.where.cookie = "scalper_8787"
    yield server
    server.plant.close()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Iterator[None]:
    """A server is a circle of objects of 20 MB that nothing takes away in time: hundreds of them were 4 GB and 800 files."""
    yield
    gc.collect()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EnginePart]:
    with engine_on(tmp_path) as part:
        yield part


@pytest.fixture
def admin(engine: EnginePart, tmp_path: Path) -> Iterator[AdminServer]:
    with admin_on(tmp_path) as server:
        yield server


class Browser:
    """A logged-in client of the test application that sends what a page sends."""

    def __init__(self, server: AdminServer, login: bool = True) -> None:
        self.server = server
        self.client: FlaskClient = server.app.test_client()
        self.csrf = ""
        if login:
            answer = self.post("/api/login", {"token": TOKEN})
            assert answer.status_code == 200, answer.text
            self.csrf = answer.json["result"]["csrf"]

    def headers(self, **changes: str | None) -> dict[str, str]:
        sent = {
            "Host": "127.0.0.1:8787",
            "Origin": "http://127.0.0.1:8787",
            "X-CSRF-Token": self.csrf,
            "Content-Type": "application/json",
            **{key.replace("_", "-"): value for key, value in changes.items()},
        }
        return {key: value for key, value in sent.items() if value is not None}

    def get(self, path: str, **changes: str | None):
        return self.client.get(path, headers=self.headers(**changes), buffered=True)

    def post(self, path: str, content: dict | None = None, **changes: str | None):
        return self.client.post(path, json=content or {}, headers=self.headers(**changes))


@pytest.fixture
def browser(admin: AdminServer) -> Browser:
    return Browser(admin)
