"""The trades and orders pages in Chromium over a real execution: trade, close, blacklist, mode, latency."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from config.latch_file import read_latch, write_latch
from tests.admin.engine_part import EnginePart, make_plant
from tests.admin.trading_part import TradingPart, no_hurry, wait_for_answers
from tests.browser.stand_in import NEEDS_BROWSER, Running, complaints, texts, wait

pytestmark = [pytest.mark.browser, NEEDS_BROWSER]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EnginePart]:
    """One picture of a market that stands still; execution is real."""
    no_hurry(monkeypatch)
    wait_for_answers(monkeypatch)
    plant = make_plant(tmp_path)
    part = EnginePart(plant)
    part.tick()
    trading = TradingPart(part)
    trading.start()
    yield part
    trading.stop()
    plant.destroy()


@pytest.fixture
def page(running: Running, browser: webdriver.Chrome) -> webdriver.Chrome:
    browser.get(f"{running.url}login#{running.server.auth.login_token}")
    wait(browser, lambda: browser.current_url == running.url)
    browser.get(f"{running.url}trades")
    wait(browser, lambda: texts(browser, "#view-state") == ["STREAMING"])
    return browser


def trade(page: webdriver.Chrome, symbol: str, sl: str, direction: str = "LONG", tp: str = "") -> str:
    """Fill in and send the form; what it says."""
    for name, value in (("symbol", symbol), ("sl", sl), ("tp", tp)):
        box = page.find_element(By.CSS_SELECTOR, f"#trade [name={name}]")
        box.clear()
        box.send_keys(value)
    page.find_element(By.CSS_SELECTOR, f"#trade [value={direction}]").click()
    page.find_element(By.ID, "trade-send").click()
    wait(page, lambda: texts(page, "#trade-said")[0] not in ("", "checking…"))
    return texts(page, "#trade-said")[0]


def open_positions(page: webdriver.Chrome) -> list[str]:
    return texts(page, "#positions-body .sym")


def test_trade_and_close_with_two_clicks(page: webdriver.Chrome, running: Running) -> None:
    assert "losing side" in trade(page, "btcusdt", "200000")
    assert trade(page, "btcusdt", "100900", tp="101900").startswith("Buy ")
    wait(page, lambda: open_positions(page) == ["BTCUSDT"])
    cells = texts(page, "#positions-body tr:first-child td")
    assert cells[9:12] == ["100900", "101900", cells[11]] and cells[12].endswith("%")
    close = page.find_element(By.CSS_SELECTOR, "#positions-body .act .button:last-child")
    assert close.text == "Close"
    close.click()
    wait(page, lambda: "armed" in close.get_attribute("class") and close.text.startswith("Close ") and "✓" in close.text)
    wait(page, lambda: close.text == "Close")  # nothing happened: it disarms by itself
    assert open_positions(page) == ["BTCUSDT"]
    close.click()
    wait(page, lambda: "✓" in close.text)
    close.click()
    wait(page, lambda: open_positions(page) == [])
    wait(page, lambda: "filled" in texts(page, "#recent-body tr td:nth-child(4)"))
    assert complaints(page) == [] or all("409" in line for line in complaints(page))


def test_blacklist_mode_and_refusals(page: webdriver.Chrome, running: Running) -> None:
    page.find_element(By.ID, "black-symbol").send_keys("ethusdt")
    page.find_element(By.ID, "black-reason").send_keys("odd prints", Keys.ENTER)
    wait(page, lambda: texts(page, "#black-body td:first-child") == ["ETHUSDT"])
    assert "blacklist" in trade(page, "ETHUSDT", "3900")
    page.find_element(By.CSS_SELECTOR, "#black-body .link").click()
    wait(page, lambda: page.find_element(By.ID, "black-none").is_displayed())
    page.find_element(By.ID, "mode-switch").click()
    wait(page, lambda: page.find_element(By.ID, "confirm").is_displayed())
    page.find_element(By.ID, "confirm-yes").click()
    wait(page, lambda: texts(page, "#mode span") == ["DRY_RUN"])  # the badge of the frame follows
    assert page.find_element(By.TAG_NAME, "body").get_attribute("data-mode") == "DRY_RUN"
    assert trade(page, "SOLUSDT", "240").startswith("DRY RUN")
    wait(page, lambda: "DRY RUN" in texts(page, "#recent-body tr td:nth-child(4)"))
    page.find_element(By.TAG_NAME, "body").send_keys("g", "o")
    wait(page, lambda: page.current_url.endswith("/orders"))
    wait(page, lambda: texts(page, "#history-body tr td:nth-child(2)") == ["SOLUSDT", "ETHUSDT"])
    wait(page, lambda: len(texts(page, "#stages-body tr")) >= 12)
    why = texts(page, "#history-body tr td:nth-child(15)")
    assert "blacklist" in why[1]


def test_a_pause_of_execution_is_a_banner_and_panic_closes(page: webdriver.Chrome, running: Running) -> None:
    assert trade(page, "BTCUSDT", "100900").startswith("Buy ")
    wait(page, lambda: open_positions(page) == ["BTCUSDT"])
    write_latch(running.server.paths.pause_file, "exec", "journal damaged")
    wait(page, lambda: page.find_element(By.ID, "alertbar").is_displayed())
    assert "journal damaged" in texts(page, "#alertbar li")[0]
    page.find_element(By.ID, "panic").click()
    wait(page, lambda: page.find_element(By.ID, "confirm").is_displayed())
    page.find_element(By.ID, "confirm-yes").click()
    wait(page, lambda: open_positions(page) == [])
    wait(page, lambda: "FLAT" in texts(page, "#toast")[0])
    latch = read_latch(running.server.paths.kill_file)
    assert latch is not None and latch["reason"] == "PANIC CLOSE ALL"
