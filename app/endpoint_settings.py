"""Endpoints that the settings name: what one is, and the three places they come from.

`LLM_JOBS_ENDPOINTS` holds any number; `LLM_SERVICE_ENDPOINT`, with the names that go with it, is
the one called `llm-service`; the file of `LLM_CONFIG_FILE` is an `imixs-llm.xml`. The latter two
are told every option, as Imixs-AI does. Where two have one name, they go first in this order.
Not here: endpoints that administrators registered (`app.endpoints`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import (
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from app.errors import ConfigurationError

if TYPE_CHECKING:  # the settings gather their endpoints here
    from app.settings import Settings

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

SERVICE = "llm-service"
"""The name of the endpoint that `LLM_SERVICE_ENDPOINT` gives the address of."""

VENDORS = ("anthropic", "ollama", "openai", "simulator")
"""Names `<name>/<model>` already means something for."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_NAME_IN_FILE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


class Origin(StrEnum):
    """Where an endpoint is registered."""

    SETTINGS = "settings"
    SERVICE = "service"
    FILE = "file"
    STORED = "stored"

    @property
    def setting(self) -> str:
        """The setting that names it; empty for a stored one."""
        return _SETTING_OF.get(self, "")


_SETTING_OF = {
    Origin.SETTINGS: "LLM_JOBS_ENDPOINTS",
    Origin.SERVICE: "LLM_SERVICE_ENDPOINT",
    Origin.FILE: "LLM_CONFIG_FILE",
}


class Endpoint(BaseModel):
    """One registered OpenAI-compatible endpoint: where it is and how we identify ourselves.

    `model` is asked for when a job or definition names none, `timeout_seconds` bounds each call.
    `options` are parameters of its own, sent with each call and open to jobs. The rest says what
    the server takes: its name for the token limit, `stream_options`, a JSON Schema, any option.
    """

    model_config = ConfigDict(extra="forbid")

    base_url: AnyHttpUrl
    api_key: SecretStr | None = None
    user: str | None = None
    password: SecretStr | None = None
    model: str | None = None
    timeout_seconds: Seconds | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    stream_usage: bool = True
    json_schema: bool = True
    any_option: bool = False

    @field_validator("base_url")
    @classmethod
    def _no_credentials_in_the_url(cls, value: AnyHttpUrl) -> AnyHttpUrl:
        if value.username or value.password:
            raise ValueError("give user and password in their own fields, not within the URL")
        return value


@dataclass(frozen=True, slots=True)
class Configured:
    """An endpoint of the settings, and which of them names it."""

    endpoint: Endpoint
    origin: Origin


def gathered(settings: Settings) -> dict[str, Configured]:
    """Every endpoint the settings name. Raises ConfigurationError for a file that is none."""
    places = {
        Origin.SETTINGS: settings.endpoints,
        Origin.SERVICE: _of_service(settings),
        Origin.FILE: _in_file(settings),
    }
    found: dict[str, Configured] = {}
    for origin, endpoints in places.items():
        for name, endpoint in endpoints.items():
            found.setdefault(name, Configured(endpoint, origin))
    return found


def check_name(name: str) -> None:
    """Raises ValueError when an endpoint cannot have this name."""
    if not _NAME.fullmatch(name) or name in VENDORS:
        raise ValueError(
            f"endpoint name {name[:80]!r}: use lower-case letters, digits, - and _;"
            f" taken: {', '.join(VENDORS)}"
        )


def check_service_url(url: AnyHttpUrl) -> None:
    """Raises ValueError when `/v1` cannot follow the address, or it holds what it should not."""
    if url.username or url.password:
        raise ValueError("give user and password in their own settings, not within the URL")
    if url.query is not None or url.fragment is not None:
        raise ValueError("write it without ? and #: /v1/chat/completions follows it")


def without_version(address: str) -> str:
    """An address up to where Imixs-AI goes on with `/v1/chat/completions`."""
    bare = address.rstrip("/")
    for end in ("/v1/chat/completions", "/v1"):
        if bare.endswith(end):
            return bare.removesuffix(end).rstrip("/")
    return bare


def environment() -> dict[str, str]:
    """The variables of this process, and those of `.env` that it does not have itself."""
    found: Mapping[str, str | None] = {**dotenv_values(".env"), **os.environ}
    return {name: value for name, value in found.items() if value is not None}


def _of_service(settings: Settings) -> dict[str, Endpoint]:
    """The endpoint `llm-service`. A key goes before user and password."""
    if settings.llm_service_endpoint is None:
        return {}
    key = settings.llm_service_api_key or settings.llm_service_endpoint_apikey
    endpoint = Endpoint(
        base_url=_versioned(str(settings.llm_service_endpoint)),
        api_key=key,
        user=None if key else settings.llm_service_user,
        password=None if key else settings.llm_service_password,
        model=settings.llm_service_model,
        timeout_seconds=settings.llm_service_timeout / 1000,
        any_option=True,
    )
    return {SERVICE: endpoint}


def _in_file(settings: Settings) -> dict[str, Endpoint]:
    """The endpoints of an `imixs-llm.xml`. Their ids are told apart without case."""
    if settings.llm_config_file is None:
        return {}
    from app.prompts.imixs.config import read_config  # reads XML, which few processes do

    endpoints: dict[str, Endpoint] = {}
    for name, one in read_config(_text_of(settings.llm_config_file), environment()).items():
        try:
            _check_id(name, endpoints)
            endpoints[name.lower()] = _of_file(one.url, one.apikey, one.options, settings)
        except ValueError as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            told = f"endpoint {name[:80]!r}: {reason}"
            raise _wrong_file(settings.llm_config_file, told) from None
    return endpoints


def _of_file(
    url: str, key: str | None, options: Mapping[str, Any] | None, settings: Settings
) -> Endpoint:
    """An endpoint of the file. Its model stands among the options, where Imixs-AI has it."""
    check_service_url(AnyHttpUrl(url))
    own = dict(options or {})
    model = own.pop("model", None)
    return Endpoint(
        base_url=_versioned(url),
        api_key=SecretStr(key) if key else None,
        model=model if isinstance(model, str) else None,
        options=own,
        timeout_seconds=settings.llm_service_timeout / 1000,
        any_option=True,
    )


def _check_id(name: str, taken: Mapping[str, Endpoint]) -> None:
    if not _NAME_IN_FILE.fullmatch(name.lower()) or name.lower() in (*VENDORS, *taken):
        raise ValueError(
            f"an id has letters, digits, -, _ and dots; taken: {', '.join((*VENDORS, *taken))}"
        )


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise _wrong_file(path, f"it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _wrong_file(path, "it is not UTF-8") from None


def _wrong_file(path: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(f"LLM_CONFIG_FILE={path}: {reason}")


def _versioned(address: str) -> AnyHttpUrl:
    return AnyHttpUrl(f"{without_version(address)}/v1")
