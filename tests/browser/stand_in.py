"""An admin server in a thread of the test, Chromium with the switches all tests use, and small helpers."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Response
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from admin.server import AdminServer
from admin.web import ApiError, answer
from shm.topology import Plant
from tests.admin import made_decisions

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--window-size=1440,900",
)
NEEDS_BROWSER = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="no chromium and chromedriver on this machine (Debian: apt-get install chromium chromium-driver)",
)


class Running:
    """An admin server in a thread of this process."""

    def __init__(self, folder: Path) -> None:
        self.server = AdminServer(Plant.join(folder / "data" / "run" / "run.json", "admin"), environ={})
        serve_made_decisions(self.server)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._thread.start()
        assert self._ready.wait(120)

    async def _main(self) -> None:
        self.server.beat.start()
        await self.server.start()
        self.server.beat.running()
        self._ready.set()
        await self.server.serve()
        await self.server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.where.port}/"

    def stop(self) -> None:
        self.server.beat.request_stop()
        self._thread.join(120)
        assert not self._thread.is_alive()


def serve_made_decisions(server: AdminServer) -> None:
    """Explanations, decisions and the funnel are made up: pages are tested here, not where these come from."""
    app = server.app

    def put(rule: str, view: Callable[..., Response]) -> None:
        endpoint = next((r.endpoint for r in app.url_map.iter_rules() if r.rule.split("<")[0] == rule.split("<")[0]), None)
        if endpoint is None:
            endpoint = f"read.{rule}"
            app.add_url_rule(rule, endpoint, view)
        app.view_functions[endpoint] = view

    def explain(**path: str) -> Response:
        asked = next(iter(path.values()))
        number, _, symbol = asked.rpartition("-")
        if number == "404":
            raise ApiError(404, f"no decision '{asked}'", "GET /api/symbol/<symbol> lists the latest ones")
        gate = "NONE" if number == "4710" else "FLOW"
        return answer(made_decisions.explanation(symbol, int(number or 4711), gate))

    symbol_view = app.view_functions["read.symbol"]

    def symbol(symbol: str) -> Response:
        result: dict[str, Any] = json.loads(symbol_view(symbol=symbol).get_data())["result"]
        result |= {"explain": made_decisions.explanation(symbol), "decisions": made_decisions.decisions(symbol)}
        return answer(result)

    put("/api/explain/<wanted>", explain)
    put("/api/symbol/<symbol>", symbol)
    put("/api/funnel", lambda: answer(made_decisions.funnel()))


def browser_of(profile: Path) -> webdriver.Chrome:
    """Chromium with a profile folder of its own, its console and network noted down."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(DRIVER))


def wait(driver: webdriver.Chrome, true: Callable[[], Any], seconds: float = 240) -> Any:
    patient = WebDriverWait(driver, seconds, poll_frequency=0.02, ignored_exceptions=[StaleElementReferenceException])
    return patient.until(lambda _: true())


def texts(driver: webdriver.Chrome, css: str) -> list[str]:
    return driver.execute_script("return [...document.querySelectorAll(arguments[0])].map(n => n.textContent)", css)


def requested(driver: webdriver.Chrome) -> list[str]:
    """Every URL the browser asked for or opened a socket to."""
    urls = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            urls.append(message["params"]["request"]["url"])
        elif message["method"] == "Network.webSocketCreated":
            urls.append(message["params"]["url"])
    return urls


def complaints(driver: webdriver.Chrome) -> list[str]:
    """What the console said that is bad: script errors, refused styles, missing files."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
