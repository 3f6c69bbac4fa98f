"""Takes the pictures of the pages in docs/images/pages, light and dark: `python -m docs.pictures`.

A platform of its own with a week of made-up history, told through the lifecycle's own verbs, and a
few jobs that its worker really runs. Needs what the browser tests need.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from playwright.sync_api import Browser
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from app import accounts, chats, feedback, jobs, lifecycle, prices, statistics
from app.chats import NewChat, Request
from app.context.files import ReadFile
from app.jobs import IdempotencyRequest, JobRequest, Submission
from app.jobs.compare import submit_compared
from app.lifecycle import Completed, Delivery, Failed
from app.lifecycle.ledger import Report
from app.prompts import documents, library
from models import Attempt, LLMOutput
from models.types import now_plus
from tests.support.browser import Person, person, running_browser
from tests.support.databases import SQLiteDatabases
from tests.support.platform import Platform, running_platform
from tests.support.waiting import eventually

FOLDER = Path(__file__).parent / "images" / "pages"
SIZE = {"width": 1280, "height": 860}
DAYS = 7
JOBS = 260

QUESTIONS = (
    ("Summarise for a busy reader: {{text}}", "text", {"text": "The harbour reopened on Monday …"}),
    ("Classify the ticket as bug, wish or question: {{ticket}}", "json", {"ticket": "It froze."}),
    ("Explain {{concept}} to a beginner", "markdown", {"concept": "queues"}),
    (
        "Write a friendly reply to {{name}} about {{topic}}",
        "html",
        {"name": "Ana", "topic": "refunds"},
    ),
)
ANSWERS = {
    "text": "The harbour is open again; two quays stay closed until spring.",
    "json": '{"kind": "bug", "confidence": 0.93, "words": ["froze"]}',
    "markdown": "# Queues\n\nA queue keeps work in **order**:\n\n- first in, first out\n",
    "html": "<p>Dear Ana,</p><p>your refund is on its way. It takes <b>three days</b>.</p>",
}
ASKED = """How do I read a **price** from an invoice?

```python
total = float(text.split("Total")[1].split()[0])
```

- the currency stands after it
- thousands may have a comma"""
INVOICE = "Invoice R-2026-17\nHarbour Supplies, Bern\n4 ropes, 120 EUR\nTotal 480.00 EUR\n"
READ_INVOICE = """
name: read-invoice
description: Takes the facts of an invoice from its file.
messages:
- role: system
  content: Read the invoice. Answer with a JSON object and nothing else.
- role: user
  content: |
    From <itemvalue>supplier</itemvalue>:
    <FILECONTEXT>.*</FILECONTEXT>
    Answer like this:
    {"invoice.number": "R-2026-17", "invoice.total": 480.0, "cdtr.name": "%s"}
model: simulator/echo
options: {temperature: 0}
result_event: JSON
suggest: {items: [invoice.number, cdtr.name], mode: "ON"}
"""
PROMPTS = (
    READ_INVOICE % "Harbour",
    READ_INVOICE % "Harbour Supplies",
    """
name: categorize
description: Sorts a message.
messages:
- {role: user, content: "One word, invoice, offer or other: {{text}}"}
model: gpt-4o-mini
result_item: category
""",
)
MODELS = (("gpt-4o-mini", 5, 0.88), ("gpt-4", 3, 0.74), ("claude-sonnet-4-5", 4, 0.93))
"""Name, weight, and how often people like it."""


@dataclass(frozen=True)
class View:
    """One picture: its name, its address, and whether all of the page is shown."""

    name: str
    address: str
    whole: bool = False


def main() -> None:
    """Write every picture in both themes."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with running_browser() as browser, platform() as (place, shown):
        for theme in ("light", "dark"):
            ada = person(browser, place, "ada", admin=True, viewport=SIZE, color_scheme=theme)
            ada.enter()
            for view in [*views(shown), *views_of(ada, place)]:
                take(ada, view, FOLDER / f"{view.name}-{theme}.png")
            ada.context.close()
            take_sign_in(browser, place, theme)


