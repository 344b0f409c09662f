"""The cockpit in Chromium against a real admin server: offline, moving, hostile text, KILL by mouse and by keyboard.

A thread plays the engine's part on a real plant; the admin server runs in this process, so that its control words can be
looked at directly.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from core.enums import ControlBits, LogKind
from core.features.registry import ALL_FEATURE_NAMES
from tests.admin.engine_part import EnginePart
from tests.browser.stand_in import NEEDS_BROWSER, Running, complaints, requested, texts, wait

pytestmark = [pytest.mark.browser, NEEDS_BROWSER]

SLOW_HOLD = (  # a machine that stands still between press and release has not held KILL for 0.8 s
    "window.realTimeout = window.setTimeout;"
    "window.setTimeout = (call, ms, ...rest) => window.realTimeout(call, ms === 800 ? 600000 : ms, ...rest)"
)
XSS = "<img src=x onerror=document.title=1>"


def test_loads_offline_and_moves(page: webdriver.Chrome, running: Running, engine: EnginePart) -> None:
    assert page.current_url == running.url  # the token is gone from the address
    assert page.title.startswith("SIM ·")
    assert texts(page, "#hot-count") == ["120 symbols"]
    before = texts(page, "#grid-view .row .c-last")
    wait(page, lambda: texts(page, "#grid-view .row .c-last") != before)
    wait(page, lambda: len(texts(page, "#processes-body tr")) == 7 and len(texts(page, "#latency-body tr")) >= 6)
    assert texts(page, "#positions-body .sym") == ["BTCUSDT"]
    assert len(page.find_elements(By.CSS_SELECTOR, "#grid-view .row")) < 80  # virtualised: not a row per symbol
    urls = requested(page)
    assert any(url.startswith("ws://127.0.0.1:") for url in urls)
    ours = (running.url, f"ws://127.0.0.1:{running.server.where.ws_port}/")
    assert [url for url in urls if not url.startswith((*ours, "data:", "about:", "chrome:"))] == []
    assert complaints(page) == []


def test_text_from_the_wire_stays_text(page: webdriver.Chrome, engine: EnginePart) -> None:
    engine.log("venue", LogKind.ERROR, text=XSS)
    wait(page, lambda: any(XSS in text for text in texts(page, "#events-list .text")))
    assert page.find_elements(By.CSS_SELECTOR, "#events-list img") == []
    assert page.title.startswith("SIM ·")


def test_filter_sort_open_and_close(page: webdriver.Chrome, running: Running) -> None:
    body = page.find_element(By.TAG_NAME, "body")
    body.send_keys("/")
    box = page.switch_to.active_element
    assert box.get_attribute("id") == "filter"
    box.send_keys("ethusdt")
    wait(page, lambda: texts(page, "#hot-count") == ["1 of 120"])
    box.send_keys(Keys.ESCAPE)
    page.find_element(By.TAG_NAME, "body").send_keys("j", Keys.ENTER)
    wait(page, lambda: texts(page, "#drawer-title") == ["ETHUSDT"])
    wait(page, lambda: len(texts(page, "#tape li")) == 40 and len(texts(page, "#features .value")) == len(ALL_FEATURE_NAMES))
    assert 1 in running.server.plant.control.detail_symbols
    wait(page, lambda: page.execute_script(
        "const c = document.getElementById('ladder');"
        "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v)"
    ))
    page.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
    wait(page, lambda: not page.find_element(By.ID, "drawer").is_displayed())
    wait(page, lambda: 1 not in running.server.plant.control.detail_symbols)


def test_kill_by_holding_the_mouse(page: webdriver.Chrome, running: Running) -> None:
    control = running.server.plant.control
    button = page.find_element(By.ID, "kill")
    page.execute_script(SLOW_HOLD)
    button.click()  # a short click is not a kill
    page.execute_script("window.setTimeout = window.realTimeout")
    wait(page, lambda: "hold KILL" in texts(page, "#toast")[0])
    assert not control.bits() & ControlBits.KILL
    ActionChains(page).click_and_hold(button).perform()
    wait(page, lambda: control.bits() & ControlBits.KILL)
    ActionChains(page).release().perform()
    wait(page, lambda: "seen by 6/6" in texts(page, "#toast")[0])
    wait(page, lambda: page.find_element(By.ID, "killbar").is_displayed())
    wait(page, lambda: all("✓" in text for text in texts(page, "#processes-body tr:not(.outside) td:last-child")))
    assert json.loads(running.server.paths.kill_file.read_text())["source"] == "admin"
    assert control.get("kill_admin") == 1


@pytest.mark.parametrize("way", ["focus and enter", "focus and space", "shortcut"])
def test_kill_by_keyboard(page: webdriver.Chrome, running: Running, way: str) -> None:
    control = running.server.plant.control
    dialog = page.find_element(By.ID, "confirm")
    if way == "shortcut":
        ActionChains(page).key_down(Keys.CONTROL).key_down(Keys.SHIFT).send_keys("k").key_up(Keys.SHIFT).key_up(
            Keys.CONTROL
        ).perform()
    else:
        page.execute_script("document.getElementById('kill').focus()")
        page.switch_to.active_element.send_keys(Keys.ENTER if way.endswith("enter") else Keys.SPACE)
    wait(page, dialog.is_displayed)
    assert not control.bits() & ControlBits.KILL  # the dialog asks first
    assert page.switch_to.active_element.get_attribute("id") == "confirm-yes"
    page.switch_to.active_element.send_keys(Keys.ENTER)
    wait(page, lambda: control.bits() & ControlBits.KILL)
    wait(page, lambda: page.find_element(By.ID, "killbar").is_displayed())
    assert control.get("kill_admin") == 1


def test_pause_and_resume(page: webdriver.Chrome, running: Running) -> None:
    control = running.server.plant.control
    page.find_element(By.ID, "pause").click()
    wait(page, lambda: control.get("pause_admin") == 1 and texts(page, "#pause") == ["RESUME"])
    ActionChains(page).key_down(Keys.SHIFT).send_keys("p").key_up(Keys.SHIFT).perform()
    wait(page, lambda: control.get("pause_admin") == 0 and texts(page, "#pause") == ["PAUSE"])


def test_a_lost_connection_is_told_and_kill_names_the_command(page: webdriver.Chrome, running: Running) -> None:
    running.stop()
    banner = page.find_element(By.ID, "banner")
    wait(page, banner.is_displayed)
    assert "VIEW DISCONNECTED" in banner.text and "launch.py kill" in banner.text
    wait(page, lambda: texts(page, "#view-state") == ["DISCONNECTED"])
    wait(page, lambda: "stale" in page.find_element(By.TAG_NAME, "body").get_attribute("class").split())
    assert page.find_element(By.ID, "kill").is_enabled()
    page.execute_script("document.getElementById('kill').focus()")
    page.switch_to.active_element.send_keys(Keys.ENTER)
    wait(page, page.find_element(By.ID, "confirm").is_displayed)
    page.switch_to.active_element.send_keys(Keys.ENTER)
    wait(page, lambda: "not delivered: run python3 launch.py kill" in texts(page, "#toast")[0])


def test_a_restarted_admin_is_found_again(page: webdriver.Chrome, running: Running, tmp_path: Path) -> None:
    running.stop()
    wait(page, page.find_element(By.ID, "banner").is_displayed)
    again = Running(tmp_path)
    try:
        assert again.url == running.url
        wait(page, lambda: not page.find_element(By.ID, "banner").is_displayed())
        wait(page, lambda: texts(page, "#view-state") == ["STREAMING"])
        before = texts(page, "#grid-view .row .c-last")
        wait(page, lambda: texts(page, "#grid-view .row .c-last") != before)
        wait(page, lambda: "stale" not in page.find_element(By.ID, "hot").get_attribute("class").split())
    finally:
        again.stop()


def test_narrow_screens_keep_kill_in_reach(page: webdriver.Chrome) -> None:
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    )
    box = wait(
        page,
        lambda: (lambda r: r if r["y"] + r["height"] <= 800 and r["height"] >= 44 else None)(
            page.execute_script("return document.getElementById('kill').getBoundingClientRect().toJSON()")
        ),
    )
    assert box["x"] >= 0 and box["x"] + box["width"] <= 400
    assert page.execute_script("return document.documentElement.scrollWidth") <= 400
