"""What an answer becomes in each format: `text`, `json`, `markdown`, `html`.

Asking for the format, reading the answer, the one repair, and what a page may show. Nothing here
calls a model or touches a row; jsonschema, RE2, markdown-it and nh3 are imported on first use.
"""

from app.formats.answers import (
    Parsed,
    instruction,
    invalid_json_fallback,
    parse,
    repair_messages,
    with_instruction,
)
from app.formats.display import render_html
from app.formats.schemas import check_schema

__all__ = [
    "Parsed",
    "check_schema",
    "instruction",
    "invalid_json_fallback",
    "parse",
    "render_html",
    "repair_messages",
    "with_instruction",
]
