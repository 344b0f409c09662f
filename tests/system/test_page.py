"""The page on the running plant, in Chromium: what a person sees and does, from the login link to KILL and back.

One plant for all: the steps build on each other, as they do for a person.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.enums import ControlBits
from shm.topology import Plant
from tests.conftest import Goal
from tests.system.plant_runner import Running, eventually, running
from tests.system.test_live import clean_end, pids, plant_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

if CHROMIUM is None or DRIVER is None:
    pytest.skip(
        "no chromium and chromedriver on this machine (Debian: apt-get install chromium chromium-driver)",
        allow_module_level=True,
    )

from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = [pytest.mark.system, pytest.mark.browser]

SYMBOLS = 20
SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-component-update", "--disable-sync", "--no-proxy-server", "--window-size=1440,900",
)
KILL_GOAL_S = 0.2


class Page:
    """The browser, logged in through the one-time link."""

    def __init__(self, driver: webdriver.Chrome, address: dict[str, str | int]) -> None:
        self.driver = driver
        self.url = str(address["url"])
        self.own = (self.url, f"ws://127.0.0.1:{address['ws_port']}/", "data:", "about:", "chrome:")
        driver.get(f"{self.url}login#{address['login_token']}")

    def texts(self, css: str) -> list[str]:
        return self.driver.execute_script("return [...document.querySelectorAll(arguments[0])].map(n => n.textContent)", css)

    def text(self, css: str) -> str:
        return " ".join(self.texts(css)[0].split())

    def find(self, name: str):
        return self.driver.find_element(By.ID, name)

    def shown(self, name: str) -> bool:
        return self.find(name).is_displayed()

    def wait(self, true: Callable[[], object], what: str, timeout_s: float = 240.0) -> None:
        """As `eventually`, and the answer shows the page's events when it does not happen."""

        def look() -> object:
            with contextlib.suppress(StaleElementReferenceException):
                return true()
            return None

        try:
            eventually(look, what, timeout_s)
        except AssertionError as error:
            newest = "\n".join(self.texts("#events-list .event")[:20])
            raise AssertionError(f"{error}\n{self.driver.title}\n{newest}") from None

    def press(self, key: str, *modifiers: str) -> None:
        chain = ActionChains(self.driver)
        for modifier in modifiers:
            chain = chain.key_down(modifier)
        chain = chain.send_keys(key)
        for modifier in reversed(modifiers):
            chain = chain.key_up(modifier)
        chain.perform()

    def requested(self) -> list[str]:
        """Every URL the browser asked for or opened a socket to."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return asked + [m["params"]["url"] for m in messages if m["method"] == "Network.webSocketCreated"]


@contextlib.contextmanager
def page_of(run: Running, folder: Path) -> Iterator[Page]:
    eventually(run.paths.admin_file.exists, "the page's address is known")
    address = json.loads(run.paths.admin_file.read_text())
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in (*SWITCHES, f"--user-data-dir={folder / 'chromium'}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield Page(driver, address)
    finally:
        driver.quit()


def looks_alive(page: Page) -> None:
    """All symbols, numbers that move, nothing asked of another host, nothing said in the console."""
    page.wait(lambda: page.texts("#hot-count") == [f"{SYMBOLS} symbols"], "all symbols are listed")
    assert page.driver.current_url == page.url  # the token is gone from the address
    assert len(page.texts("#grid-view .row:not([hidden])")) == SYMBOLS
    before = page.texts("#grid-view .row .c-last")
    page.wait(lambda: page.texts("#grid-view .row .c-last") != before, "prices move")
    page.wait(lambda: page.text("#fact-feed dd") == "CONNECTED", "the feed is told")
    page.wait(lambda: len(page.texts("#processes-body tr")) == 8, "six processes, the supervisor and the venue")
    page.wait(lambda: set(page.texts("#processes-body .tag")) == {"RUN"}, "all run")
    stages = ("decode", "recv to publish", "recv to shard", "step")
    page.wait(lambda: set(stages) <= set(page.texts("#latency-body td:first-child")), "the stages are measured")
    urls = page.requested()
    assert any(url.startswith("ws://") for url in urls)
    assert [url for url in urls if not url.startswith(page.own)] == []
    assert [entry for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def pauses_and_resumes(page: Page, plant: Plant) -> None:
    page.find("pause").click()
    page.wait(lambda: page.texts("#pause") == ["RESUME"], "the page says paused")
    page.wait(lambda: all(plant.cnc(*row).pause_seen for row in plant.rows if plant.cnc(*row).ready), "all have seen it")
    page.press("p", Keys.SHIFT)
    page.wait(lambda: page.texts("#pause") == ["PAUSE"], "the page says resumed")
    assert plant.control.bits() == ControlBits(0)


def opens_a_symbol(page: Page) -> None:
    box = page.find("filter")
    box.send_keys("ethusdt")
    page.wait(lambda: page.texts("#hot-count") == [f"1 of {SYMBOLS}"], "filtered")
    page.press(Keys.ESCAPE)
    assert box.get_property("value") == "ethusdt"  # what is in force stays readable
    page.press("j")
    page.press(Keys.ENTER)
    page.wait(lambda: page.shown("drawer") and page.texts("#tape li"), "book and trades of the symbol")
    assert page.text("#drawer-title") == "ETHUSDT"
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.shown("drawer"), "closed again")
    box.clear()
    page.wait(lambda: page.texts("#hot-count") == [f"{SYMBOLS} symbols"], "all symbols again")


def trades(page: Page) -> None:
    """A simulated trade from the reason to the open position."""
    page.wait(lambda: page.texts("#positions-body .sym"), "an open position", 400.0)
    kinds = {"SIGNAL", "ORDER", "FILL", "POSITION"}
    page.wait(lambda: kinds <= set(page.texts("#events-list .kind")), "how it came about is in the feed")


def pumps(page: Page) -> None:
    """The scripted pump; it comes once a minute, on a new symbol, and detection goes on under KILL."""
    page.wait(lambda: "PUMP" in page.texts("#events-list .kind"), "a pump in the feed", 400.0)
    page.wait(lambda: set(page.texts("#grid-view .c-pump")) - {"·", ""}, "and in its column")


def killed(page: Page, plant: Plant, way: str) -> float:
    """Wait until the page tells KILLED and FLAT; the slowest process's s from the word to its notice, by their stamps."""
    page.wait(lambda: plant.control.bits() & ControlBits.KILL, "the word stands")
    page.wait(lambda: page.shown("killbar") and "KILL LATCHED" in page.text("#killbar"), "the page says so")
    page.wait(lambda: page.driver.title.startswith("■ KILLED"), "and the title")
    page.wait(lambda: "seen 6/6" in page.text("#kill-acks"), "all processes have seen it")
    page.wait(lambda: "FLAT" in page.text("#kill-acks"), "nothing is open any more")
    seen = "#processes-body tr:not(.outside) td:last-child"
    page.wait(lambda: all("✓" in cell for cell in page.texts(seen)), "each one is ticked")
    page.wait(lambda: page.shown("positions-none"), "no position on the page")
    asked = plant.control.get("kill_ns")
    ms = {name: (plant.cnc(*row).kill_seen_ns - asked) / 1e6 for name, row in rows_of(plant).items()}
    print(f"KILL by {way}: {ms}")
    assert len(ms) == 6 and min(ms.values()) >= 0, ms
    return max(ms.values()) / 1e3


