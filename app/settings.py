"""Every setting, its default and its bounds: one line each, in one file.

Read once from the environment (and `.env`); `NAME_FILE` names a file that holds the value, for
secrets. A wrong value stops the start with the allowed ones; an unknown `LLM_JOBS_*` name does
too, because a typing error in a setting otherwise shows up as lost money.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from pydantic import (
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from app import endpoint_settings
from app.endpoint_settings import Configured, Seconds
from app.endpoint_settings import Endpoint as Endpoint
from app.errors import ConfigurationError
from models import Role

PREFIX = "LLM_JOBS_"
CLIENT_NAMES = frozenset({"LLM_JOBS_URL", "LLM_JOBS_API_KEY"})
"""Read by clients (`llm_jobs`, the command line) alone; one shell may hold them beside ours."""

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?", re.ASCII)


class FetchUrl(BaseModel):
    """A URL that jobs may read by its name. `internal`: on our own network, plain http allowed."""

    model_config = ConfigDict(extra="forbid")

    url: AnyHttpUrl
    internal: bool = False


class Settings(BaseSettings):
    """The effective configuration of one process. Durations are seconds, sizes bytes."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", populate_by_name=True, frozen=True, case_sensitive=True
    )

    # Parts we stand on
    database_url: str = Field("sqlite:///var/llm_jobs.db", alias="DATABASE_URL")
    redis_url: str = Field("redis://127.0.0.1:6379/0", alias="REDIS_URL")
    broker_url: str = Field("", alias="BROKER_URL", description="Default: REDIS_URL.")

    # Providers
    openai_api_key: SecretStr | None = Field(None, alias="OPENAI_API_KEY")
    openai_base_url: AnyHttpUrl | None = Field(None, alias="OPENAI_BASE_URL")
    anthropic_api_key: SecretStr | None = Field(None, alias="ANTHROPIC_API_KEY")
    anthropic_base_url: AnyHttpUrl | None = Field(None, alias="ANTHROPIC_BASE_URL")
    ollama_base_url: AnyHttpUrl = Field(
        AnyHttpUrl("http://127.0.0.1:11434"), alias="OLLAMA_BASE_URL"
    )
    endpoints: dict[str, Endpoint] = Field({}, alias="LLM_JOBS_ENDPOINTS")
    llm_service_endpoint: AnyHttpUrl | None = Field(
        None,
        alias="LLM_SERVICE_ENDPOINT",
        description="The endpoint `llm-service`, which takes every option; /v1 is added.",
    )
    llm_service_api_key: SecretStr | None = Field(None, alias="LLM_SERVICE_API_KEY")
    llm_service_endpoint_apikey: SecretStr | None = Field(
        None,
        alias="LLM_SERVICE_ENDPOINT_APIKEY",
        description="Another name of LLM_SERVICE_API_KEY, which goes before it.",
    )
    llm_service_user: str | None = Field(None, alias="LLM_SERVICE_ENDPOINT_USER")
    llm_service_password: SecretStr | None = Field(None, alias="LLM_SERVICE_ENDPOINT_PASSWORD")
    llm_service_timeout: int = Field(
        120_000, alias="LLM_SERVICE_TIMEOUT", ge=1, description="Milliseconds."
    )
    llm_service_model: str | None = Field(None, alias="LLM_SERVICE_MODEL")
    llm_config_file: Path | None = Field(
        None, alias="LLM_CONFIG_FILE", description="An imixs-llm.xml with more endpoints."
    )
    prompt_properties: dict[str, str] = Field(
        {},
        alias="LLM_JOBS_PROMPT_PROPERTIES",
        description="What `<propertyvalue>` may show in a prompt, by name.",
    )
    fetch_urls: dict[str, FetchUrl] = Field(
        {},
        alias="LLM_JOBS_FETCH_URLS",
        description="URLs the `http_get` context fetcher may read, by name.",
    )
    model_aliases: dict[str, str] = Field({}, alias="LLM_JOBS_MODEL_ALIASES")
    simulator_url: AnyHttpUrl | None = Field(
        None,
        alias="LLM_JOBS_SIMULATOR_URL",
        description="Serves `simulator/*` models; set by `llm-jobs dev`.",
    )
    simulate_missing: bool = Field(
        False,
        alias="LLM_JOBS_SIMULATE_MISSING",
        description="The simulator answers for vendors without a key; set by `llm-jobs dev`.",
    )

    # Serving
    host: str = Field("127.0.0.1", alias="LLM_JOBS_HOST")
    port: int = Field(8000, alias="PORT", ge=0, le=65535)
    public_url: AnyHttpUrl | None = Field(
        None,
        alias="LLM_JOBS_PUBLIC_URL",
        description="Where people reach the pages, if not at LLM_JOBS_HOST and PORT.",
    )
    web_threads: int = Field(128, alias="LLM_JOBS_WEB_THREADS", ge=1, le=1000)
    secret_key: SecretStr | None = Field(None, alias="LLM_JOBS_SECRET_KEY")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", alias="LLM_JOBS_LOG_LEVEL"
    )
    rate_limit: str = Field("600/minute", alias="LLM_JOBS_RATE_LIMIT", description="Per API key.")
    metrics_token: SecretStr | None = Field(
        None,
        alias="LLM_JOBS_METRICS_TOKEN",
        min_length=16,
        description="Opens `/metrics` to Prometheus, beside keys with the scope `ops:read`.",
    )
    flower_basic_auth: SecretStr | None = Field(None, alias="FLOWER_BASIC_AUTH")
    flower_address: str = Field("127.0.0.1", alias="FLOWER_ADDRESS")
    flower_port: int = Field(5555, alias="FLOWER_PORT", ge=1, le=65535)
    flower_url: str = Field("", alias="FLOWER_URL")

    # Working
    worker_concurrency: int = Field(100, alias="LLM_JOBS_WORKER_CONCURRENCY", ge=1, le=10_000)
    call_timeout_seconds: Seconds = Field(300, alias="LLM_JOBS_CALL_TIMEOUT_SECONDS")
    fetch_timeout_seconds: Seconds = Field(10, alias="LLM_JOBS_FETCH_TIMEOUT_SECONDS")
    shutdown_grace_seconds: Seconds = Field(30, alias="LLM_JOBS_SHUTDOWN_GRACE_SECONDS")
    retries: int = Field(5, alias="LLM_JOBS_RETRIES", ge=0, le=100)
    retry_base_seconds: Seconds = Field(5, alias="LLM_JOBS_RETRY_BASE_SECONDS")
    retry_max_seconds: Seconds = Field(300, alias="LLM_JOBS_RETRY_MAX_SECONDS")

    # Chats
    chat_model: str | None = Field(
        None, alias="LLM_JOBS_CHAT_MODEL", description="Answers in chats that name no model."
    )
    chat_roles: str = Field("member,admin", alias="LLM_JOBS_CHAT_ROLES")
    chat_max_content: int = Field(10_000, alias="LLM_JOBS_CHAT_MAX_CONTENT", ge=1, le=200_000)
    chat_title_max: int = Field(40, alias="LLM_JOBS_CHAT_TITLE_MAX", ge=8, le=255)
    asset_chat_text: str = Field(
        "{name} is ready. Ask a question about it.",
        alias="LLM_JOBS_ASSET_CHAT_TEXT",
        max_length=2_000,
        description="What a chat about an asset says first; `{name}` is the asset's.",
    )
    chat_title_model: str | None = Field(None, alias="LLM_JOBS_CHAT_TITLE_MODEL")
    chat_turn_timeout_seconds: Seconds = Field(300, alias="LLM_JOBS_CHAT_TURN_TIMEOUT_SECONDS")
    embed_hosts: str = Field("", alias="LLM_JOBS_EMBED_HOSTS")
    chat_documents: bool = Field(True, alias="LLM_JOBS_CHAT_DOCUMENTS")
    chat_attachments_max_chars: int = Field(
        200_000, alias="LLM_JOBS_CHAT_ATTACHMENTS_MAX_CHARS", ge=1_000, le=900_000
    )
    embedder: str | None = Field(None, alias="LLM_JOBS_EMBEDDER", max_length=100)
    docs_top_k: int = Field(5, alias="LLM_JOBS_DOCS_TOP_K", ge=1, le=50)
    docs_max_queries: int = Field(4, alias="LLM_JOBS_DOCS_MAX_QUERIES", ge=1, le=10)
    resource_docs_max: int = Field(
        40_000,
        alias="LLM_JOBS_RESOURCE_DOCS_MAX",
        ge=0,
        le=1_000_000,
        description="Characters of the documents of a resource that are given to a model whole.",
    )

    # The services of OpenFn's Apollo
    compat_user: str | None = Field(
        None,
        alias="LLM_JOBS_COMPAT_USER",
        description="Whose requests of `/services` are that bring no key; unset: nobody's.",
    )
    compat_max_response_chars: int = Field(
        10_000,
        alias="LLM_JOBS_COMPAT_MAX_RESPONSE_CHARS",
        ge=0,
        description="Characters an answer of `/services` may have; 0: any.",
    )

    # What is forgotten
    keep_texts_days: float | None = Field(
        None,
        alias="LLM_JOBS_KEEP_TEXTS_DAYS",
        gt=0,
        le=36_500,
        description="Then an ended job loses its texts. Unset: never.",
    )
    keep_rows_days: float | None = Field(
        None,
        alias="LLM_JOBS_KEEP_ROWS_DAYS",
        gt=0,
        le=36_500,
        description="Then an ended job's row goes. Unset: never.",
    )

    # Calling a platform from elsewhere: `llm_jobs`, and the command line
    client_url: str = Field("", alias="LLM_JOBS_URL", description="Its address.")
    client_api_key: SecretStr | None = Field(None, alias="LLM_JOBS_API_KEY")

    # The row's clocks
    lease_seconds: Seconds = Field(60, alias="LLM_JOBS_LEASE_SECONDS")
    heartbeat_seconds: Seconds = Field(15, alias="LLM_JOBS_HEARTBEAT_SECONDS")
    dispatch_seconds: Seconds = Field(1, alias="LLM_JOBS_DISPATCH_SECONDS")
    rewake_seconds: Seconds = Field(15, alias="LLM_JOBS_REWAKE_SECONDS")
    queue_window: int = Field(200, alias="LLM_JOBS_QUEUE_WINDOW", ge=1)
    ageing_seconds: Seconds = Field(60, alias="LLM_JOBS_AGEING_SECONDS")
    max_age_seconds: Seconds = Field(86_400, alias="LLM_JOBS_MAX_AGE_SECONDS")

    _registered: dict[str, Configured] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _blank_is_unset(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if value != ""}

    @field_validator("rate_limit")
    @classmethod
    def _readable_rate(cls, value: str) -> str:
        parse_rate(value)
        return value

    @field_validator("chat_roles")
    @classmethod
    def _known_roles(cls, value: str) -> str:
        words = [word.strip() for word in value.split(",")]
        if unknown := [word for word in words if word not in list(Role)]:
            raise ValueError(f"role {unknown[0]!r}: name {' and '.join(Role)}, between commas")
        return ",".join(words)

    @field_validator("embed_hosts")
    @classmethod
    def _origins(cls, value: str) -> str:
        origins = value.replace(",", " ").split()
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin: write https://app.example.org")
        return " ".join(origins)

    @field_validator("endpoints")
    @classmethod
    def _endpoint_names(cls, value: dict[str, Endpoint]) -> dict[str, Endpoint]:
        for name in value:
            endpoint_settings.check_name(name)
        return value

    @field_validator("llm_service_endpoint")
    @classmethod
    def _service_address(cls, value: AnyHttpUrl | None) -> AnyHttpUrl | None:
        if value is not None:
            endpoint_settings.check_service_url(value)
        return value

    @model_validator(mode="after")
    def _heartbeat_fits_the_lease(self) -> Settings:
        """A lease must survive three missed heartbeats (`design.md`: at most a quarter)."""
        limit = self.lease_seconds / 4
        if self.heartbeat_seconds > limit:
            if "heartbeat_seconds" in self.model_fields_set:
                raise ValueError(
                    f"LLM_JOBS_HEARTBEAT_SECONDS={self.heartbeat_seconds:g} is more than a quarter"
                    f" of LLM_JOBS_LEASE_SECONDS={self.lease_seconds:g}: use at most {limit:g}"
                )
            object.__setattr__(self, "heartbeat_seconds", limit)
        return self

    @model_validator(mode="after")
    def _passes_are_signed(self) -> Settings:
        if self.embed_hosts and self.secret_key is None:
            raise ValueError("LLM_JOBS_EMBED_HOSTS needs LLM_JOBS_SECRET_KEY")
        return self

    @model_validator(mode="after")
    def _gather_endpoints(self) -> Settings:
        self._registered = endpoint_settings.gathered(self)
        return self

    @property
    def registered_endpoints(self) -> Mapping[str, Configured]:
        """Every endpoint named here: LLM_JOBS_ENDPOINTS, LLM_SERVICE_*, LLM_CONFIG_FILE."""
        return self._registered

    @property
    def broker(self) -> str:
        """The URL Celery connects to."""
        return self.broker_url or self.redis_url

    @property
    def chatting_roles(self) -> frozenset[str]:
        """Whose users may write in chats."""
        return frozenset(self.chat_roles.split(","))

    @property
    def embedding_hosts(self) -> tuple[str, ...]:
        """The origins whose pages may frame the chat panel."""
        return tuple(self.embed_hosts.split())

    @property
    def max_tries(self) -> int:
        """Attempts a job may use before it fails: the first and its retries."""
        return self.retries + 1

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, _FileNamedByEnvironment(settings_cls)


