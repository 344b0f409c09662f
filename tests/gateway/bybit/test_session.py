"""Session: the table of gateway/bybit/session.py walked with made-up time."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bybit.messages import Control
from gateway.bybit.session import (
    ACK_DEADLINE_NS,
    CHUNK_PAUSE_NS,
    CHUNK_TOPICS,
    MAX_ARGS_CHARS,
    Backoff,
    Close,
    ConnectBudget,
    Open,
    Send,
    Session,
    SessionState,
    Timing,
    args_chars,
    plan,
)

MS = 1_000_000
S = 1_000_000_000
TIMING = Timing(20 * S, 10 * S, 500 * MS, 30 * S, 1 * S)


def session(capacity: int = 60) -> Session:
    return Session(1, TIMING, ConnectBudget(capacity, 0), random.Random(7))


def opened(topics: list[str], now_ns: int = 0) -> Session:
    subject = session()
    subject.want(topics)
    assert subject.poll(now_ns) == [Open()]
    subject.opened(now_ns)
    return subject


def requests(subject: Session, now_ns: int) -> list[dict]:
    return [msgspec.json.decode(c.data) for c in subject.poll(now_ns) if isinstance(c, Send)]


def drain(subject: Session, now_ns: int, steps: int = 40) -> list[dict]:
    """All requests of the next `steps` polls, CHUNK_PAUSE_NS apart."""
    found: list[dict] = []
    for step in range(steps):
        found += requests(subject, now_ns + step * CHUNK_PAUSE_NS)
    return found


def ack(request: dict, success: bool = True, message: str = "") -> Control:
    return Control(op=request["op"], success=success, ret_msg=message, req_id=request["req_id"])


def test_nothing_wanted_nothing_opened() -> None:
    assert session().poll(0) == []


def test_subscribes_in_paced_chunks_and_ties_acks_to_topics_by_req_id() -> None:
    topics = [f"tickers.S{i}USDT" for i in range(250)]
    subject = opened(topics)
    sent = drain(subject, 0)
    assert [len(r["args"]) for r in sent] == [CHUNK_TOPICS, CHUNK_TOPICS, 50]
    assert [topic for r in sent for topic in r["args"]] == topics
    assert len({r["req_id"] for r in sent}) == 3
    assert subject.live == frozenset()
    subject.reply(ack(sent[1]), S)
    assert subject.live == frozenset(sent[1]["args"])
    subject.reply(Control(op="subscribe", success=True, req_id="never sent"), S)
    assert subject.live == frozenset(sent[1]["args"])


def test_one_chunk_per_pause() -> None:
    subject = opened([f"t.{i}" for i in range(300)])
    assert len(requests(subject, 0)) == 1
    assert requests(subject, CHUNK_PAUSE_NS - 1) == []
    assert len(requests(subject, CHUNK_PAUSE_NS)) == 1


def test_a_refusal_that_names_a_topic_sets_it_apart_and_retries_the_others_at_once() -> None:
    subject = opened(["a.X", "orderbook.500.X", "b.X"])
    (sent,) = requests(subject, 0)
    assert subject.reply(ack(sent, False, "error:handler not found,topic:orderbook.500.X"), 1) != ""
    (again,) = requests(subject, CHUNK_PAUSE_NS)
    assert again["args"] == ["a.X", "b.X"]
    subject.reply(ack(again), CHUNK_PAUSE_NS)
    assert drain(subject, 2 * CHUNK_PAUSE_NS, 10) == []
    (alone,) = drain(subject, S + 1, 3)
    assert alone["args"] == ["orderbook.500.X"]
    subject.reply(ack(alone, False, "error:handler not found,topic:orderbook.500.X"), S + 2)
    assert drain(subject, S + 3, 45) == [], "the second refusal waits twice as long"
    assert [r["args"] for r in drain(subject, 3 * S + 3, 3)] == [["orderbook.500.X"]]


def test_a_refusal_without_a_name_is_cut_in_halves_until_the_bad_topic_is_alone() -> None:
    topics = [f"t.{i}" for i in range(8)]
    subject = opened(topics)
    bad = "t.5"
    now = 0
    for _ in range(60):
        for request in requests(subject, now):
            subject.reply(ack(request, bad not in request["args"], "bad request"), now)
        now += CHUNK_PAUSE_NS
    assert subject.live == frozenset(set(topics) - {bad})


def test_already_subscribed_counts_as_subscribed() -> None:
    subject = opened(["t.1", "t.2"])
    (sent,) = requests(subject, 0)
    subject.reply(ack(sent, False, "error:already subscribed,topic:t.1"), 1)
    assert subject.live == {"t.1"}
    assert requests(subject, CHUNK_PAUSE_NS)[0]["args"] == ["t.2"]


def test_a_request_without_ack_is_sent_again() -> None:
    subject = opened(["t.1"])
    assert len(requests(subject, 0)) == 1
    assert drain(subject, CHUNK_PAUSE_NS, 5) == []
    (again,) = [r for r in drain(subject, ACK_DEADLINE_NS, 3) if r["op"] == "subscribe"]
    assert again["args"] == ["t.1"]


@pytest.mark.parametrize("pong", [
    Control(op="ping", success=True, ret_msg="pong", conn_id="x"), Control(op="pong"),
])  # fmt: skip
def test_ping_each_20_s_and_both_forms_of_pong(pong: Control) -> None:
    subject = opened(["t.1"])
    subject.reply(ack(requests(subject, 0)[0]), 0)
    assert requests(subject, 20 * S - 1) == []
    (ping,) = requests(subject, 20 * S)
    assert ping["op"] == "ping"
    subject.reply(pong, 21 * S)
    assert [r["op"] for r in requests(subject, 40 * S)] == ["ping"]
    assert not any(isinstance(c, Close) for c in subject.poll(49 * S))


def test_no_pong_closes() -> None:
    subject = opened(["t.1"])
    subject.reply(ack(requests(subject, 0)[0]), 0)
    requests(subject, 20 * S)
    assert not any(isinstance(c, Close) for c in subject.poll(30 * S - 1))
    assert [c for c in subject.poll(30 * S) if isinstance(c, Close)] == [Close("no pong")]


def test_lost_connections_come_back_after_growing_jittered_pauses_and_subscribe_anew() -> None:
    subject = opened(["t.1"])
    subject.reply(ack(requests(subject, 0)[0]), 0)
    now, pauses = 1, []
    for _ in range(9):
        subject.lost(now)
        assert subject.live == frozenset()
        began = now
        while subject.poll(now) != [Open()]:
            now += 10 * MS
        pauses.append(now - began)
    assert pauses[0] >= 250 * MS and pauses[-1] <= 30 * S + 10 * MS
    assert all(0.5 * min(30 * S, 500 * MS * 2**i) <= p <= min(30 * S, 500 * MS * 2**i) + 10 * MS
               for i, p in enumerate(pauses))  # fmt: skip
    subject.opened(now)
    assert requests(subject, now)[0]["args"] == ["t.1"]
    subject.lost(now + 60 * S)
    assert any(subject.poll(now + 60 * S + 500 * MS)), "a connection that lived starts its backoff anew"


def test_connection_budget_is_a_token_bucket() -> None:
    budget = ConnectBudget(3, 0)
    assert [budget.take(0) for _ in range(4)] == [True, True, True, False]
    assert not budget.take(99 * S)
    assert budget.take(101 * S) and not budget.take(101 * S)


def test_over_budget_waits() -> None:
    subject = session(capacity=1)
    subject.want(["t.1"])
    assert subject.poll(0) == [Open()]
    subject.lost(0)
    assert all(subject.poll(t * S) == [] for t in range(1, 290))
    assert any(subject.poll(t * S) == [Open()] for t in range(290, 400))


def test_resubscribe_is_a_pair_at_most_once_a_second_per_topic() -> None:
    subject = opened(["t.1", "t.2"])
    subject.reply(ack(requests(subject, 0)[0]), 0)
    for _ in range(3):
        assert subject.resubscribe("t.1")
    assert not subject.resubscribe("unknown")
    assert [(r["op"], r["args"]) for r in requests(subject, S)] == [("unsubscribe", ["t.1"]), ("subscribe", ["t.1"])]
    assert subject.live == {"t.2"}
    subject.resubscribe("t.1")
    assert [r for r in drain(subject, S + CHUNK_PAUSE_NS, 40) if r["op"] == "unsubscribe"] == []
    assert len(requests(subject, 2 * S)) == 2
    assert subject.stats.resubscribes == 2


def test_drop_unsubscribes_and_want_while_open_subscribes() -> None:
    subject = opened(["t.1"])
    subject.reply(ack(requests(subject, 0)[0]), 0)
    subject.want(["t.2", "t.1"])
    assert [(r["op"], r["args"]) for r in requests(subject, S)] == [("subscribe", ["t.2"])]
    subject.drop(["t.1", "t.9"])
    assert [(r["op"], r["args"]) for r in requests(subject, 2 * S)] == [("unsubscribe", ["t.1"])]
    assert subject.topics == ["t.2"] and subject.room() == MAX_ARGS_CHARS - args_chars(["t.2"])


def test_stop_closes_and_stays_closed() -> None:
    subject = opened(["t.1"])
    subject.stop()
    assert subject.poll(1) == [Close("stopping")]
    subject.lost(2)
    assert subject.state == SessionState.STOPPED and subject.poll(10**12) == []


def test_close_replaces_the_connection() -> None:
    subject = opened(["t.1"])
    subject.close("topics silent")
    assert Close("topics silent") in subject.poll(1)
    subject.lost(2)
    assert subject.state == SessionState.WAITING


@given(st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=6), max_size=80), st.integers(200, 2000))
def test_plan_keeps_order_groups_and_the_limit(sizes: list[list[int]], limit: int) -> None:
    groups = [["x" * n for n in group] for group in sizes]
    planned = plan(groups, limit)
    assert [index for connection in planned for index in connection] == list(range(len(groups)))
    for connection in planned:
        chars = sum(args_chars(groups[index]) for index in connection)
        assert chars <= limit or len(connection) == 1


def test_plan_of_a_full_universe_stays_far_under_the_limit() -> None:
    groups = [[f"orderbook.50.SYMBOL{i:04}USDT", f"publicTrade.SYMBOL{i:04}USDT"] for i in range(700)]
    planned = plan(groups)
    assert max(sum(args_chars(groups[i]) for i in c) for c in planned) <= 18_000 < 21_000
    assert len(planned) == 3


def test_backoff_is_seeded() -> None:
    def pauses(seed: int) -> list[int]:
        backoff = Backoff(S, 60 * S, random.Random(seed))
        return [backoff.next_ns() for _ in range(5)]

    assert pauses(1) == pauses(1) != pauses(2)


@given(st.lists(st.tuples(st.sampled_from(["open", "lost", "ack", "nack", "pong", "resub", "want", "drop", "wait"]),
                          st.integers(0, 3)), max_size=60))  # fmt: skip
def test_any_history_ends_with_all_wanted_topics_live(history: list[tuple[str, int]]) -> None:
    """Whatever happened: once the exchange behaves, every wanted topic becomes live and nothing else."""
    subject = session(capacity=10_000)
    subject.want(["t.0"])
    now = 0
    for event, n in history:
        now += 300 * MS
        sent = [msgspec.json.decode(c.data) for c in subject.poll(now) if isinstance(c, Send)]
        if event == "open" and subject.state == SessionState.CONNECTING:
            subject.opened(now)
        elif event == "lost" and subject.state in (SessionState.OPEN, SessionState.CONNECTING):
            subject.lost(now)
        elif event in ("ack", "nack"):
            for request in sent:
                subject.reply(ack(request, event == "ack", "no"), now)
        elif event == "pong":
            subject.reply(Control(op="pong"), now)
        elif event == "resub":
            subject.resubscribe(f"t.{n}")
        elif event == "want":
            subject.want([f"t.{n}"])
        elif event == "drop":
            subject.drop([f"t.{n}"])
    if subject.state == SessionState.CONNECTING:
        subject.opened(now)
    for _ in range(1500):
        now += 50 * MS
        for command in subject.poll(now):
            if isinstance(command, Open):
                subject.opened(now)
            elif isinstance(command, Close):
                subject.lost(now)
            else:
                request = msgspec.json.decode(command.data)
                pong = request["op"] == "ping"
                subject.reply(Control(op="pong") if pong else ack(request), now)
    assert subject.live == frozenset(subject.topics)
