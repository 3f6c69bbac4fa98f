"""What asks for telemetry, and what is told of a call: tables."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from app import telemetry
from app.errors import CallTimeout
from app.providers.contract import Answer, Call, Message, Stop, Usage
from app.providers.registry import Route
from app.telemetry import conventions
from app.telemetry.recorder import SILENT
from app.telemetry.signals import Signal, asked_for

EVERYTHING = frozenset(Signal)
GENERAL = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environment", "signals"),
    [
        ({}, frozenset()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, frozenset()),
        (GENERAL, EVERYTHING),
        ({**GENERAL, "OTEL_SDK_DISABLED": "TRUE"}, frozenset()),
        ({**GENERAL, "OTEL_SDK_DISABLED": "false"}, EVERYTHING),
        ({**GENERAL, "OTEL_LOGS_EXPORTER": "none"}, EVERYTHING - {Signal.LOGS}),
        ({**GENERAL, "OTEL_TRACES_EXPORTER": "console"}, EVERYTHING - {Signal.TRACES}),
        ({**GENERAL, "OTEL_TRACES_EXPORTER": "console, otlp"}, EVERYTHING),
        ({**GENERAL, "OTEL_METRICS_EXPORTER": ""}, EVERYTHING),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1/traces"}, {Signal.TRACES}),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, frozenset()),
    ],
)
def test_signals_are_sent_where_an_endpoint_is_named(
    environment: dict[str, str], signals: frozenset[Signal]
) -> None:
    assert asked_for(environment) == signals


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
    [
        (f"00-{'ab' * 16}-{'cd' * 8}-01", "ab" * 16),
        (f"00-{'ab' * 16}-{'cd' * 8}-03", "ab" * 16),
        (f"00-{'00' * 16}-{'cd' * 8}-01", None),
        (f"00-{'AB' * 16}-{'cd' * 8}-01", None),
        ("00-abc", None),
        ("", None),
        (None, None),
    ],
)
def test_a_trace_is_found_by_the_id_in_the_rows_context(
    traceparent: str | None, trace_id: str | None
) -> None:
    assert telemetry.trace_id_of(traceparent) == trace_id


def test_nobody_is_told_anything_before_it_is_asked_for() -> None:
    claim: Any = object()
    call: Any = object()
    with telemetry.creating([claim]) as creating:
        assert list(creating.jobs) == [claim]
        creating.committed({})
    with telemetry.running(claim):
        telemetry.outcome("completed")
        with telemetry.calling(claim, call, attempt=1, route=call, provider=call) as calling:
            calling.answered(call)
    telemetry.voted(telemetry.Vote(1, "job", None, "thumbs_up"))
    assert SILENT.close(0)


def test_errors_pass_through_while_nobody_listens() -> None:
    claim: Any = object()
    with pytest.raises(ValueError, match="mine"), telemetry.running(claim):
        raise ValueError("mine")


@pytest.mark.parametrize(
    ("base_url", "server"),
    [
        ("https://api.openai.com/v1", ("api.openai.com", 443)),
        ("http://localhost", ("localhost", 80)),
        ("http://[::1]:8400/v1", ("::1", 8400)),
        ("http://host:no/", (None, None)),
        ("nonsense", (None, None)),
        (None, (None, None)),
    ],
)
def test_the_server_is_told_by_address_and_port(
    base_url: str | None, server: tuple[str | None, int | None]
) -> None:
    provider: Any = type("Adapter", (), {"base_url": base_url})()
    call = Call("m", (Message("user", "x"),))
    found = conventions.operation_attributes(call, Route("openai", "m", "openai:m:0"), provider)
    assert (found.get("server.address"), found.get("server.port")) == server


@pytest.mark.parametrize(
    ("name", "version", "told"),
    [
        (None, None, {}),
        ("greet", None, {"gen_ai.prompt.name": "greet"}),
        ("greet", 3, {"gen_ai.prompt.name": "greet", "gen_ai.prompt.version": "3"}),
    ],
)
def test_a_saved_prompt_is_told_by_name_and_version(
    name: str | None, version: int | None, told: dict[str, str]
) -> None:
    facts = {"job_id": "j", "output_id": 1, "queue": "low"}
    claim: Any = SimpleNamespace(**facts, prompt_name=name, prompt_version=version)
    found = conventions.call_attributes(claim, Call("m", (Message("user", "x"),)), 2)
    assert {n: v for n, v in found.items() if ".prompt." in n} == told
    assert (found["llm_jobs.attempt"], found["llm_jobs.queue"]) == (2, "low")


@pytest.mark.parametrize("stop", Stop)
def test_every_reason_to_stop_has_a_word(stop: Stop) -> None:
    answer = Answer(text="x", stop=stop, usage=None, model="m")
    (reason,) = conventions.answer_attributes(answer)["gen_ai.response.finish_reasons"]  # type: ignore[misc, union-attr]
    assert reason in {"stop", "length", "content_filter", "tool_call", "pause"}


def test_an_error_is_told_by_its_code_and_its_known_tokens() -> None:
    error = CallTimeout("said the prompt", usage=Usage(input_tokens=3, output_tokens=1))
    assert conventions.error_type(error) == "timeout"
    assert conventions.error_type(KeyError("prompt")) == "KeyError"
    assert conventions.usage_of(error) == Usage(3, 1)
    assert conventions.usage_of(KeyError()) is None
