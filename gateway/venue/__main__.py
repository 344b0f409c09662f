"""`python -m gateway.venue`: the embedded exchange as a process. The first line on stdout tells its addresses."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from core.sim.queue_model import QueueModel
from gateway.venue.assembly import DEPOSIT_USDT, Venue, VenueOptions
from gateway.venue.clients import MAX_BUFFERED_BYTES
from gateway.venue.errors import VenueError
from gateway.venue.fault_file import load_faults
from gateway.venue.instruments import Instrument, named_instruments, recorded_instruments, synthetic_instruments
from gateway.venue.scenarios import load_timeline
from gateway.venue.synthetic import SyntheticExchange
from gateway.venue.synthetic_feed import SyntheticFeed
from gateway.venue.warm import warm_up, warm_up_private

MAX_SYMBOLS = 800
MAX_ACCOUNTS = 1000
QUEUE_MODELS = {model.name.lower(): model for model in QueueModel}


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="launch.py venue", description="An embedded Bybit V5 exchange (category linear) on loopback."
    )
    parser.add_argument(
        "--symbols", default="40", help=f"symbols of the synthetic market: a number up to {MAX_SYMBOLS}, or names A,B,..."
    )
    parser.add_argument("--seed", type=int, default=1, help="everything synthetic follows from it")
    parser.add_argument("--accounts", type=int, default=1, help="trading accounts with a key each; 0 = market data only")
    parser.add_argument("--deposit", type=int, default=DEPOSIT_USDT, help="USDT that every account begins with")
    parser.add_argument("--fault", type=Path, help="TOML or JSON file of faults by time")
    parser.add_argument("--latency-ms", type=int, default=0, help="requests on the WebSockets arrive so much later")
    parser.add_argument("--queue-model", choices=QUEUE_MODELS, default="risk_averse", help="how our orders queue at a price")
    parser.add_argument("--json", action="store_true", help="print the addresses as one JSON line (else as a sentence)")
    parser.add_argument("--port", type=int, default=0, help="REST port; the WebSocket gets the next one; 0 = any")
    parser.add_argument("--instruments", type=Path, help="recorded instruments-info answer to take contracts from")
    parser.add_argument("--scenario", default=None, help="demo, none, or a TOML/JSON timeline (default demo)")
    parser.add_argument("--rate", type=float, default=1.0, help="factor on all synthetic activity")
    parser.add_argument("--duration", type=float, default=0.0, help="stop after so many seconds; 0 = serve until told")
    parser.add_argument("--tape", type=Path, nargs="+", help="play recorded frames instead of the synthetic market")
    parser.add_argument("--speed", default="1", help="tape speed: a factor, or max")
    parser.add_argument("--max-buffer", type=int, default=MAX_BUFFERED_BYTES, help="bytes a client may leave unread")
    parser.add_argument("--with-parent", action="store_true", help="die when the process that started us dies")
    return parser.parse_args(argv)


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot work, with cause and fix."""
    args.names = [] if args.symbols.isdigit() else [name.strip() for name in args.symbols.split(",") if name.strip()]
    args.count = len(set(args.names)) or (int(args.symbols) if args.symbols.isdigit() else 0)
    if not 1 <= args.count <= MAX_SYMBOLS:
        raise VenueError(f"--symbols {args.symbols} is out of range", f"use 1 to {MAX_SYMBOLS}, or names")
    if not 0 <= args.port <= 65534:
        raise VenueError(f"--port {args.port} is out of range", "use 0 to 65534")
    if not 0.0 < args.rate <= 100.0:
        raise VenueError(f"--rate {args.rate} is out of range", "use a factor above 0, at most 100")
    if not 0 <= args.accounts <= MAX_ACCOUNTS:
        raise VenueError(f"--accounts {args.accounts} is out of range", f"use 0 to {MAX_ACCOUNTS}")
    if not 0 <= args.deposit <= 1_000_000_000:
        raise VenueError(f"--deposit {args.deposit} is out of range", "use 0 to 1000000000 USDT")
    if not 0 <= args.latency_ms <= 10_000:
        raise VenueError(f"--latency-ms {args.latency_ms} is out of range", "use 0 to 10000")
    if not 0 <= args.duration < math.inf:
        raise VenueError(f"--duration {args.duration} is no time", "give seconds, or 0 for no end")
    if args.seed < 0:
        raise VenueError(f"--seed {args.seed} is negative", "use 0 or a positive integer")
    if args.tape and args.scenario not in (None, "none"):
        raise VenueError("--scenario cannot change a tape", "leave out --scenario, or --tape")
    if args.speed != "max":
        try:
            good = float(args.speed) > 0
        except ValueError:
            good = False
        if not good:
            raise VenueError(f"--speed {args.speed} is neither a factor nor max", "use for example 1, 10 or max")


def chosen_instruments(args: argparse.Namespace) -> list[Instrument]:
    """What the synthetic market trades."""
    if args.instruments:
        return recorded_instruments(args.instruments, args.count, args.seed, args.names)
    return named_instruments(args.names, args.seed) if args.names else synthetic_instruments(args.count, args.seed)


async def serve(args: argparse.Namespace) -> None:
    if args.accounts:
        warm_up_private()
    if args.recorded is None:
        warm_up()
        exchange = SyntheticExchange(chosen_instruments(args), args.seed, time.time_ns() // 1_000_000, args.rate)
        feed: Any = SyntheticFeed(exchange)
        count = len(exchange.instruments)
    else:
        feed, count = args.recorded, len(args.recorded.instruments)
    venue = Venue(feed, VenueOptions(
        seed=args.seed, accounts=args.accounts, deposit_usdt=args.deposit, port=args.port,
        max_buffered_bytes=args.max_buffer, latency_ms=args.latency_ms,
        queue_model=QUEUE_MODELS[args.queue_model], timeline=args.timeline, faults=args.faults,
    ))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, venue.server.stopping.set)
    try:
        await venue.start()
    except OSError as error:
        raise VenueError(f"cannot open port {args.port}: {error}", "use another --port, or 0 for any") from None
    tell(args, venue, count)
    if args.duration:
        loop.call_later(args.duration, venue.server.stopping.set)
    await venue.server.run()
    await venue.server.stop()


def tell(args: argparse.Namespace, venue: Venue, count: int) -> None:
    """The one line that starters wait for."""
    told = venue.announced()
    if args.json:
        head = {name: told.pop(name) for name in ("rest", "ws_public")}
        line = {**head, "symbols": count, "seed": args.seed, "pid": os.getpid(), **told}
        print(json.dumps(line), flush=True)
    else:
        print(f"venue: {count} symbols, REST {told['rest']}, public WebSocket {told['ws_public']}", flush=True)


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    if args.with_parent:
        from shm.agent import die_with_parent

        die_with_parent()
    try:
        check(args)
        args.recorded = None
        if args.tape:
            from gateway.venue.tape_feed import TapeFeed

            args.recorded = TapeFeed(args.tape, args.speed, args.instruments)
        args.faults = load_faults(args.fault) if args.fault else ()
        args.timeline = load_timeline(args.scenario or ("none" if args.tape else "demo"))
        asyncio.run(serve(args))
    except VenueError as error:
        print(f"venue: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
