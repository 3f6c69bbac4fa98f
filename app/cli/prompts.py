"""Commands about the library of prompts: over HTTP, with an API key, like those about jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from app.cli.output import note, show_json, show_table
from app.cli.remote import connected
from llm_jobs import Client

_COLUMNS = ["name", "version", "draft", "labels", "shared", "owner", "description"]
_MEDIA_TYPES = {
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".xml": "application/xml",
    ".bpmn": "application/xml",  # a model says itself that it is one
}
_LONGEST_NAME = 100


@click.group()
def prompts() -> None:
    """Store, compare and publish prompt definitions by name."""


@prompts.command("import")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE...",
)
@click.option("--draft", is_flag=True, help="Store drafts; publish them later.")
@click.option("--name", help="For a definition without a name (default: its file's).")
@connected
def prompts_import(
    client: Client, as_json: bool, *, files: tuple[Path, ...], draft: bool, name: str | None
) -> None:
    """Store the definitions in FILEs: .json, .yaml, .xml (Imixs) or .bpmn.

    Each file is stored whole or not at all; what is there already adds no version.
    """
    for path in files:
        if path.suffix.lower() not in _MEDIA_TYPES:
            raise click.UsageError(f"{path}: its name must end in {', '.join(_MEDIA_TYPES)}")
    stored: list[Any] = []
    warnings: list[str] = []
    for path in files:
        answer = client.prompts.create(
            path.read_bytes(),
            media_type=_MEDIA_TYPES[path.suffix.lower()],
            name=(name or path.stem)[:_LONGEST_NAME],
            publish=not draft,
        )
        stored += answer["data"]
        warnings += answer["warnings"]
        if not as_json:
            _tell(answer)
    if as_json:
        show_json({"data": stored, "warnings": warnings})


@prompts.command("list")
@click.option("--q", help="Only those whose name or description holds this.")
@click.option("--label", help="Only those with this label.")
@click.option("--shared/--private", default=None, help="Only shared ones, or only others.")
@click.option("--all-users", is_flag=True, help="Everybody's; administrators only.")
@connected
def prompts_list(client: Client, as_json: bool, *, all_users: bool, **filters: Any) -> None:
    """List your own prompts and the shared ones, newest first."""
    rows = list(client.prompts.list(all_users=all_users or None, **filters))
    if as_json:
        show_json(rows)
        return
    show_table(_COLUMNS, [_line(row) for row in rows])


@prompts.command("show")
@click.argument("reference")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["yaml", "json", "xml"]),
    default="yaml",
    show_default=True,
    help="How to write the definition.",
)
@connected
def prompts_show(client: Client, as_json: bool, *, reference: str, format_: str) -> None:
    """Print a definition. REFERENCE is NAME, NAME@3 or NAME@LABEL.

    With --json: everything that is known of it.
    """
    if as_json:
        show_json(dict(client.prompts.get(reference)))
    else:
        click.echo(client.prompts.export(reference, format_), nl=False)


@prompts.command("diff")
@click.argument("name")
@click.argument("before")
@click.argument("after")
@connected
def prompts_diff(client: Client, as_json: bool, *, name: str, before: str, after: str) -> None:
    """Show what differs between two versions of NAME, each a number or a label."""
    diff = client.prompts.diff(name, before, after)
    if as_json:
        show_json(dict(diff))
    else:
        click.echo(diff["unified"], nl=False)


@prompts.command("label")
@click.argument("name")
@click.argument("label")
@click.argument("version", type=click.IntRange(min=1))
@connected
def prompts_label(client: Client, as_json: bool, *, name: str, label: str, version: int) -> None:
    """Let LABEL, such as production, mean a version of NAME."""
    moved = client.prompts.label(name, label, version)
    if as_json:
        show_json(dict(moved))
    else:
        before = f", not {moved['previous']}" if moved["previous"] else ""
        note(f"{label} of {name} means version {version}{before}")


@prompts.command("publish")
@click.argument("name")
@connected
def prompts_publish(client: Client, as_json: bool, *, name: str) -> None:
    """Publish the draft of NAME."""
    shown = client.prompts.publish(name)
    if as_json:
        show_json(dict(shown))
    else:
        click.echo(f"{shown['name']}@{shown['version']}")


@prompts.command("roll-back")
@click.argument("name")
@click.option("--label", help="The label to move back (default: production).")
@click.option("--to", "version", type=click.IntRange(min=1), help="To this version.")
@connected
def prompts_roll_back(
    client: Client, as_json: bool, *, name: str, label: str | None, version: int | None
) -> None:
    """Move a label of NAME back to what it meant before.

    Without the label production, the version before the newest is published once more.
    """
    back = client.prompts.roll_back(name, label=label, version=version)
    if as_json:
        show_json(dict(back))
    else:
        note(back["message"])


@prompts.command("archive")
@click.argument("name")
@connected
def prompts_archive(client: Client, as_json: bool, *, name: str) -> None:
    """Take NAME out of the library; jobs keep what they ran."""
    client.prompts.archive(name)
    if as_json:
        show_json({"name": name, "archived": True})
    else:
        note(f"{name} is archived")


def _tell(answer: Any) -> None:
    """What was stored: its reference for pipes, the rest for people."""
    for stored in answer["data"]:
        click.echo(f"{stored['name']}@{stored['version']}")
        if stored["unchanged"]:
            note(f"{stored['name']} says so already: no new version")
    for warning in answer["warnings"]:
        note(f"warning: {warning}")


def _line(row: Any) -> dict[str, Any]:
    labels = " ".join(f"{label}={version}" for label, version in row["labels"].items())
    owner = (row["owner"] or {}).get("name", "")
    return {**row, "labels": labels, "owner": owner, "shared": "yes" if row["shared"] else "no"}
