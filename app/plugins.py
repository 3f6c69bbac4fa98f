"""One registry, one door: how a part of this platform is added from outside.

A plugin is a module or object with `register(registry)`, named by an entry point of the group
`llm_jobs.plugins`. Built-in parts enter by the same call. A section maps a stable name to a thing;
what the thing must look like is said where it is used (`app.providers.registry.Vendor`, …).
Not here: any of those things, or what is done with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from threading import RLock
from typing import Any, Generic, Protocol, TypeVar

from app.errors import ConfigurationError

GROUP = "llm_jobs.plugins"

BUILT_IN: tuple[str, ...] = (
    "app.providers.vendors",
    "app.context.built_in",
    "app.prompts.result_handlers.built_in",
)
"""Modules whose `register(registry)` is called before any plugin's."""

Part = TypeVar("Part")


class Section(Generic[Part]):
    """The parts of one kind by name, in the order they were added."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, Part] = {}

    def add(self, name: str, part: Part) -> None:
        """Add `part`. Raises ConfigurationError when the name is taken: no part hides another."""
        if name in self._parts:
            raise ConfigurationError(f"{self.kind}: {name!r} is registered twice; rename one")
        self._parts[name] = part

    def get(self, name: str) -> Part | None:
        return self._parts.get(name)

    def names(self) -> list[str]:
        return list(self._parts)

    def __iter__(self) -> Iterator[Part]:
        return iter(list(self._parts.values()))


class Registry:
    """Everything that can be added. A section exists only when something uses it."""

    def __init__(self) -> None:
        self.providers: Section[Any] = Section("providers")
        self.context_fetchers: Section[Any] = Section("context_fetchers")
        self.prompt_builders: Section[Any] = Section("prompt_builders")
        self.result_handlers: Section[Any] = Section("result_handlers")
        self.asset_types: Section[Any] = Section("asset_types")
        self.embedders: Section[Any] = Section("embedders")


class Plugin(Protocol):
    """What an entry point names."""

    def register(self, registry: Registry) -> None: ...


def registry() -> Registry:
    """The registry of this process: built-ins first, then every installed plugin, loaded once.

    Raises ConfigurationError naming the plugin that cannot be loaded: one that is installed and
    silently missing would fail jobs much later.
    """
    global _filled
    with _filling:
        if _filled is None:
            _filled = Registry()  # set first: a plugin may ask for the registry while it registers
            try:
                _fill(_filled)
            except BaseException:
                _filled = None
                raise
        return _filled


_filled: Registry | None = None
_filling = RLock()


def _fill(registry: Registry) -> None:
    for module in BUILT_IN:
        import_module(module).register(registry)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        _load(entry, registry)


def _load(entry: EntryPoint, registry: Registry) -> None:
    try:
        plugin: Plugin = entry.load()
        plugin.register(registry)
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"plugin {entry.name!r} ({entry.value}) cannot be loaded: {error}"
        ) from error
