"""The settings as people see them: everything but secrets."""

from __future__ import annotations

import pytest

from app.effective import ShownSetting, effective, without_credentials
from app.settings import Settings

CANARY = "canary7f3a"


def shown(**given: object) -> dict[str, ShownSetting]:
    return {one.name: one for one in effective(Settings(_env_file=None, **given))}


def test_every_setting_is_shown_once() -> None:
    assert list(shown()) == [str(field.alias) for field in Settings.model_fields.values()]
    assert all(one.section for one in shown().values())


def test_no_secret_is_shown_wherever_it_hides() -> None:
    found = shown(
        DATABASE_URL=f"postgresql://llm:{CANARY}/#@db/llm?password={CANARY}&sslmode=require",
        REDIS_URL=f"redis://:{CANARY}@redis:6379/0",
        BROKER_URL=f"amqp://me:{CANARY}@rabbit//",
        OPENAI_API_KEY=CANARY,
        ANTHROPIC_API_KEY=CANARY,
        OLLAMA_BASE_URL=f"http://me:{CANARY}@ollama:11434",
        LLM_JOBS_SECRET_KEY=CANARY,
        FLOWER_BASIC_AUTH=f"admin:{CANARY}",
        FLOWER_URL=f"https://admin:{CANARY}@flower.example/",
        LLM_JOBS_API_KEY=CANARY,
        LLM_JOBS_FETCH_URLS={"rates": {"url": f"https://rates.example/?token={CANARY}"}},
        LLM_JOBS_ENDPOINTS={
            "local": {
                "base_url": f"http://local/v1?key={CANARY}",
                "api_key": CANARY,
                "password": CANARY,
                "options": {"extra": {"secret": CANARY}, "list": [CANARY], "top_k": 3},
            }
        },
    )
    assert not [one for one in found.values() if CANARY in repr(one)]
    assert found["OPENAI_API_KEY"].value == "set"
    assert found["DATABASE_URL"].value == "postgresql://…@db/llm?password=…&sslmode=…"
    assert '"top_k": 3' in found["LLM_JOBS_ENDPOINTS"].value


def test_what_differs_from_its_default_is_told() -> None:
    found = shown(LLM_JOBS_RETRIES=2, LLM_JOBS_RATE_LIMIT="600/minute")
    assert not found["LLM_JOBS_RETRIES"].is_default
    assert found["LLM_JOBS_RATE_LIMIT"].is_default
    assert found["OPENAI_API_KEY"].value == "not set"
    assert found["OPENAI_API_KEY"].is_secret


@pytest.mark.parametrize(
    ("address", "bare"),
    [
        ("sqlite:///var/llm_jobs.db", "sqlite:///var/llm_jobs.db"),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("postgresql://a:b@c@d/e", "postgresql://…@d/e"),
        ("600/minute", "600/minute"),
    ],
)
def test_an_address_without_credentials_stays_readable(address: str, bare: str) -> None:
    assert without_credentials(address) == bare
