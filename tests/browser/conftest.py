"""A plant with its engine part, an admin server over it, and a browser that is logged in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from admin import controls
from tests.admin.engine_part import EnginePart, be_patient, make_plant
from tests.browser.stand_in import Running, browser_of, complaints, requested, wait


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)
    monkeypatch.setattr(controls, "ACK_TIMEOUT_S", 60.0)  # everybody beats here, and sees a kill in the end


@pytest.fixture
def symbols() -> int:
    """How many symbols the plant trades; a test may say otherwise."""
    return 120


@pytest.fixture
def engine(tmp_path: Path, symbols: int) -> Iterator[EnginePart]:
    plant = make_plant(tmp_path)
    part = EnginePart(plant, symbols=symbols)
    part.tick()
    part.start()
    yield part
    part.stop()
    plant.destroy()


@pytest.fixture
def running(engine: EnginePart, tmp_path: Path) -> Iterator[Running]:
    one = Running(tmp_path)
    yield one
    one.stop()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One browser for the tests of a file: its start costs more than most of them."""
    driver = browser_of(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """That browser as if just started: nobody is logged in (what a page keeps goes by its port, which is new), nothing is
    pressed, the window has its size, console and network log are empty."""
    ActionChains(chromium).reset_actions()
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})
    complaints(chromium), requested(chromium)
    yield chromium
    chromium.get("about:blank")  # the old page would ask its server for ever


@pytest.fixture
def page(running: Running, browser: webdriver.Chrome) -> webdriver.Chrome:
    """A browser that has followed the login link and shows moving rows."""
    browser.get(f"{running.url}login#{running.server.auth.login_token}")
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#grid-view .row:not([hidden])"))
    return browser
