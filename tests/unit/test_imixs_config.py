"""Imixs's list of endpoints is read whole or not at all, and tells no secret when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.prompts.imixs.config import ConfiguredEndpoint, read_config

FILE = Path(__file__).parents[1] / "data" / "imixs" / "endpoints.xml"
ENVIRONMENT = {"LLM_HOST": "llm.example.com", "LLM_KEY": "s3cret", "LLM_MODEL": "llama-3"}


def listed(inside: str) -> str:
    return f'<imixs-llm>\n<endpoint id="e"><url>http://e/</url>{inside}</endpoint></imixs-llm>'


def refused(text: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_config(text, environment or {})
    return caught.value.message


def test_endpoints_are_read_by_id_with_values_of_the_environment() -> None:
    assert read_config(FILE.read_text(), ENVIRONMENT) == {
        "house-llm": ConfiguredEndpoint(
            id="house-llm",
            url="https://llm.example.com:8443/",
            apikey="s3cret",
            options={"model": "llama-3", "stop": ["###"], "temperature": 0.2},
        ),
        "house-embeddings": ConfiguredEndpoint(
            id="house-embeddings", url="https://embeddings.example.com/"
        ),
    }


def test_a_file_without_endpoints_lists_none() -> None:
    assert read_config("<imixs-llm/>", {}) == {}


def test_an_unknown_variable_is_refused_by_its_name() -> None:
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "LLM_KEY"}

    assert refused(FILE.read_text(), environment) == (
        "The file of LLM_CONFIG_FILE is wrong in line 4: the environment has no LLM_KEY, which"
        " <apikey> needs"
    )


def test_what_a_variable_brings_is_not_replaced_again() -> None:
    [endpoint] = read_config(
        listed("<apikey>${env.A}</apikey>"), {"A": "${env.B}", "B": "never"}
    ).values()

    assert endpoint.apikey == "${env.B}"


def test_a_key_is_not_shown_when_an_endpoint_is_printed() -> None:
    [endpoint] = read_config(listed("<apikey>s3cret</apikey>"), {}).values()

    assert endpoint.apikey == "s3cret"
    assert "s3cret" not in repr(endpoint)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<imixs-llm>", "cannot be read: The XML is not well-formed"),
        ("<!DOCTYPE a><imixs-llm/>", "cannot be read: A document type (DTD) is not read"),
        ("<imixs-llm><endpoint><url>u</url></endpoint></imixs-llm>", "an endpoint needs an id"),
        ("<imixs-llm><endpoint id='e'/></imixs-llm>", "the endpoint 'e' needs a <url>"),
        (listed("") + listed(""), "the id 'e' is there twice"),
        (listed("<options>[]</options>"), "line 2: its <options> must be a JSON object"),
        (listed("<options>{</options>"), "line 2: its <options> must be a JSON object"),
        (listed("<apikey>${env.}</apikey>"), "a placeholder in <apikey> is not of the form"),
        (listed("<apikey>${env.A</apikey>"), "a placeholder in <apikey> is not of the form"),
        (listed("<apikey>${env.a-b}</apikey>"), "a placeholder in <apikey> is not of the form"),
        (listed("<apikey>" + "${env." * 40_000 + "</apikey>"), "a placeholder in <apikey>"),
    ],
)
def test_a_file_that_cannot_be_read_as_a_whole_is_refused(text: str, problem: str) -> None:
    assert problem in refused(text)


def test_no_message_tells_a_value_of_the_environment() -> None:
    message = refused(listed('<options>{"key": ${env.KEY}}</options>'), {"KEY": "s3cret"})

    assert "s3cret" not in message
