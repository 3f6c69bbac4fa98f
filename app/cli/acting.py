"""Commands that act on an output that is there: again, differently, now, or not at all."""

from __future__ import annotations

from typing import Any

import click

from app.cli.output import note, show_json
from app.cli.remote import (
    VERDICTS,
    connected,
    find_output,
    read_object,
    read_text,
    show_accepted,
)
from llm_jobs import Client
from llm_jobs.handles import Output


@click.command()
@click.argument("id_or_job_id")
@connected
def rerun(client: Client, as_json: bool, *, id_or_job_id: str) -> None:
    """Run the same job once more, as a new job."""
    show_accepted(client.outputs.re_run(find_output(client, id_or_job_id)), as_json)


@click.command()
@click.argument("id_or_job_id")
@click.option("--context", help="Other variables as JSON, or @FILE.")
@click.option("--model", help="Another model.")
@click.option("--template", help="Another template: its text, @FILE or -.")
@connected
def regenerate(
    client: Client,
    as_json: bool,
    *,
    id_or_job_id: str,
    context: str | None,
    model: str | None,
    template: str | None,
) -> None:
    """Run a job again with something changed, as a new job."""
    changes: dict[str, Any] = {}
    if context is not None:
        changes["context"] = read_object(context, "--context")
    if model is not None:
        changes["model"] = model
    if template is not None:
        changes["template"] = read_text(template)
    show_accepted(client.outputs.regenerate(find_output(client, id_or_job_id), **changes), as_json)


@click.command()
@click.argument("id_or_job_id")
@click.argument("verdict", type=VERDICTS)
@click.option("--comment", help="Why.")
@connected
def feedback(
    client: Client, as_json: bool, *, id_or_job_id: str, verdict: str, comment: str | None
) -> None:
    """Give an output a thumb up or down, or take it back."""
    output = find_output(client, id_or_job_id)
    client.outputs.feedback(output, verdict, comment=comment)
    if as_json:
        show_json({"status": "success", "output_id": output.id, "feedback": verdict})
    else:
        note(f"output {output.id}: {verdict}")


@click.command()
@click.argument("id_or_job_id")
@connected
def why(client: Client, as_json: bool, *, id_or_job_id: str) -> None:
    """Say what a job waits for, and until when."""
    told = client.why(find_output(client, id_or_job_id).job_id)
    if as_json:
        show_json(dict(told))
        return
    for reason in told["reasons"]:
        until = f" (until {reason['until']})" if reason["until"] else ""
        click.echo(f"{reason['reason']}: {reason['detail']}{until}")


@click.command()
@click.argument("id_or_job_id")
@connected
def advance(client: Client, as_json: bool, *, id_or_job_id: str) -> None:
    """Run a waiting job now instead of at its time."""
    output = client.jobs.advance(find_output(client, id_or_job_id).job_id)
    if as_json:
        show_json(dict(output.row))
    else:
        note(f"job {output.job_id}: due now")


@click.command()
@click.argument("job_id")
@connected
def cancel(client: Client, as_json: bool, *, job_id: str) -> None:
    """Cancel a job: a waiting one never runs, a running one stops within seconds."""
    output = Output(client.cancel(job_id))
    if as_json:
        show_json(dict(output.row))
    else:
        note(f"job {job_id}: {output.status}")
