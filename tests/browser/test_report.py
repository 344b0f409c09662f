"""Reports as a phone shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver

from tests.browser.stand_in import NEEDS_BROWSER
from workers.html_page import bars, line_chart, page, section

pytestmark = [pytest.mark.browser, NEEDS_BROWSER]

WIDTH = 380
SMALLEST = """return Math.min(...[...document.querySelectorAll('span, text')].map((e) => e.getBoundingClientRect().height))"""


def test_texts_of_drawings_are_readable_on_a_phone(browser: webdriver.Chrome, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    points = [(1_760_000_000.0 + 3600 * k, 1000 + (-1) ** k * k) for k in range(200)]
    file.write_text(page("Backtest of_a_tape_with_a_name_that_has_no_place_to_be_broken.frames.gz", "", [
        section("Equity", line_chart(points, label="equity")),
        section("Costs", bars([("at the prices asked for", 1234.5678), ("fees", -900.1), ("nothing", 0.0)], 4)),
    ]))
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": WIDTH, "height": 800, "deviceScaleFactor": 1, "mobile": True})
    browser.get(file.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") == WIDTH
    assert browser.execute_script(SMALLEST) >= 12
