"""Summarises Python's own standard library: a few hundred real jobs in three formats.

    python examples/summarise_stdlib.py --url http://127.0.0.1:8000 --key ljk_live_…
    python examples/summarise_stdlib.py --limit 30 --model claude-haiku-4-5

Each module's docstring becomes one job: a sentence (text), a record (JSON with a schema) or a
short page (markdown), in turn. They are submitted on the queue `low`; then progress is shown while
they end, and two tables say what came of them and what it took. It uses nothing but
`llm_jobs.Client`, so it works as well against a platform on another machine.
Exit status: 0 when all jobs completed, else 1.
"""

from __future__ import annotations

import argparse
import ast
import os
import statistics
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from llm_jobs import ApiError, Client, Job, Output, Unreachable

LONGEST_DOCSTRING = 4_000
LONGEST_SHOWN = 60

SCHEMA = {
    "type": "object",
    "properties": {
        "purpose": {"type": "string"},
        "topics": {"type": "array", "items": {"type": "string"}, "maxItems": 5},
        "for_beginners": {"type": "boolean"},
    },
    "required": ["purpose", "topics", "for_beginners"],
    "additionalProperties": False,
}
TASKS: dict[str, dict[str, Any]] = {
    "text": {
        "template": "Say in one sentence what Python's module {{module}} is for:\n\n{{docstring}}"
    },
    "json": {
        "template": "Describe Python's module {{module}} as JSON:\n\n{{docstring}}",
        "response_schema": SCHEMA,
    },
    "markdown": {
        "template": "Write a short Markdown page, with a heading and three bullets, about Python's"
        " module {{module}}:\n\n{{docstring}}"
    },
}


@dataclass(frozen=True)
class Module:
    """A module of the standard library and what it says about itself."""

    name: str
    docstring: str


@dataclass(frozen=True)
class Submitted:
    """A job and what it is about."""

    module: Module
    format: str
    job: Job


def main() -> int:
    """Submit, wait, show; returns the exit status."""
    options = read_options()
    console = Console()
    modules = list(documented_modules())[: options.limit]
    try:
        with Client(options.url, options.key) as client:
            started = time.monotonic()
            submitted = submit(client, modules, model=options.model)
            console.print(f"{len(submitted)} jobs submitted in {_since(started)}")
            ended = list(wait(submitted, console))
    except (ApiError, Unreachable) as error:
        console.print(f"{options.url}: {error}", style="red", markup=False)
        return 1
    show(ended, console, seconds=time.monotonic() - started)
    return 0 if all(output.success for _, output in ended) else 1


def read_options() -> argparse.Namespace:
    """The command line; address and key may also come from the environment."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    environment = os.environ
    parser.add_argument("--url", default=environment.get("LLM_JOBS_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--key", default=environment.get("LLM_JOBS_API_KEY"))
    parser.add_argument("--limit", type=int, default=300, help="modules at most (default: 300)")
    parser.add_argument(
        "--model",
        default="gpt-4o-mini",
        help="model, or several separated by commas, taken in turn (default: gpt-4o-mini)",
    )
    options = parser.parse_args()
    if not options.key:
        parser.error("no API key: give --key, or set LLM_JOBS_API_KEY")
    return options


def documented_modules() -> Iterator[Module]:
    """Modules of the standard library with a docstring, by name; none of them is imported."""
    library = Path(sysconfig.get_path("stdlib"))
    for file in sorted([*library.glob("*.py"), *library.glob("*/*.py")]):
        parts = file.relative_to(library).with_suffix("").parts
        if parts[0] not in sys.stdlib_module_names or any(p.startswith("_") for p in parts[:-1]):
            continue
        name = ".".join(parts).removesuffix(".__init__")
        docstring = ast.get_docstring(ast.parse(file.read_bytes()))
        if docstring and not name.rpartition(".")[2].startswith("_"):
            yield Module(name, docstring[:LONGEST_DOCSTRING])


def submit(client: Client, modules: Sequence[Module], *, model: str) -> list[Submitted]:
    """One job for each module, its format and model taken in turn; several requests at a time."""
    models = model.split(",")

    def create(number: int, module: Module) -> Submitted:
        format = list(TASKS)[number % len(TASKS)]
        job = client.jobs.create(
            **TASKS[format],
            format=format,
            model=models[number // len(TASKS) % len(models)],
            context={"module": module.name, "docstring": module.docstring},
            queue="low",
            metadata={"example": "summarise_stdlib"},
        )
        return Submitted(module, format, job)

    with ThreadPoolExecutor(max_workers=8) as requests:
        return list(requests.map(create, range(len(modules)), modules))


def wait(submitted: Sequence[Submitted], console: Console) -> Iterator[tuple[Submitted, Output]]:
    """Each job with its output, in the order of their submission; progress on a terminal only."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    hidden = not console.is_terminal
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=hidden) as progress:
        task = progress.add_task("waiting", total=len(submitted))
        for one in submitted:
            output = one.job.wait()
            progress.update(task, advance=1, description=f"{one.module.name:<24.24}")
            yield one, output