def views(shown: dict[str, Submission]) -> list[View]:
    """Every page worth a picture, but for those of somebody's own rows."""
    output = f"/llm_outputs/{shown['again'].output_id}"
    first, second = shown["markdown"].output_id, shown["changed"].output_id
    return [
        View("outputs", "/llm_outputs?all=1"),
        View("output", f"/llm_outputs/{shown['markdown'].output_id}"),
        View("attempts", f"{output}?tab=attempts", whole=True),
        View("lineage", f"/llm_outputs/{second}?tab=lineage", whole=True),
        View("difference", f"/llm_outputs/{first}/compare/{second}"),
        View("regenerate", f"/llm_outputs/{first}/regenerate", whole=True),
        View("submit", f"/llm_outputs/new?from={first}", whole=True),
        View("quality", "/analytics?by=model", whole=True),
        View("compare", "/analytics/compare?by=model&first=claude-sonnet-4-5&second=gpt-4"),
        View("prompts", "/prompts"),
        View("prompt", "/prompts/read-invoice", whole=True),
        View("prompt-editor", "/prompts/read-invoice/edit"),
        View("prompt-difference", "/prompts/read-invoice/diff?from=1&to=2"),
        View("items", f"/llm_outputs/{shown['invoice'].output_id}?tab=items", whole=True),
        View("chats", "/chats"),
        View("queues", "/queues", whole=True),
        View("admin", "/admin"),
        View("keys", "/admin/keys"),
        View("users", "/admin/users"),
        View("providers", "/admin/providers"),
        View("prices", "/admin/prices"),
        View("limits", "/admin/limits"),
        View("settings", "/admin/settings"),
        View("audit", "/admin/audit"),
        View("account", "/account"),
        View("health", "/admin/health"),
    ]


def views_of(who: Person, place: Platform) -> list[View]:
    """The same request asked of three models, side by side as they ended, by whoever looks."""
    template, form, context = QUESTIONS[2]
    request = JobRequest(template=template, context=context, format=form)
    once = IdempotencyRequest(key=who.email, fingerprint="0" * 64)
    models = ["simulator/echo", "simulator/hello", "gpt-4"]
    made = submit_compared(place.runtime, who.caller, request, models, idempotency=once)
    place.wait_ended(*made.output_ids, timeout=30)
    ids = ",".join(map(str, made.output_ids))
    chat_id = talk(who, place)
    return [
        View("side-by-side", f"/compare/{made.id}?ids={ids}", whole=True),
        View("chat", f"/chats/{chat_id}"),
    ]


def talk(who: Person, place: Platform) -> int:
    """A chat with two answers, one of them judged."""
    chat_id = 0
    for said, model in ((ASKED, "simulator/echo"), ("And who may change a price?", "gpt-4")):
        request = Request(content=said, model=model)
        if chat_id:
            taken = chats.send(place.runtime, who.caller, chat_id, request)
        else:
            wanted = NewChat(model=model, first=request)
            taken = chats.create(place.runtime, who.caller, wanted)
            chat_id = taken.chat_id
        if taken.job:
            place.wait_ended(taken.job, timeout=30)
        with place.runtime.database.write() as session:
            chats.feed_back(session, who.caller, taken.message_ids[1], feedback_type="thumbs_up")
    return chat_id


def take(who: Person, view: View, path: Path) -> None:
    """One picture, when the page has come to rest."""
    page = who.open(view.address)
    page.wait_for_load_state("load")
    page.wait_for_timeout(700)  # drawings and relative times settle
    page.screenshot(path=path, full_page=view.whole)
    page.close()


def take_sign_in(browser: Browser, place: Platform, theme: str) -> None:
    """The one page for nobody."""
    nobody = browser.new_context(base_url=place.web_url, viewport=SIZE, color_scheme=theme)  # type: ignore[arg-type]
    page = nobody.new_page()
    page.goto("/sign-in")
    page.screenshot(path=FOLDER / f"sign-in-{theme}.png")
    nobody.close()


