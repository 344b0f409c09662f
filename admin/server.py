"""The admin process: waitress serves Flask in threads, picows pushes in the event loop of the main thread, one Beat.

    python -m admin.server --run <data_dir>/run/run.json

Prints nothing to stdout. When both ports are bound it writes `<data_dir>/run/admin.json` (0600, atomic):
{"port", "ws_port", "pid", "url", "login_token"}; the token is replaced there each time it is used.

Environment: SCALPER_ADMIN_PASSWORD sets a password; SCALPER_ADMIN_HOSTS=name[,name] are the public names of a TLS proxy in
front (needed, with a password, to listen on anything but loopback); SCALPER_ADMIN_WS_URL=wss://name/push its push URL.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from flask import Flask, Response, request
from waitress import wasyncore
from waitress.server import create_server

from admin.app import create_app
from admin.auth import Auth, password_hash
from admin.commands import CommandClient
from admin.controls import Controls
from admin.files import read_json
from admin.plant_stats import CpuMeter, process_rows
from admin.push import PushServer, run_ticks
from admin.views import Views
from admin.web import MAX_BODY, Address, is_loopback
from config.atomic_file import write_atomic
from config.load import ConfigError, load
from config.paths import DataPaths
from config.pin import PinError, check_pin
from core.enums import LogKind
from shm.agent import Beat, die_with_parent
from shm.run_spec import RunSpec
from shm.scheduling import give_way
from shm.topology import Plant

THREADS = 6
EXIT_CONFIG, EXIT_RUNS_ALREADY = 3, 7
_COUNTED = {"write.kill": "kill_requests", "write.pause": "pause_requests"}


class BindRefused(Exception):
    """The address may not be served as configured; the text says why and what to do."""


def listening_address(spec: RunSpec, environ: Mapping[str, str], hashed_password: str | None) -> Address:
    """Where to listen. Anything but loopback needs a password and a TLS proxy in front; else BindRefused."""
    hosts = tuple(name.strip() for name in environ.get("SCALPER_ADMIN_HOSTS", "").split(",") if name.strip())
    host = str(spec.admin.get("host", "127.0.0.1")).replace("localhost", "127.0.0.1")
    if ":" in host:
        raise BindRefused(f"the admin page does not listen on IPv6 ({host}); use 127.0.0.1")
    if not is_loopback(host) and not (hosts and hashed_password):
        missing = [text for text, there in (("a password (SCALPER_ADMIN_PASSWORD)", hashed_password),
                                            ("a TLS proxy in front (SCALPER_ADMIN_HOSTS=its.public.name)", hosts))
                   if not there]
        raise BindRefused(f"the admin page may not listen on {host} without {' and '.join(missing)}; "
                          "set it, or listen on 127.0.0.1 and use an ssh tunnel")
    return Address(host=host, port=int(spec.admin.get("port", 0)), public_hosts=hosts,
                   public_ws_url=environ.get("SCALPER_ADMIN_WS_URL", "") or (f"wss://{hosts[0]}/push" if hosts else ""))


class AdminServer:
    """Everything of the admin process around one plant; `start`, then `serve` (the event loop), then `close`."""

    def __init__(self, plant: Plant, environ: Mapping[str, str] | None = None) -> None:
        env = os.environ if environ is None else environ
        spec = plant.spec
        self.plant = plant
        self.paths = DataPaths(Path(spec.data_dir).resolve(), spec.mode)
        hashed = password_hash(self.paths.run_dir, env.get("SCALPER_ADMIN_PASSWORD"))
        self.where = listening_address(spec, env, hashed)
        overrides = dict(spec.overrides) | {"trading.mode": spec.mode}
        settings = load([Path(name) for name in spec.config_files], dict(env), overrides).settings
        self.auth = Auth(self.paths.run_dir / "admin_state.json", spec.run_id, spec.token, hashed)
        self.views = Views(plant, self.paths, settings.safety.limits.max_heat_pct, settings.system.database.url)
        self.controls = Controls(plant.control, self.paths, self._wake_all, self._acks, self._exposure)
        self.push = PushServer(self.views, self.auth, self.where, settings.system.admin.push_hz,
                               lambda ns: plant.counters().record("push", ns))
        self.app: Flask = create_app(self.views, self.auth, self.controls, self.where, CommandClient(plant),
                                     self._check_pin, on_login=self.write_address)
        self.app.after_request(self._count)
        self.beat = Beat(plant)
        self._http: Any = None
        self._thread: threading.Thread | None = None
        self._log = plant.log_writer()
        self._said = (False, False)
        self._counting = threading.Lock()
        self._ports_file = self.paths.run_dir / "admin_ports.json"

    # --- what controls need
    def _wake_all(self) -> None:
        for role, index in self.plant.rows:
            self.plant.bell_of(role, index).ring()

    def _acks(self) -> list[dict]:
        meter = CpuMeter()
        meter.look([self.plant.cnc(*row).pid for row in self.plant.rows if self.plant.cnc(*row).pid])
        return [row for row in process_rows(self.plant, meter) if row["acks"]]

    def _check_pin(self, pin: str) -> str | None:
        """Why the PIN of LIVE is refused, None where it is right."""
        try:
            check_pin(self.paths.pin_file, pin, time.time_ns() // 1_000_000)
        except (PinError, OSError) as error:
            return str(error)
        return None

    def _exposure(self) -> tuple[int, int]:
        account = self.plant.account().read(0)[0]
        return int(account["open_positions"]), int(account["working_orders"])

    def _count(self, response: Response) -> Response:
        with self._counting:  # several HTTP threads, one page
            counters = self.plant.counters()
            counters.add("requests")
            if response.status_code >= 500:
                counters.add("request_errors")
            elif response.status_code in (401, 403):
                counters.add("auth_failures")
            elif response.status_code == 200 and request.endpoint in _COUNTED:
                counters.add(_COUNTED[request.endpoint])
        return response

    # --- life
    async def start(self) -> None:
        """Bind both ports, serve HTTP in threads, announce the address."""
        self.paths.admin_file.unlink(missing_ok=True)
        before = read_json(self._ports_file) or {}
        again = before.get("run_id") == self.plant.spec.run_id
        if again:  # open pages find a restarted admin where it was
            self.where.ws_port = int(before["ws_port"])
            self.where.port = self.where.port or int(before["port"])
        try:
            self.where.ws_port = await self.push.start()
        except OSError:
            self.where.ws_port = 0
            self.where.ws_port = await self.push.start()
        try:
            self._http = self._listen(self.where.port)
        except OSError as error:
            if not again:
                raise BindRefused(
                    f"port {self.where.port} of {self.where.host} cannot be used ({error.strerror}). Stop what uses it, or "
                    "choose another: [admin] port in system.toml, --admin-port N; 0 is any free one") from None
            self._http = self._listen(0)  # somebody took it meanwhile: a page elsewhere is better than none
        self.where.port = int(self._http.effective_port)
        write_atomic(self._ports_file, msgspec.json.encode(
            {"run_id": self.plant.spec.run_id, "port": self.where.port, "ws_port": self.where.ws_port}))
        self.where.cookie = f"scalper_{self.where.port}"
        self._thread = threading.Thread(target=self._http.run, name="http", daemon=True)
        self._thread.start()
        self.views.refresh()
        self.write_address()

    def _listen(self, port: int) -> Any:
        return create_server(self.app, host=self.where.host, port=port, threads=THREADS, ident=None,
                             max_request_body_size=MAX_BODY, channel_timeout=30, connection_limit=200,
                             clear_untrusted_proxy_headers=True)

    def write_address(self) -> None:
        """(Re)write run/admin.json with the one-time token that works now."""
        content = {"port": self.where.port, "ws_port": self.where.ws_port, "pid": os.getpid(),
                   "url": f"http://{self.where.host}:{self.where.port}/", "login_token": self.auth.login_token}
        write_atomic(self.paths.admin_file, msgspec.json.encode(content))

    async def serve(self) -> None:
        """Beat and push until the stop word or `beat.request_stop`."""
        await run_ticks(self.push, self._turn)

    def _turn(self) -> bool:
        """Heartbeat and own log lines; True = stop."""
        stop = self.beat.tick()
        counters = self.plant.counters()
        counters.set("clients", len(self.push.clients))
        counters.set("pushes", self.push.sent_frames)
        counters.set("push_bytes", self.push.sent_bytes)
        control = self.plant.control
        said = (bool(control.get("kill_admin")), bool(control.get("pause_admin")))
        if said != self._said:
            self._said = said
            self._log.emit(LogKind.CONTROL, a=int(control.bits()), text="set by the admin page")
        return stop

    async def close(self) -> None:
        """Stop listening, tell the pages, end the HTTP thread."""
        self.paths.admin_file.unlink(missing_ok=True)
        self.views.backtest_runs.close()
        await self.push.close()
        if self._http is not None:
            connections = self._http._map
            self._http.trigger.pull_trigger(lambda: wasyncore.close_all(connections))  # in its own thread
            self._http.task_dispatcher.shutdown(timeout=1)
        if self._thread is not None:
            self._thread.join(1.0)


async def _main(server: AdminServer) -> int:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, server.beat.request_stop)
    server.beat.start()
    error: BaseException | None = None
    code = 0
    try:
        await server.start()
        server.beat.running()
        await server.serve()
    except BindRefused as refused:
        error, code = refused, EXIT_CONFIG
        print(f"admin: {refused}", file=sys.stderr)
    except Exception as caught:
        error = caught
        logging.getLogger("admin").exception("admin process ends")
    finally:
        with contextlib.suppress(OSError):
            await server.close()
    return max(server.beat.end(error), code)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the process; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m admin.server", description="admin page of a running plant")
    parser.add_argument("--run", required=True, type=Path, help="run.json of the plant")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    give_way()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="admin %(levelname)s %(message)s")
    logging.Formatter.converter = time.gmtime
    plant = Plant.join(arguments.run, "admin")
    holder = plant.cnc().holder()
    if holder:
        print(f"admin: process {holder} serves the page of this run already: `launch.py status` shows it.", file=sys.stderr)
        return EXIT_RUNS_ALREADY
    try:
        server = AdminServer(plant)
    except (BindRefused, ConfigError, ValueError) as error:
        print(f"admin: {error}", file=sys.stderr)
        plant.cnc().start()
        plant.cnc().fail(error)
        return EXIT_CONFIG
    return asyncio.run(_main(server))


if __name__ == "__main__":
    sys.exit(main())
