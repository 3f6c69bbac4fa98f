"""Reads an invoice with stored prompts: category, items and a summary, checked by a person.

    python examples/invoices/read_invoice.py --url http://127.0.0.1:8000 --key ljk_live_…
    python examples/invoices/read_invoice.py --file march.pdf --model claude-haiku-4-5

It imports the two definitions beside it, submits the invoice (a small PDF that it makes itself, if
none is given) as one job for each, waits, shows what was read, confirms the items, and asks what a
form would suggest. Running it again adds no version: the definitions have not changed.
Exit status: 0 when both jobs completed, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

from rich.console import Console
from rich.table import Table

from llm_jobs import ApiError, Client, Output, Unreachable

HERE = Path(__file__).parent
DEFINITIONS = {
    "invoice-category.yaml": "application/yaml",
    "invoice-reading.xml": "application/xml",
}
SENDER = "billing@hanseatic-paper.example"
INVOICE = """Hanseatic Paper GmbH
Am Sandtorkai 5, Hamburg

Invoice No. HP-2026-0417
Date: 17 April 2026

20 boxes of copying paper      580.00 EUR
 4 boxes of envelopes           96.00 EUR
VAT 19 %                       128.44 EUR
Total                          804.44 EUR

Please pay within 14 days."""


def main() -> int:
    """Import, submit, wait, show, confirm; returns the exit status."""
    options = read_options()
    console = Console(width=None if sys.stdout.isatty() else 120)
    file = options.file or {"name": "invoice.pdf", "data": pdf(INVOICE)}
    try:
        with Client(options.url, options.key) as client:
            import_definitions(client, console)
            category = ask(client, "invoice-category", file, model=options.model)
            reading = ask(client, "invoice-reading", file, model=options.model)
            if not (category.success and reading.success):
                return tell_failures(console, category, reading)
            show(console, category.items, reading.items)
            confirm(client, console, reading)
            show_suggestions(console, options, reading)
    except (ApiError, Unreachable, OSError) as error:
        console.print(f"{options.url}: {error}", style="red", markup=False)
        return 1
    return 0


def read_options() -> argparse.Namespace:
    """The command line; address and key may also come from the environment."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    environment = os.environ
    parser.add_argument("--url", default=environment.get("LLM_JOBS_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--key", default=environment.get("LLM_JOBS_API_KEY"))
    parser.add_argument("--file", type=Path, help="an invoice of your own, as PDF")
    parser.add_argument("--model", default="gpt-4o-mini", help="(default: gpt-4o-mini)")
    parser.add_argument("--typed", default="han", help="what to suggest for (default: han)")
    options = parser.parse_args()
    if not options.key:
        parser.error("no API key: give --key, or set LLM_JOBS_API_KEY")
    return options


def import_definitions(client: Client, console: Console) -> None:
    """Store the definitions of this directory, each under its file's name."""
    for name, media_type in DEFINITIONS.items():
        path = HERE / name
        answer = client.prompts.create(path.read_bytes(), media_type=media_type, name=path.stem)
        for stored in answer["data"]:
            news = "as before" if stored["unchanged"] else "stored"
            console.print(f"{stored['name']}@{stored['version']} {news}", markup=False)


def ask(client: Client, prompt: str, file: Path | Mapping[str, Any], *, model: str) -> Output:
    """The ended job of one prompt. Its placeholders read the file and the work item."""
    return client.jobs.create(
        prompt=prompt,
        model=model,
        files=[file],
        workitem={"document.sender": SENDER},
        metadata={"example": "invoices"},
    ).wait()


def tell_failures(console: Console, *outputs: Output) -> int:
    """What went wrong; the exit status."""
    for output in outputs:
        if not output.success:
            said = f"{output.row['prompt_name']}: {output.status}: {output.error_message}"
            console.print(said, style="red", markup=False)
    return 1


def show(console: Console, category: Mapping[str, Any], read: Mapping[str, Any]) -> None:
    """The category, the summary, and the other items as a table."""
    console.print(f"Category: {_first(category, 'document.category')}", markup=False)
    summary = _first(read, "invoice.summary")
    console.print(f"Summary: {summary}", markup=False, soft_wrap=True)
    table = Table("item", "values", title="Items")
    for name, values in read.items():
        if name != "invoice.summary" and not name.startswith("ai."):
            table.add_row(name, ", ".join(str(value) for value in values))
    console.print(table)


def confirm(client: Client, console: Console, reading: Output) -> None:
    """Say that the items are right; who did and when is kept beside the model's own."""
    review = client.outputs.review(reading, confirmed=True).row["review"]
    console.print(f"Confirmed by {review['by']} at {review['at']}", markup=False)


def show_suggestions(console: Console, options: argparse.Namespace, reading: Output) -> None:
    """What a form that corrects the items would offer for a word somebody has begun."""
    address = f"{options.url.rstrip('/')}/api/v1/llm_outputs/{reading.id}/suggestions"
    request = Request(f"{address}?q={quote(options.typed)}")
    request.add_header("Authorization", f"Bearer {options.key}")
    with urlopen(request, timeout=30) as answer:
        found = json.load(answer)
    for_items = ", ".join(found["items"])
    console.print(
        f"Suggestions ({found['mode']}, for {for_items}) for {options.typed!r}:", markup=False
    )
    for hit in found["hits"]:
        console.print(f"  {hit}", markup=False)


def _first(items: Mapping[str, Any], name: str) -> Any:
    """The first value of an item; a model may have left it out."""
    return next(iter(items.get(name) or []), "not said")


# --- a PDF of one page, no more than a reader of text needs ---------------------------------------


def pdf(text: str) -> bytes:
    """A PDF with these lines on one page."""
    lines = (
        b"(%b) Tj 0 -14 Td" % line.encode("cp1252").translate(None, b"()\\")
        for line in text.split("\n")
    )
    drawing = b"BT /F1 11 Tf 72 720 Td\n%b\nET" % b"\n".join(lines)
    return _file(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R"
        b"/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>\nstream\n%b\nendstream" % (len(drawing), drawing),
        b"<</Type/Font/Subtype/Type1/BaseFont/Courier/Encoding/WinAnsiEncoding>>",
    )


def _file(*objects: bytes) -> bytes:
    """The objects, numbered from 1 (the catalogue) on, with the table of their places."""
    written, places = bytearray(b"%PDF-1.4\n"), []
    for number, content in enumerate(objects, start=1):
        places.append(len(written))
        written += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    size, table = len(objects) + 1, len(written)
    written += b"xref\n0 %d\n0000000000 65535 f \n" % size
    written += b"".join(b"%010d 00000 n \n" % place for place in places)
    written += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, table)
    return bytes(written)


if __name__ == "__main__":
    sys.exit(main())