@contextmanager
def platform() -> Iterator[tuple[Platform, dict[str, Submission]]]:
    """A platform with a history, and the jobs the pictures are of."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        url = SQLiteDatabases(place / "template.db").migrated(place / "llm_jobs.db")
        with running_platform(place, database_url=url, web=True, vendors=True) as found:
            found.workers[0].stop()
            with found.runtime.database.write() as session:
                prices.seed(session)
                shop = accounts.create_user(session, email="shop@example.org", name="Shop")
                found.caller = accounts.caller_of(shop)
                for table in ("job_statistics", "call_statistics", "statistics_marks"):
                    session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - counted anew
            make_history(found)
            found.workers[0].start()
            shown = {
                "markdown": found.submit(
                    template=QUESTIONS[2][0],
                    context=QUESTIONS[2][2],
                    format="markdown",
                    model="gpt-4",
                ),
                "again": found.submit(model="simulator/fail-2"),
            }
            shown["invoice"] = read_an_invoice(found)
            found.wait_ended(*shown.values(), timeout=30)
            shown["changed"] = jobs.regenerate(
                found.runtime,
                found.caller,
                shown["markdown"].output_id,
                context={"concept": "message queues"},
                model="simulator/echo",
            )
            found.wait_ended(shown["changed"], timeout=30)
            eventually(lambda: is_counted(found), timeout=60)
            found.submit_many(3, model="simulator/latency-60")
            jobs.submit(found.runtime, found.caller, scheduled())
            found.wait_in_flight(3)
            yield found, shown


def read_an_invoice(place: Platform) -> Submission:
    """Store a few shared prompts, and submit a job of one of them."""
    with place.runtime.database.write() as session:
        for written in PROMPTS:
            library.store(
                session, place.caller, documents.read(written, documents.Source.YAML).definitions
            )
        for name in ("categorize", "read-invoice"):
            library.share(session, place.caller, name, shared=True)
        library.set_label(session, place.caller, "read-invoice", label="production", version=2)
    invoice = ReadFile("invoice.txt", INVOICE, "text/plain", len(INVOICE))
    request = JobRequest(
        prompt="read-invoice@production",
        workitem={"supplier": "Harbour Supplies"},
        files=(invoice,),
    )
    return jobs.submit(place.runtime, place.caller, request)


def is_counted(place: Platform) -> bool:
    """Whether the dispatcher has counted the whole history."""
    with place.runtime.database.read() as session:
        return statistics.lag_seconds(session) == 0


def make_history(place: Platform) -> None:
    """A week of jobs that others ran, with votes; a few failed."""
    dice = random.Random(2026)
    submitted = []
    for _ in range(JOBS):
        template, form, context = dice.choice(QUESTIONS)
        model = dice.choices([m for m, _, _ in MODELS], [w for _, w, _ in MODELS])[0]
        request = JobRequest(template=template, context=context, format=form, model=model)
        submitted.append(jobs.submit(place.runtime, place.caller, request))
    with place.runtime.database.write() as session:
        for job in submitted:
            end(session, place, job, dice)


def end(session: Session, place: Platform, job: Submission, dice: random.Random) -> None:
    """Claim and end one job at some moment of the week, as its worker would have."""
    found = lifecycle.claim(
        session, [Delivery(job.output_id, job.job_id)], worker="worker-0@shop", lease_seconds=60
    )[job.output_id]
    row = session.get_one(LLMOutput, job.output_id)
    seconds = dice.lognormvariate(0.6, 0.7)
    if dice.random() < 0.04:
        code = dice.choice(["provider_failed", "context_too_long", "refused"])
        failure = Failed(
            output_id=job.output_id, fence=found.fence, error_code=code, error_message=code
        )
        lifecycle.fail(session, [failure])
    else:
        answer = Completed(
            output_id=job.output_id,
            fence=found.fence,
            prompt=row.template_name,
            raw_response=ANSWERS[row.format],
            report=Report(
                provider="openai",
                provider_model=row.model_name,
                input_tokens=dice.randint(40, 900),
                output_tokens=dice.randint(60, 700),
                cost=Decimal(dice.randint(200, 9000)) / 1_000_000,
                duration_seconds=seconds,
            ),
        )
        lifecycle.complete(session, [answer])
        liked = next(rate for model, _, rate in MODELS if model == row.model_name)
        if dice.random() < 0.55:
            word = "thumbs_up" if dice.random() < liked else "thumbs_down"
            feedback.give(session, place.caller, job.output_id, feedback_type=word)
    ago = -dice.uniform(300, DAYS * 86_400 * 0.97)
    ended, begun = now_plus(ago), now_plus(ago - seconds)
    session.execute(
        update(LLMOutput)
        .where(LLMOutput.id == job.output_id)
        .values(created_at=begun, started_at=begun, finished_at=ended)
    )
    session.execute(
        update(Attempt)
        .where(Attempt.output_id == job.output_id)
        .values(started_at=begun, finished_at=ended)
    )


def scheduled() -> JobRequest:
    """A job for tomorrow."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return JobRequest(
        template=QUESTIONS[0][0], context=QUESTIONS[0][2], model="gpt-4", run_at=tomorrow
    )


if __name__ == "__main__":
    main()
