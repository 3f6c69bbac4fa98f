"""An invoice's way: a PDF is made, sorted, read into items, summarised; its items are confirmed.

    python examples/invoices --url http://127.0.0.1:8000 --key ljk_live_…

The three prompt definitions beside this file are stored first (again and again: an equal one adds
no version). Each job gets the PDF; what the first two found is part of the work item of the next.
Last it asks what a form that corrects the items would suggest for a word somebody has begun.
Exit status: 0 when all jobs completed, else 1.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from llm_jobs import ApiError, Client, Output, Unreachable

HERE = Path(__file__).parent
DEFINITIONS = {
    "categorize.yaml": "application/yaml",
    "extract.xml": "application/xml",
    "summarise.yaml": "application/yaml",
}
INVOICE = (
    "Nordwind Papier GmbH & Co. KG",
    "Invoice R-2026-0417",
    "40 boxes of paper at 12.50",
    "Total: 500.00 EUR, due 2026-12-31",
)


class Failed(Exception):
    """A job that did not complete."""


def main() -> int:
    """Make, store, ask, show; returns the exit status."""
    options = read_options()
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        with Client(options.url, options.key) as client:
            store(client, console)
            read = walk(client, console, model=options.model)
            show_suggestions(client, console, read, typed=options.typed)
    except (ApiError, Unreachable, Failed) as error:
        console.print(f"{options.url}: {error}", style="red", markup=False)
        return 1
    return 0


def read_options() -> argparse.Namespace:
    """The command line; address and key may also come from the environment."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    environment = os.environ
    parser.add_argument("--url", default=environment.get("LLM_JOBS_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--key", default=environment.get("LLM_JOBS_API_KEY"))
    parser.add_argument("--model", default="gpt-4o-mini", help="(default: gpt-4o-mini)")
    parser.add_argument("--typed", default="nord", help="what somebody has begun (default: nord)")
    options = parser.parse_args()
    if not options.key:
        parser.error("no API key: give --key, or set LLM_JOBS_API_KEY")
    return options


def store(client: Client, console: Console) -> None:
    """Keep the definitions as prompts."""
    for name, media_type in DEFINITIONS.items():
        text = (HERE / name).read_text(encoding="utf-8")
        (stored,) = client.prompts.create(text, media_type=media_type)["data"]
        state = "unchanged" if stored["unchanged"] else "stored"
        console.print(f"{name}: {stored['name']}@{stored['version']} {state}", highlight=False)


def walk(client: Client, console: Console, *, model: str) -> Output:
    """The three jobs, then what a person does with the items; the output that has them."""
    document = {"name": "invoice.pdf", "data": pdf(INVOICE)}

    def ask(prompt: str, workitem: Mapping[str, Any]) -> Output:
        job = client.jobs.create(prompt=prompt, model=model, workitem=workitem, files=[document])
        return completed(job.wait())

    kind = ask("invoices-categorize", {})
    read = ask("invoices-extract", {"$workflowsummary": "Incoming mail of today"})
    number = read.items.get("invoice.number", [])
    summary = ask("invoices-summarise", {**kind.items, "number": number})
    console.print(items_of(kind, read, summary))
    client.outputs.review(read, confirmed=True)
    console.print(f"The items of output {read.id} are confirmed.")
    return read


def show_suggestions(client: Client, console: Console, read: Output, *, typed: str) -> None:
    """What goes on from the typed word in the job's file, for the items the definition names."""
    found = client.outputs.suggestions(read, typed)
    items, hits = ", ".join(found["items"]), " | ".join(found["hits"]) or "nothing"
    console.print(
        f"For {items} and {typed!r} a form suggests: {hits}", markup=False, soft_wrap=True
    )


def completed(output: Output) -> Output:
    """The output, if it has an answer. Raises Failed."""
    if output.status != "completed":
        raise Failed(f"output {output.id}: {output.error_code}: {output.error_message}")
    return output


def items_of(*outputs: Output) -> Table:
    """The result items of all of them, but for those that speak to a form."""
    table = Table("item", "values", title="Items")
    for output in outputs:
        for name, values in output.items.items():
            if not name.startswith("ai."):
                table.add_row(name, ", ".join(map(str, values)))
    return table


def pdf(lines: tuple[str, ...]) -> bytes:
    """One page with these lines, in a PDF as small as one can be."""
    shown = b"".join(b"(%b) Tj T* " % escaped(line) for line in lines)
    content = b"BT /F1 14 Tf 60 760 Td 20 TL " + shown + b"ET"
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R"
        b"/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>\nstream\n%b\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    )
    written, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(written)
    written += b"xref\n0 %d\n0000000000 65535 f \n%b" % (len(objects) + 1, table)
    written += b"trailer\n<</Size %d/Root 1 0 R>>\n" % (len(objects) + 1)
    return bytes(written + b"startxref\n%d\n%%%%EOF\n" % start)


def escaped(line: str) -> bytes:
    """A line as a PDF's string."""
    for sign in "\\()":
        line = line.replace(sign, f"\\{sign}")
    return line.encode("cp1252")


if __name__ == "__main__":
    sys.exit(main())
