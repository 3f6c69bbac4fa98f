"""Settings: defaults that work, and wrong ones that stop the start with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.effective import effective
from app.endpoint_settings import SERVICE, Endpoint, Origin
from app.errors import ConfigurationError
from app.settings import load_settings, parse_rate


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()


def test_the_defaults_are_those_that_were_promised() -> None:
    settings = load_settings()
    assert settings.broker == settings.redis_url
    assert (settings.port, settings.host, settings.flower_port) == (8000, "127.0.0.1", 5555)
    assert (settings.worker_concurrency, settings.max_tries) == (100, 6)
    assert (settings.retry_base_seconds, settings.retry_max_seconds) == (5, 300)
    assert (settings.lease_seconds, settings.heartbeat_seconds) == (60, 15)
    assert (settings.call_timeout_seconds, settings.shutdown_grace_seconds) == (300, 30)
    assert (settings.dispatch_seconds, settings.rewake_seconds) == (1, 15)
    assert (settings.queue_window, settings.ageing_seconds) == (200, 60)
    assert (settings.max_age_seconds, settings.rate_limit) == (86_400, "600/minute")
    assert (settings.endpoints, settings.model_aliases) == ({}, {})
    assert (settings.registered_endpoints, settings.prompt_properties) == ({}, {})
    assert settings.llm_service_timeout == 120_000


def test_a_shorter_lease_shortens_the_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_JOBS_LEASE_SECONDS", "4")
    assert load_settings().heartbeat_seconds == 1


def test_a_heartbeat_too_slow_for_its_lease_stops_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LLM_JOBS_HEARTBEAT_SECONDS", "16")
    with pytest.raises(ConfigurationError, match="use at most 15"):
        load_settings()


def test_a_secret_can_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-from-a-file\n")
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(tmp_path / "key"))
    key = load_settings().openai_api_key
    assert key is not None
    assert key.get_secret_value() == "sk-from-a-file"
    assert "sk-from-a-file" not in repr(load_settings())


def test_a_file_that_is_not_there_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY_FILE", "/nowhere")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings()


def test_an_unknown_name_stops_the_start_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("LLM_JOBS_RETRYS=3\n")
    with pytest.raises(ConfigurationError, match="unknown setting LLM_JOBS_RETRYS; known: "):
        load_settings()
    (tmp_path / ".env").unlink()
    monkeypatch.setenv("LLM_JOBS_RETRYS", "3")
    with pytest.raises(ConfigurationError, match="LLM_JOBS_RETRYS"):
        load_settings()


@pytest.mark.parametrize("text", ["", "600", "0/minute", "600/fortnight", "-1/second", "a/minute"])
def test_an_unreadable_rate_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match="600/minute"):
        parse_rate(text)


def test_a_rate_is_how_many_in_how_many_seconds() -> None:
    assert parse_rate(" 5 / hour ") == (5, 3600)


def service(monkeypatch: pytest.MonkeyPatch, **given: str) -> Endpoint:
    """The endpoint that these `LLM_SERVICE_…` variables make."""
    monkeypatch.setenv("LLM_SERVICE_ENDPOINT", "http://imixs-ai-llm:8000/")
    for name, value in given.items():
        monkeypatch.setenv(f"LLM_SERVICE_{name}", value)
    found = load_settings().registered_endpoints[SERVICE]
    assert found.origin is Origin.SERVICE
    return found.endpoint


def test_an_imixs_service_is_an_endpoint_that_takes_any_option(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint = service(monkeypatch, MODEL="mistral-7b")
    assert str(endpoint.base_url) == "http://imixs-ai-llm:8000/v1"
    assert (endpoint.any_option, endpoint.model) == (True, "mistral-7b")
    assert (endpoint.api_key, endpoint.user, endpoint.timeout_seconds) == (None, None, 120)


@pytest.mark.parametrize(
    "address",
    [
        "http://h:8000",
        "http://h:8000/",
        "http://h:8000/v1",
        "http://h:8000/v1/",
        "http://H:8000/v1/chat/completions",
    ],
)
def test_v1_is_added_to_the_service_once(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    assert str(service(monkeypatch, ENDPOINT=address).base_url) == "http://h:8000/v1"


def test_the_services_time_limit_is_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert service(monkeypatch, TIMEOUT="1500").timeout_seconds == 1.5


@pytest.mark.parametrize("name", ["API_KEY", "ENDPOINT_APIKEY"])
def test_a_key_of_the_service_beats_user_and_password(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    given = {name: "sk-1", "ENDPOINT_USER": "ann", "ENDPOINT_PASSWORD": "pw"}
    endpoint = service(monkeypatch, **given)
    assert endpoint.api_key is not None
    assert endpoint.api_key.get_secret_value() == "sk-1"
    assert (endpoint.user, endpoint.password) == (None, None)


def test_the_service_is_signed_in_to_with_user_and_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint = service(monkeypatch, ENDPOINT_USER="ann", ENDPOINT_PASSWORD="pw")
    assert (endpoint.user, endpoint.api_key) == ("ann", None)
    assert endpoint.password is not None
    assert endpoint.password.get_secret_value() == "pw"


def test_of_the_keys_two_names_the_documented_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    key = service(monkeypatch, API_KEY="sk-1", ENDPOINT_APIKEY="sk-2").api_key
    assert key is not None
    assert key.get_secret_value() == "sk-1"


def test_no_secret_of_the_service_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("canary-3\n")
    secret = {"API_KEY": "canary-1", "ENDPOINT_APIKEY": "canary-2"}
    service(monkeypatch, **secret, ENDPOINT_PASSWORD_FILE=str(tmp_path / "password"))
    settings = load_settings()
    assert settings.llm_service_password is not None
    assert settings.llm_service_password.get_secret_value() == "canary-3"
    assert "canary" not in repr(settings) + repr(effective(settings))
    assert "canary" not in repr(settings.registered_endpoints)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("http://ann:canary@h:8000/", "in their own settings"),
        ("http://h:8000/?key=canary", r"without \? and #"),
        ("imixs-ai-llm", "valid URL"),
    ],
)
def test_a_wrong_address_of_the_service_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, address: str, sentence: str
) -> None:
    monkeypatch.setenv("LLM_SERVICE_ENDPOINT", address)
    with pytest.raises(ConfigurationError, match=f"LLM_SERVICE_ENDPOINT: .*{sentence}") as caught:
        load_settings()
    assert "canary" not in caught.value.message


def test_other_names_of_imixs_do_not_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_SERVICE_ANYTHING", "1")
    assert load_settings().registered_endpoints == {}


CONFIG = """
<imixs-llm>
  <endpoint id="My-LLM.2">
    <url>https://llm.example.com/</url>
    <apikey>${env.MY_LLM_KEY}</apikey>
    <options>{"model": "mistral-7b", "n_predict": 64}</options>
  </endpoint>
  <endpoint id="local"><url>http://10.0.0.7:8080/v1</url></endpoint>
