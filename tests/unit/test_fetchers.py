"""Context fetchers: what a job may ask for, what it gets, and what a failing one cannot do."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from app.context import built_in, threads
from app.context.fetchers import (
    MAX_FETCHERS,
    FetchContext,
    Fetched,
    FetchRequest,
    OutputFacts,
    RegisteredUrl,
    Source,
    UserFacts,
    context_fetcher,
    fetch_all,
    normalise,
)
from app.context.plain_calls import PlainCalls
from app.context.safe_http import Page
from app.errors import ConfigurationError, ContextUnavailable, InvalidParameter, Unavailable
from app.plugins import Registry
from app.plugins import registry as process_registry
from app.retry import RetryLater, RetryPolicy, decide

ANN, BOB = 1, 2
NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@dataclass
class Library:
    """A Source of fixed facts."""

    users: dict[int, UserFacts] = field(default_factory=dict)
    outputs: dict[int, list[OutputFacts]] = field(default_factory=dict)
    urls: dict[str, RegisteredUrl] = field(default_factory=dict)

    def user(self, user_id: int) -> UserFacts | None:
        return self.users.get(user_id)

    def recent_outputs(self, user_id: int, limit: int) -> Sequence[OutputFacts]:
        return self.outputs.get(user_id, [])[:limit]

    def output_text(self, user_id: int, output_id: int) -> str | None:
        own = [o for o in self.outputs.get(user_id, []) if o.output_id == output_id]
        return own[0].text if own else None

    def registered_url(self, name: str) -> RegisteredUrl | None:
        return self.urls.get(name)


@pytest.fixture
def source() -> Library:
    def output(number: int, text: str) -> OutputFacts:
        return OutputFacts(number, "Say {{x}}", "gpt-4", text, NOON)

    return Library(
        users={
            ANN: UserFacts("Ann", "ann@example.test", NOON, plan="pro"),
            BOB: UserFacts("Bob", "bob@example.test", NOON.replace(month=12, year=2025)),
        },
        outputs={
            ANN: [output(9, "newest"), output(7, "x" * 10_000), output(5, "oldest")],
            BOB: [output(8, "Bob's secret")],
        },
    )


@pytest.fixture
def registry() -> Registry:
    """The built-in fetchers and nothing else."""
    registry = Registry()
    built_in.register(registry)
    return registry


def fetch(
    wanted: Any,
    source: Source,
    registry: Registry,
    *,
    own: Mapping[str, Any] | None = None,
    user_id: int | None = ANN,
    timeout_seconds: float = 5,
) -> Fetched:
    return asyncio.run(
        fetch_all(
            normalise(wanted, among=registry),
            context=FetchContext(user_id, source),
            own=own or {},
            timeout_seconds=timeout_seconds,
            among=registry,
        )
    )


# --- what a job may ask for ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "requests"),
    [
        (None, ()),
        ([], ()),
        ({}, ()),
        (["user_profile"], (FetchRequest("user_profile"),)),
        (["user_profile", "user_profile"], (FetchRequest("user_profile"),)),
        ({"user_profile": {}}, (FetchRequest("user_profile"),)),
        ({"user_profile": None}, (FetchRequest("user_profile"),)),
        ({"user_profile": {"required": True}}, (FetchRequest("user_profile", required=True),)),
        ({"user_profile": {"required": False}}, (FetchRequest("user_profile"),)),
        (
            {"output_text": {"output_id": 7, "required": True}, "recent_outputs": {"limit": 3}},
            (
                FetchRequest("output_text", {"output_id": 7}, required=True),
                FetchRequest("recent_outputs", {"limit": 3}),
            ),
        ),
    ],
)
def test_names_or_names_with_arguments_are_read(
    wanted: Any, requests: tuple[FetchRequest, ...], registry: Registry
) -> None:
    assert normalise(wanted, among=registry) == requests


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ("user_profile", "write a list of names"),
        (7, "write a list of names"),
        (["user_profile", 7], "write a list of names"),
        ([{"user_profile": {}}], "write a list of names"),
        (["weather"], "unknown fetcher 'weather'; known: user_profile, recent_outputs,"),
        ({"weather": {}}, "unknown fetcher 'weather'"),
        (["x" * 10_000], "unknown fetcher 'xxx"),
        ({"user_profile": []}, "the arguments of user_profile must be an object, not list"),
        ({"user_profile": "x"}, "must be an object, not str"),
        ({"user_profile": {"required": "yes"}}, "required of user_profile must be true or false"),
        ({"user_profile": {"user_id": BOB}}, "the arguments of user_profile do not fit"),
        ({"user_profile": {"context": {}}}, "do not fit"),
        ({"output_text": {}}, "missing a required argument: 'output_id'"),
        ({"http_get": {"url": "http://127.0.0.1"}}, "the arguments of http_get do not fit"),
    ],
)
def test_anything_else_is_refused_with_the_reason(
    wanted: Any, reason: str, registry: Registry
) -> None:
    with pytest.raises(InvalidParameter) as caught:
        normalise(wanted, among=registry)

    assert reason in caught.value.message
    assert len(caught.value.message) < 300
    assert caught.value.pointer == "/fetchers"


def test_a_job_cannot_ask_for_very_many(registry: Registry) -> None:
    for number in range(MAX_FETCHERS + 1):
        context_fetcher(f"f{number}")(lambda _context: {}).register(registry)
    names = [f"f{number}" for number in range(MAX_FETCHERS + 1)]

    assert len(normalise(names[1:], among=registry)) == MAX_FETCHERS
    with pytest.raises(InvalidParameter, match="at most 16 fetchers"):
        normalise(names, among=registry)


# --- the registry --------------------------------------------------------------------------------


def test_a_declared_function_is_still_that_function() -> None:
    @context_fetcher("weather")
    def weather(context: FetchContext, *, city: str) -> dict[str, str]:
        """The weather there."""
        return {"city": city}

    assert weather(FetchContext(ANN, Library()), city="Bonn") == {"city": "Bonn"}
    assert (weather.name, weather.__doc__) == ("weather", "The weather there.")


def test_a_declared_function_enters_a_registry_by_itself(registry: Registry) -> None:
    @context_fetcher("weather")
    def weather(_context: FetchContext, *, city: str) -> dict[str, str]:
        return {"forecast": f"rain in {city}"}

    weather.register(registry)

    fetched = fetch({"weather": {"city": "Bonn"}}, Library(), registry)
    assert fetched.values == {"weather": {"forecast": "rain in Bonn"}}


def test_a_plain_function_may_be_entered_too(registry: Registry) -> None:
    registry.context_fetchers.add("plain", lambda _context, word: {"said": word})

    assert fetch({"plain": {"word": "x"}}, Library(), registry).values == {"plain": {"said": "x"}}


def test_no_fetcher_hides_another(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match="registered twice"):
        context_fetcher("user_profile")(lambda _context: {}).register(registry)


def test_the_built_in_ones_are_known_to_every_process() -> None:
    names = process_registry().context_fetchers.names()

    assert {"user_profile", "recent_outputs", "output_text", "http_get"} <= set(names)
    assert normalise(["user_profile"]) == (FetchRequest("user_profile"),)


# --- what comes back -----------------------------------------------------------------------------


def test_values_come_by_fetcher_and_flat(source: Library, registry: Registry) -> None:
    fetched = fetch(["user_profile"], source, registry)

    profile = {
        "name": "Ann",
        "email": "ann@example.test",
        "join_date": "January 2026",
        "plan": "pro",
    }
    assert fetched == Fetched({"user_profile": profile}, profile, ())


def test_flat_values_never_replace_anything(registry: Registry) -> None:
    context_fetcher("one")(lambda _c: {"a": 1, "b": 1, "c": 1, "two": 1, "own": 1}).register(
        registry
    )
    context_fetcher("two")(lambda _c: {"b": 2, "d": 2}).register(registry)
    context_fetcher("three")(lambda _c: ["no", "names"]).register(registry)

    fetched = fetch(["one", "two", "three"], Library(), registry, own={"own": 0})

    assert fetched.flat == {"a": 1, "c": 1, "d": 2}
    assert fetched.values["three"] == ["no", "names"]
    assert fetched.warnings == ()


def test_the_jobs_own_value_of_a_fetchers_name_is_used_and_said(
    source: Library, registry: Registry
) -> None:
    fetched = fetch(["user_profile"], source, registry, own={"user_profile": "mine"})

    assert fetched.warnings == ("The job's own user_profile is used, not the fetcher's",)


def test_an_async_fetcher_is_awaited_on_the_loop(registry: Registry) -> None:
    @context_fetcher("here")
    async def here(_context: FetchContext) -> dict[str, bool]:
        await asyncio.sleep(0)
        return {"main": threading.current_thread() is threading.main_thread()}

    here.register(registry)

    assert fetch(["here"], Library(), registry).values == {"here": {"main": True}}


def test_a_sync_fetcher_runs_in_a_thread_with_the_callers_context_variables(
    registry: Registry,
) -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    @context_fetcher("there")
    def there(_context: FetchContext) -> list[Any]:
        return [threading.current_thread() is threading.main_thread(), variable.get()]

    there.register(registry)
    variable.set("set")

    assert fetch(["there"], Library(), registry).values == {"there": [False, "set"]}


def test_fetchers_run_side_by_side(registry: Registry) -> None:
    both = threading.Barrier(2)

    for name in ("one", "two"):
        context_fetcher(name)(lambda _context: both.wait(5) >= 0).register(registry)

    assert fetch(["one", "two"], Library(), registry).warnings == ()


class Plain:
    """An object JSON knows nothing of."""


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (
            {"when": NOON, "day": date(2026, 1, 2), "price": Decimal("1.50"), "id": UUID(int=1)},
            {
                "when": "2026-01-31T12:00:00+00:00",
                "day": "2026-01-02",
                "price": "1.50",
                "id": "00000000-0000-0000-0000-000000000001",
            },
        ),
        (UserFacts("A", "a@x", NOON), {
            "name": "A", "email": "a@x", "created_at": "2026-01-31T12:00:00+00:00", "plan": None,
        }),
        ((1, 2), [1, 2]),
        ("a\x00\ud800", "a\ufffd\ufffd"),
        (None, None),
        ({1: "one"}, {"1": "one"}),
    ],
)  # fmt: skip
def test_values_become_plain_json(value: Any, plain: Any, registry: Registry) -> None:
    context_fetcher("it")(lambda _context: value).register(registry)

    assert fetch(["it"], Library(), registry).values == {"it": plain}


def test_a_value_is_a_copy(registry: Registry) -> None:
    shared = {"list": [1]}
    context_fetcher("it")(lambda _context: shared).register(registry)

    fetch(["it"], Library(), registry).values["it"]["list"].append(2)

    assert shared == {"list": [1]}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Plain(), "Plain is not plain data"),
        ({"a": {1, 2}}, "set is not plain data"),
        (float("nan"), "cannot be written as JSON"),
        ("x" * 2_000_000, "longer than 1,048,576 characters"),
    ],
    ids=["object", "set", "nan", "long"],
)
def test_a_value_that_cannot_be_used_is_a_warning(
    value: Any, reason: str, registry: Registry
) -> None:
    context_fetcher("it")(lambda _context: value).register(registry)

    fetched = fetch(["it"], Library(), registry)

    assert fetched.values == {}
    assert fetched.warnings[0].startswith("Context fetcher it failed: its value ")
    assert reason in fetched.warnings[0]


# --- what a failing one cannot do ----------------------------------------------------------------


def raising(error: BaseException, registry: Registry, *, name: str = "it") -> None:
    def fail(_context: FetchContext) -> None:
        raise error

    context_fetcher(name)(fail).register(registry)


def test_a_failing_fetcher_is_a_warning_and_the_others_count(
    source: Library, registry: Registry
) -> None:
    raising(RuntimeError("password=hunter2"), registry)

    with capture_logs() as logs:
        fetched = fetch(["it", "user_profile"], source, registry)

    assert fetched.warnings == ("Context fetcher it failed: RuntimeError",)
    assert set(fetched.values) == {"user_profile"}
    assert [(entry["event"], entry["fetcher"]) for entry in logs] == [
        ("context fetcher failed", "it")
    ]


def test_an_error_of_ours_is_quoted(registry: Registry) -> None:
    raising(Unavailable("the database is away"), registry)

    assert fetch(["it"], Library(), registry).warnings == (
        "Context fetcher it failed: the database is away",
    )


@pytest.mark.parametrize("error", [StopIteration(), TimeoutError(), OSError(5, "x"), SystemExit(3)])
def test_no_error_escapes_from_a_thread(error: BaseException, registry: Registry) -> None:
    raising(error, registry)

    (warning,) = fetch(["it"], Library(), registry).warnings

    assert warning.startswith("Context fetcher it failed: ")


def test_a_required_fetcher_that_fails_fails_the_attempt(registry: Registry) -> None:
    raising(RuntimeError("x"), registry)

    with pytest.raises(ContextUnavailable) as caught:
        fetch({"it": {"required": True}}, Library(), registry)

    assert caught.value.message == "Context fetcher it failed: RuntimeError"
    assert caught.value.billed is False
    decision = decide(caught.value, tries=1, max_tries=6, policy=RetryPolicy())
    assert isinstance(decision, RetryLater)


def test_a_fetcher_that_is_gone_since_the_job_was_accepted_is_a_warning(
    registry: Registry,
) -> None:
    request = FetchRequest("gone")

    fetched = asyncio.run(
        fetch_all(
            [request],
            context=FetchContext(ANN, Library()),
            own={},
            timeout_seconds=1,
            among=registry,
        )
    )

    assert fetched.warnings == ("Context fetcher gone failed: it is not installed here",)


def test_a_slow_async_fetcher_is_cancelled_when_its_time_is_over(registry: Registry) -> None:
    cancelled: list[bool] = []

    @context_fetcher("slow")
    async def slow(_context: FetchContext) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    slow.register(registry)

    fetched = fetch(["slow"], Library(), registry, timeout_seconds=0.05)

    assert fetched.warnings == ("Context fetcher slow failed: it took longer than 0.05 seconds",)
    assert cancelled == [True]


def test_a_hung_sync_fetcher_is_left_behind_when_its_time_is_over(
    source: Library, registry: Registry
) -> None:
    release = threading.Event()
    context_fetcher("hung")(lambda _context: release.wait(60)).register(registry)
    started = time.perf_counter()

    fetched = fetch(["hung", "user_profile"], source, registry, timeout_seconds=0.1)
    took = time.perf_counter() - started
    release.set()

    assert fetched.warnings == ("Context fetcher hung failed: it took longer than 0.1 seconds",)
    assert set(fetched.values) == {"user_profile"}
    assert took < 5


def test_hung_fetchers_use_up_their_own_places_only(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_slots", threading.BoundedSemaphore(2))
    release = threading.Event()
    for name in ("hung", "hung too", "late"):
        context_fetcher(name)(lambda _context: release.wait(60)).register(registry)

    full = fetch(["hung", "hung too", "late"], Library(), registry, timeout_seconds=0.1)
    still_full = fetch(["late"], Library(), registry, timeout_seconds=0.1)
    release.set()
    free_again = fetch(["late"], Library(), registry, timeout_seconds=10)

    assert len(full.warnings) == 3
    assert still_full.values == {}
    assert free_again.values == {"late": True}


def test_a_process_ends_while_a_fetcher_hangs() -> None:
    code = (
        "import asyncio, time\n"
        "from app.context.threads import in_thread\n"
        "async def main():\n"
        "    async with asyncio.timeout(0.1):\n"
        "        await in_thread(lambda: time.sleep(600))\n"
        "try:\n"
        "    asyncio.run(main())\n"
        "except TimeoutError:\n"
        "    print('left')\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert (ended.stdout, ended.stderr) == ("left\n", "")


# --- the built-in ones ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("joined", "shown"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), "January 2026"),
        (datetime(2025, 12, 31, tzinfo=UTC), "December 2025"),
        (datetime(2024, 9, 2, tzinfo=UTC), "September 2024"),
    ],
)
def test_the_join_date_is_month_and_year(joined: datetime, shown: str) -> None:
    source = Library(users={ANN: UserFacts("Ann", "a@x", joined)})

    assert built_in.user_profile(FetchContext(ANN, source))["join_date"] == shown


def test_recent_outputs_are_the_users_own_newest_first_and_cut(
    source: Library, registry: Registry
) -> None:
    outputs = fetch({"recent_outputs": {"limit": 2}}, source, registry).values["recent_outputs"]

    assert [output["output_id"] for output in outputs] == [9, 7]
    assert outputs[0] == {
        "output_id": 9,
        "template": "Say {{x}}",
        "model": "gpt-4",
        "text": "newest",
        "created_at": "2026-01-31T12:00:00+00:00",
    }
    assert len(outputs[1]["text"]) == 4_000


@pytest.mark.parametrize("limit", [0, -1, 21, "5", True, 2.0, None])
def test_recent_outputs_are_at_most_twenty(limit: Any, source: Library, registry: Registry) -> None:
    fetched = fetch({"recent_outputs": {"limit": limit}}, source, registry)

    assert fetched.warnings == (
        "Context fetcher recent_outputs failed: limit must be a whole number from 1 to 20",
    )


def test_one_outputs_text_is_brought(source: Library, registry: Registry) -> None:
    fetched = fetch({"output_text": {"output_id": 9}}, source, registry)

    assert (fetched.values, fetched.flat) == ({"output_text": "newest"}, {})


@pytest.mark.parametrize("output_id", [8, 404])
def test_anothers_output_is_as_unknown_as_one_there_is_not(
    output_id: int, source: Library, registry: Registry
) -> None:
    fetched = fetch({"output_text": {"output_id": output_id}}, source, registry)

    assert fetched.values == {}
    assert fetched.warnings == (
        f"Context fetcher output_text failed: there is no output {output_id}",
    )


@pytest.mark.parametrize(
    "wanted", [["user_profile"], ["recent_outputs"], {"output_text": {"output_id": 9}}]
)
def test_a_job_without_a_user_sees_nobodys(
    wanted: Any, source: Library, registry: Registry
) -> None:
    (warning,) = fetch(wanted, source, registry, user_id=None).warnings

    assert warning.endswith("failed: the job belongs to no user")


def test_an_unknown_user_has_no_profile(source: Library, registry: Registry) -> None:
    (warning,) = fetch(["user_profile"], source, registry, user_id=404).warnings

    assert warning == "Context fetcher user_profile failed: the user is unknown"


def test_a_registered_url_is_got_by_its_name(
    source: Library, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.urls["prices"] = RegisteredUrl("http://prices.internal/", internal=True)
    asked: list[tuple[str, bool]] = []

    async def get(url: str, *, internal: bool) -> Page:
        asked.append((url, internal))
        return Page('{"tea": 3}', "application/json")

    monkeypatch.setattr("app.context.safe_http.get", get)

    fetched = fetch({"http_get": {"name": "prices"}}, source, registry)

    assert asked == [("http://prices.internal/", True)]
    assert fetched.flat == {
        "text": '{"tea": 3}',
        "content_type": "application/json",
        "json": {"tea": 3},
    }


@pytest.mark.parametrize("name", ["unknown", "http://127.0.0.1/", "", 7, None, ["x"]])
def test_a_url_nobody_registered_is_not_got(name: Any, source: Library, registry: Registry) -> None:
    (warning,) = fetch({"http_get": {"name": name}}, source, registry).warnings

    assert "no URL is registered as" in warning


def test_a_registered_url_of_a_wrong_form_is_not_got(source: Library, registry: Registry) -> None:
    source.urls["bad"] = RegisteredUrl("http://127.0.0.1/")

    (warning,) = fetch({"http_get": {"name": "bad"}}, source, registry).warnings

    assert warning == "Context fetcher http_get failed: The URL must begin with https://"


# --- plain calls ---------------------------------------------------------------------------------


def test_a_fetcher_can_be_called_without_a_job(source: Library, registry: Registry) -> None:
    context_fetchers = PlainCalls(lambda: source, among=registry)

    assert context_fetchers.user_profile(BOB) == {
        "name": "Bob",
        "email": "bob@example.test",
        "join_date": "December 2025",
        "plan": None,
    }
    assert context_fetchers.output_text(ANN, output_id=5) == "oldest"


def test_an_async_fetcher_can_be_called_without_a_job(source: Library, registry: Registry) -> None:
    @context_fetcher("later")
    async def later(context: FetchContext) -> int | None:
        await asyncio.sleep(0)
        return context.user_id

    later.register(registry)

    assert PlainCalls(lambda: source, among=registry).later(ANN) == ANN


def test_a_plain_call_fails_like_the_fetcher(source: Library, registry: Registry) -> None:
    context_fetchers = PlainCalls(lambda: source, among=registry)

    with pytest.raises(ContextUnavailable, match="the user is unknown"):
        context_fetchers.user_profile(404)
    with pytest.raises(AttributeError, match="no context fetcher 'weather'"):
        _ = context_fetchers.weather
