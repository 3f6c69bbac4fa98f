"""Searching documents among a thousand chunks and among a hundred thousand, on both databases.

The words of the texts are as frequent as those of a language (the n-th a n-th as often as the
first), and so are those of the questions: frequent words, which match many chunks, are asked for
too, but for the commonest, which a search leaves out. Documents are kept as the API keeps them.
"""

from __future__ import annotations

import random
import tempfile
import time

from sqlalchemy import text

from app import accounts, retrieval
from app.accounts import Caller
from app.db import Database
from app.migrate import upgrade
from app.retrieval import NewDocument
from benchmarks.measure import machine, table
from tests.support.postgres_server import running_postgres

SIZES = (1_000, 100_000)
PER_DOCUMENT = 100
WORDS_PER_CHUNK = 150
VOCABULARY = 20_000
COMMON = 80
QUESTIONS = 200
WORDS_PER_QUESTION = 8


def main() -> None:
    """Print a table for both databases."""
    print(machine(), flush=True)
    head = ["database", "chunks", "kept, chunks/s", "search p50, ms", "p99, ms"]
    print(f"\n{table(head, [])}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        show("SQLite", f"sqlite:///{place}/retrieval.db")
    with running_postgres() as postgres, postgres.database() as name:
        show("PostgreSQL", postgres.url(name))


def show(label: str, url: str) -> None:
    """Print one line of the table for each size."""
    upgrade(url)
    database = Database(url)
    words = Words()
    try:
        with database.write() as session:
            user = accounts.create_user(session, email="bench@example.org")
            caller = accounts.caller_of(user)
        chunks = 0
        for size in SIZES:
            started, before = time.perf_counter(), chunks
            while chunks < size:
                chunks += keep(database, caller, words, chunks)
            rate = (chunks - before) / (time.perf_counter() - started)
            if database.dialect == "postgresql":
                with database.write() as session:
                    session.execute(text("ANALYZE"))  # as its own autovacuum does
            p50, p99 = searched(database, caller, words)
            line = [label, f"{chunks:,}", round(rate), round(p50, 1), round(p99, 1)]
            print("| " + " | ".join(map(str, line)) + " |", flush=True)
    finally:
        database.dispose()


def keep(database: Database, caller: Caller, words: Words, number: int) -> int:
    """One more document; how many chunks it has."""
    sections = [f"## {words.some(3)}\n\n{words.some(WORDS_PER_CHUNK)}" for _ in range(PER_DOCUMENT)]
    new = NewDocument(key=str(number), title=words.some(4), text="\n\n".join(sections))
    with database.write() as session:
        return retrieval.keep(session, caller, new).document.chunks


def searched(database: Database, caller: Caller, words: Words) -> tuple[float, float]:
    """Milliseconds of the middle search, and of the slowest but one in a hundred."""
    times = []
    for _ in range(QUESTIONS):
        question = words.some(WORDS_PER_QUESTION, but_first=COMMON)
        started = time.perf_counter()
        with database.read() as session:
            retrieval.search(session, caller, question)
        times.append(1000 * (time.perf_counter() - started))
    times.sort()
    return times[QUESTIONS // 2], times[QUESTIONS * 99 // 100]


class Words:
    """Makes texts, the same ones every time."""

    def __init__(self) -> None:
        self._random = random.Random(1)
        letters = "abcdefghijklmnopqrstuvwxyz"
        self._words = ["".join(self._random.choices(letters, k=7)) for _ in range(VOCABULARY)]
        self._weights = [1 / rank for rank in range(1, VOCABULARY + 1)]

    def some(self, how_many: int, *, but_first: int = 0) -> str:
        words, weights = self._words[but_first:], self._weights[but_first:]
        return " ".join(self._random.choices(words, weights, k=how_many))
