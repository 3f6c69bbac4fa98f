"""One attempt of one job, as a list of named steps: fetch, ask, call, mend, parse, read, end.

What goes in is a claim, what comes out is how the row should end; moving the row is the caller's
business (`app.lifecycle`). Everything here is policy that needs no database: which call to make,
when a truncated or unreadable answer deserves one more, and what a failure means for the row.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from app import debugging, formats, retry, telemetry
from app.context.fetchers import FetchContext, Source, fetch_all, normalise
from app.errors import (
    CallError,
    CallTimeout,
    InferenceFailed,
    LLMJobsError,
    OutputInvalid,
    OutputTruncated,
    Unavailable,
)
from app.lifecycle import Claim, Completed, Failed, Report, RetryLater, Snoozed, Stopped
from app.live_text import LiveText
from app.prices import Priced
from app.prompts.steps import PlainStep, Plan, Question, Reading, Step, plan_of
from app.providers.contract import (
    ANSWER_CUT,
    TOKEN_LIMITS,
    Answer,
    Call,
    Message,
    Provider,
    Stop,
    Usage,
)
from app.providers.registry import Route
from app.routes import Routes
from app.settings import Settings
from app.streaming import Events
from models import Format, Kind

log = structlog.get_logger(__name__)

Ending = Completed | RetryLater | Snoozed | Failed

LONG_ANSWER_TOKENS = 4096
"""From this limit on an answer is streamed: vendors refuse or cut long silent calls."""

ENLARGE_FACTOR = 4
DEFAULT_LIMIT_TOKENS = 4096


class Ledger(Protocol):
    """Opens the next attempt of a claim that is not over; raises CallCancelled when it is lost.

    A cancellation of the task does not interrupt it: it comes at the task's next step.
    """

    async def again(self, fence: int, kind: Kind, **facts: Any) -> int: ...


@dataclass(frozen=True, slots=True)
class Kit:
    """What every execution of a worker shares."""

    settings: Settings
    routes: Routes
    events: Events
    source: Source
    retry_policy: retry.RetryPolicy
    price: Callable[[str, str, Usage | None], Priced]


class Execution:
    """One claim being carried out. `run` once; `stopped` after it was cancelled.

    `fence` is that of the current attempt; `going_on` says that the next one is just being opened,
    so that the row's fence may be greater already. Both may be read in any thread.
    """

    def __init__(self, claim: Claim, kit: Kit, ledger: Ledger) -> None:
        self.claim = claim
        self._kit = kit
        self._ledger = ledger
        self.fence = claim.fence
        self.going_on = False
        self._route: Route | None = None
        self._values: Mapping[str, Any] = claim.context
        self._step: Step = PlainStep(claim)
        self._question: Question | None = None
        self._items: dict[str, Any] = {}
        self._warnings = list(claim.warnings)
        self._answer: Answer | None = None
        self._begun = time.monotonic()
        self._call_started: float | None = None
        self._sent: Call | None = None
        self._live = LiveText(kit.events, claim.job_id)

    async def run(self) -> Ending:
        """Every step in order; any failure becomes the ending that the retry policy asks for.

        Raises Unavailable when the database went away for good while a further call was opened.
        """
        try:
            await self._fetch_context()
            plan = plan_of(self.claim, hook_seconds=self._kit.settings.fetch_timeout_seconds)
            self._live.always = plan.read_along
            self._items = dict(plan.items or {})
            text, value = "", None
            for number, self._step in plan.left:
                text, value = await self._carry_out(self._step)
                await self._next(number, plan)
            return self._completed(text, value)
        except CallError as error:
            return self._after_failure(error)
        except Unavailable:
            raise
        except LLMJobsError as error:
            return self._failed(error.code, error.message)
        except Exception as error:
            where, name = place_of(error), type(error).__name__
            log.error("execution failed", job_id=self.claim.job_id, error=name, where=where)
            return self._failed("internal", f"Internal error: {name}")

    def stopped(self) -> Stopped:
        """The ending of a cancelled execution: what had arrived is kept."""
        return Stopped(**self._facts(), partial_text=self._live.text or None)

    @property
    def call_started(self) -> bool:
        """Has a provider been called in the current attempt?"""
        return self._call_started is not None

    # The steps

    async def _carry_out(self, step: Step) -> tuple[str, Any]:
        """One question and its answer's text and value; what is read of it joins the items."""
        self._question = await step.question(self._values, self._items)
        if self._question is None:
            reading = await step.read(None, "", self._items)
            self._keep(reading)
            return reading.text, None
        self._warn(*self._question.warnings)
        answer = await self._call(self._question.messages)
        answer = await self._enlarge_if_cut(answer)
        text, value = await self._parse_or_repair(answer)
        return await self._read_or_ask_again(text, value)

    async def _next(self, number: int, plan: Plan) -> None:
        """A further step is a further attempt; what the steps so far gave is kept in the row."""
        if number < len(plan.steps):
            await self._again(Kind.STEP, result_items=self._items, steps_done=number)

    async def _fetch_context(self) -> None:
        if not self.claim.fetchers:
            return
        fetched = await fetch_all(
            normalise(self.claim.fetchers),
            context=FetchContext(user_id=self.claim.user_id, source=self._kit.source),
            own=self.claim.context,
            timeout_seconds=self._kit.settings.fetch_timeout_seconds,
        )
        self._values = {**fetched.flat, **fetched.values, **self.claim.context}
        self._warn(*fetched.warnings)

    async def _call(self, messages: tuple[Message, ...], **changes: Any) -> Answer:
        """At most one provider call, ended by our own clock whatever the provider drips."""
        step = self._step
        route, provider = await self._kit.routes.find(step.model)
        self._route = route
        self._sent = call = replace(
            Call(
                model=route.model,
                messages=messages,
                options=step.options,
                response_schema=step.response_schema,
                json=step.format == Format.JSON,
                stream=self._worth_streaming(),
                attempt_id=f"{self.claim.job_id}/{self.fence}",
                any_option=step.any_option,
            ),
            **changes,
        )
        limit = self._kit.settings.call_timeout_seconds
        seconds = min(limit, route.timeout_seconds or limit, self._seconds_left())
        if seconds <= 0:  # fetching, or earlier steps, took all of it
            raise CallTimeout("No time was left before the deadline", billed=False)
        self._live.begin(self.fence)
        self._answer = None
        self._call_started = time.monotonic()
        with telemetry.calling(
            self.claim, call, attempt=self.fence, route=route, provider=provider
        ) as calling:
            self._answer = await self._answer_of(provider, call, seconds)
            calling.answered(self._answer)
        self._warn(*self._answer.warnings)
        return self._answer

    async def _answer_of(self, provider: Provider, call: Call, seconds: float) -> Answer:
        try:
            async with asyncio.timeout(seconds):
                on_text = self._live.add if call.stream else None
                return await provider.call(call, on_text=on_text)
        except TimeoutError:
            raise CallTimeout(
                f"No answer within {seconds:g} seconds", billed=None, text=self._live.text
            ) from None
        finally:
            self._live.flush()

    async def _enlarge_if_cut(self, answer: Answer) -> Answer:
        """An answer cut by the token limit gets one more call with a larger limit.

        Not where the job itself set the limit and what was written is of use: half a text is, half
        a JSON document is not.
        """
        if answer.stop is not Stop.TRUNCATED:
            return answer
        is_json, options = self._step.format == Format.JSON, self._step.options
        if is_json or _limit_of(options) is None:
            await self._again(Kind.ENLARGE, OutputTruncated())
            answer = await self._call(self._messages, options=enlarged(options))
        if answer.stop is Stop.TRUNCATED:
            if is_json:
                raise OutputTruncated(billed=True)
            self._warn(ANSWER_CUT)
        return answer

    async def _parse_or_repair(self, answer: Answer) -> tuple[str, Any]:
        """The answer's text and value. Unreadable JSON gets one repair call, of the text alone."""
        schema = self._step.response_schema
        parsed = await self._parse(answer.text)
        if parsed.problem is None:
            return answer.text, parsed.output
        await self._again(Kind.REPAIR, OutputInvalid(parsed.problem))
        repair = formats.repair_messages(answer.text, parsed.problem)
        mended = await self._call(repair, stream=False)
        second = await self._parse(mended.text)
        if second.problem is None:
            return mended.text, second.output
        if schema is not None:
            raise OutputInvalid(second.problem, billed=True)
        return answer.text, formats.invalid_json_fallback(answer.text)

    async def _parse(self, text: str) -> formats.Parsed:
        """Checking against a schema may take a second of CPU: not on the loop."""
        schema, format = self._step.response_schema, self._step.format
        if schema is None:
            return formats.parse(text, format)
        return await asyncio.to_thread(formats.parse, text, format, schema=schema)

    async def _read_or_ask_again(self, text: str, value: Any) -> tuple[str, Any]:
        """What the answer's result event reads. One that it cannot read is asked for once more."""
        reading = await self._step.read(self._question, text, self._items)
        if reading.problem is not None:
            await self._again(Kind.ASK_AGAIN, InferenceFailed(reading.problem))
            answer = await self._call(self._corrective(text, reading.problem))
            text, value = await self._parse_or_repair(answer)
            reading = await self._step.read(self._question, text, self._items)
        if reading.problem is not None:
            raise InferenceFailed(reading.problem, billed=True)
        self._keep(reading)
        return text, value

    def _corrective(self, text: str, problem: str) -> tuple[Message, ...]:
        words = f"{problem} Answer the question before once more, in the form asked for."
        return (*self._messages, Message("assistant", text), Message("user", words))

    def _keep(self, reading: Reading) -> None:
        self._items.update(reading.items)
        self._warn(*reading.warnings)

    # The endings

    def _completed(self, text: str, value: Any) -> Completed:
        items = self._items or None
        return Completed(
            **self._facts(), raw_response=text, parsed_output=value, result_items=items
        )

    def _after_failure(self, error: CallError) -> Ending:
        if self._seen:
            return self._failed(error.code, error.message, error)
        decision = retry.decide(
            error,
            tries=self.claim.tries + 1,
            max_tries=self.claim.max_tries,
            policy=self._kit.retry_policy,
        )
        what: dict[str, Any] = {"error_code": error.code, "error_message": error.message}
        facts = self._facts(error)
        if isinstance(decision, retry.Snooze):
            bucket = self._route.bucket if self._route else ""
            delay = decision.delay_seconds
            return Snoozed(**facts, **what, delay_seconds=delay, pause_bucket=bucket)
        if isinstance(decision, retry.RetryLater):
            return RetryLater(**facts, **what, delay_seconds=decision.delay_seconds)
        return Failed(**facts, **what)

    def _failed(self, code: str, message: str, error: CallError | None = None) -> Failed:
        facts, seen = self._facts(error), self._seen
        return Failed(**facts, error_code=code, error_message=message, partial_text=seen)

    def _facts(self, error: CallError | None = None) -> dict[str, Any]:
        """What every ending says."""
        return {
            "output_id": self.claim.output_id,
            "fence": self.fence,
            "report": self._report(error),
            "prompt": self._prompt,
            "warnings": self._warnings or None,
        }

    # Small parts

    @property
    def _messages(self) -> tuple[Message, ...]:
        return self._question.messages if self._question else ()

    @property
    def _seen(self) -> str | None:
        """What somebody who reads along has seen of the answer that is being written."""
        return self._live.text or None if self._live.always else None

    @property
    def _prompt(self) -> str | None:
        return self._question.prompt if self._question else None

    async def _again(self, kind: Kind, why: CallError | None = None, **news: Any) -> None:
        """Open the attempt of a further call; `why` the one before it was not enough."""
        self.going_on = True
        try:
            self.fence = await self._ledger.again(
                self.fence,
                kind,
                report=self._report(),
                prompt=self._prompt,
                error_code=why.code if why else None,
                error_message=why.message if why else None,
                **news,
            )
        finally:
            self.going_on = False
        self._answer = self._call_started = None

    def _seconds_left(self) -> float:
        """Until the job's deadline; what fetching and earlier calls took is gone."""
        return self.claim.seconds_to_deadline - (time.monotonic() - self._begun)

    def _worth_streaming(self) -> bool:
        limit = _limit_of(self._step.options) or 0
        return limit >= LONG_ANSWER_TOKENS or self._live.wanted

    def _report(self, error: CallError | None = None) -> Report:
        """The ledger's facts of the last call, answered or not; empty when none was made."""
        if self._route is None or self._call_started is None:
            return Report()
        news = self._answer or error
        model = (self._answer and self._answer.model) or self._route.model
        usage = news.usage if news else None
        priced = self._kit.price(self._route.provider, model, usage)
        return Report(
            provider=self._route.provider,
            provider_model=model,
            request_id=news.request_id if news else None,
            http_status=news.http_status if news else None,
            duration_seconds=self._elapsed(),
            first_token_seconds=self._answer.first_token_seconds if self._answer else None,
            cost=priced.cost,
            price_id=priced.price_id,
            exchange=self._exchange(error),
            **_tokens(usage),
        )

    def _exchange(self, error: CallError | None) -> dict[str, Any] | None:
        """What was sent and heard in the current attempt, of a job that is debugged."""
        if not self.claim.debug or self._sent is None:
            return None
        return debugging.exchange(
            self._sent,
            job_id=self.claim.job_id,
            number=self.fence,
            answer=self._answer,
            error=error,
        )

    def _elapsed(self) -> float | None:
        if self._call_started is None:
            return None
        return round(time.monotonic() - self._call_started, 4)

    def _warn(self, *sentences: str) -> None:
        self._warnings.extend(s for s in sentences if s not in self._warnings)


def enlarged(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with a larger token limit."""
    name = next((n for n in TOKEN_LIMITS if n in options), TOKEN_LIMITS[0])
    return {**options, name: (_limit_of(options) or DEFAULT_LIMIT_TOKENS) * ENLARGE_FACTOR}


def place_of(error: BaseException) -> str:
    """The line that raised it: where to look, without the words, which may quote a prompt."""
    steps = traceback.extract_tb(error.__traceback__)
    return f"{steps[-1].filename}:{steps[-1].lineno}" if steps else ""


def _limit_of(options: Mapping[str, Any]) -> int | None:
    values = [options[n] for n in TOKEN_LIMITS if isinstance(options.get(n), int)]
    return max((value for value in values if value > 0), default=None)


def _tokens(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
    }
