"""Every adapter turns each failure into one error of our tree, after one request."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import resource
from pathlib import Path

import pytest

from app.errors import (
    CallError,
    ConnectionFailed,
    ContextTooLong,
    InvalidResponse,
    ModelNotFound,
    ProviderDenied,
    ProviderFailed,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    QuotaExhausted,
    RedirectRefused,
)
from app.providers.contract import Call, Provider
from app.simulator.testing import RunningSimulator
from tests.conformance.adapters import Adapter, job_of

#: behaviour, error, HTTP status
ERRORS: list[tuple[str, type[CallError], int]] = [
    ("400", ProviderRejected, 400),
    ("401", ProviderDenied, 401),
    ("402", QuotaExhausted, 402),
    ("403", ProviderDenied, 403),
    ("404", ModelNotFound, 404),
    ("408", ProviderFailed, 408),
    ("409", ProviderFailed, 409),
    ("413", ProviderRejected, 413),
    ("422", ProviderRejected, 422),
    ("429", ProviderRateLimited, 429),
    ("500", ProviderFailed, 500),
    ("502", ProviderFailed, 502),
    ("503", ProviderOverloaded, 503),
    ("504", ProviderFailed, 504),
    ("529", ProviderOverloaded, 529),
    ("spend-limit", QuotaExhausted, 429),
    ("ramp", ProviderRateLimited, 429),
    ("context-length", ContextTooLong, 400),
]

NO_ANSWERS = (
    *("malformed", "html", "object", "choices-null", "wrong-types", "empty"),
    *("tool-calls", "duplicate-tools", "cut", "truncated", "reset-headers", "reset-body"),
)


def fails(adapter: Adapter, simulator: RunningSimulator, call: Call) -> CallError:
    """The error `call` ends with, after exactly one request."""
    with pytest.raises(CallError) as caught:
        adapter.ask(simulator.url, call)
    assert len(simulator.requests(job_of(call))) == 1
    return caught.value


@pytest.mark.parametrize(("word", "error", "status"), ERRORS, ids=[e[0] for e in ERRORS])
def test_error_reply_becomes_one_error(
    adapter: Adapter,
    simulator: RunningSimulator,
    stream: bool,
    word: str,
    error: type[CallError],
    status: int,
) -> None:
    failure = fails(adapter, simulator, adapter.call_named(word, stream=stream))
    assert type(failure) is error
    assert failure.http_status == status
    assert failure.request_id is not None
    assert str(status) in failure.message
    if status < 500:
        assert failure.billed is False


def test_spent_quota_is_final(adapter: Adapter, simulator: RunningSimulator) -> None:
    failure = fails(adapter, simulator, adapter.call_named("quota"))
    assert type(failure) is QuotaExhausted
    assert not failure.retryable


@pytest.mark.fault("F15", "a reply is no answer")
@pytest.mark.parametrize("word", NO_ANSWERS)
def test_reply_that_is_no_answer_is_invalid(
    adapter: Adapter, simulator: RunningSimulator, stream: bool, word: str
) -> None:
    failure = fails(adapter, simulator, adapter.call_named(word, stream=stream))
    assert type(failure) is InvalidResponse
    assert failure.retryable
    assert failure.http_status == 200
    assert failure.billed is None


@pytest.mark.parametrize("word", ["cut", "truncated", "mid-error"])
def test_half_a_stream_is_kept_with_the_error(
    adapter: Adapter, simulator: RunningSimulator, word: str
) -> None:
    pieces: list[str] = []

    async def on_text(piece: str) -> None:
        pieces.append(piece)

    call = adapter.call_named(word, stream=True)
    with pytest.raises(CallError) as caught:
        adapter.ask(simulator.url, call, on_text=on_text)
    assert caught.value.text == "".join(pieces) != ""


def test_error_within_a_stream_is_judged_by_its_words(
    adapter: Adapter, simulator: RunningSimulator
) -> None:
    failure = fails(adapter, simulator, adapter.call_named("mid-error", stream=True))
    expected = {"anthropic": ProviderOverloaded}.get(adapter.wire, ProviderFailed)
    assert type(failure) is expected
    assert failure.http_status == 200


@pytest.mark.fault("F11", "a provider says when to come back")
@pytest.mark.parametrize(
    ("word", "low", "high"),
    [
        ("429-7", 7, 7),
        ("429-date-30", 27, 30),
        ("429-ms-250", 0.25, 0.25),
        ("503-5", 5, 5),
        ("429-300", 300, 300),
        ("429-1000", 900, 900),
    ],
)
def test_retry_after_is_passed_on(
    adapter: Adapter, simulator: RunningSimulator, word: str, low: float, high: float
) -> None:
    failure = fails(adapter, simulator, adapter.call_named(word))
    assert failure.retry_after_seconds is not None
    assert low <= failure.retry_after_seconds <= high


@pytest.mark.fault("F11", "a provider says when to come back")
@pytest.mark.parametrize("word", ["429", "429-negative", "429-garbage", "429-huge"])
def test_unusable_retry_after_is_none(
    adapter: Adapter, simulator: RunningSimulator, word: str
) -> None:
    failure = fails(adapter, simulator, adapter.call_named(word))
    assert failure.retry_after_seconds is None


@pytest.mark.fault("F18", "a provider redirects")
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_never_followed(
    adapter: Adapter, simulator: RunningSimulator, stream: bool, status: int
) -> None:
    simulator.reset()
    failure = fails(adapter, simulator, adapter.call_named(f"redirect-{status}", stream=stream))
    assert type(failure) is RedirectRefused
    assert not failure.retryable
    assert simulator.counts().requests == 1


@pytest.mark.fault("F17", "a connection breaks")
def test_reset_before_the_reply_may_have_been_billed(
    adapter: Adapter, simulator: RunningSimulator, stream: bool
) -> None:
    failure = fails(adapter, simulator, adapter.call_named("reset", stream=stream))
    assert type(failure) is ConnectionFailed
    assert failure.billed is None


@pytest.mark.fault("F16", "headers never end")
def test_flood_of_headers_is_refused(adapter: Adapter, simulator: RunningSimulator) -> None:
    failure = fails(adapter, simulator, adapter.call_named("headers"))
    assert type(failure) is InvalidResponse


@pytest.mark.fault("F16", "an answer is huge, or a bomb")
@pytest.mark.parametrize("word", ["huge-300", "gzip-bomb-1024"])
def test_huge_answer_is_dropped_at_the_cap_without_using_memory(
    adapter: Adapter, simulator: RunningSimulator, stream: bool, word: str
) -> None:
    adapter.ask(simulator.url, adapter.call_named("echo"))
    before = forget_peak_memory()
    failure = fails(adapter, simulator, adapter.call_named(word, stream=stream))
    assert type(failure) is InvalidResponse
    assert peak_memory() - before < 50_000_000
    simulator.wait_for(lambda seen: seen.in_flight == 0)


@pytest.mark.fault("F13", "a provider does not answer")
@pytest.mark.parametrize("word", ["hang", "drip", "comments"])
def test_deadline_ends_the_call_and_closes_the_connection(
    adapter: Adapter, simulator: RunningSimulator, stream: bool, word: str
) -> None:
    call = adapter.call_named(word, stream=stream)

    async def bounded(provider: Provider) -> float:
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.7):
                await provider.call(call)
        took = loop.time() - started
        await asyncio.to_thread(simulator.wait_for, lambda seen: seen.calls(job)[0].client_gone)
        return took

    job = job_of(call)
    assert adapter.use(simulator.url, bounded) < 1.7
    assert len(simulator.calls(job)) == 1


def test_cancelling_a_stream_closes_its_connection(
    adapter: Adapter, simulator: RunningSimulator
) -> None:
    call = adapter.call_named("tokens-1000+rate-20", stream=True)
    job = job_of(call)

    async def cancelled(provider: Provider) -> str:
        said: list[str] = []
        began = asyncio.Event()

        async def on_text(piece: str) -> None:
            said.append(piece)
            began.set()

        task = asyncio.create_task(provider.call(call, on_text=on_text))
        await asyncio.wait_for(began.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(simulator.wait_for, lambda seen: seen.calls(job)[0].client_gone)
        return "".join(said)

    assert adapter.use(simulator.url, cancelled)


def test_call_of_a_provider_that_is_closed_may_be_made_again(
    adapter: Adapter, simulator: RunningSimulator, stream: bool
) -> None:
    call = adapter.call_named("hang", stream=stream)
    job = job_of(call)

    async def closed(provider: Provider) -> list[CallError]:
        errors: list[CallError] = []
        task = asyncio.create_task(provider.call(call))
        await asyncio.to_thread(simulator.wait_for, lambda seen: seen.calls(job))
        await provider.close()
        for attempt in (task, provider.call(call)):
            with pytest.raises(CallError) as caught:
                await asyncio.wait_for(attempt, 5)
            errors.append(caught.value)
        return errors

    cut, late = adapter.use(simulator.url, closed)
    assert cut.retryable
    assert cut.billed is None
    assert late.retryable
    assert late.billed is False
    assert len(simulator.calls(job)) == 1


def test_listener_that_fails_ends_the_call_with_its_own_error(
    adapter: Adapter, simulator: RunningSimulator
) -> None:
    async def on_text(piece: str) -> None:
        raise KeyError("listener")

    call = adapter.call_named("tokens-50", stream=True)
    with pytest.raises(KeyError, match="listener"):
        adapter.ask(simulator.url, call, on_text=on_text)
    simulator.wait_for(lambda seen: seen.in_flight == 0)


def test_option_that_cannot_be_sent_fails_before_it_is(
    adapter: Adapter, simulator: RunningSimulator
) -> None:
    call = adapter.call_named("echo", options={"stop": object()})
    with pytest.raises(ProviderRejected) as caught:
        adapter.ask(simulator.url, call)
    assert caught.value.billed is False
    assert simulator.requests(job_of(call)) == []


def test_lists_of_models_fail_like_calls(adapter: Adapter, simulator: RunningSimulator) -> None:
    simulator.set_behaviour("401", calls=1)
    with pytest.raises(ProviderDenied):
        adapter.use(simulator.url, lambda provider: provider.models())
    simulator.set_behaviour("object", calls=1)
    with pytest.raises(InvalidResponse):
        adapter.use(simulator.url, lambda provider: provider.models())


def test_error_survives_pickling(adapter: Adapter, simulator: RunningSimulator) -> None:
    failure = fails(adapter, simulator, adapter.call_named("500"))
    assert type(pickle.loads(pickle.dumps(failure))) is type(failure)
    assert failure.__cause__ is None


def forget_peak_memory() -> int:
    """Start measuring the peak anew where the system can, and return it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()


def peak_memory() -> int:
    """Bytes this process has had resident at most."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
