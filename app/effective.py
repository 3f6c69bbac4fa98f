"""The settings in force, as people may see them: every secret is `set` or `not set`, never shown.

Also what a secret hides in: the password of an address, the values behind its `?`, texts among an
endpoint's own options. Where a setting comes from is not known here; whether it is the default is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import AnyUrl, BaseModel, SecretStr
from pydantic.fields import FieldInfo

from app.settings import Settings

SET, NOT_SET = "set", "not set"
HIDDEN = "…"

_STARTS = {
    "database_url": "Parts we stand on",
    "openai_api_key": "Providers",
    "host": "Serving",
    "worker_concurrency": "Working",
    "client_url": "Calling a platform from elsewhere",
    "lease_seconds": "The row's clocks",
}
"""The setting each section of `app.settings` begins with."""

_CREDENTIALS = re.compile(r"^([a-z][a-z0-9+.-]*://).*@", re.IGNORECASE | re.DOTALL)
_QUERY_VALUES = re.compile(r"([?&;][^=&;#]*)=[^&;#]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSetting:
    """One setting: its name in the environment and its value in words that hold no secret."""

    name: str
    section: str
    value: str
    is_default: bool
    is_secret: bool
    about: str


def effective(settings: Settings) -> tuple[ShownSetting, ...]:
    """Every setting of this process, in the order of `app.settings`."""
    return tuple(_shown(settings))


def _shown(settings: Settings) -> Iterator[ShownSetting]:
    section = ""
    for name, field in Settings.model_fields.items():
        section = _STARTS.get(name, section)
        value = getattr(settings, name)
        yield ShownSetting(
            name=str(field.alias or name),
            section=section,
            value=in_words(value),
            is_default=value == field.get_default(call_default_factory=True, validated_data={}),
            is_secret=_is_secret(field),
            about=field.description or "",
        )


def in_words(value: Any) -> str:
    """A setting's value without the secrets in it."""
    if value is None or value == "":
        return NOT_SET
    if isinstance(value, SecretStr):
        return SET
    if isinstance(value, Mapping):
        return json.dumps(_masked(value), ensure_ascii=False) if value else NOT_SET
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(_masked(value))


def without_credentials(address: str) -> str:
    """An address without user, password and the values of its query.

    All up to the last `@` is hidden, so that a password with `/` or `#` in it does not look like a
    host.
    """
    bare = _CREDENTIALS.sub(rf"\1{HIDDEN}@", address)
    return _QUERY_VALUES.sub(rf"\1={HIDDEN}", bare) if "://" in address else bare


def _masked(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return SET if value.get_secret_value() else NOT_SET
    if isinstance(value, BaseModel):
        named = {name: getattr(value, name) for name in type(value).model_fields}
        given = {name: one for name, one in named.items() if one is not None and one != {}}
        return {n: masked_options(v) if n == "options" else _masked(v) for n, v in given.items()}
    if isinstance(value, Mapping):
        return {str(name): _masked(inner) for name, inner in value.items()}
    return without_credentials(str(value)) if isinstance(value, (str, AnyUrl)) else value


def masked_options(value: Any) -> Any:
    """An endpoint's own parameters: their names, and values that are no texts."""
    if isinstance(value, str):
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(name): masked_options(inner) for name, inner in value.items()}
    return [masked_options(inner) for inner in value] if isinstance(value, Sequence) else value


def _is_secret(field: FieldInfo) -> bool:
    return "SecretStr" in str(field.annotation)
