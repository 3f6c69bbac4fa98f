"""The reference of log events: found in the code, explained here.

An event is found by reading the source for calls of `log.<level>(…)`, so that none is forgotten:
one without a sentence below stops the writing, and so does a sentence without an event.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app import log

ROOT = Path(__file__).parents[2]
ROOMS = ("api", "app", "workers")

#: Event → what it means, and to the operator; in the order of the page.
JOBS = {
    log.JOB_QUEUED: "A job was accepted: its row is committed",
    log.JOB_STARTED: "A worker begins an attempt; `attempt` is the try it will use",
    log.JOB_COMPLETED: "The job has ended with an answer; `duration` is the last call's",
    log.JOB_DEBUG: "One call of a job that is debugged, whole and redacted: its request, and the"
    " answer or the error",
    log.JOB_FAILED: "An attempt failed; one of the next three lines follows",
    "LLMJob retry n/N in X seconds": "It is tried again after so long; the delay is the row's"
    " `run_at`",
    "LLMJob waits for capacity": "The provider said to slow down (429): the job waits without using"
    " a try",
    log.JOB_FAILED_FOR_GOOD: "The job has ended as failed: no retry is left, or none would help",
    "LLMJob cancelled": "The job was cancelled while it ran; its call is closed",
    "job revoked": "Somebody revoked the job's task in Celery, which cancels the job; `found` says"
    " whether it was still to be cancelled",
    "job rescued": "A worker died while it held the job; `status` is what became of it",
    "job expired": "The deadline passed before the job was run",
    "job lost": "This worker's lease was over before it could be renewed: the call was dropped and"
    " somebody else has the job",
    log.FEEDBACK_RECEIVED: "A verdict on an output was stored",
}
REQUESTS = {
    "request": "One HTTP request has been answered to its last byte; `key` is the visible part",
    "request failed": "Something unforeseen: the client got 500 with this `request_id`",
    "service failed": "Something unforeseen in one of the services of `/services`: its client got"
    " INTERNAL_ERROR",
    "request body not read": "The client sent a broken body or left before its end; it got 400",
    "event stream ended early": "A job's event stream was closed because its row cannot be read;"
    " the client comes back by itself",
}
PARTS = {
    "database away": "Results wait in this worker's memory; nothing new is claimed",
    "database back": "What waited is written",
    "batch not written": "A batch of results failed for a reason that is not the data's; each job"
    " in it is rescued when its lease is over",
    "row refused": "The database refused one row's result for what is in it; the job is rescued"
    " when its lease is over. Report it: the facts name the database's code, never the data",
    "heartbeat not written": "The database is away; leases hold until they are over",
    "heartbeat failed": "A defect: report it with the traceback",
    "lease not renewed in time": "A call is dropped because its lease may be over: look at the"
    " database and at the machine's load",
    "worker row not removed": "The database was away while the worker stopped: its row goes away"
    " after an hour",
    "chat turn begun": "A message of a chat has waited for the turn before it; now it is a job",
    "documents not searched": "A message of a chat goes to the model without passages of documents;"
    " the answer says so",
    "questions not embedded": "The embedder of `LLM_JOBS_EMBEDDER` failed, or there is none of that"
    " name: documents are found by their words alone",
    "chat turn refused": "A message that had waited could not be asked (its model is served no"
    " longer): the chat says so",
    "chat has no title of its own": "The model of `LLM_JOBS_CHAT_TITLE_MODEL` could not be asked;"
    " the chat keeps the first words of its first message",
    "asset loaded slowly": "What a chat is about took longer than 0.2 s to read: look at its type,"
    " or at the database",
    "forgotten": "What the settings keep for so long only has gone: texts, rows, removed chats",
    "dispatcher waits": "The database is away; the next tick tries again",
    "dispatcher tick failed": "A defect: report it with the traceback",
    "wake not sent": "The broker did not take a message in time; the job waits in its row for the"
    " dispatcher",
    "unreadable message dropped": "A message in the queue is not ours or is damaged; a job it may"
    " have named is woken again",
    "event not sent": "Flower was not told of an end; the row is right",
    "queue length not read": "The broker does not answer; nothing is sent for a second",
    "live events not sent": "Redis does not answer: listeners get the text with the end instead",
    "live events not heard": "Redis does not answer: cancels are found by the heartbeat instead",
    "unreadable live event": "A message on our Redis channel is not ours",
    "handler of live events failed": "A defect: report it with the traceback",
    "awaited rows not looked up": "The database is away; held `?wait=` answers come later",
    "rate limits are counted per process": "Redis does not answer: each web process counts by"
    " itself, so a caller may get his rate once per process",
    "rate limits are shared again": "Redis is back",
    "the platform's health could not be read": "The banner of a page was left out; report it with"
    " the traceback",
    "prices not read": "The database is away: costs are computed with the prices read before",
    "context fetcher failed": "A fetcher raised something that is not ours; the job got a warning"
    " or, if it was required, a retry",
    "prompt hook failed": "A prompt builder or result handler (`hook`) raised something that is not"
    " ours; the job fails",
    "endpoints not read": "Endpoints registered by administrators are those read before",
    "endpoint not usable": "Its row was changed by hand: correct it on the page Endpoints",
    "execution failed": "A defect: the job failed with `internal`; report it with the traceback",
    "revoked job not cancelled": "The database was away; cancel the job again",
    "telemetry started": "Traces, metrics and votes go to an OpenTelemetry collector from now on",
    "telemetry not installed": "An `OTEL_*` variable asks for OpenTelemetry, and `missing` is not"
    " there: install the extra `otel`",
    "telemetry not started": "OpenTelemetry cannot work with what the `OTEL_*` variables say; jobs"
    " run without it",
    "telemetry not sent": "The collector did not take the last spans in time while this process"
    " stopped",
    "simulator_started": "The simulator listens at `url`",
}
POOL = {
    "task_failed": "A Celery task raised; `where` is the place, never the words",
    "celery_callback_failed": "A defect in telling Celery: report it with the traceback",
    "thread_cannot_be_cancelled": "A synchronous task was to be cancelled; it runs to its end",
    "tasks_cut_by_shutdown": "The grace is over: so many calls were cut, their jobs are rescued",
    "loop_is_blocked": "Something blocks the event loop; the worker exits without it",
    "loop_interrupted": "The event loop was interrupted and goes on",
    "services_hang": "Writer or heartbeat did not stop in time; the worker exits without them",
    "service_failed": "Writer or heartbeat could not be started or stopped (`to`)",
}
SECTIONS = {
    "A job's life": JOBS,
    "Requests": REQUESTS,
    "Parts that are away, and defects": PARTS,
    "Inside the worker's pool": POOL,
}

_INTRODUCTION = """# Log events

