"""Commands about documents: over HTTP, with an API key, like those about jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from app.cli.output import note, show_json, show_table
from app.cli.remote import connected
from llm_jobs import Client

_TEXTS = (".md", ".markdown", ".txt", ".rst")
_COLUMNS = ["id", "source", "key", "title", "resource", "shared", "chunks"]
_TITLE = re.compile(r"(?m)^#\s+(.+?)\s*#*\s*$")


@click.group()
def documents() -> None:
    """Keep texts that answers in chats rest on, and search them."""


@documents.command("add")
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH...",
)
@click.option("--source", default="default", show_default=True, help="Where they come from.")
@click.option("--resource", help="What they document: fhir@5.0.0, or fhir.")
@click.option("--shared", is_flag=True, help="Everybody finds them; administrators only.")
@connected
def documents_add(
    client: Client,
    as_json: bool,
    *,
    paths: tuple[Path, ...],
    source: str,
    resource: str | None,
    shared: bool,
) -> None:
    """Keep the files of PATHs, in directories those ending in .md, .markdown, .txt and .rst.

    A file's name is its key: added again, it replaces the one before. Its title is its first
    heading, else its name.
    """
    kept: list[Any] = []
    for path, key in _files(paths):
        text = _text(path)
        if not text.strip():
            note(f"{key} is empty: left out")
            continue
        title = _TITLE.search(text)
        name = (title[1] if title else path.stem)[:500]
        kept.append(
            client.documents.keep(key, name, text, source=source, resource=resource, shared=shared)
        )
        if not as_json:
            click.echo(f"{kept[-1]['id']}  {key}  {kept[-1]['outcome']}")
    if as_json:
        show_json({"data": kept})


@documents.command("list")
@click.option("--source", help="Only those from here.")
@connected
def documents_list(client: Client, as_json: bool, *, source: str | None) -> None:
    """List your own documents and the shared ones, newest first."""
    rows = list(client.documents.list(source=source))
    if as_json:
        show_json(rows)
        return
    words = {True: "yes", False: "no"}
    show_table(_COLUMNS, [{**row, "shared": words[row["shared"]]} for row in rows])


@documents.command("search")
@click.argument("question")
@click.option("--source", help="Only in documents from here.")
@click.option("--resource", help="Leave out what documents other resources.")
@click.option("--limit", type=click.IntRange(1, 50), help="Pieces, at most.")
@connected
def documents_search(client: Client, as_json: bool, *, question: str, **how: Any) -> None:
    """Print the pieces that fit QUESTION, best first."""
    found = client.documents.search(question, **how)
    if as_json:
        show_json(list(found))
        return
    for one in found:
        heading = " › ".join(part for part in (one["title"], one["section"]) if part)
        click.echo(f"[{one['document_id']}] {heading}\n\n{one['text']}\n")
    if not found:
        note("nothing was found")


@documents.command("embed")
def documents_embed() -> None:
    """Make what the embedder of LLM_JOBS_EMBEDDER needs, on this machine: for new documents, and
    for all of them after it was changed. Can be broken off and run again.
    """
    from app.cli.machine import machine_runtime
    from app.retrieval import embed_chunks

    done = 0
    with machine_runtime() as runtime:
        while made := embed_chunks(runtime):
            done += made
    click.echo(f"{done} pieces of documents were embedded")


@documents.command("remove")
@click.argument("document_ids", nargs=-1, required=True, type=int, metavar="ID...")
@connected
def documents_remove(client: Client, as_json: bool, *, document_ids: tuple[int, ...]) -> None:
    """Remove documents."""
    for document_id in document_ids:
        client.documents.remove(document_id)
        if not as_json:
            note(f"{document_id} is removed")
    if as_json:
        show_json({"removed": list(document_ids)})


def _files(paths: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    """Each file with its key: as it was named, or its path below the directory that was."""
    for path in paths:
        if not path.is_dir():
            yield path, path.name
            continue
        for inner in sorted(path.rglob("*")):
            if inner.suffix.lower() in _TEXTS and inner.is_file():
                yield inner, inner.relative_to(path).as_posix()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise click.UsageError(f"{path} is no text in UTF-8") from None
