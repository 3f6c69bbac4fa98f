"""The handlers that come with the platform. They enter the registry like everybody's."""

from __future__ import annotations

import re
from typing import Any

from app.plugins import Registry
from app.prompts.hooks import RESULT, AnswerUnreadable, ResultEvent, ResultItems, result_handler
from app.prompts.result_handlers.json_items import json_items
from app.prompts.result_handlers.xml_items import xml_items

_BOOLEAN = re.compile(r"""["'“”„‘’]?(true|false)(?:\.?["'“”‘’]?|["'“”‘’]\.)""")


@result_handler("JSON")
def read_json(event: ResultEvent) -> ResultItems:
    """The members of the JSON object in the answer."""
    return json_items(event.text)


@result_handler("XML")
def read_xml(event: ResultEvent) -> ResultItems:
    """The elements below the root of the XML in the answer; no items where there is none."""
    return xml_items(event.text)


@result_handler("BOOLEAN", sets_result_item=True)
def read_boolean(event: ResultEvent) -> dict[str, Any]:
    """True or false, in any case; quotes around it and a full stop are forgiven, nothing else."""
    match = _BOOLEAN.fullmatch(event.text.strip().lower())
    if match is None:
        raise AnswerUnreadable("The answer must be the one word true or false")
    return {event.result_item or RESULT: match[1] == "true"}


@result_handler("TEXT", sets_result_item=True)
def read_text(event: ResultEvent) -> dict[str, Any]:
    """The answer as it is, trimmed."""
    return {event.result_item or RESULT: event.text.strip()}


def register(registry: Registry) -> None:
    """Enter all of them."""
    for handler in (read_json, read_xml, read_boolean, read_text):
        handler.register(registry)
