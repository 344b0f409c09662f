"""The hot list in Chromium: filters, order frozen under pointer and focus, reasons in words, 700 symbols smoothly."""

from __future__ import annotations

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from admin.catalogue import GATE_REASONS
from core.enums import Gate
from tests.admin.engine_part import EnginePart
from tests.browser.stand_in import NEEDS_BROWSER, Running, complaints, texts, wait

pytestmark = [pytest.mark.browser, NEEDS_BROWSER]

SYMBOLS = "#grid-view .row:not([hidden]) .c-symbol"
LASTS = "#grid-view .row:not([hidden]) .c-last"
# The order on the screen, which is not the order of the recycled elements.
ORDER = """return [...document.querySelectorAll('#grid-view .row:not([hidden])')]
    .sort((a, b) => a.getAttribute('aria-rowindex') - b.getAttribute('aria-rowindex'))
    .map((row) => row.querySelector(arguments[0]).textContent)"""
# One update of the table done the naive way, with the very same rows and texts: every cell of every symbol made anew.
NAIVE_MS = """const {names, cells} = arguments[0]; const samples = [];
const box = document.createElement('div'); box.hidden = true; document.body.append(box);
for (let k = 0; k < 15; k += 1) {
  const begin = performance.now();
  box.replaceChildren(...names.map((name) => { const row = document.createElement('div');
    for (let c = 0; c < cells; c += 1) { const cell = document.createElement('div'); cell.className = 'c-' + c;
      cell.textContent = name + ' ' + k + c; row.append(cell); } return row; }));
  samples.push(performance.now() - begin);
}
box.remove(); samples.sort((a, b) => a - b); return samples[samples.length >> 1];"""


def order(page: webdriver.Chrome, cell: str = ".c-symbol") -> list[str]:
    return page.execute_script(ORDER, cell)


def next_prices(page: webdriver.Chrome, times: int = 4) -> None:
    """Wait until the list has moved that often."""
    for _ in range(times):
        before = texts(page, LASTS)
        wait(page, lambda before=before: texts(page, LASTS) != before)


def test_filters_by_list_and_by_word(page: webdriver.Chrome) -> None:
    Select(page.find_element(By.ID, "filter-category")).select_by_value("PRIME")
    wait(page, lambda: texts(page, "#hot-count") == ["2 of 120"])
    assert sorted(texts(page, SYMBOLS)) == ["BTCUSDT", "ETHUSDT"]
    Select(page.find_element(By.ID, "filter-state")).select_by_value("MANAGING")
    wait(page, lambda: texts(page, SYMBOLS) == ["BTCUSDT"])
    page.find_element(By.ID, "filter-clear").click()
    wait(page, lambda: texts(page, "#hot-count") == ["120 symbols"])
    assert page.switch_to.active_element.get_attribute("id") == "filter"
    Select(page.find_element(By.ID, "filter-regime")).select_by_value("PUMP")
    wait(page, lambda: texts(page, SYMBOLS) == ["1000PEPEUSDT"])
    page.find_element(By.ID, "filter-clear").click()
    box = page.find_element(By.ID, "filter")
    for line, expected in (("gate:data", ["LINKUSDT"]), ("spoof>50", ["DOGEUSDT"]), ("pumping blocked", ["1000PEPEUSDT"]),
                           ("vol>101", []), ("nonsense:x", []), ("nothing>1", [])):  # fmt: skip
        box.clear()
        box.send_keys(line)
        wait(page, lambda expected=expected: texts(page, SYMBOLS) == expected)
    assert complaints(page) == []


