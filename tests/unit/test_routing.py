"""A model's name decides who serves it, without any SDK and almost without a network call."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from app.errors import ConfigurationError, UnsupportedModel
from app.providers import ollama_names, registry
from app.providers.registry import (
    KnownModel,
    Providers,
    Route,
    StoredEndpoint,
    known_models,
    resolve,
)
from app.settings import Settings

SIMULATED = {"simulate_missing": True, "simulator_url": "http://127.0.0.1:9"}


def settings(**values: Any) -> Settings:
    return Settings(**{"ollama_base_url": "http://127.0.0.1:1", **values})


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


class _Ollama(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []
    names: ClassVar[list[str]] = ["llama-3.2:latest", "qwen3:8b"]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = json.dumps({"models": [{"name": name} for name in self.names]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def ollama() -> Iterator[str]:
    """The URL of something that lists models as Ollama does."""
    _Ollama.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Ollama) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("model", ["gpt-4", "gpt-6-astra", "chatgpt-4o-latest", "o1", "o4-mini"])
def test_openai_serves_its_names(model: str) -> None:
    route = resolve(model, settings(openai_api_key="k"))
    assert route == Route("openai", model, f"openai:{model}:{digest('k')}")


def test_anthropic_serves_its_names() -> None:
    route = resolve("claude-sonnet-5-5", settings(anthropic_api_key="k"))
    assert (route.provider, route.model) == ("anthropic", "claude-sonnet-5-5")


def test_bucket_tells_keys_apart_without_telling_the_key() -> None:
    one, other = (resolve("gpt-4", settings(openai_api_key=k)) for k in ("sk-one", "sk-two"))
    assert one.bucket != other.bucket
    assert "sk-" not in one.bucket
    assert one == resolve("gpt-4", settings(openai_api_key="sk-one"))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("gpt-4", "Unsupported model: gpt-4 (set OPENAI_API_KEY)"),
        ("claude-3-opus", "Unsupported model: claude-3-opus (set ANTHROPIC_API_KEY)"),
        ("openai/gpt-4", "Unsupported model: openai/gpt-4 (set OPENAI_API_KEY)"),
        ("simulator/echo", "Unsupported model: simulator/echo (set LLM_JOBS_SIMULATOR_URL)"),
        ("llama-3", "Unsupported model: llama-3 (start Ollama and pull the model)"),
        ("mystery-1", "Unsupported model: mystery-1"),
        ("nowhere/mystery-1", "Unsupported model: nowhere/mystery-1"),
        ("ollama/", "Unsupported model: ollama/"),
        ("", "Unsupported model: "),
        ("fast", "Unsupported model: fast (alias of gpt-4; set OPENAI_API_KEY)"),
    ],
)
def test_model_nobody_serves_is_named_with_what_to_set(model: str, message: str) -> None:
    with pytest.raises(UnsupportedModel) as caught:
        resolve(model, settings(model_aliases={"fast": "gpt-4"}))
    assert caught.value.message == message


def test_alias_is_resolved_first() -> None:
    named = settings(openai_api_key="k", model_aliases={"claude-3-opus": "gpt-6-astra"})
    assert resolve("claude-3-opus", named).model == "gpt-6-astra"


def test_endpoint_is_named_before_its_model() -> None:
    endpoint = {"base_url": "http://127.0.0.1:9/v1", "api_key": "k"}
    route = resolve("local/meta/llama-3", settings(endpoints={"local": endpoint}))
    assert (route.provider, route.model) == ("local", "meta/llama-3")
    assert route.bucket.startswith("local:meta/llama-3:")


class Stored:
    """What administrators have registered: as was known, and as it is now."""

    def __init__(self, known: dict[str, StoredEndpoint], **later: StoredEndpoint) -> None:
        self.known, self.later = known, later
        self.fresh: list[bool] = []

    def __call__(self, *, fresh: bool = False) -> dict[str, StoredEndpoint]:
        self.fresh.append(fresh)
        return self.known | self.later if fresh else self.known

    def forget(self) -> None:
        self.known |= self.later


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The sources of this process, by their database's address: none to begin with."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(registry, "_sources", found)
    return found


def stored(**facts: Any) -> StoredEndpoint:
    return StoredEndpoint(**{"base_url": "https://models.example/v1", **facts})


def test_registered_endpoint_is_found_unless_the_settings_name_it(sources: object) -> None:
    registry.set_endpoint_source(settings().database_url, Stored({n: stored() for n in "ab"}))
    own = settings(endpoints={"b": {"base_url": "http://127.0.0.1:9/v1", "api_key": "k"}})
    assert resolve("a/x", own).provider == "a"
    assert resolve("b/x", own).bucket != resolve("b/x", settings()).bucket
    assert list(registry.endpoints(own)) == ["b", "a"]


def test_endpoint_of_another_database_is_not_ours(sources: object) -> None:
    registry.set_endpoint_source("sqlite:///other.db", Stored({"a": stored()}))
    with pytest.raises(UnsupportedModel):
        resolve("a/x", settings())
    assert resolve("a/x", settings(database_url="sqlite:///other.db")).provider == "a"


def test_source_is_dropped_unless_another_took_its_place(sources: dict[str, Any]) -> None:
    first, second = Stored({}), Stored({})
    for source in (first, second):
        registry.set_endpoint_source("one", source)
    registry.drop_endpoint_source(first)
    assert sources == {"one": second}
    registry.drop_endpoint_source(second)
    assert sources == {}


def test_endpoint_registered_a_moment_ago_is_found(sources: object) -> None:
    source = Stored({"old": stored()}, new=stored())
    registry.set_endpoint_source(settings().database_url, source)
    assert resolve("old/x", settings()).provider == "old"
    assert source.fresh == [False]  # what is known is not asked for anew
    assert resolve("new/x", settings()).provider == "new"


def test_endpoint_without_its_variable_is_refused_by_name(sources: object) -> None:
    endpoint = stored(unset=("LLM_ENDPOINT_A_KEY",))
    registry.set_endpoint_source(settings().database_url, Stored({"a": endpoint}))
    with pytest.raises(UnsupportedModel, match=r"a/x \(set LLM_ENDPOINT_A_KEY\)"):
        resolve("a/x", settings())
    route = resolve("a/x", settings(**SIMULATED))
    assert (route.provider, route.model) == ("simulator", "a/x")
    assert "set LLM_ENDPOINT_A_KEY" in str(route.warning)
    listed = known_models(settings())
    assert KnownModel("a/*", "a", False) in listed


def test_registered_endpoint_may_not_be_called_without_tls(sources: object) -> None:
    plain = stored(base_url="http://127.0.0.1:9/v1")
    registry.set_endpoint_source(settings().database_url, Stored({"a": plain}))
    with pytest.raises(ConfigurationError, match="must be https"):
        Providers(settings()).get(resolve("a/x", settings()))


def test_route_has_the_endpoints_time_limit() -> None:
    endpoint = {"base_url": "http://127.0.0.1:9/v1", "timeout_seconds": 7.5}
    own = settings(endpoints={"local": endpoint}, openai_api_key="k")
    assert resolve("local/x", own).timeout_seconds == 7.5
    assert resolve("gpt-4", own).timeout_seconds is None


def test_endpoints_model_and_time_limit_make_no_new_client() -> None:
    before = {"base_url": "http://127.0.0.1:9"}
    after = {**before, "model": "m", "timeout_seconds": 3}
    one, other = (resolve("e/x", settings(endpoints={"e": each})) for each in (before, after))
    assert one.bucket == other.bucket


def test_endpoints_own_model_is_offered() -> None:
    own = settings(endpoints={"local": {"base_url": "http://127.0.0.1:9", "model": "qwen"}})
    names = [model.name for model in known_models(own) if model.provider == "local"]
    assert names == ["local/qwen", "local/*"]


@pytest.mark.parametrize("changed", ["base_url", "api_key", "password", "max_tokens", "any_option"])
def test_changed_endpoint_gets_a_new_client(changed: str) -> None:
    before = {"base_url": "http://127.0.0.1:9", "api_key": "k", "user": "u", "password": "p"}
    values = {"base_url": "http://127.0.0.1:8", "max_tokens": "max_completion_tokens"}
    values["any_option"] = "true"
    after = {**before, changed: values.get(changed, "other")}
    one, other = (resolve("e/x", settings(endpoints={"e": each})) for each in (before, after))
    assert one.bucket != other.bucket


@pytest.mark.parametrize("name", ["openai", "anthropic", "ollama", "simulator", "A", "a b", ""])
def test_endpoint_cannot_take_a_vendors_name(name: str) -> None:
    with pytest.raises(ValueError, match="endpoint name"):
        settings(endpoints={name: {"base_url": "http://127.0.0.1:9"}})


def test_endpoint_url_holds_no_password() -> None:
    with pytest.raises(ValueError, match="their own fields"):
        settings(endpoints={"a": {"base_url": "http://ann:secret@127.0.0.1:9"}})


def test_simulator_serves_its_own_names() -> None:
    route = resolve("simulator/429-7", settings(simulator_url="http://127.0.0.1:9"))
    assert (route.provider, route.model, route.warning) == ("simulator", "429-7", None)


@pytest.mark.parametrize("model", ["gpt-4", "claude-3-opus", "llama-3", "openai/gpt-4"])
def test_simulator_stands_in_with_a_warning(model: str) -> None:
    route = resolve(model, settings(**SIMULATED))
    assert (route.provider, route.model) == ("simulator", model)
    assert route.warning is not None
    assert model in route.warning


def test_simulator_does_not_stand_in_for_a_vendor_with_a_key() -> None:
    assert resolve("gpt-4", settings(openai_api_key="k", **SIMULATED)).provider == "openai"


def test_simulator_does_not_stand_in_for_a_mystery() -> None:
    with pytest.raises(UnsupportedModel, match=r"^Unsupported model: mystery-1$"):
        resolve("mystery-1", settings(**SIMULATED))


def test_prefixed_name_needs_no_list() -> None:
    route = resolve("ollama/anything:7b", settings())
    assert (route.provider, route.model) == ("ollama", "anything:7b")


def test_simulator_stands_in_for_an_ollama_that_is_not_there() -> None:
    route = resolve("ollama/llama-9", settings(ollama_base_url="http://127.0.0.1:9", **SIMULATED))
    assert route.provider == "simulator"
    assert route.warning is not None
    assert "ollama/llama-9" in route.warning


@pytest.mark.parametrize("model", ["llama-3.2", "llama-3.2:latest", "qwen3:8b"])
def test_bare_name_is_ollamas_when_its_list_has_it(ollama: str, model: str) -> None:
    assert resolve(model, settings(ollama_base_url=ollama)).provider == "ollama"


@pytest.mark.parametrize("model", ["llama-9", "qwen3"])
def test_bare_name_is_nobodys_when_the_list_lacks_it(ollama: str, model: str) -> None:
    with pytest.raises(UnsupportedModel):
        resolve(model, settings(ollama_base_url=ollama))


def test_list_is_read_once_a_minute(ollama: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = settings(ollama_base_url=ollama)
    clock = [1000.0]
    monkeypatch.setattr(ollama_names, "monotonic", lambda: clock[0])
    for _ in range(5):
        resolve("qwen3:8b", here)
    assert _Ollama.asked == ["/api/tags"]
    clock[0] += 61
    resolve("qwen3:8b", here)
    assert len(_Ollama.asked) == 2


def test_absent_server_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(ollama_names, "_ask", lambda *where: asked.append("") or ())
    here = settings(ollama_base_url="http://127.0.0.1:2")
    for _ in range(3):
        with pytest.raises(UnsupportedModel):
            resolve("mystery-1", here)
    assert len(asked) == 1


def test_known_models_say_what_is_configured(ollama: str) -> None:
    listed = known_models(
        settings(
            openai_api_key="k",
            ollama_base_url=ollama,
            simulator_url="http://127.0.0.1:9",
            model_aliases={"fast": "gpt-4o-mini", "lost": "mystery-1"},
            endpoints={"local": {"base_url": "http://127.0.0.1:9"}},
        )
    )
    assert KnownModel("fast", "openai", True) in listed
    assert KnownModel("gpt-6-astra", "openai", True) in listed
    assert KnownModel("claude-sonnet-5-5", "anthropic", False) in listed
    assert KnownModel("ollama/qwen3:8b", "ollama", True) in listed
    assert KnownModel("simulator/echo", "simulator", True) in listed
    assert KnownModel("local/*", "local", True) in listed
    assert "lost" not in {model.name for model in listed}


def test_adapter_is_made_once_per_provider_and_key() -> None:
    here = settings(openai_api_key="k", endpoints={"local": {"base_url": "http://127.0.0.1:9"}})
    providers = Providers(here)
    first = providers.get(resolve("gpt-4", here))
    assert providers.get(resolve("gpt-5", here)) is first
    assert providers.get(resolve("local/x", here)) is not first
    asyncio.run(providers.close())
    assert providers.get(resolve("gpt-4", here)) is not first


def test_adapter_is_made_anew_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    here = settings(openai_api_key="k")
    providers = Providers(here)
    first = providers.get(resolve("gpt-4", here))
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert providers.get(resolve("gpt-4", here)) is not first


def test_route_of_an_endpoint_that_is_gone_is_unsupported() -> None:
    with pytest.raises(UnsupportedModel, match="gone/x"):
        Providers(settings()).get(Route("gone", "x", "gone:x:0"))


def test_routing_imports_no_sdk() -> None:
    code = (
        "import sys, app.providers.registry as r; from app.settings import Settings;"
        "s = Settings(openai_api_key='k', ollama_base_url='http://127.0.0.1:1');"
        "r.resolve('gpt-4', s); r.known_models(s); r.Providers(s);"
        "print([m for m in ('openai', 'anthropic', 'httpx2', 'aiohttp') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_plugin_adds_a_vendor_by_the_same_door(monkeypatch: pytest.MonkeyPatch) -> None:
    from app import plugins

    class Plugin:
        def register(self, registry: plugins.Registry) -> None:
            vendor = registry_vendor("acme")
            registry.providers.add(vendor.name, vendor)

    monkeypatch.setattr(plugins, "_filled", None)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [_Entry("acme", Plugin())])
    assert resolve("acme/one", settings()).provider == "acme"
    monkeypatch.setattr(ollama_names, "read", lambda settings: pytest.fail("Ollama was asked"))
    assert resolve("acme-two", settings()).provider == "acme"
    monkeypatch.setattr(ollama_names, "read", lambda settings: ())
    assert [model.name for model in known_models(settings())][-1] == "acme-two"


def test_plugin_that_cannot_be_loaded_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from app import plugins

    monkeypatch.setattr(plugins, "_filled", None)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [_Entry("broken", object())])
    with pytest.raises(ConfigurationError, match="plugin 'broken'"):
        plugins.registry()
    assert plugins._filled is None


def test_name_cannot_be_taken_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    from app import plugins

    section: plugins.Section[int] = plugins.Section("providers")
    section.add("one", 1)
    with pytest.raises(ConfigurationError, match="'one' is registered twice"):
        section.add("one", 2)
    assert (section.get("one"), section.names(), list(section)) == (1, ["one"], [1])


class _Entry:
    """What `importlib.metadata` gives for an entry point."""

    def __init__(self, name: str, plugin: object) -> None:
        self.name, self.value, self._plugin = name, f"{name}:plugin", plugin

    def load(self) -> object:
        return self._plugin


def registry_vendor(name: str) -> registry.Vendor:
    def build(settings: Settings) -> Any:
        raise NotImplementedError

    return registry.Vendor(
        name=name,
        claims=lambda model: model.startswith(f"{name}-"),
        secret=lambda settings: "",
        build=build,
        models=lambda settings: (f"{name}-two",),
    )
