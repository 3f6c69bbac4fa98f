"""Items from the XML in an answer: the elements below its root.

A leaf is a value (`type="double"` a number, `type="date"` or ISO text a date), an element with
elements in it a map; of repeated ones the item has many.
"""

from __future__ import annotations

from typing import Any

from app.prompts.hooks import ResultItems
from app.prompts.result_handlers.values import iso_date, named, number
from app.prompts.result_handlers.xml_text import Element, read_xml
from app.text import clean_text

_OMITTED = object()


def xml_items(text: str) -> ResultItems:
    """The elements below the root, whose own name says nothing. No items where there is no XML.

    Values that are not of their `type` are left out, with a warning. Raises AnswerUnreadable for
    what begins as XML and is none (`read_xml`).
    """
    root = read_xml(clean_text(text))
    if root is None:
        return ResultItems()
    if not root.children:
        return ResultItems(warnings=(f"There is no element in {named([root.name])}: no items",))
    omitted: list[str] = []
    items = _grouped(root, omitted)
    unread = f"Left out, because the value is not of the type it has: {named(omitted)}"
    return ResultItems(items, (unread,) if omitted else ())


def _grouped(element: Element, omitted: list[str]) -> dict[str, list[Any]]:
    """The children's values by name, in any case: the first spelling counts."""
    groups: dict[str, tuple[str, list[Any]]] = {}
    for child in element.children:
        value = _value(child, omitted)
        if value is not _OMITTED:
            groups.setdefault(child.name.lower(), (child.name, []))[1].append(value)
    return dict(groups.values())


def _value(element: Element, omitted: list[str]) -> Any:
    if element.children:
        grouped = _grouped(element, omitted)
        return {name: v[0] if len(v) == 1 else v for name, v in grouped.items()}
    text = element.text.strip()
    kind = element.attributes.get("type", "").lower()
    value: Any = iso_date(text)
    if kind == "double":
        value = number(text)
    elif kind != "date" and value is None:
        return text
    if value is None:
        omitted.append(element.name)
        return _OMITTED
    return value
