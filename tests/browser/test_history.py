"""The history page in Chromium: figures, lists with filters and older pages, storage, nothing loaded from elsewhere."""

from __future__ import annotations

import json

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from admin import sessions
from config.incidents import IncidentFile
from shm.database.connect import database_url, writer
from tests.admin.test_backtests import keep, made_trade
from tests.browser.stand_in import NEEDS_BROWSER, Running, complaints, texts, wait
from tests.browser.test_symbol import BLANK, PAINTED
from tests.workers.made_runs import SETTINGS, MadeRun
from workers.database_rows import write_rows
from workers.database_writer import DatabaseWriter
from workers.projection import incident_row

pytestmark = [pytest.mark.browser, NEEDS_BROWSER]
T0 = 1_763_640_000_000_000_000


@pytest.fixture
def run(engine, tmp_path, monkeypatch) -> MadeRun:
    monkeypatch.delenv("SCALPER_DATABASE_URL", raising=False)
    made = MadeRun(tmp_path / "data", "20251120T120000-aaaa", T0, seed=6)
    for _ in range(300):
        made.step()
    made.end()
    taking = DatabaseWriter(made.paths, SETTINGS, "another")
    assert taking.drain()
    taking.close()
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


def test_an_incident_says_what_it_was_and_when_it_was_over(run: MadeRun, page: webdriver.Chrome, running: Running) -> None:
    at_ms = T0 // 10**6
    told = (IncidentFile(at_ms, "technical", True, "killed by exec: the link died", "a cable", "changed it", session=run.run_id,
                         resolved_ms=at_ms + 60_000),
            IncidentFile(at_ms + 5_000, "market", False, "PANIC", session=run.run_id))
    engine = writer(database_url(run.paths), run.paths.mode)
    with engine.begin() as connection:
        write_rows(connection, [incident_row(file, f"incidents/{k}") for k, file in enumerate(told)])
    engine.dispose()
    page.get(f"{running.url}history#incidents")
    wait(page, lambda: len(rows(page)) == 2)
    assert texts(page, "#list-head th")[-3:] == ["Cause", "Fix", "Over (UTC)"]
    newest, older = rows(page)
    assert newest[-3:] == ["–", "–", "–"]
    assert older[-4:] == ["killed by exec: the link died", "a cable", "changed it", "11-20 12:01:00"]
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


def test_performance_shows_what_a_shadow_says(run: MadeRun, page: webdriver.Chrome, running: Running) -> None:
    folder = running.server.paths.mode_dir / "shadow" / running.server.plant.spec.run_id
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps({"over": False, "lag_s": 1.25, "net_e8": 150_000_000, "trades": 4,
                                                    "open_positions": 1, "config_files": ["other.toml"]}))
    (folder / "comparison.json").write_text(json.dumps({
        "matched": 3, "only_a": 1, "only_b": 2, "same_decisions": 7, "shortfall": {"total_e8": -50_000_000},
        "figures": [{"figure": "net_usdt", "a": 1.0, "b": 1.5, "difference": 0.5}]}))
    page.get(f"{running.url}history#performance")
    wait(page, lambda: texts(page, "#beside h3"))
    assert texts(page, "#beside h3") == ["Other settings beside this run", "Live and shadow"]
    told = texts(page, "#beside td")
    assert {"1.3 s behind", "+1.5000", "3, 1, 2", "−0.5000", "Net USDT", "+0.5000"} <= set(told)


FAKE = """
import json, sys, time
from pathlib import Path
arguments = sys.argv[2:]
told, folder = (Path(arguments[arguments.index(name) + 1]) for name in ("--progress", "--data-dir"))
told.write_text(json.dumps({"doing": "backtest", "share": 0.5, "left_s": 12.0}))
while not (folder / "go on").exists():
    time.sleep(0.01)
print(json.dumps({"trades": 3, "net_usdt": 4.0, "wall_s": 1.5, "id": 1, "folder": "x"}))
"""


def test_a_backtest_is_started_stopped_and_opened_by_keyboard(
    engine, page: webdriver.Chrome, running: Running, tmp_path, monkeypatch
) -> None:
    monkeypatch.delenv("SCALPER_DATABASE_URL", raising=False)
    root = tmp_path / "root"
    root.mkdir()
    (root / "launch.py").write_text(FAKE)
    monkeypatch.setattr(sessions, "ROOT", root)
    paths = running.server.paths
    keep(paths, "one", [made_trade(k, net) for k, net in enumerate((2, -1, 3))], 2 * 10**18)
    page.get(f"{running.url}history#backtests")
    wait(page, lambda: f"Nothing is recorded yet. Let the system run for a while, or put a tape into {paths.tape_dir}."
         in texts(page, "#said-source"))
    page.find_element(By.ID, "start-go").click()
    wait(page, lambda: texts(page, "#start-said") == ["Not started: see recording."])
    paths.tape_dir.mkdir()
    (paths.tape_dir / "a.frames").write_text("x")
    page.refresh()
    wait(page, lambda: texts(page, "select[name=source] option") == ["tapes/a.frames · 1B"])

    settings = page.find_element(By.NAME, "settings")
    settings.send_keys("trading.exits.stop_atrr=3")  # 3 in here opens no other list
    settings.send_keys(Keys.TAB, Keys.ENTER)
    wait(page, lambda: "Did you mean `stop_atr`" in texts(page, "#said-settings")[0])
    assert settings.get_attribute("aria-invalid") == "true" and page.switch_to.active_element == settings
    assert "settings" in texts(page, "#start-said")[0] and page.current_url.endswith("#backtests")
    settings.send_keys(Keys.CONTROL, "a")
    settings.send_keys("trading.exits.stop_atr = 3")
    assert settings.get_attribute("aria-invalid") is None

    page.find_element(By.NAME, "name").send_keys("wide stop", Keys.ENTER)  # Enter in a field starts, too
    wait(page, lambda: texts(page, "#started li span") == ["50 %, 12 s left"])
    assert texts(page, "#started b") == ["wide stop"] and not page.find_element(By.ID, "start-go").is_enabled()
    page.find_element(By.CSS_SELECTOR, "#started button").send_keys(Keys.ENTER)
    wait(page, lambda: texts(page, "#started li span") == ["stopped, nothing is kept"])
    (paths.data_dir / "go on").touch()
    wait(page, page.find_element(By.ID, "start-go").is_enabled)
    page.find_element(By.ID, "start-go").send_keys(Keys.ENTER)
    wait(page, lambda: texts(page, "#started li:first-child span") == ["3 trades, net +4.0000 USDT in 1.5 s"])
    page.find_element(By.CSS_SELECTOR, "#started a").send_keys(Keys.ENTER)
    wait(page, lambda: texts(page, "#backtest-title") == ["one"])
    assert not page.find_element(By.ID, "view-start").is_displayed()

    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 600, "height": 900, "deviceScaleFactor": 1, "mobile": False})
    page.find_element(By.CSS_SELECTOR, ".backtest-head a").click()
    wait(page, page.find_element(By.ID, "start-go").is_displayed)
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert [entry for entry in complaints(page) if "400" not in entry] == []
