"""A plant with its engine part, an admin server over it, and a browser that is logged in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from tests.admin.engine_part import EnginePart, make_plant
from tests.browser.stand_in import Running, browser_of, wait


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


@pytest.fixture
def page(running: Running, tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A browser that has followed the login link and shows moving rows."""
    driver = browser_of(tmp_path / "chromium")
    try:
        driver.get(f"{running.url}login#{running.server.auth.login_token}")
        wait(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "#grid-view .row:not([hidden])"))
        yield driver
    finally:
        driver.quit()
