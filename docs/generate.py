"""Writes the pages of docs/reference that are read off the code: `make docs`.

What a page says stands where it is applied: settings, the tree of errors, the command line, the
list of endpoints, the calls of loggers. The files in `writers` give it its form, and stop when
something has no explanation. Pages written by hand (the simulator, the Python package) are not
touched. `tests/docs/test_reference.py` fails while a committed page differs from what this writes.
"""

from __future__ import annotations

from pathlib import Path

import click

from api import reference as http_api
from docs.writers import command_line, errors, log_events, settings, words

ROOT = Path(__file__).parents[1]
REFERENCE = Path("docs/reference")

_WRITTEN = "<!-- Written by docs/generate.py (`make docs`): change the code, not this page. -->"


def pages() -> dict[Path, str]:
    """Every generated page by its path below the project's root."""
    written = {
        "settings.md": settings.page(_WRITTEN),
        "errors.md": errors.page(_WRITTEN),
        "command-line.md": command_line.page(_WRITTEN),
        "http-api.md": http_api.markdown(),
        "log-events.md": log_events.page(_WRITTEN),
        "words.md": words.page(_WRITTEN),
    }
    return {REFERENCE / name: text.rstrip() + "\n" for name, text in written.items()}


def main() -> None:
    """Write the pages that have changed, and name them."""
    for path, text in pages().items():
        file = ROOT / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            click.echo(f"written: {path}")


if __name__ == "__main__":
    main()