</imixs-llm>
"""


def config_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str = CONFIG) -> Path:
    path = tmp_path / "imixs-llm.xml"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("LLM_CONFIG_FILE", str(path))
    return path


def test_the_endpoints_of_an_imixs_file_are_registered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("MY_LLM_KEY=sk-file\n")
    monkeypatch.setenv("LLM_SERVICE_TIMEOUT", "30000")
    config_file(monkeypatch, tmp_path)
    found = load_settings().registered_endpoints
    assert {name: str(one.endpoint.base_url) for name, one in found.items()} == {
        "my-llm.2": "https://llm.example.com/v1",
        "local": "http://10.0.0.7:8080/v1",
    }
    first = found["my-llm.2"].endpoint
    assert first.api_key is not None
    assert first.api_key.get_secret_value() == "sk-file"
    assert (first.model, first.options) == ("mistral-7b", {"n_predict": 64})
    assert (first.any_option, first.timeout_seconds) == (True, 30)
    assert found["local"].origin is Origin.FILE


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('id="local"', 'id="ollama"', "endpoint 'ollama': .*taken: "),
        ('id="local"', 'id="MY-llm.2"', "endpoint 'MY-llm.2': .*taken: "),
        ('id="local"', 'id="a/b"', "endpoint 'a/b': an id has letters"),
        ("http://10.0.0.7:8080/v1", "http://ann:canary@h/", "endpoint 'local': give user"),
        ("http://10.0.0.7:8080/v1", "canary", "endpoint 'local': .*valid URL"),
        ("</imixs-llm>", "", "LLM_CONFIG_FILE"),
    ],
)
def test_a_wrong_imixs_file_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    monkeypatch.setenv("MY_LLM_KEY", "k")
    config_file(monkeypatch, tmp_path, CONFIG.replace(old, new))
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        load_settings()
    assert "LLM_CONFIG_FILE" in caught.value.message
    assert "canary" not in caught.value.message


@pytest.mark.parametrize("content", [None, b"\xff\xfe<"])
def test_an_imixs_file_that_cannot_be_read_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "llm.xml"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("LLM_CONFIG_FILE", str(path))
    with pytest.raises(ConfigurationError, match=r"LLM_CONFIG_FILE=.*llm\.xml: it "):
        load_settings()


def test_the_first_place_that_names_an_endpoint_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_LLM_KEY", "k")
    config_file(monkeypatch, tmp_path, CONFIG.replace("My-LLM.2", "llm-service"))
    monkeypatch.setenv("LLM_SERVICE_ENDPOINT", "http://service:8000")
    monkeypatch.setenv("LLM_JOBS_ENDPOINTS", '{"local": {"base_url": "http://127.0.0.1:9/v1"}}')
    found = load_settings().registered_endpoints
    assert {name: one.origin for name, one in found.items()} == {
        "local": Origin.SETTINGS,
        "llm-service": Origin.SERVICE,
    }


def test_properties_that_prompts_may_show_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_JOBS_PROMPT_PROPERTIES", '{"company.name": "Acme"}')
    assert load_settings().prompt_properties == {"company.name": "Acme"}