def test_every_column_sorts_both_ways(page: webdriver.Chrome) -> None:
    buttons = page.find_elements(By.CSS_SELECTOR, "#grid-head button")
    assert len(buttons) == 18
    page.find_element(By.ID, "grid-head").find_element(By.CSS_SELECTOR, ".c-symbol button").click()
    wait(page, lambda: order(page) == sorted(order(page)))
    page.find_element(By.CSS_SELECTOR, "#grid-head .c-symbol button").click()
    wait(page, lambda: order(page) == sorted(order(page), reverse=True))
    assert page.find_element(By.CSS_SELECTOR, "#grid-head .c-symbol").get_attribute("aria-sort") == "descending"
    for button in buttons:
        page.execute_script("arguments[0].click()", button)
    assert page.find_element(By.CSS_SELECTOR, "#grid-head [aria-sort]").get_attribute("class") == "c-age"
    assert complaints(page) == []


def test_order_is_frozen_under_the_pointer(page: webdriver.Chrome) -> None:
    ActionChains(page).move_to_element(page.find_element(By.ID, "grid-view")).perform()
    wait(page, lambda: page.find_element(By.ID, "hot-frozen").is_displayed())
    before = order(page)
    next_prices(page, 8)
    assert order(page) == before
    ActionChains(page).move_to_element(page.find_element(By.ID, "events-title")).perform()
    wait(page, lambda: order(page) != before)


def test_order_is_frozen_while_a_row_has_the_keyboard(page: webdriver.Chrome) -> None:
    body = page.find_element(By.TAG_NAME, "body")
    body.send_keys("j")
    wait(page, lambda: "Esc releases" in texts(page, "#hot-frozen")[0])
    before = order(page)
    next_prices(page, 8)
    assert order(page) == before
    grid = page.find_element(By.ID, "grid")
    for key, at in ((Keys.ARROW_DOWN, 1), ("j", 2), ("k", 1), (Keys.HOME, 0)):
        page.switch_to.active_element.send_keys(key)
        active = grid.get_attribute("aria-activedescendant")
        chosen = page.find_element(By.ID, active)
        assert chosen.get_attribute("aria-rowindex") == str(at + 1) and chosen.get_attribute("aria-selected") == "true"
    page.switch_to.active_element.send_keys(Keys.END)
    last = page.find_element(By.ID, grid.get_attribute("aria-activedescendant"))
    assert last.get_attribute("aria-rowindex") == grid.get_attribute("aria-rowcount") == "120"
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait(page, lambda: not page.find_element(By.ID, "hot-frozen").is_displayed())


def test_why_a_row_does_not_trade_is_read_out(page: webdriver.Chrome) -> None:
    box = page.find_element(By.ID, "filter")
    box.send_keys("linkusdt")
    wait(page, lambda: texts(page, SYMBOLS) == ["LINKUSDT"])
    row = page.find_element(By.CSS_SELECTOR, "#grid-view .row:not([hidden])")
    ActionChains(page).move_to_element(row).perform()
    reason = GATE_REASONS[Gate.DATA]
    wait(page, lambda: reason in texts(page, "#reader")[0] and texts(page, "#reader")[0].startswith("LINKUSDT"))
    ActionChains(page).move_to_element(page.find_element(By.ID, "events-title")).perform()
    wait(page, lambda: reason not in texts(page, "#reader")[0])
    box.send_keys(Keys.ESCAPE)
    page.find_element(By.TAG_NAME, "body").send_keys("j")
    wait(page, lambda: reason in texts(page, "#reader")[0])
    assert page.find_element(By.ID, "grid").get_attribute("aria-describedby") == "reader"


def test_the_funnel_names_gates_and_blockers(page: webdriver.Chrome) -> None:
    wait(page, lambda: len(texts(page, "#funnel-body tr")) == 10 and len(texts(page, "#blockers-body tr")) == 8)
    rows = dict(zip(texts(page, "#funnel-body td:first-child"), texts(page, "#funnel-body td:last-child"), strict=True))
    assert rows["flow"] == "5900 · 47%" and rows["score arm"] == "3120 · 25%"
    words = texts(page, "#why-words")[0]
    assert "12.5k looks" in words and "14 entries" in words and GATE_REASONS[Gate.FLOW] in words
    page.execute_script("document.querySelectorAll('#blockers-body .sym')[1].click()")
    wait(page, lambda: texts(page, "#drawer-title") == ["ETHUSDT"])
    page.find_element(By.ID, "drawer-close").click()
    page.execute_script("[...document.querySelectorAll('#funnel-body .sym')].find((b) => b.textContent === 'regime').click()")
    wait(page, lambda: texts(page, SYMBOLS) == ["1000PEPEUSDT"])  # the symbols that gate blocks now
    assert complaints(page) == []


