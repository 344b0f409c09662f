"""The history page in Chromium: figures, lists with filters and older pages, storage, nothing loaded from elsewhere."""

from __future__ import annotations

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

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
