"""Settings: defaults that work, and wrong ones that stop the start with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

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
