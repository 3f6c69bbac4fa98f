"""`pytest --fault-table`: what each fault did, and what came of it, as one Markdown table.

A test says which fault it brings about (`@pytest.mark.fault("F5", "Redis is killed")`), and its
platform what came of it (`tell`). Numbers of one fault are added up over the databases it ran on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

NUMBERS = ("accepted", "completed", "failed", "cancelled", "lost", "repeated calls")
_HEAD = ("fault", "what happened", *NUMBERS, "verdict")


def tell(node: pytest.Item, numbers: Mapping[str, int]) -> None:
    """Leave the numbers of one platform with the test that broke it."""
    node.user_properties.append(("tally", dict(numbers)))


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `make faults` gives."""
    group = parser.getgroup("faults")
    group.addoption("--fault-table", action="store_true", help="print what each fault did")
    group.addoption(
        "--minutes", type=float, default=0.0, help="run what is marked long, for so many minutes"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--fault-table"):
        config.pluginmanager.register(FaultTable(), "fault-table")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests only where minutes are given; and each test carries its faults to the report."""
    if not config.getoption("--minutes"):
        long = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)
    for item in items:
        item.user_properties += [("fault", list(mark.args)) for mark in item.iter_markers("fault")]


@dataclass
class _Row:
    """One fault, over all tests and databases."""

    outcomes: set[str] = field(default_factory=set)
    numbers: Counter[str] = field(default_factory=Counter)
    told: bool = False

    @property
    def verdict(self) -> str:
        if "failed" in self.outcomes:
            return "**broken**"
        return "holds" if "passed" in self.outcomes else "not run"


class FaultTable:
    """Gathers reports, from this process or from those of xdist, and prints the table last."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], _Row] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Numbers come with the end of the test's platform, so with the report of its teardown."""
        for name, what in _properties(report, "fault"):
            row = self._rows.setdefault((name, what), _Row())
            if report.when == "call" or report.outcome != "passed":
                row.outcomes.add(report.outcome)
            if report.when == "teardown":
                for numbers in _properties(report, "tally"):
                    row.numbers.update(numbers)
                    row.told = True

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The table; nothing where no fault was brought about."""
        if self._rows:
            terminalreporter.section("faults")
            for line in self.lines():
                terminalreporter.write_line(line)

    def lines(self) -> list[str]:
        """The table in Markdown, in the order of the faults."""
        shown = sorted(self._rows.items(), key=lambda item: (_number(item[0][0]), item[0][1]))
        body = [[*key, *_shown(row), row.verdict] for key, row in shown]
        rule = ["---", "---", *["--:"] * len(NUMBERS), "---"]
        return [_line(cells) for cells in (_HEAD, rule, *body)]


def _properties(report: pytest.TestReport, name: str) -> list:  # type: ignore[type-arg]
    return [value for key, value in report.user_properties if key == name]


def _shown(row: _Row) -> list[str]:
    return [f"{row.numbers[name]:,}" if row.told else "–" for name in NUMBERS]


def _number(fault: str) -> int:
    return int(fault.removeprefix("F"))


def _line(cells: Sequence[str] | Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