class _FileNamedByEnvironment(DotEnvSettingsSource):
    """`NAME_FILE=/run/secrets/x` gives NAME the content of that file, stripped."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls, env_file=None)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        found: dict[str, str | None] = {}
        for field in self.settings_cls.model_fields.values():
            path = os.environ.get(f"{field.alias}_FILE")
            if path and field.alias:
                found[field.alias] = Path(path).read_text(encoding="utf-8").strip()
        return found


def parse_rate(text: str) -> tuple[int, int]:
    """`"600/minute"` → (600, 60): how many, in how many seconds. Else ValueError with the form."""
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(second|minute|hour|day)\s*", text)
    if not match or int(match[1]) < 1:
        raise ValueError(f"rate {text!r}: write it as '600/minute' (second, minute, hour or day)")
    return int(match[1]), {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}[match[2]]


@cache
def load_settings() -> Settings:
    """The settings of this process, read once.

    Raises ConfigurationError naming each wrong setting, its value and what would be right.
    """
    _refuse_unknown_names({**dotenv_values(".env"), **os.environ})
    try:
        return Settings()  # type: ignore[call-arg]
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors()
        ]
        raise ConfigurationError("\n".join(lines)) from None
    except SettingsError as error:
        raise ConfigurationError(_not_json(error)) from None
    except OSError as error:
        raise ConfigurationError(
            f"a file named by a *_FILE setting cannot be read: {error}"
        ) from None


def _not_json(error: SettingsError) -> str:
    field = re.search(r'field "(\w+)"', str(error))
    named = field and Settings.model_fields.get(field[1])
    return f"{named.alias}: it is not JSON" if named else str(error)


def _refuse_unknown_names(environment: Mapping[str, str | None]) -> None:
    known = {str(field.alias) for field in Settings.model_fields.values()} | CLIENT_NAMES
    known |= {f"{name}_FILE" for name in known}
    unknown = sorted(n for n in environment if n.startswith(PREFIX) and n not in known)
    if unknown:
        raise ConfigurationError(
            f"unknown setting {', '.join(unknown)}; known: "
            + ", ".join(
                sorted(
                    n
                    for n in known - CLIENT_NAMES
                    if n.startswith(PREFIX) and not n.endswith("_FILE")
                )
            )
        )