def show(ended: Sequence[tuple[Submitted, Output]], console: Console, *, seconds: float) -> None:
    """A table of results, and one of what they took."""
    results = Table("module", "format", "tries", "seconds", "tokens", "result", title="Results")
    for one, output in ended:
        tries, took = str(output.row["tries"]), f"{_seconds_of(output):.1f}"
        results.add_row(one.module.name, one.format, tries, took, _tokens(output), _result(output))
    if not console.is_terminal:
        console.width = 160
    console.print(results)
    console.print(_sums([output for _, output in ended], seconds))


def _sums(outputs: Sequence[Output], seconds: float) -> Table:
    attempts = [attempt for output in outputs for attempt in output.row["attempts"]]
    kinds = Counter(attempt["kind"] for attempt in attempts)
    failures = Counter(a["error_code"] for a in attempts if a["outcome"] in ("retried", "failed"))
    took = [_seconds_of(output) for output in outputs] or [0.0]
    costs = [output.cost for output in outputs]
    table = Table("what", "how much", title="Sums")
    table.add_row("jobs", _counted(Counter(output.status for output in outputs)))
    table.add_row("seconds in all", f"{seconds:.1f}")
    table.add_row("seconds a job", f"median {statistics.median(took):.1f}, most {max(took):.1f}")
    table.add_row("calls", _counted(kinds))
    table.add_row("retries", str(sum(a["outcome"] == "retried" for a in attempts)))
    table.add_row("failed calls", _counted(failures) or "none")
    table.add_row("tokens in", f"{sum(o.row['input_tokens'] or 0 for o in outputs):,}")
    table.add_row("tokens out", f"{sum(o.row['output_tokens'] or 0 for o in outputs):,}")
    table.add_row("cost", _cost(costs))
    return table


def _cost(costs: Sequence[float | None]) -> str:
    known = [cost for cost in costs if cost is not None]
    unpriced = f"{len(costs) - len(known)} jobs without a known price"
    if not known:
        return unpriced
    return f"${sum(known):.4f}" + (f", {unpriced}" if None in costs else "")


def _result(output: Output) -> str:
    if output.status != "completed":
        return f"{output.status}: {output.error_code}"
    text = output.parsed["purpose"] if isinstance(output.parsed, dict) else output.text or ""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_SHOWN else f"{line[: LONGEST_SHOWN - 1]}…"


def _seconds_of(output: Output) -> float:
    """From submission to end, waiting for other jobs included."""
    created, finished = (
        datetime.fromisoformat(output.row[name]) for name in ("created_at", "finished_at")
    )
    return (finished - created).total_seconds()


def _tokens(output: Output) -> str:
    return f"{output.row['input_tokens'] or 0} + {output.row['output_tokens'] or 0}"


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{number} {word}" for word, number in counter.most_common())


def _since(started: float) -> str:
    return f"{time.monotonic() - started:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
