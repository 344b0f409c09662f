"""Databases for tests: a fresh SQLite file, and a fresh schema in a private PostgreSQL cluster where the programs are."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BACKENDS = ("sqlite", "postgresql")


def postgres_bin() -> Path | None:
    """Folder of `initdb` and `pg_ctl` (Debian keeps them out of PATH); None where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


WAIT_S = 180  # for a server to start or stop on a loaded machine; pg_ctl itself would give up after 60


class Cluster:
    """A private PostgreSQL on a unix socket in a folder of its own; the server refuses to run as root, so another user."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="scalper-pg-"))
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "-D", str(self.folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()
        self._databases = 0

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([str(self._programs / program), *arguments], user=self._user, cwd=self.folder,
                              capture_output=True, text=True, timeout=WAIT_S + 30)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}\n{done.stderr}")

    def _ctl(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-t", str(WAIT_S), "-l", str(self.folder / "log"), *arguments)

    def start(self) -> None:
        self._ctl("-o", f"-k {self.folder} -c listen_addresses='' -c fsync=off -c max_connections=30", "start")

    def stop(self, how: str = "immediate") -> None:
        self._ctl("-m", how, "stop")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def fresh(self) -> str:
        """URL of a new, empty database."""
        import psycopg

        self._databases += 1
        name = f"t{os.getpid()}_{self._databases}"
        with psycopg.connect(f"host={self.folder} user=postgres dbname=postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return self.url(name)

    def destroy(self) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def why_no_postgres() -> str:
    """Reason to skip, '' where PostgreSQL can be used."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed (extra `postgres`)"
    if postgres_bin() is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if os.geteuid() == 0 and subprocess.run(["id", "postgres"], capture_output=True).returncode:
        return "no user `postgres` to run the server as"
    return ""


@contextmanager
def cluster() -> Iterator[Cluster]:
    programs = postgres_bin()
    assert programs is not None
    made = Cluster(programs)
    try:
        yield made
    finally:
        made.destroy()
