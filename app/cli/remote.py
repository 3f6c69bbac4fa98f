"""Commands any client may run: over HTTP, with an API key, through `llm_jobs.Client`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from app.cli.output import Exit, fail, note, show_json, show_table
from llm_jobs import Client
from llm_jobs.errors import ApiError, TimedOut, Unreachable
from llm_jobs.handles import Job, Output

Command = TypeVar("Command", bound=Callable[..., Any])

FORMATS = click.Choice(["text", "json", "markdown", "html"])
QUEUES = click.Choice(["high", "default", "low"])
VERDICTS = click.Choice(["thumbs_up", "thumbs_down", "none"])
TIMEOUT = click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=600.0,
    show_default=True,
    help="Seconds to wait at most; the job goes on.",
)


def connected(command: Command) -> Command:
    """Adds `--url`, `--key` and `--json`; the command gets a client and `as_json` first."""

    @click.option("--url", envvar="LLM_JOBS_URL", help="Where the platform is [LLM_JOBS_URL].")
    @click.option("--key", envvar="LLM_JOBS_API_KEY", help="An API key [LLM_JOBS_API_KEY].")
    @click.option("--json", "as_json", is_flag=True, help="JSON for machines.")
    @wraps(command)
    def run(url: str | None, key: str | None, as_json: bool, **rest: Any) -> None:
        if not key:
            fail("no API key: give --key, or set LLM_JOBS_API_KEY", Exit.USAGE)
        url = url or f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"
        with _errors_as_statuses(), _client(url, key) as client:
            command(client, as_json, **rest)

    return run  # type: ignore[return-value]


@click.command()
@click.argument("template", required=False)
@click.option("--prompt", help="A stored prompt in place of TEMPLATE: NAME, NAME@3 or NAME@LABEL.")
@click.option("--workitem", help="What the prompt's placeholders read, as JSON, or @FILE.")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file the prompt reads; may be given again.",
)
@click.option("--debug", is_flag=True, help="Keep what is sent and heard with the output.")
@click.option("--model", help="Which model answers; a prompt may name its own.")
@click.option("--context", "context", help="Variables as JSON, or @FILE.")
@click.option("--var", "variables", multiple=True, metavar="NAME=TEXT", help="One variable.")
@click.option("--format", "format_", type=FORMATS, help="Of the answer (default: text).")
@click.option("--queue", type=QUEUES, help="How urgent it is (default: default).")
@click.option("--system", help="A system message.")
@click.option("--option", "options", multiple=True, metavar="NAME=JSON", help="A model option.")
@click.option(
    "--schema",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON Schema the answer must match; needs --format json.",
)
@click.option("--idempotency-key", help="The same key and job again: the first answer again.")
@click.option("--wait/--no-wait", "waits", default=False, help="Wait for the answer.")
@TIMEOUT
@connected
def submit(
    client: Client,
    as_json: bool,
    *,
    template: str | None,
    prompt: str | None,
    workitem: str | None,
    files: tuple[Path, ...],
    debug: bool,
    model: str | None,
    context: str | None,
    variables: tuple[str, ...],
    format_: str | None,
    queue: str | None,
    system: str | None,
    options: tuple[str, ...],
    schema: Path | None,
    idempotency_key: str | None,
    waits: bool,
    timeout: float,
) -> None:
    """Submit a job. TEMPLATE is its text, @FILE, or - for standard input; with --prompt there is
    none.
    """
    _check_one_way(template, prompt, model)
    job = client.jobs.create(
        template=None if template is None else read_text(template),
        prompt=prompt,
        workitem=None if workitem is None else read_object(workitem, "--workitem"),
        files=files or None,
        debug=debug or None,
        model=model,
        context=read_object(context, "--context") | dict(_pairs(variables, "--var")),
        format=format_,
        queue=queue,
        system=system,
        options={n: _value(v) for n, v in _pairs(options, "--option")} or None,
        response_schema=read_object(f"@{schema}", "--schema") if schema else None,
        idempotency_key=idempotency_key,
    )
    for warning in job.warnings:
        note(f"warning: {warning}")
    if waits:
        _finish(_waited(job, timeout), as_json)
    else:
        show_accepted(job, as_json)


def _check_one_way(template: str | None, prompt: str | None, model: str | None) -> None:
    if (template is None) == (prompt is None):
        raise click.UsageError("give a TEMPLATE, or --prompt NAME")
    if template is not None and not model:
        raise click.UsageError("Missing option '--model'.")


@click.command()
@click.argument("job_id")
@TIMEOUT
@connected
def wait(client: Client, as_json: bool, *, job_id: str, timeout: float) -> None:
    """Wait until a job has ended and print its answer."""
    _finish(_waited(_job(client, client.jobs.get(job_id)), timeout), as_json)


@click.command()
@click.argument("id_or_job_id")
@connected
def show(client: Client, as_json: bool, *, id_or_job_id: str) -> None:
    """Print everything about an output, by its number or its job id."""
    output = find_output(client, id_or_job_id)
    if as_json or not sys.stdout.isatty():
        show_json(dict(output.row))
        return
    for name, value in output.row.items():
        if value not in (None, [], {}):
            click.echo(f"{name}: {value if isinstance(value, str) else json.dumps(value)}")


@click.command()
@click.argument("job_id")
@connected
def watch(client: Client, as_json: bool, *, job_id: str) -> None:
    """Follow a job live: its states on standard error, the text as the model writes it."""
    wrote = False
    for event in client.jobs.events(job_id):
        if as_json:
            click.echo(json.dumps({"event": event.event, "data": event.data}, ensure_ascii=False))
        elif event.event == "delta":
            wrote = True
            click.echo(event.data["text"], nl=False)
        elif event.event == "reset" and wrote:
            note("\n(the model begins again)")
        elif event.event in ("snapshot", "status"):
            note(f"[{event.data.get('status')}]")
    output = client.jobs.get(job_id)
    if not as_json:
        click.echo("" if wrote else (output.text or ""))
    sys.exit(_status_of(output))


@click.command("list")
@click.option("--status", help="Only those with this status.")
@click.option("--model", help="Only those of this model.")
@click.option("--queue", type=QUEUES, help="Only those of this queue.")
@click.option("--feedback", type=VERDICTS, help="Only those with this verdict.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="At most so many.",
)
@connected
def list_outputs(client: Client, as_json: bool, *, limit: int, **filters: str | None) -> None:
    """List your outputs, newest first."""
    rows: list[dict[str, Any]] = []
    for output in client.outputs.list(limit=min(limit, 100), **filters):
        rows.append(dict(output.row))
        if len(rows) >= limit:
            break
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    columns = ["id", "status", "model_name", "format", "template_name", "feedback", "job_id"]
    show_table(columns, rows)


def _client(url: str, key: str) -> Client:
    try:
        return Client(url, key.strip(), patience_seconds=5)
    except ValueError as error:
        fail(str(error), Exit.USAGE)


def show_accepted(job: Job, as_json: bool) -> None:
    """Say that a job was accepted: its id for pipes, the rest for people."""
    if as_json:
        show_json({"job_id": job.job_id, "output_id": job.output_id, "status": job.status})
        return
    click.echo(job.job_id)
    note(f"queued as output {job.output_id}; llm-jobs wait {job.job_id}")


def _waited(job: Job, timeout: float) -> Output:
    if not sys.stderr.isatty():
        return job.wait(timeout)
    from rich.console import Console

    with Console(stderr=True).status(f"waiting for output {job.output_id} …"):
        return job.wait(timeout)


def _finish(output: Output, as_json: bool) -> None:
    """Print an ended job's answer and end with its status."""
    if as_json:
        show_json(dict(output.row))
    elif output.status == "completed":
        click.echo(output.row.get("formatted_output") or output.text or "")
    else:
        note(f"{output.status}: {output.error_code}: {output.error_message}")
    sys.exit(_status_of(output))