def test_events_by_kind_and_severity(page: webdriver.Chrome, engine: EnginePart) -> None:
    chips = {chip.text: chip for chip in page.find_elements(By.CSS_SELECTOR, "#events-chips button")}
    assert {"pump", "news", "spoof", "wall", "regime", "state", "trade", "data"} <= set(chips)
    kinds = "#events-list .kind"
    wait(page, lambda: {"STATE", "PUMP"} <= set(texts(page, kinds)))
    chips["pump"].send_keys(Keys.ALT, Keys.NULL)
    ActionChains(page).key_down(Keys.SHIFT).click(chips["pump"]).key_up(Keys.SHIFT).perform()
    wait(page, lambda: set(texts(page, kinds)) == {"PUMP"})
    chips["state"].click()
    wait(page, lambda: set(texts(page, kinds)) == {"PUMP", "STATE"})
    Select(page.find_element(By.ID, "events-least")).select_by_value("2")
    wait(page, lambda: set(texts(page, kinds)) == {"PUMP"})
    engine.log("shard", 11, symbol=5, text="regime is not asked for", severity=3)
    next_prices(page)
    assert set(texts(page, kinds)) == {"PUMP"}


def test_plant_tabs_by_keyboard(page: webdriver.Chrome) -> None:
    page.execute_script("document.getElementById('tab-processes').focus()")
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert page.switch_to.active_element.get_attribute("id") == "tab-latency"
    assert page.find_element(By.ID, "latency").is_displayed() and not page.find_element(By.ID, "processes").is_displayed()
    page.switch_to.active_element.send_keys(Keys.END)
    assert page.find_element(By.ID, "rings").is_displayed()
    wait(page, lambda: texts(page, "#plant-verdict") == ["✓ 7 running"])


@pytest.mark.parametrize("symbols", [700])
def test_700_symbols_are_smooth(
    page: webdriver.Chrome, running: Running, engine: EnginePart, request: pytest.FixtureRequest
) -> None:
    """Scripting time of updates, relative to what one naive repaint of the same table costs in this very browser.
    By default of the median only: single updates are held up where others use the machine too."""
    engine.share = 1.0
    updates = "return performance.getEntriesByName('hot-update').map((entry) => entry.duration)"
    columns = len(texts(page, "#grid-head > div"))
    names = [info.name for info in running.server.views.snapshot().symbols.values()]
    assert len(names) == 700
    wait(page, lambda: len(page.execute_script(updates)) > 10)  # the first updates make the rows and warm the scripts up
    page.execute_script("performance.clearMeasures('hot-update')")
    naive = [page.execute_script(NAIVE_MS, {"names": names, "cells": columns})]
    wait(page, lambda: len(page.execute_script(updates)) >= 40)
    durations = sorted(page.execute_script(updates))
    naive.append(page.execute_script(NAIVE_MS, {"names": names, "cells": columns}))
    long = [ms for ms in durations if ms > max(naive)]
    p50, p95 = durations[len(durations) // 2], durations[int(0.95 * len(durations))]
    print(f"{len(durations)} updates of 700 symbols: p50 {p50:.2f} ms, p95 {p95:.2f} ms, max {durations[-1]:.2f} ms; "
          f"one naive repaint {min(naive):.1f}-{max(naive):.1f} ms; {len(long)} updates took longer than that")  # fmt: skip
    idle = request.config.getoption("--full")
    assert not idle or len(long) <= len(durations) // 10
    assert p50 < (min(naive) / 2 if idle else max(naive))
    assert len(page.find_elements(By.CSS_SELECTOR, "#grid-view .row")) < 80
    assert complaints(page) == []
