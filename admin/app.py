"""The Flask application, made by a factory: no globals, so tests build one per case and two can live in one process."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response, redirect, render_template
from werkzeug.wrappers import Response as BaseResponse

from admin import metrics
from admin.api.backtests import backtest_routes
from admin.api.history import history_routes
from admin.api.read import read_routes
from admin.api.replay import replay_routes
from admin.api.sessions import session_routes
from admin.api.trade import trade_routes
from admin.api.write import PinCheck, write_routes
from admin.auth import Auth, LoginLimit
from admin.commands import CommandClient
from admin.controls import Controls
from admin.views import Views
from admin.web import Address, current, protect


def create_app(views: Views, auth: Auth, controls: Controls, where: Address, commands: CommandClient,
               check_pin: PinCheck, limit: LoginLimit | None = None,
               on_login: Callable[[], None] = lambda: None) -> Flask:
    """Pages and REST over `views`. `where` is read at request time, so its ports may be filled in after binding."""
    app = Flask(__name__, static_folder="static", template_folder="templates")
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    protect(app, auth, where, views.replay.source.run_id if views.replay.source else "")
    app.register_blueprint(history_routes(views.history, views.backtests.history))
    app.register_blueprint(backtest_routes(views.backtests, views.comparisons, views.recordings))
    app.register_blueprint(read_routes(views))
    app.register_blueprint(replay_routes(views, commands))
    app.register_blueprint(trade_routes(views, controls, commands, check_pin))
    app.register_blueprint(session_routes(views, controls, commands, views.backtest_runs, views.paths))
    app.register_blueprint(write_routes(auth, controls, where, check_pin, limit or LoginLimit(), on_login))

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.get("/login")
    def login_page() -> str:
        return render_template("login.html", mode=shown_mode(), password=auth.has_password)

    def shown_mode() -> str:
        return "REPLAY" if views.replay.is_on else views.mode.name

    def page(template: str, **values: str) -> str:
        return render_template(template, mode=shown_mode(), replay=views.replay.source, csrf=auth.csrf(current()),
                               kill_line=views.kill_line, clear_phrase=controls.clear_phrase,
                               run_id=views.replay.source.run_id if views.replay.source else views.run_id, **values)

    @app.get("/")
    def cockpit() -> str:
        return page("index.html")

    @app.get("/symbol/<symbol>")
    def symbol_page(symbol: str) -> str | BaseResponse:
        info = views.snapshot().by_name(symbol)
        if info and info.name != symbol:  # other spellings have no address of their own
            return redirect(f"/symbol/{info.name}")
        return page("symbol.html", symbol=symbol[:24])

    @app.get("/explain/<wanted>")
    def explain_page(wanted: str) -> str:
        return page("explain.html", id=wanted[:64])

    @app.get("/trades")
    def trades_page() -> str:
        return page("trades.html")

    @app.get("/orders")
    def orders_page() -> str:
        return page("orders.html")

    @app.get("/history")
    def history_page() -> str:
        return page("history.html")

    @app.get("/favicon.ico")
    def favicon() -> BaseResponse:
        return redirect(f"/static/favicon-{shown_mode().lower()}.svg")

    @app.get("/metrics", endpoint="metrics")
    def prometheus() -> Response:
        return Response(metrics.render(views.snapshot()), content_type=metrics.CONTENT_TYPE)

    return app
