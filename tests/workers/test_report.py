"""Reports: what they say is what the account says; HTML whole in itself, Markdown readable, worst trades explained."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from types import SimpleNamespace

import msgspec
import pytest
from click.testing import CliRunner

from config.paths import DataPaths
from core.constants import DAY_NS, HOUR_NS
from core.enums import LogKind, MessageKind, OrderRole, Severity
from core.orders.broker import Note
from core.performance.figures import Point, drawdown
from shm.database import connect
from tests.workers.made_runs import SETTINGS, MadeRun, S
from workers import records_cli
from workers.cli import cli
from workers.cli_errors import Fault
from workers.records_cli import RecordsError, database_verb, export_trades, make_report, reading
from workers.report import gather, period_of
from workers.report_html import curve, html
from workers.report_text import markdown, money, percent, price, seconds
from workers.stores import Stores

T0 = 1_763_640_000_000_000_000  # Thursday 2025-11-20T12:00:00Z


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = MadeRun(tmp_path_factory.mktemp("report") / "data", "20251120T120000-aaaa", T0, seed=5)
    for k in range(120):
        made.step()
        if k == 60:
            made.log(Note(LogKind.CONTROL, -1, made.now_ns, 0, a=2, text="KILL by <cli> & co", severity=Severity.CRITICAL))
    made.end()
    return made


def folder(run):
    return run.paths.data_dir


def report_of(run, kind="daily", day=date(2025, 11, 20), session=""):
    with reading(folder(run), "SIM", SETTINGS) as connection:
        return gather(connection, period_of(kind, day, connection, session), "SIM", run.now_ns)


@pytest.mark.parametrize("kind", ["daily", "weekly", "session"])
def test_figures_are_those_of_the_account(run, kind):
    made = report_of(run, kind)
    account = run.broker.account
    assert made.figures["trades"] == account.trades_closed
    assert made.figures["wins"] == account.wins
    open_realised = sum(p.realised_e8 for p in account.positions.values())
    assert made.figures["net_usdt"] * 1e8 == pytest.approx(account.realised_e8 - open_realised)
    for rows in made.groups.values():
        assert sum(row["trades"] for row in rows) == account.trades_closed
    assert sum(n for name, n in made.orders.items() if name == "REJECTED") == run.broker.rejects
    assert len(made.incidents) == len(made.kills) == 1
    assert [s["session_id"] for s in made.sessions] == [run.run_id]
    assert made.figures["max_drawdown_usdt"] == pytest.approx(drawdown(made.equity).e8 / 1e8)
    assert made.equity[0].equity_e8 == 1000 * 10**8, "from the balance it began with"


def test_the_worst_trades_are_the_worst_and_explained(run):
    made = report_of(run)
    lost = sorted(t.net_e8 for t in made.trades)[:5]
    assert [told.trade.net_e8 for told in made.worst] == lost
    for told in made.worst:
        assert any("entry sent at" in sentence for sentence in told.words)
        assert told.score == (61.5 if told.trade.side > 0 else 58.5)
        assert told.regime == "NORMAL"


class Checker(HTMLParser):
    """Every tag closed in order, nothing from elsewhere, no script."""

    VOID = frozenset({"meta", "br", "line", "polyline", "polygon", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "link", "img", "iframe")
        assert not any(name in ("src", "href") for name, _ in attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in self.VOID

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_html_is_whole_in_itself(run):
    made = report_of(run)
    page = html(made)
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    text = " ".join(checker.text)
    for wanted in ("Daily report Thursday 20 November 2025", money(made.figures["net_usdt"]), "KILL by <cli> & co",
                   percent(made.figures["win_rate"]), "12:00", "Thursday", "pump", "slow grind", "take profit"):
        assert wanted in text, wanted
    assert "http" not in page.replace("http-equiv", "")


def test_markdown_tables_are_even(run):
    text = markdown(report_of(run))
    assert text.startswith("# Daily report Thursday 20 November 2025\n")
    widths = set()
    for block in re.split(r"\n\n", text):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        widths |= {tuple(sorted({len(re.findall(r"(?<!\\)\|", row)) for row in rows}))} if rows else set()
    assert all(len(width) == 1 for width in widths)
    assert "launch.py explain" in text


def test_another_day_is_empty_and_says_so(run):
    made = report_of(run, day=date(2024, 2, 29))
    assert made.figures["trades"] == 0
    for text in (markdown(made), html(made)):
        assert "No trade was lost" in text
    assert "No trades, no curve" in html(made)


def test_periods():
    assert period_of("daily", date(2025, 11, 20)).from_ns == int(datetime(2025, 11, 20, tzinfo=UTC).timestamp()) * 10**9
    week = period_of("weekly", date(2025, 11, 20))
    assert (week.to_ns - week.from_ns) == 7 * 86_400 * 10**9
    assert datetime.fromtimestamp(week.from_ns / 1e9, UTC).strftime("%A %d") == "Monday 17"


def test_the_curve_is_drawn_with_its_deepest_fall():
    points = [Point(k, 10**9 - (5 * 10**8 if k == 7777 else k % 13)) for k in range(20_000)]
    drawn = "".join(curve(points))
    assert drawn.count("<polyline") == 2 and "largest fall 50.00 %" in drawn
    assert "No trades" in "".join(curve(points[:1]))


def made_trade(run, opened_ns: int, closed_ns: int, symbol: int, ticks: int) -> None:
    """A trade that gains or loses so many ticks; open where it is never closed (0)."""
    run.now_ns, run.seq, price = opened_ns, run.seq + 10, run.prices[symbol]
    report = run.handle(symbol=symbol, kind=int(MessageKind.ENTER), side=1, price_ticks=price, stop_ticks=price - 40,
                        target_ticks=price + 64, decision_id=run.seq)
    lots = report.qty_lots
    fee = -(-run.broker.instruments[symbol].grid.value_e8(price, lots, round_up=True) * 55 // 100_000)
    fill = {"symbol": symbol, "kind": int(MessageKind.FILL), "qty_lots": lots, "leaves_lots": 0, "order_id": report.order_id,
            "fee_e8": fee}
    run.handle(**fill, side=1, price_ticks=price, role=int(OrderRole.ENTRY))
    if closed_ns:
        run.now_ns = closed_ns
        run.handle(**fill, side=-1, price_ticks=price + ticks, role=int(OrderRole.EXIT))


def test_days_and_weeks_part_where_utc_does(tmp_path, monkeypatch):
    """A trade belongs to the day it was closed in; a day begins with the balance it began with; a killed session is over."""
    monkeypatch.delenv("SCALPER_DATABASE_URL", raising=False)
    thursday, monday = T0 - 12 * HOUR_NS, T0 - 12 * HOUR_NS + 4 * DAY_NS
    run = MadeRun(tmp_path / "data", "20251119T235800-aaaa", thursday - 120 * S)
    for symbol, opened, closed, ticks in (
            (0, thursday - 30 * S, thursday - 1, -40), (1, thursday - 20 * S, thursday, -40),
            (0, monday - 30 * S, monday - 1, -40), (1, monday - 20 * S, monday, 64)):
        made_trade(run, opened, closed, symbol, ticks)
    run.close()  # killed
    trades = report_of(run, "session").trades
    nets = [trade.net_e8 for trade in trades]
    start = run.broker.account.start_balance_e8
    for kind, day, of in (("daily", date(2025, 11, 19), [0]), ("daily", date(2025, 11, 20), [1]),
                          ("daily", date(2025, 11, 21), []), ("daily", date(2025, 11, 23), [2]),
                          ("daily", date(2025, 11, 24), [3]), ("weekly", date(2025, 11, 19), [0, 1, 2]),
                          ("weekly", date(2025, 11, 24), [3])):
        made = report_of(run, kind, day)
        assert [trade.net_e8 for trade in made.trades] == [nets[k] for k in of], (kind, day)
        begin = made.period.from_ns
        before = start + sum(trade.net_e8 if trade.closed_ns < begin else -trade.fees_e8 // 2  # its entry was paid
                             for trade in trades if trade.opened_ns < begin)
        assert made.figures["total_return_pct"] == pytest.approx(100 * sum(nets[k] for k in of) / before, rel=1e-12)
        assert [s["session_id"] for s in made.sessions] == [run.run_id]
        assert made.figures["profit_factor"] == (0.0 if of and 3 not in of else None)
        for text in (markdown(made), html(made)):
            assert not re.search(r"\b(nan|inf)\b", text)
    for kind, day in (("daily", date(2025, 11, 25)), ("weekly", date(2025, 12, 1)), ("daily", date(2025, 11, 18))):
        assert report_of(run, kind, day).sessions == []
    days = {path.parent.name: msgspec.json.decode(path.read_bytes()) for path in run.paths.trades_dir.glob("*/summary.json")}
    assert {name: round(found["net_usdt"] * 1e8) for name, found in days.items()} == {
        "2025-11-19": nets[0], "2025-11-20": nets[1], "2025-11-23": nets[2], "2025-11-24": nets[3]}


def test_a_session_with_something_open_tells_the_change_of_its_balance(tmp_path, monkeypatch):
    """Realised: closed trades and what open positions have booked, to the last digit; total: with what is unrealised then."""
    monkeypatch.delenv("SCALPER_DATABASE_URL", raising=False)
    run = MadeRun(tmp_path / "data", "20251120T120000-aaaa", T0)
    made_trade(run, T0 + S, T0 + 2 * S, 0, -40)
    made_trade(run, T0 + 3 * S, 0, 1, 0)
    stores = Stores(run.paths)
    for k, unrealised in ((4, -5_000_000), (2 * 86_400, -7_000_000)):
        others = ("balance_e8", "equity_e8", "available_e8", "margin_used_e8", "realised_pnl_e8", "heat_e8")
        stores.append("metrics", "account", {"ts_ns": T0 + k * S, "sid": run.run_id, "unrealised_pnl_e8": unrealised}
                      | dict.fromkeys(others, 10**11))
    stores.close()
    run.close()
    account = run.broker.account
    made = report_of(run, "session").figures
    assert round(made["realised_usdt"] * 1e8) == account.realised_e8 == account.balance_e8 - account.start_balance_e8
    assert round(made["total_usdt"] * 1e8) == account.realised_e8 - 7_000_000
    assert round(report_of(run).figures["unrealised_usdt"] * 1e8) == -5_000_000  # as that day ended


def test_a_report_of_an_old_database_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("SCALPER_DATABASE_URL", raising=False)
    run = MadeRun(tmp_path / "data", "20251120T120000-aaaa", T0)
    report_of(run)
    assert capsys.readouterr().err == ""
    with closing(sqlite3.connect(run.paths.database_file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0099'")
    report_of(run)
    assert "version 0099" in capsys.readouterr().err
    run.close()


def test_a_report_may_take_longer_than_a_page(run, tmp_path, monkeypatch):
    """What a page must not wait for (three seconds), a report of a long history must."""
    monkeypatch.setattr(connect, "READ_TIMEOUT_S", 1e-9)
    monkeypatch.setattr(connect, "STEPS", 1)
    text = make_report(folder(run), "SIM", SETTINGS, "session", "", "", None, None, None, False)
    assert text.startswith("# Session")
    assert "written" in export_trades(folder(run), "SIM", SETTINGS, tmp_path / "trades.jsonl")


@pytest.mark.parametrize("words", [
    ["report", "session", "--html", "{}/x.html"], ["report", "session", "--md", "{}/x.md"],
    ["report", "session", "--trades", "{}/x.jsonl"], ["export", "trades", "--to", "{}/x.jsonl"],
])
def test_a_target_that_cannot_be_written_is_a_word_and_no_traceback(run, tmp_path, words):
    done = CliRunner().invoke(cli, [word.format(tmp_path / "none") for word in words] + ["--data-dir", str(folder(run))])
    assert isinstance(done.exception, SystemExit | Fault), done.exception
    assert "No such file or directory. Name a folder" in (done.output + str(done.exception))


def test_db_names_the_cause_and_fails(run, tmp_path, monkeypatch):
    monkeypatch.setattr(records_cli, "catch_up", lambda *asked: SimpleNamespace(rows=0, last_error="database or disk is full"))
    DataPaths(tmp_path, "SIM").make()
    assert database_verb("catch-up", tmp_path, "SIM", SETTINGS)["error"] == "database or disk is full"
    for place, code in ((tmp_path, 1), (folder(run), 0)):
        assert CliRunner().invoke(cli, ["db", "status", "--data-dir", str(place)]).exit_code == code


@pytest.mark.parametrize("day", ["2900-01-01", "0001-01-01", "2025-02-30", "yesterday"])
def test_no_day_that_can_be_reported(run, day):
    with pytest.raises(RecordsError) as raised:
        make_report(folder(run), "SIM", SETTINGS, "daily", day, "", None, None, None, False)
    assert raised.value.code == 2


def test_numbers_for_people():
    assert money(-0.0) == "0.00"
    assert [money(x) for x in (1234.5, -0.004, 0, None)] == ["+1,234.50", "−0.0040", "0.00", "–"]
    assert [seconds(x) for x in (12.34, 600, 7200, None)] == ["12.3 s", "10.0 min", "2.0 h", "–"]
    assert [price(x) for x in ("100.025108086469", "0.0112480", "65000.1")] == ["100.02511", "0.0112480", "65000.1"]


def test_the_command_writes_files(run, tmp_path, monkeypatch):
    monkeypatch.delenv("SCALPER_DATABASE_URL", raising=False)
    page, text, trades = tmp_path / "r.html", tmp_path / "r.md", tmp_path / "live-trades.jsonl"
    where = ["--data-dir", str(folder(run))]
    done = CliRunner().invoke(cli, ["report", "weekly", "--date", "2025-11-20", "--html", str(page), "--md", str(text),
                                    "--trades", str(trades), *where])
    assert done.exit_code == 0, done.output
    assert page.read_text().startswith("<!doctype html>")
    assert text.read_text().startswith("# Weekly report")
    lines = [msgspec.json.decode(line) for line in trades.read_bytes().splitlines()]
    assert len(lines) == run.broker.account.trades_closed
    assert CliRunner().invoke(cli, ["export", "trades", "--to", str(trades), *where]).exit_code == 0
    assert [msgspec.json.decode(line) for line in trades.read_bytes().splitlines()] == lines
    shown = CliRunner().invoke(cli, ["report", "session", *where])
    assert shown.output.startswith("# Session 20251120T120000-aaaa")
    figures = json.loads(CliRunner().invoke(cli, ["report", "daily", "--date", "2025-11-20", "--json", *where]).output)
    assert figures["trades"] == len(lines)
    wrong = CliRunner().invoke(cli, ["report", "daily", "--date", "yesterday", *where])
    assert (wrong.exit_code, "no date" in wrong.output) == (2, True)
    nowhere = CliRunner().invoke(cli, ["report", "daily", "--data-dir", str(tmp_path / "none")])
    assert (nowhere.exit_code, "nothing has run" in nowhere.output) == (1, True)
    bad = CliRunner().invoke(cli, ["export", "parquet", str(folder(run)), "--to", str(tmp_path / "p"), "--only", "x"])
    assert (bad.exit_code, "no such table" in bad.output) == (2, True)


def test_the_database_verb(run, monkeypatch):
    monkeypatch.delenv("SCALPER_DATABASE_URL", raising=False)
    state = database_verb("catch-up", folder(run), "SIM", SETTINGS)
    assert state["rows"]["executions"] == run.broker.account.fills
    assert state["newest session"].startswith(run.run_id)
    monkeypatch.setenv("SCALPER_DATABASE_URL", "mysql://x")
    with pytest.raises(RecordsError, match="mysql"):
        database_verb("status", folder(run), "SIM", SETTINGS)
    with pytest.raises(RecordsError, match="mysql"):
        make_report(folder(run), "SIM", SETTINGS, "daily", "", "", None, None, None, False)


def test_what_calibration_found_stands_in_the_report(run):
    file = run.paths.calibration_dir / f"{run.run_id}.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"said": ["account against paper: 1.25 bps of the value traded less than paper"]}))
    text = make_report(folder(run), "SIM", SETTINGS, "daily", "2025-11-20", "", None, None, None, False)
    assert "## The account against paper" in text and "1.25 bps" in text
    file.write_text("{torn")
    assert "against paper" not in make_report(folder(run), "SIM", SETTINGS, "daily", "2025-11-20", "", None, None, None, False)
