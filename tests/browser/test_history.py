"""The history page in Chromium: figures, lists with filters and older pages, storage, nothing loaded from elsewhere."""

from __future__ import annotations

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.admin.test_backtests import keep, made_trade
from tests.browser.stand_in import NEEDS_BROWSER, Running, complaints, texts, wait
from tests.browser.test_symbol import BLANK, PAINTED
from tests.workers.made_runs import SETTINGS, MadeRun
from workers.database_writer import DatabaseWriter

pytestmark = [pytest.mark.browser, NEEDS_BROWSER]
T0 = 1_763_640_000_000_000_000


@pytest.fixture
def run(engine, tmp_path, monkeypatch) -> MadeRun:
    monkeypatch.delenv("SCALPER_DATABASE_URL", raising=False)
    made = MadeRun(tmp_path / "data", "20251120T120000-aaaa", T0, seed=6)
    for _ in range(300):
        made.step()
    made.end()
    writer = DatabaseWriter(made.paths, SETTINGS, "another")
    assert writer.drain()
    writer.close()
    return made


def rows(page: webdriver.Chrome) -> list[list[str]]:
    return page.execute_script(
        "return [...document.querySelectorAll('#list-body tr')].map((tr) => [...tr.children].map((td) => td.textContent))")


def test_performance_orders_signals_storage(run: MadeRun, page: webdriver.Chrome, running: Running) -> None:
    page.get(f"{running.url}history")
    wait(page, lambda: texts(page, "#cards dd"))
    account = run.broker.account
    shown = dict(zip(texts(page, "#cards dt"), texts(page, "#cards dd:not(.small)"), strict=True))
    assert shown["Trades"] == str(account.trades_closed)
    assert shown["Win rate"] == f"{100 * account.wins / account.trades_closed:.1f} %"
    wait(page, lambda: page.execute_script(PAINTED, "curve") != page.execute_script(BLANK, "curve"))
    assert {"From gross to net", "Exit reason", "Kind of move"} <= set(texts(page, "#groups h3"))

    page.find_element(By.CSS_SELECTOR, "#tabs a[href='#orders']").click()
    wait(page, lambda: len(rows(page)) == 100)
    page.find_element(By.ID, "older").click()
    wait(page, lambda: len(rows(page)) > 100)
    head = texts(page, "#list-head th")
    assert {"Slippage %", "Reason", "Decision"} <= set(head)
    page.find_element(By.NAME, "symbol").send_keys("ethusdt", Keys.TAB)
    wait(page, lambda: {row[1] for row in rows(page)} == {"ETHUSDT"})
    link = page.find_element(By.ID, "csv").get_attribute("href")
    assert link.endswith("/api/orders/history.csv?symbol=ethusdt")
    decision = page.find_element(By.CSS_SELECTOR, "#list-body tr td:last-child a").get_attribute("href")
    assert "/explain/" in decision

    page.execute_script("document.activeElement.blur()")
    page.find_element(By.TAG_NAME, "body").send_keys("4")
    wait(page, lambda: texts(page, "#list-title") == ["Signals, newest first"] and rows(page))
    assert all(row[3] == "ready" for row in rows(page))
    page.find_element(By.CSS_SELECTOR, "#tabs a[href='#storage']").click()
    wait(page, lambda: "events" in texts(page, "#folders td"))
    assert "Days left" in texts(page, "#disk dt")
    assert complaints(page) == []


def test_without_a_database_the_page_says_so(page: webdriver.Chrome, running: Running, monkeypatch) -> None:
    page.get(f"{running.url}history#orders")
    wait(page, lambda: "the database cannot be read" in page.find_element(By.ID, "missing").text)
    assert "trading goes on" in page.find_element(By.ID, "missing").text


def test_backtests_are_opened_and_compared(engine, page: webdriver.Chrome, running: Running, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("SCALPER_DATABASE_URL", raising=False)
    paths = running.server.paths
    keep(paths, "one", [made_trade(k, net) for k, net in enumerate((2, -1, 3))], 2 * 10**18)
    keep(paths, "two", [made_trade(k, net) for k, net in ((0, 2), (5, -2))], 2 * 10**18 + 1, parameters={"thresholds.x": 3})
    page.get(f"{running.url}history#backtests")
    wait(page, lambda: len(rows(page)) == 2)
    assert [row[2] for row in rows(page)] == ["two", "one"] and "thresholds.x = 3" in rows(page)[0][6]
    compare = page.find_element(By.ID, "compare")
    assert not compare.is_enabled()
    for box in page.find_elements(By.CSS_SELECTOR, "#list-body input"):
        box.click()
    wait(page, compare.is_enabled)
    compare.click()
    wait(page, lambda: "two against one" in texts(page, "#backtest-title") and texts(page, "#backtest-groups h3"))
    assert texts(page, "#backtest-cards dd:not(.small)") == ["1", "1", "2"]
    figures = dict(zip(texts(page, "#backtest-groups .cell:first-child td:first-child"),
                       texts(page, "#backtest-groups .cell:first-child td:last-child"), strict=True))
    assert figures["Net USDT"] == "+4.0000"
    wait(page, lambda: page.execute_script(PAINTED, "curve-b") != page.execute_script(BLANK, "curve-b"))
    page.find_element(By.CSS_SELECTOR, ".backtest-head a").click()
    wait(page, lambda: page.find_elements(By.LINK_TEXT, "one"))
    page.find_element(By.LINK_TEXT, "one").click()
    wait(page, lambda: len(page.find_elements(By.CSS_SELECTOR, "#backtest-trades tbody tr")) == 3)
    assert texts(page, "#backtest-title") == ["one"] and "+4.00" in texts(page, "#backtest-cards dd")
    page.find_element(By.TAG_NAME, "body").send_keys("9")
    wait(page, lambda: texts(page, "#list-title") == ["Sessions, newest first"])
    assert page.find_element(By.ID, "parquet").get_attribute("href").endswith("/api/sessions/history.parquet?")
    assert complaints(page) == []
