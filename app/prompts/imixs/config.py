"""Reads Imixs's `imixs-llm.xml`: the endpoints an administrator lists for definitions to name.

    <imixs-llm>
      <endpoint id="my-llm">
        <url>https://llm.example.com/</url>
        <apikey>${env.LLM_API_KEY}</apikey>
        <options>{"model": "llama-3", "temperature": 0.2}</options>
      </endpoint>
    </imixs-llm>

Unlike Imixs, which starts with what it can read, a file that cannot be read as a whole stops the
start: an endpoint without its key would fail much later. Not here: finding the file, calling it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.errors import ConfigurationError, LLMJobsError
from app.prompts.imixs.markup import Element, parse
from app.prompts.notation import json_value

_FILE = "The file of LLM_CONFIG_FILE"
_VARIABLE = re.compile(r"\$\{env\.([A-Za-z_][A-Za-z0-9_]*+)?(\})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredEndpoint:
    """An endpoint: its address, the key it is called with, and options that hold unless a
    definition says otherwise.
    """

    id: str
    url: str
    apikey: str | None = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)


def read_config(text: str, environment: Mapping[str, str]) -> dict[str, ConfiguredEndpoint]:
    """The endpoints by id, with `${env.NAME}` replaced from `environment`.

    Raises ConfigurationError: not XML, an endpoint without id or url, an id twice, options that are
    no JSON object, a variable that is not set. No message quotes a value of the environment.
    """
    try:
        root = parse(text)
    except LLMJobsError as error:
        raise ConfigurationError(f"{_FILE} cannot be read: {error.message}") from None
    endpoints: dict[str, ConfiguredEndpoint] = {}
    for element in root.below("endpoint"):
        endpoint = _endpoint(element, environment)
        if endpoint.id in endpoints:
            raise _wrong(element, f"the id {endpoint.id!r} is there twice")
        endpoints[endpoint.id] = endpoint
    return endpoints


def _endpoint(element: Element, environment: Mapping[str, str]) -> ConfiguredEndpoint:
    id = element.attributes.get("id", "").strip()
    if not id:
        raise _wrong(element, "an endpoint needs an id")
    url = _value(element, "url", environment)
    if not url:
        raise _wrong(element, f"the endpoint {id!r} needs a <url>")
    return ConfiguredEndpoint(
        id=id,
        url=url,
        apikey=_value(element, "apikey", environment) or None,
        options=_options(element, environment),
    )


def _options(endpoint: Element, environment: Mapping[str, str]) -> dict[str, Any]:
    text = _value(endpoint, "options", environment)
    if not text:
        return {}
    try:
        options = json_value(text)
    except LLMJobsError:  # its message may tell of what came from the environment
        options = None
    if not isinstance(options, dict):
        raise _wrong(endpoint, 'its <options> must be a JSON object, such as {"temperature": 0}')
    return options


def _value(endpoint: Element, name: str, environment: Mapping[str, str]) -> str:
    """The text of a child, trimmed. What a variable brings is not searched for more of them."""
    element = endpoint.child(name)
    if element is None:
        return ""

    def variable(match: re.Match[str]) -> str:
        if not match[1] or not match[2]:
            raise _wrong(endpoint, f"a placeholder in <{name}> is not of the form ${{env.NAME}}")
        if match[1] not in environment:
            raise _wrong(endpoint, f"the environment has no {match[1][:100]}, which <{name}> needs")
        return environment[match[1]]

    return _VARIABLE.sub(variable, element.content.strip()).strip()


def _wrong(element: Element, problem: str) -> ConfigurationError:
    return ConfigurationError(f"{_FILE} is wrong in line {element.line}: {problem}")