def _status_of(output: Output) -> Exit:
    return Exit.OK if output.status == "completed" else Exit.JOB_FAILED


def find_output(client: Client, id_or_job_id: str) -> Output:
    """The output of a number or of a job's id."""
    if not id_or_job_id.strip():
        raise click.UsageError("give an output's number or a job's id")
    if id_or_job_id.isascii() and id_or_job_id.isdigit():
        return client.outputs.get(int(id_or_job_id))
    return client.jobs.get(id_or_job_id)


def _job(client: Client, output: Output) -> Job:
    return Job(output_id=output.id, job_id=output.job_id, status=output.status, backend=client)


def read_text(argument: str) -> str:
    """A text given as it is, as @FILE, or as - for standard input."""
    if argument == "-":
        return _standard_input()
    return _file(argument[1:]) if argument.startswith("@") else argument


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"standard input is not UTF-8: {error}") from None


def read_object(argument: str | None, option: str) -> dict[str, Any]:
    """A JSON object given as text, @FILE or -; nothing given is an empty one."""
    if argument is None:
        return {}
    try:
        value = json.loads(read_text(argument))
    except ValueError as error:
        raise click.UsageError(f"{option} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise click.UsageError(f"{option} must be a JSON object")
    return value


def _pairs(arguments: tuple[str, ...], option: str) -> Iterator[tuple[str, str]]:
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} {argument!r}: write it as NAME=VALUE")
        yield name, value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} cannot be read: {error}") from None


@contextmanager
def _errors_as_statuses() -> Iterator[None]:
    try:
        yield
    except TimedOut as error:
        fail(error.message, Exit.TIMEOUT)
    except Unreachable as error:
        fail(error.message, Exit.UNREACHABLE)
    except UnicodeEncodeError:
        fail("an argument is not UTF-8", Exit.USAGE)
    except ApiError as error:
        fail(error.message, Exit.UNREACHABLE if error.status >= 500 else Exit.USAGE)
