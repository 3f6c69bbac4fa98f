"""What an endpoint that is registered may be called, hold and point at. Pure, but for the names.

Addresses are checked again when they are connected to (`app.providers.http`): a name may lead
anywhere by then.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any

from pydantic import AnyHttpUrl, ValidationError

from app import endpoint_settings
from app.addresses import refusal
from app.errors import InvalidParameter, MissingParameter, UnknownParameter
from app.plugins import registry
from app.text import clean_text, deep_clean

VARIABLES = ("api_key_variable", "user_variable", "password_variable")
CHANGEABLE = ("base_url", "model", "options", "timeout_seconds", *VARIABLES)

LONGEST_ADDRESS = 2_000
LONGEST_MODEL = 255
LONGEST_SECONDS = 86_400.0
LONGEST_VARIABLE = 255

_VARIABLE = re.compile(r"LLM_(?:ENDPOINT|SERVICE)_[A-Z0-9_]+", re.ASCII)


def checked_name(name: Any) -> str:
    """A name nothing else has a meaning for. Raises InvalidParameter or MissingParameter."""
    if not name:
        raise MissingParameter("name")
    try:
        endpoint_settings.check_name(str(name))
    except ValueError as error:
        raise InvalidParameter(f"Invalid {error}", pointer="/name") from None
    if name in registry().providers.names():
        raise InvalidParameter(f"Invalid name: {name} is a provider's", pointer="/name")
    return str(name)


def checked(name: str, value: Any) -> Any:
    """A value as it is stored; blank means not set. Raises InvalidParameter, UnknownParameter."""
    if name not in CHANGEABLE:
        raise UnknownParameter(name)
    if name == "base_url":
        return _address(value)
    if name == "options":
        return _options(value)
    if name == "timeout_seconds":
        return _seconds(value)
    if value is not None and not isinstance(value, str):
        raise InvalidParameter(f"Invalid {name}. Must be a text", pointer=f"/{name}")
    text = clean_text(value or "").strip() or None
    return _variable(name, text) if name in VARIABLES else _model(text)


def _address(value: Any) -> str:
    """The base URL in its plain form: https, a public host, nothing that is no address."""
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise MissingParameter("base_url")
    if len(text) > LONGEST_ADDRESS:
        raise _wrong_address(f"must be at most {LONGEST_ADDRESS:,} characters")
    try:
        url = AnyHttpUrl(text)
    except ValidationError:
        raise _wrong_address("must be an address such as https://models.example.com/v1") from None
    if url.username or url.password:
        raise _wrong_address("must not hold a user or password: name the variables that do")
    if url.scheme != "https":
        raise _wrong_address(
            "must begin with https://. One on your own network is set in LLM_JOBS_ENDPOINTS"
        )
    if url.query is not None or url.fragment is not None:
        raise _wrong_address("must be without ? and #")
    if reason := _not_public((url.host or "").strip("[]")):
        raise _wrong_address(f"is not public: {reason}")
    if len(str(url)) > LONGEST_ADDRESS:
        raise _wrong_address(f"must be at most {LONGEST_ADDRESS:,} characters")
    return str(url)


def _not_public(host: str) -> str | None:
    try:
        return refusal(str(ip_address(host)), internal=False)
    except ValueError:
        return None if "." in host.rstrip(".") else f"{host[:80]} is an internal name"


def _wrong_address(problem: str) -> InvalidParameter:
    return InvalidParameter(f"Invalid base_url: it {problem}", pointer="/base_url")


def _options(value: Any) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise InvalidParameter("Options must be an object", pointer="/options")
    cleaned: dict[str, Any] | None = deep_clean(value) or None
    return cleaned


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value <= LONGEST_SECONDS:
        raise InvalidParameter(
            f"Invalid timeout_seconds: {str(value)[:80]}. Must be more than 0, at most"
            f" {LONGEST_SECONDS:,.0f}",
            pointer="/timeout_seconds",
        )
    return float(value)


def _model(text: str | None) -> str | None:
    if text is not None and len(text) > LONGEST_MODEL:
        raise InvalidParameter(
            f"Invalid model. Must be at most {LONGEST_MODEL} characters", pointer="/model"
        )
    return text


def _variable(name: str, text: str | None) -> str | None:
    if text and (len(text) > LONGEST_VARIABLE or not _VARIABLE.fullmatch(text)):
        raise InvalidParameter(
            f"Invalid {name}: {text[:80]!r}. Must be the name of an environment variable such as"
            " LLM_ENDPOINT_ACME_KEY: LLM_ENDPOINT_ or LLM_SERVICE_, then capital letters, digits"
            " and underscores",
            pointer=f"/{name}",
        )
    return text
