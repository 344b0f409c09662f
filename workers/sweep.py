"""Search for settings: many backtests of one recording, side by side.

    Space --sampler (optuna TPE, or a grid)--> overrides --executor (processes | Dask)--> Trial --> ranking, deflated Sharpe

A trial is `workers.backtest.run` of a Job: the same task wherever it runs, so results are comparable. Trials are asked for
in rounds of ROUND, or of `jobs` where these are more: with the same seed a sweep asks for the same points on any machine.
The best of many tries is partly luck: beside it stands the probability that it is more (core/performance/selection.py).
"""

from __future__ import annotations

import itertools
import signal
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any, Protocol

import msgspec

from config.load import ConfigError
from config.memory import return_large_blocks
from core.performance.selection import Moments, deflated_sharpe, luck
from shm.agent import die_with_parent
from workers.backtest import Job, Result, run, settings_of
from workers.backtest_store import trade_moments

ROUND = 8  # a sampler learns once a round, so larger ones learn less
OBJECTIVES = ("net_usdt", "expectancy_r", "profit_factor", "win_rate", "sharpe", "calmar")


class SweepError(Exception):
    """The sweep cannot be run as asked; the text says why and what to do."""


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One setting to vary: `values` to choose from, or a range (`step` 0 = continuous). `index`: element of a list."""

    key: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: float = 0.0
    index: int = -1

    @property
    def name(self) -> str:
        return self.key if self.index < 0 else f"{self.key}[{self.index}]"


class Space(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    parameter: tuple[Parameter, ...]


class Trial(msgspec.Struct, kw_only=True):
    """One point of the space and what it brought; `value` None: the objective is not known there (no trades). `number`: in the
    order asked for."""

    parameters: dict[str, Any]
    overrides: dict[str, Any]
    value: float | None
    net_usdt: float
    trades: int
    decision_digest: str
    moments: Moments | None
    wall_s: float
    number: int = 0


class Outcome(msgspec.Struct, kw_only=True):
    """Trials best first. `deflated`: probability that the best one's Sharpe ratio per trade is more than luck. `refused`: why
    points were no valid settings."""

    objective: str
    trials: list[Trial]
    expected_luck: float
    deflated: float | None
    refused: list[str] = []
    interrupted: bool = False


def read_space(path: Path) -> Space:
    """`[[parameter]]` tables of a TOML file. Raises SweepError."""
    try:
        space = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Space)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        hint = "A space is a list of [[parameter]] with key and values, or low, high and step."
        raise SweepError(f"{path}: {error}. {hint}") from None
    for p in space.parameter:
        if not p.values and not p.low < p.high:
            raise SweepError(f"{path}: {p.name}: give `values`, or `low` smaller than `high`.")
        if p.step < 0:
            raise SweepError(f"{path}: {p.name}: `step` must be over 0.")
    if not space.parameter:
        raise SweepError(f"{path}: no [[parameter]] in it.")
    return space


def overrides_of(space: Space, chosen: dict[str, Any], base: dict[str, Any], current: Callable[[str], Any]) -> dict[str, Any]:
    """Settings of a point: `base`, then every parameter; one element of a list leaves the others as `current` has them."""
    overrides = dict(base)
    for p in space.parameter:
        value = chosen[p.name]
        if p.index >= 0:
            whole = overrides.get(p.key) or current(p.key)
            if not isinstance(whole, list | tuple):
                raise SweepError(f"{p.key} is no setting that is a list: mend the key, or leave `index` out.")
            whole = list(whole)
            if p.index >= len(whole):
                raise SweepError(f"{p.key} has {len(whole)} elements: index {p.index} is too large.")
            whole[p.index] = value
            value = whole
        overrides[p.key] = value
    return overrides


def grid(space: Space) -> Iterator[dict[str, Any]]:
    """Every combination; ranges need a step."""
    axes = []
    for p in space.parameter:
        if not p.values and p.step <= 0:
            raise SweepError(f"{p.name}: a grid needs `values` or a `step`.")
        count = int((p.high - p.low) / p.step + 1e-9) + 1 if not p.values else 0
        axes.append(list(p.values) or [round(p.low + k * p.step, 12) for k in range(count)])
    for point in itertools.product(*axes):
        yield dict(zip((p.name for p in space.parameter), point, strict=True))


def task(job: Job) -> Result:
    """What every executor runs, again and again in one process."""
    return_large_blocks()
    return run(job)


def _warm() -> None:
    """In a fresh worker process: use the kernel cache, leave Ctrl-C to the parent, and do not outlive it."""
    from config.fingerprint import use_cache

    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    use_cache()


@contextmanager
def executor(
    jobs: int, cluster: str = "", of: Callable[[Job], Any] = task
) -> Iterator[Callable[[Sequence[Job]], Iterable[Any]]]:
    """A function that does `of` each job side by side and gives the results in order, each as soon as it is there: in `jobs`
    processes, or on a Dask cluster (`cluster` = "local" starts one with `jobs` workers, else its address). Raises
    SweepError."""
    if cluster:
        try:
            from distributed import Client, LocalCluster
        except ImportError:
            raise SweepError("a Dask cluster needs the extra `cluster` (dask, distributed)") from None
        local = None
        try:
            if cluster == "local":
                local = LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1")
            client = Client(local or cluster, timeout="20s")
        except (OSError, ValueError) as error:
            raise SweepError(f"no Dask cluster at {cluster} ({error})") from None
        try:
            yield lambda todo: (future.result() for future in client.map(of, todo, pure=False))
        finally:
            client.close()
            if local is not None:
                local.close()
        return
    others = set(active_children())
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_warm) as pool:
        try:
            yield lambda todo: pool.map(of, todo)
        except BaseException:  # nobody waits for what they are at
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(active_children()) - others:
                process.terminate()
            raise


class _Grid:
    def __init__(self, space: Space) -> None:
        self._points = grid(space)

    def ask(self, count: int) -> list[tuple[Any, dict[str, Any]]]:
        return [(None, point) for point in itertools.islice(self._points, count)]

    def tell(self, token: Any, value: float | None) -> None:
        """A grid does not learn."""


class _Tpe:
    def __init__(self, space: Space, seed: int) -> None:
        try:
            import optuna
        except ImportError:
            raise SweepError("the sampler `tpe` needs the extra `tune` (optuna); `--sampler grid` does not") from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._failed = optuna.trial.TrialState.FAIL
        self._study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        self._space = space

    def ask(self, count: int) -> list[tuple[Any, dict[str, Any]]]:
        return [(trial, {p.name: self._suggest(trial, p) for p in self._space.parameter})
                for trial in (self._study.ask() for _ in range(count))]

    @staticmethod
    def _suggest(trial: Any, p: Parameter) -> Any:
        if p.values:
            return trial.suggest_categorical(p.name, list(p.values))
        return trial.suggest_float(p.name, p.low, p.high, step=p.step or None)

    def tell(self, token: Any, value: float | None) -> None:
        if value is None:
            self._study.tell(token, state=self._failed)
        else:
            self._study.tell(token, value)


class Kept(Protocol):
    """Points that were computed before, by their settings (workers/sweep_store.py)."""

    def get(self, overrides: dict[str, Any]) -> Trial | None: ...

    def add(self, trial: Trial) -> None: ...


def sweep(
    job: Job, space: Space, *, trials: int, jobs: int, current: Callable[[str], Any], objective: str = "net_usdt",
    sampler: str = "tpe", seed: int = 0, cluster: str = "", told: Callable[[Trial], None] = lambda trial: None,
    kept: Kept | None = None,
) -> Outcome:
    """Run up to `trials` points; Ctrl-C ends it with the rounds that were whole. `current(key)`: the setting in force. Points
    that are no valid settings count as tried. What is in `kept` is not computed again, what is computed goes there at once.
    Raises SweepError, TapeError; ConfigError where the first round has none valid."""
    source: _Grid | _Tpe = _Grid(space) if sampler == "grid" else _Tpe(space, seed)
    done: list[Trial] = []
    refused: list[str] = []
    is_interrupted = False
    try:
        with executor(jobs, cluster) as run_all:
            while (tried := len(done) + len(refused)) < trials:
                asked = source.ask(min(max(ROUND, jobs), trials - tried))
                if not asked:
                    break
                points = [overrides_of(space, chosen, job.overrides, current) for _, chosen in asked]
                todo = [msgspec.structs.replace(job, overrides=point) for point in points]
                faults = [fault_of(one) for one in todo]
                if all(faults) and not tried:
                    raise ConfigError(faults[:1])
                known = [kept.get(point) if kept is not None else None for point in points]
                missing = [one for one, fault, trial in zip(todo, faults, known, strict=True) if not fault and trial is None]
                results = iter(run_all(missing))
                found: list[tuple[Any, Trial | None]] = []  # token of the sampler, None: no valid settings
                number = len(done)
                for (token, chosen), point, fault, trial in zip(asked, points, faults, known, strict=True):
                    if not fault:
                        if trial is None:
                            trial = trial_of(chosen, point, next(results), objective)
                            if kept is not None:
                                kept.add(trial)
                        trial = msgspec.structs.replace(trial, number=number)
                        number += 1
                        told(trial)
                    found.append((token, trial))
                for token, trial in found:
                    source.tell(token, trial.value if trial is not None else None)
                refused += [fault for fault in faults if fault]
                done += [trial for _, trial in found if trial is not None]
    except KeyboardInterrupt:
        is_interrupted = True
    return msgspec.structs.replace(outcome(done, objective), refused=refused, interrupted=is_interrupted)


def fault_of(job: Job) -> str:
    """Why these are no valid settings, "" where they are."""
    try:
        settings_of(job)
    except ConfigError as error:
        return str(error)
    return ""


def trial_of(chosen: dict[str, Any], overrides: dict[str, Any], result: Result, objective: str) -> Trial:
    return Trial(
        parameters=chosen, overrides=overrides, value=result.figures[objective] if result.trades else None,
        net_usdt=result.net_usdt, trades=len(result.trades), decision_digest=result.decision_digest,
        moments=trade_moments(result), wall_s=result.wall_s,
    )


def outcome(trials: list[Trial], objective: str) -> Outcome:
    """Rank the trials; ties by number."""
    ranked = sorted(trials, key=lambda t: (t.value is None, -(t.value or 0.0), t.number))
    sharpes = [t.moments.sharpe for t in trials if t.moments is not None]
    best = ranked[0].moments if ranked else None
    return Outcome(
        objective=objective, trials=ranked, expected_luck=luck(sharpes),
        deflated=deflated_sharpe(best, sharpes) if best is not None else None,
    )
