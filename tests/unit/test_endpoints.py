"""A definition's word means a registered endpoint or none, and what is registered can be called."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest

from app.endpoints import EndpointRoute, match_endpoint, route_of_endpoint
from app.endpoints.checks import checked, checked_name
from app.endpoints.source import value_of
from app.errors import EndpointUnknown, InvalidParameter, MissingParameter, UnknownParameter
from app.settings import Settings

SIMULATED = {"simulate_missing": True, "simulator_url": "http://127.0.0.1:9"}
ENDPOINTS = {
    "local": {"base_url": "http://models.internal:8080/v1", "model": "qwen"},
    "bare": {"base_url": "https://llm.example.com"},
    "deep": {"base_url": "https://gateway.example.com/teams/a/v1/"},
}


def settings(**values: Any) -> Settings:
    return Settings(**{"database_url": "sqlite:///nowhere.db", "endpoints": ENDPOINTS, **values})


@pytest.mark.parametrize("word", ["local", "LOCAL", " Local\n"])
def test_an_endpoint_is_named_in_any_case(word: str) -> None:
    assert match_endpoint(settings(), word) == "local"


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("http://models.internal:8080/v1", "local"),
        ("HTTP://Models.Internal:8080/", "local"),
        ("http://models.internal:8080", "local"),
        ("http://models.internal:8080/v1/", "local"),
        ("http://models.internal:8080/v1/chat/completions", "local"),
        ("https://llm.example.com:443/v1", "bare"),
        ("https://llm.example.com/", "bare"),
        ("https://gateway.example.com/teams/a", "deep"),
    ],
)
def test_an_address_that_means_the_same_is_the_endpoint(word: str, name: str) -> None:
    assert match_endpoint(settings(), word) == name


@pytest.mark.parametrize(
    "word",
    [
        "other",
        "local/",
        "local/qwen",
        "models.internal:8080",
        "https://models.internal:8080/v1",
        "http://models.internal:8081/v1",
        "http://models.internal/v1",
        "http://models.internal:8080/v1/models",
        "http://models.internal:8080/v2",
        "http://models.internal:8080/V1",
        "http://models.internal:8080/v1?x=1",
        "http://models.internal:8080/v1#x",
        "http://ann:pw@models.internal:8080/v1",
        "http://models.internal:8080@evil.example/v1",
        "http://models.internal:8080.evil.example/v1",
        "https://gateway.example.com/teams",
        "https://gateway.example.com/teams/b",
        "https://gateway.example.com/TEAMS/a",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "http://\ud800/",
        "://",
        "\x00",
    ],
)
def test_no_other_word_is_an_endpoint(word: str) -> None:
    assert match_endpoint(settings(), word) is None


@pytest.mark.parametrize(
    "word",
    ["http://" + "a" * 1_000_000, "/" * 1_000_000, "http://h" + "/v1" * 300_000, "?" * 10**6],
)
def test_a_huge_word_is_refused_at_once_and_briefly(word: str) -> None:
    begun = time.monotonic()
    with pytest.raises(EndpointUnknown) as caught:
        route_of_endpoint(settings(), word)
    assert len(caught.value.message) < 400
    assert time.monotonic() - begun < 2


def test_an_address_of_two_endpoints_means_the_service() -> None:
    twice = settings(llm_service_endpoint="http://models.internal:8080")
    assert match_endpoint(twice, "http://models.internal:8080/") == "llm-service"
    assert match_endpoint(twice, "local") == "local"


@pytest.mark.parametrize("word", [None, "", " \n"])
def test_no_word_means_the_service(word: str | None) -> None:
    assert match_endpoint(settings(), word) is None
    service = settings(llm_service_endpoint="http://h:8000", llm_service_model="mistral")
    assert match_endpoint(service, word) == "llm-service"
    assert route_of_endpoint(service, word) == EndpointRoute("llm-service/mistral")


@pytest.mark.parametrize(
    ("word", "model", "routed"),
    [
        ("local", "llama", "local/llama"),
        ("local", None, "local/qwen"),
        ("https://llm.example.com/", None, "bare/default"),
        ("bare", "meta/llama-3", "bare/meta/llama-3"),
    ],
)
def test_an_endpoint_is_asked_for_the_model_that_is_named_or_its_own(
    word: str, model: str | None, routed: str
) -> None:
    assert route_of_endpoint(settings(), word, model) == EndpointRoute(routed)


def test_an_unknown_endpoint_is_told_with_those_that_are_registered() -> None:
    with pytest.raises(EndpointUnknown) as caught:
        route_of_endpoint(settings(), "other")
    assert caught.value.message == "Unknown endpoint: other. Registered: local, bare, deep"
    with pytest.raises(EndpointUnknown, match=r"Unknown endpoint: x\. Registered: none$"):
        route_of_endpoint(settings(endpoints={}), "x")
    with pytest.raises(EndpointUnknown, match="LLM_SERVICE_ENDPOINT is not set"):
        route_of_endpoint(settings(), "")


def test_the_refusal_repeats_no_password() -> None:
    with pytest.raises(EndpointUnknown) as caught:
        route_of_endpoint(settings(), "http://ann:canary@h/?key=canary")
    assert "canary" not in caught.value.message


@pytest.mark.parametrize(
    ("model", "routed"), [("llama", "simulator/llama"), (None, "simulator/default")]
)
def test_the_simulator_stands_in_for_an_unknown_endpoint(model: str | None, routed: str) -> None:
    found = route_of_endpoint(settings(**SIMULATED), "https://llm.example.org/", model)
    assert found.model == routed
    assert found.warning == (
        "The simulator answered for endpoint https://llm.example.org/: register it for the real"
        " model."
    )
    unnamed = route_of_endpoint(settings(**SIMULATED), "")
    assert "set LLM_SERVICE_ENDPOINT" in str(unnamed.warning)


def test_the_simulator_does_not_stand_in_for_a_registered_endpoint() -> None:
    assert route_of_endpoint(settings(**SIMULATED), "local") == EndpointRoute("local/qwen")


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("https://Models.Example.com/v1", "https://models.example.com/v1"),
        (" https://models.example.com:8443/v1 ", "https://models.example.com:8443/v1"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://m\u00fcller.example/v1", "https://xn--mller-kva.example/v1"),
    ],
)
def test_a_public_address_is_stored_in_its_plain_form(address: str, plain: str) -> None:
    assert checked("base_url", address) == plain


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("http://models.example.com/v1", "must begin with https"),
        ("ftp://models.example.com/v1", "must be an address"),
        ("https://ann:pw@models.example.com/", "must not hold a user or password"),
        ("https://models.example.com/v1?key=1", "without"),
        ("https://models.example.com/v1#x", "without"),
        ("https://localhost/v1", "localhost is an internal name"),
        ("https://localhost./v1", "is an internal name"),
        ("https://127.0.0.1/v1", "internal address"),
        ("https://127.1/v1", "internal address"),
        ("https://2130706433/v1", "internal address"),
        ("https://0x7f000001/", "internal address"),
        ("https://10.1.2.3/v1", "internal address"),
        ("https://169.254.169.254/", "reserved or link-local"),
        ("https://[::1]/v1", "internal address"),
        ("https://[::ffff:10.0.0.1]/v1", "internal address"),
        ("https://" + "a" * 3000, "at most 2,000"),
        ("https://\ud800.example/", "must be an address"),
        ("javascript:alert(1)", "must be an address"),
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str, sentence: str) -> None:
    with pytest.raises(InvalidParameter, match=sentence) as caught:
        checked("base_url", address)
    assert caught.value.pointer == "/base_url"


@pytest.mark.parametrize("address", [None, "", "  ", 7])
def test_an_endpoint_has_an_address(address: Any) -> None:
    with pytest.raises(MissingParameter):
        checked("base_url", address)


@pytest.mark.parametrize("name", ["A", "a b", "-a", "a" * 65, "a/b", "a.b", "openai", "\ud800"])
def test_a_name_that_means_something_else_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        checked_name(name)
    assert caught.value.pointer == "/name"
    caught.value.message.encode()


@pytest.mark.parametrize(
    "name", ["LLM_ENDPOINT_ACME_KEY", "LLM_SERVICE_API_KEY", " LLM_ENDPOINT_1 "]
)
def test_variables_made_for_endpoints_may_be_named(name: str) -> None:
    assert checked("api_key_variable", name) == name.strip()


@pytest.mark.parametrize(
    "name",
    [
        "DATABASE_URL",
        "LLM_JOBS_SECRET_KEY",
        "OPENAI_API_KEY",
        "LLM_ENDPOINT_",
        "LLM_ENDPOINT_a",
        "XLLM_ENDPOINT_A",
        "LLM_ENDPOINT_A\nDATABASE_URL",
        "LLM_ENDPOINT_" + "A" * 300,
        "LLM_ENDPOINT_\u0661",
    ],
)
def test_no_other_variable_may_be_sent_anywhere(name: str) -> None:
    for parameter in ("api_key_variable", "user_variable", "password_variable"):
        with pytest.raises(InvalidParameter, match="name of an environment variable") as caught:
            checked(parameter, name)
        assert caught.value.pointer == f"/{parameter}"


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, 86_401, True, "5", 10**400])
def test_a_time_limit_is_a_number_of_seconds(seconds: Any) -> None:
    assert checked("timeout_seconds", 2) == 2.0
    with pytest.raises(InvalidParameter, match="timeout_seconds"):
        checked("timeout_seconds", seconds)


def test_blank_means_not_set() -> None:
    for name in ("model", "api_key_variable", "user_variable", "password_variable"):
        assert checked(name, " ") is None
    assert checked("options", {}) is None
    assert checked("model", "m\x00") == "m\ufffd"


def test_what_an_endpoint_does_not_have_is_refused() -> None:
    with pytest.raises(UnknownParameter):
        checked("api_key", "sk-1")


def test_a_variable_may_be_given_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-1\n")
    (tmp_path / "blank").write_text("\n")
    variables = {
        "PLAIN": "sk-2",
        "FILED_FILE": str(tmp_path / "key"),
        "BLANK_FILE": str(tmp_path / "blank"),
        "LOST_FILE": str(tmp_path / "nowhere"),
        "EMPTY": "",
    }
    names = ("PLAIN", "FILED", "BLANK", "LOST", "EMPTY", "NONE", None)
    found = [value_of(name, variables) for name in names]
    assert found == ["sk-2", "sk-1", None, None, None, None, None]
