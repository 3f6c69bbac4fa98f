"""A documentation page as a test sees it: its links, and its examples in order.

A comment before a fenced block, unseen by readers, says what the block is:

    <!-- run -->               run it (`sh`, `python`); it must end with status 0
    <!-- run exit=1 -->        … with this status
    <!-- start -->             start it (`sh`); it serves until the page's end
    <!-- output -->            what the block run last has printed; `…` stands for anything
    <!-- file: name -->        what the reader saves under this name
    <!-- not run: reason -->   an example that stays as it is

A comment of its own, `<!-- wait: command -->`, makes the test wait until the command succeeds,
where a reader has been slow enough.


Blocks of `sh`, `python`, `json` and `toml` need a mark. JSON output is compared as data:
every member on the page must be there, a number stands for any number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

MARKED = ("sh", "python", "json", "toml")

_FENCE = re.compile(r"(?P<ticks>`{3,})(?P<language>\w*)\s*")
_MARK = re.compile(r"\s*<!-- (?P<mark>run|start|output|file|not run)(?P<rest>.*?) -->\s*")
_WAIT = re.compile(r"<!-- wait: (?P<command>.+) -->")
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"#{1,6} (?P<title>.+)")


@dataclass(frozen=True)
class Block:
    """One fenced block. `mark` is the first word of the comment, or nothing."""

    line: int
    language: str
    text: str
    mark: str = ""
    rest: str = ""

    @property
    def status(self) -> int:
        """The status a run block must end with."""
        found = re.search(r"exit=(\d+)", self.rest)
        return int(found[1]) if found else 0


def all_pages() -> list[Path]:
    """Every page, README and examples included, relative to the project's root."""
    found = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")]
    found += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return sorted(path.relative_to(ROOT) for path in found)


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return list(_blocks((ROOT / page).read_text(encoding="utf-8").splitlines()))


def _blocks(lines: list[str]) -> Iterator[Block]:
    mark: re.Match[str] | None = None
    start, ticks, language = 0, "", ""
    for number, line in enumerate(lines, start=1):
        if ticks:
            if line.strip() == ticks:
                text = "\n".join(lines[start : number - 1]) + "\n"
                kind, rest = (mark["mark"], mark["rest"].strip(" :")) if mark else ("", "")
                yield Block(start, language, text, kind, rest)
                ticks, mark = "", None
        elif fence := _FENCE.fullmatch(line):
            start, ticks, language = number, fence["ticks"], fence["language"]
        elif wait := _WAIT.fullmatch(line):
            yield Block(number, "sh", wait["command"], "wait")
        elif line.strip():
            mark = _MARK.fullmatch(line)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^(`{3,}).*?^\1$", "", _text(page), flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    """The targets of a page's links."""
    return [link["target"] for link in _LINK.finditer(prose(page))]


def anchors(page: Path) -> set[str]:
    """What `page.md#…` may name: its headings as GitHub turns them into anchors."""
    titles = [h["title"] for line in prose(page).splitlines() if (h := _HEADING.fullmatch(line))]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _text(page: Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def check_output(block: Block, printed: str) -> None:
    """Compare what was printed with what the page shows. Raises AssertionError."""
    if block.language == "json":
        shown = json.loads(block.text)
        problem = _difference(shown, json.loads(printed), "$")
        assert problem is None, f"line {block.line}: {problem}\nprinted:\n{printed}"
        return
    parts = (re.escape(part) for part in "\n".join(block.text.split("\n")).strip().split("…"))
    assert re.fullmatch(".*?".join(parts), printed.strip(), re.DOTALL), (
        f"line {block.line}: the page shows\n{block.text}\nbut this was printed:\n{printed}"
    )


def _difference(shown: Any, found: Any, place: str) -> str | None:
    """Where `found` is not what the page shows; None if it is."""
    if isinstance(shown, dict) and isinstance(found, dict):
        missing = [name for name in shown if name not in found]
        if missing:
            return f"{place} has no {missing}"
        inner = (_difference(shown[n], found[n], f"{place}.{n}") for n in shown)
        return next((problem for problem in inner if problem), None)
    if isinstance(shown, list) and isinstance(found, list):
        if len(shown) != len(found):
            return f"{place} has {len(found)} items, not {len(shown)}"
        pairs = enumerate(zip(shown, found, strict=True))
        inner = (_difference(s, f, f"{place}[{n}]") for n, (s, f) in pairs)
        return next((problem for problem in inner if problem), None)
    if _is_number(shown) and _is_number(found):
        return None
    if isinstance(shown, str) and isinstance(found, str) and "…" in shown:
        pattern = ".*?".join(map(re.escape, shown.split("…")))
        same = re.fullmatch(pattern, found, re.DOTALL) is not None
    else:
        same = shown == found
    return None if same else f"{place} is {found!r}, not {shown!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