{written}

Servers write one JSON object a line to standard error (lines for people when that is a terminal):
`timestamp` (UTC), `level`, `logger`, `message` (the event below) and the event's own facts. Lines
of libraries go through the same pipeline. `LLM_JOBS_LOG_LEVEL` is the least level shown.
Where jobs are [traced](../how-to/trace-with-opentelemetry.md), the lines about accepting and
running one carry its `trace_id`.

A line never holds a prompt, a value of a context, an answer or a secret: a raw template is shown
by its first {characters} characters, a context by its keys, and what looks like a key, a token or a
password in a URL is replaced by `{redacted}`.

```json
{{"message": "LLMJob completed successfully", "level": "info", "job_id": "0d9f…", "output_id": 456,
 "template": "Welcome {{{{name}}}}", "model": "gpt-4", "user_id": 789, "response_length": 150,
 "duration": 1.284, "usage": {{"input_tokens": 9, "output_tokens": 37}},
 "logger": "llm_jobs.job", "timestamp": "2026-01-15T10:30:00.000000Z"}}
```
"""


@dataclass(frozen=True)
class Found:
    """One event in the code."""

    name: str
    level: str
    facts: tuple[str, ...] = ()


def page(written: str) -> str:
    """docs/reference/log-events.md."""
    found = {event.name: event for event in find()}
    explained = {name for told in SECTIONS.values() for name in told}
    if found.keys() != explained:
        raise SystemExit(
            "log events (docs/writers/log_events.py):"
            f" not explained {sorted(found.keys() - explained)},"
            f" not in the code {sorted(explained - found.keys())}"
        )
    parts = [
        _INTRODUCTION.format(
            written=written, characters=log.TEMPLATE_CHARACTERS, redacted=log.REDACTED
        )
    ]
    for title, told in SECTIONS.items():
        rows = [_row(found[name], meaning) for name, meaning in told.items()]
        head = "| event | level | meaning | facts |\n| --- | --- | --- | --- |"
        parts.append(f"## {title}\n\n{head}\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _row(event: Found, meaning: str) -> str:
    facts = ", ".join(f"`{fact}`" for fact in event.facts) or "–"
    return f"| `{event.name}` | {event.level} | {meaning} | {facts} |"


def find() -> Iterator[Found]:
    """Every event, once; the same event from several places has the facts of all."""
    merged: dict[str, Found] = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for event in _Module(path).events():
                before = merged.get(event.name, event)
                facts = tuple(dict.fromkeys((*before.facts, *event.facts)))
                merged[event.name] = Found(event.name, before.level, facts)
    return iter(merged.values())


Function = ast.FunctionDef | ast.AsyncFunctionDef
_LEVELS = {"exception": "error", "warn": "warning"}


@dataclass
class _Module:
    """One file's calls of its logger."""

    path: Path
    tree: ast.Module = field(init=False)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.path.read_text(encoding="utf-8"))

    def events(self) -> Iterator[Found]:
        functions = [n for n in ast.walk(self.tree) if isinstance(n, Function)]
        for call, level in _log_calls(self.tree):
            around = [f for f in functions if call in set(ast.walk(f))]
            inner = min(around, key=lambda f: (f.end_lineno or 0) - f.lineno, default=None)
            facts = tuple(dict.fromkeys(self._facts(call, around)))
            if level == "exception":
                facts += ("exception",)
            for name in self._names(call.args[0], inner):
                yield Found(name.partition(":")[0], _LEVELS.get(level, level), facts)

    def _names(self, event: ast.expr, inner: Function | None) -> list[str]:
        """The texts an event's name can be. Raises SystemExit for one that cannot be read off."""
        match event:
            case ast.Constant(value=str() as text):
                return [text]
            case ast.IfExp(body=body, orelse=orelse):
                return [*self._names(body, inner), *self._names(orelse, inner)]
            case ast.Attribute(attr=attr) if isinstance(getattr(log, attr, None), str):
                return [getattr(log, attr)]
            case ast.Name(id=name) if inner:
                return self._named(name, inner)
        raise SystemExit(f"{self.path}:{event.lineno}: an event's name cannot be read off the code")

    def _named(self, name: str, inner: Function) -> list[str]:
        """A variable: made by `retry_event`, or an argument, whatever callers pass for it."""
        for node in ast.walk(inner):
            if isinstance(node, ast.Assign) and "retry_event" in ast.unparse(node.value):
                return ["LLMJob retry n/N in X seconds"]
        place = [a.arg for a in inner.args.args if a.arg != "self"].index(name)
        calls = _calls(self.tree, inner.name)
        return [text for call in calls for text in self._names(call.args[place], None)]

    def _facts(self, call: ast.Call, around: list[Function]) -> Iterator[str]:
        for keyword in call.keywords:
            if keyword.arg == "exc_info":
                yield "exception"
            elif keyword.arg:
                yield keyword.arg
            else:
                yield from self._spread(keyword.value, around)

    def _spread(self, value: ast.expr, around: list[Function]) -> list[str]:
        """The keys of `**name` or `**function(…)`, where a dictionary is written out for it."""
        if isinstance(value, ast.Name):
            places: list[ast.AST] = [
                n.value
                for f in around
                for n in ast.walk(f)
                if isinstance(n, ast.Assign) and value.id in map(ast.unparse, n.targets)
            ]
        else:
            places = [value]
        calls = {ast.unparse(n.func) for n in places if isinstance(n, ast.Call)}
        places += [
            n.value
            for f in ast.walk(self.tree)
            if isinstance(f, Function) and f.name in calls
            for n in ast.walk(f)
            if isinstance(n, ast.Return) and n.value
        ]
        keys = [k for n in places if isinstance(n, ast.Dict) for k in n.keys]
        return [str(key.value) for key in keys if isinstance(key, ast.Constant)]


def _log_calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Each call of a level's method of `log`, and the level."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=level)):
                if level in ("debug", "info", "warning", "error", "exception", "critical"):
                    yield node, level


def _calls(tree: ast.AST, function: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == function
    ]