def rows_of(plant: Plant) -> dict[str, tuple[str, int]]:
    return {plant.row_name(number): row for number, row in enumerate(plant.rows) if plant.row_name(number) in pids(plant)}


def clears_the_kill(page: Page, plant: Plant, run: Running) -> None:
    phrase = page.driver.find_element(By.CSS_SELECTOR, 'meta[name="clear-phrase"]').get_attribute("content")
    page.find("kill-clear").click()
    page.wait(lambda: page.shown("confirm"), "the page asks first")
    page.find("confirm-yes").click()
    page.wait(lambda: "confirmation missing" in page.text("#confirm-error"), "without the words nothing is cleared")
    assert plant.control.bits() & ControlBits.KILL
    page.driver.find_element(By.NAME, "confirm").send_keys(phrase)
    page.driver.find_element(By.NAME, "reason").send_keys("page test")
    page.find("confirm-yes").click()
    page.wait(lambda: not page.shown("killbar"), "the latch is gone from the page")
    assert not plant.control.bits() & ControlBits.KILL
    page.wait(lambda: not run.paths.kill_file.exists(), "and from the disk")
    page.wait(lambda: all(cnc.kill_seen_ns == 0 for cnc in plant.cncs().values()), "every process has seen that too")


def test_a_person_watches_pauses_kills_clears_and_kills_again(tmp_path: Path, goal: Goal) -> None:
    arguments = ("--shards", "2", "--symbols", str(SYMBOLS), "--admin-port", "0")
    with running(tmp_path, *arguments) as run, plant_of(run) as plant, page_of(run, tmp_path) as page:
        run_id, children = plant.spec.run_id, list(pids(plant).values())
        looks_alive(page)
        opens_a_symbol(page)
        pauses_and_resumes(page, plant)
        trades(page)

        ActionChains(page.driver).click_and_hold(page.find("kill")).perform()
        page.wait(lambda: "processes" in page.text("#toast"), "killed by holding the mouse")
        ActionChains(page.driver).release().perform()
        by_mouse = killed(page, plant, "mouse")
        assert json.loads(run.paths.kill_file.read_text())["source"] == "admin"
        page.wait(lambda: any("closed" in text for text in page.texts("#events-list .text")), "the trade is told to its end")

        clears_the_kill(page, plant, run)
        page.press("k", Keys.CONTROL, Keys.SHIFT)
        page.wait(lambda: page.shown("confirm"), "the keyboard asks first")
        assert not plant.control.bits() & ControlBits.KILL
        page.press(Keys.ENTER)
        by_keyboard = killed(page, plant, "keyboard")
        goal("KILL: the slowest process has noticed", max(by_mouse, by_keyboard), KILL_GOAL_S)
        assert [entry for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"
                and "/api/admin/kill/clear" not in entry["message"]] == []  # that one answered 409, as it should
        pumps(page)
        summary = clean_end(run, run_id, children)
    assert summary["ring_lost"] == 0 and summary["open_positions"] == 0 and summary["restarts"] == {}
