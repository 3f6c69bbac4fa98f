"""Secrets in a context: blanked where a page shows it, put back where it is sent again. Pure.

What is a secret is told by its name or its look, as in the log (`app.log`).
"""

from __future__ import annotations

from typing import Any

from app.log import REDACTED, is_secret_name, redact_text

DEEPEST = 64
"""Contexts are refused at half of this; whatever lies deeper is not shown."""


def masked(value: Any, name: str = "", *, depth: int = 0) -> Any:
    """The same value without what looks like a secret."""
    if value is not None and is_secret_name(name):
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if depth >= DEEPEST and isinstance(value, (dict, list)):
        return REDACTED
    if isinstance(value, dict):
        return {key: masked(item, key, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item, depth=depth + 1) for item in value]
    return value


def unmasked(edited: Any, original: Any, name: str = "") -> Any:
    """What somebody made of a masked value, with every mask he left as it was filled again."""
    if isinstance(edited, str) and edited == masked(original, name):
        return original
    if isinstance(edited, dict) and isinstance(original, dict):
        return {
            key: unmasked(item, original[key], key) if key in original else item
            for key, item in edited.items()
        }
    if isinstance(edited, list) and isinstance(original, list):
        kept = [unmasked(item, old) for item, old in zip(edited, original, strict=False)]
        return kept + edited[len(kept) :]
    return edited
