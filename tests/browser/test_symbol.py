"""The symbol page, the drawer and the explain page in Chromium: walls, candles, thresholds, words, decisions."""

from __future__ import annotations

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from core.enums import LogKind
from tests.admin.engine_part import EnginePart
from tests.browser.stand_in import NEEDS_BROWSER, Running, complaints, requested, texts, wait

pytestmark = [pytest.mark.browser, NEEDS_BROWSER]

PAINTED = """const c = document.getElementById(arguments[0]);
return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.reduce((sum, v) => (sum * 31 + v) % 1000003, 7)"""

BLANK = PAINTED.replace("const c = document.getElementById(arguments[0]);",
                        "const like = document.getElementById(arguments[0]), c = document.createElement('canvas');"
                        "c.width = like.width; c.height = like.height;")  # fmt: skip


@pytest.fixture
def at_symbol(page: webdriver.Chrome, running: Running) -> webdriver.Chrome:
    page.get(f"{running.url}symbol/ETHUSDT")
    wait(page, lambda: texts(page, "#tape li") and texts(page, "#checks-body tr"))
    return page


def test_ladder_walls_and_candles(at_symbol: webdriver.Chrome, running: Running) -> None:
    page = at_symbol
    assert page.title.startswith("SIM · ETHUSDT ·")
    assert 1 in running.server.plant.control.detail_symbols
    walls = [row.split() for row in page.execute_script(
        "return [...document.querySelectorAll('#walls-body tr')].map((row) => row.innerText)")]
    assert [(row[0], row[1], row[-3], row[-2], row[-1]) for row in walls] == [
        ("▼", "ask", "11.8", "4.0s", "absorbing"),
        ("▲", "bid", "12.4", "38s", "standing"),
        ("▲", "bid", "6.1", "7.5s", "spoofing"),
    ]
    for canvas in ("ladder", "candles"):
        wait(page, lambda canvas=canvas: page.execute_script(PAINTED, canvas) != page.execute_script(BLANK, canvas))
    for seconds, key in ((5, "2"), (15, "3"), (1, "1")):
        page.find_element(By.TAG_NAME, "body").send_keys(key)
        wait(page, lambda told=f"{seconds} s": texts(page, "#intervals [aria-pressed=true]") == [told])
    before = page.execute_script(PAINTED, "candles")
    wait(page, lambda: page.execute_script(PAINTED, "candles") != before)
    ours = (running.url, f"ws://127.0.0.1:{running.server.where.ws_port}/")
    assert [url for url in requested(page) if not url.startswith((*ours, "data:", "about:", "chrome:"))] == []
    assert complaints(page) == []


def test_why_in_words_against_thresholds(at_symbol: webdriver.Chrome) -> None:
    page = at_symbol
    assert "ETHUSDT looked like a long with 71.3 points" in texts(page, "#why-text")[0]
    assert texts(page, "#verdict") == ["✗ FLOW"]
    checks = texts(page, "#checks-body tr")
    assert checks[0].startswith("flow") and "✗ shut" in checks[0]  # shut gates come first here
    assert sum("✓ open" in row for row in checks) == len(checks) - 1
    assert "arm 70" in texts(page, "#terms-sum")[0]
    limits = [text for text in texts(page, "#features .limit") if text]
    assert len(limits) >= 3 and all(text[0] in "✓✗" for text in limits)  # told by a sign, not by colour alone
    words = page.execute_script(
        "return [...document.querySelectorAll('#features .limit[aria-label]')].map(n => n.getAttribute('aria-label'))"
    )
    assert words and all(word.startswith(("holds:", "does not hold:")) for word in words)
    assert "Volatility" in texts(page, ".feature-group h4")


def test_decisions_lead_to_their_explanation(at_symbol: webdriver.Chrome, running: Running) -> None:
    page = at_symbol
    wait(page, lambda: len(texts(page, "#decisions-body tr")) == 6)
    links = page.find_elements(By.CSS_SELECTOR, "#decisions-body a")
    links[1].click()
    wait(page, lambda: page.current_url == f"{running.url}explain/4710-ETHUSDT")
    wait(page, lambda: texts(page, "#verdict") == ["✓ ACCEPTED"] and texts(page, "#features .value"))
    assert "An entry was sent." in texts(page, "#why-text")[0]
    assert "stop 100930.8" in texts(page, "#plan")[0] and page.find_element(By.ID, "plan").is_displayed()
    assert complaints(page) == []
    page.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
    wait(page, lambda: page.current_url == f"{running.url}symbol/ETHUSDT")


def test_explain_page(page: webdriver.Chrome, running: Running) -> None:
    page.get(f"{running.url}explain/4711-XRPUSDT")
    wait(page, lambda: texts(page, "#checks-body tr") and texts(page, "#features .value"))
    assert texts(page, "#title") == ["XRPUSDT · decision 4711-XRPUSDT"] and texts(page, "#verdict") == ["✗ FLOW"]
    checks = texts(page, "#checks-body tr")
    assert checks[0].startswith("data") and next(k for k, row in enumerate(checks) if "✗ shut" in row) == 13
    assert len(texts(page, "#terms-body tr")) == 15 and "watch 58" in texts(page, "#terms-sum")[0]
    facts = texts(page, "#facts div")
    assert "statewatching long → armed long" in facts and "configv3" in facts
    page.find_element(By.ID, "symbol-link").click()
    wait(page, lambda: page.current_url == f"{running.url}symbol/XRPUSDT")
    page.get(f"{running.url}explain/404-XRPUSDT")
    wait(page, lambda: "no decision '404-XRPUSDT'" in texts(page, "#missing")[0])
    assert page.find_element(By.ID, "kill").is_displayed()  # every page can kill


def test_other_spellings_and_unknown_symbols(page: webdriver.Chrome, running: Running) -> None:
    page.get(f"{running.url}symbol/ethusdt-linear")
    wait(page, lambda: page.current_url == f"{running.url}symbol/ETHUSDT")
    page.get(f"{running.url}symbol/%3Cb%3ENOUSDT")
    wait(page, lambda: "is not listed" in texts(page, "#why-text")[0])
    assert page.find_elements(By.CSS_SELECTOR, "main b.x, main h1 b") == []
    page.get(f"{running.url}symbol/BTCUSDT")
    wait(page, lambda: page.find_element(By.ID, "position-line").is_displayed())
    assert "▲ LONG 0.001" in texts(page, "#position-line")[0]


def test_events_of_the_symbol_arrive(at_symbol: webdriver.Chrome, engine: EnginePart) -> None:
    page = at_symbol
    engine.log("shard", LogKind.SPOOF, symbol=1, text="bid wall pulled")
    engine.log("shard", LogKind.SPOOF, symbol=2, text="of another symbol")
    wait(page, lambda: any("bid wall pulled" in text for text in texts(page, "#drawer-events .event")))
    assert not any("of another symbol" in text for text in texts(page, "#drawer-events .event"))


@pytest.mark.parametrize("width", [1024, 400])
def test_pages_fit_narrow_screens(page: webdriver.Chrome, running: Running, width: int) -> None:
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    )
    pages = {"": "#funnel-body tr", "symbol/ETHUSDT": "#checks-body tr", "explain/4711-ETHUSDT": "#terms-body tr"}
    for path, ready in pages.items():
        page.get(running.url + path)
        wait(page, lambda ready=ready: texts(page, ready))
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        small = page.execute_script(
            "return [...document.querySelectorAll('#pause, #kill')].map(n => n.getBoundingClientRect().height)"
        )
        assert min(small) >= 36
