"""The directory in which one `llm-jobs dev` keeps its data: database, secrets and its lock."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.errors import ConfigurationError

_LOCK = "dev.lock"


@dataclass(frozen=True)
class DataDirectory:
    """A directory nobody else uses while we hold its lock."""

    path: Path

    @property
    def database_url(self) -> str:
        """The embedded database."""
        return f"sqlite:///{self.path / 'llm_jobs.db'}"

    def secret_file(self, name: str) -> Path:
        """A file, readable by its owner only, with a random secret made on first use."""
        file = self.path / name
        if not file.exists() or not file.read_text().strip():
            _write_private(file, secrets.token_urlsafe(32))
        return file


@contextmanager
def locked_data_directory(path: Path) -> Iterator[DataDirectory]:
    """The directory, made if need be, and ours alone until the block ends.

    The lock belongs to the process: one that is killed leaves none behind. Raises
    ConfigurationError when another process has it or the directory cannot be used.
    """
    path = path.resolve()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"the data directory {path} cannot be used: {error.strerror}"
        ) from None
    try:
        _take(lock, path)
        yield DataDirectory(path)
    finally:
        os.close(lock)


def _take(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode().strip() or "unknown"
        raise ConfigurationError(
            f"another `llm-jobs dev` (process {holder}) is using {path}:"
            " stop it, or choose another directory with --data-dir"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _write_private(file: Path, text: str) -> None:
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(f"{text}\n")
    new.replace(file)
