"""How good the answers are, how fast and how dear: rates, latencies, costs, failures over time.

The numbers are `app.statistics.quality`'s; drawings are made from them by `plots.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from flask import Response

from api.web import api_calls, plots, render, words
from api.web.api_calls import ApiCalls
from api.web.pages import Pages
from api.web.plots import Plot, Series
from api.web.visit import Visit
from app import accounts, csv_text
from app.errors import InvalidParameter
from app.moments import iso
from app.statistics import quality
from app.statistics.quality import GroupBy, Overview, Point, Selection
from models import Queue

pages = Pages()

RANGES: Mapping[str, tuple[str, timedelta]] = {
    "24h": ("24 hours", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
    "90d": ("90 days", timedelta(days=90)),
    "365d": ("365 days", timedelta(days=365)),
}
USUAL_RANGE = "7d"
GROUPS = {
    GroupBy.PROMPT: "Prompt",
    GroupBy.MODEL: "Model",
    GroupBy.QUEUE: "Queue",
    GroupBy.USER: "User",
}
FEW_VOTES = 10
"""A rate of fewer votes is shown in grey: it says next to nothing."""

TRIES = ("0", "1", "2", "3", "4", "5", "6", "7+")
STATES = ("completed", "failed", "cancelled")
FILTERS = ("range", "by", "model", "prompt", "queue", "user")


@pages.get("/analytics")
def quality_page(visit: Visit) -> Response:
    """The whole page; its board alone where the page asks for it again."""
    wanted, by = _selection(visit), _by(visit)
    with visit.runtime.database.read() as session:
        seen = quality.overview(session, visit.caller, wanted)
        grouped = quality.groups(session, visit.caller, wanted, by)
    facts: dict[str, Any] = {
        "seen": seen,
        "grouped": grouped,
        "by": by,
        "plots": _plots(visit, seen),
        "span": plots.span,
        "few": FEW_VOTES,
        "query": _query(visit),
        "moment_words": plots.moment_words,
        "tries_names": TRIES,
        "outputs_of": partial(_outputs_of, visit, by),
    }
    if visit.wants_fragment:
        return visit.fragment("quality/board.html", **facts)
    return visit.page(
        "quality/page.html",
        **facts,
        calls=_calls(visit, wanted),
        ranges=[(key, f"Last {name}") for key, (name, _) in RANGES.items()],
        groups=[(by.value, name) for by, name in GROUPS.items()],
        queues=[("", "All"), *((queue.value, queue.value) for queue in Queue)],
    )


@pages.get("/analytics/compare")
def compare_quality(visit: Visit) -> Response:
    """Two groups side by side, and how sure their difference is."""
    wanted, by = _selection(visit), _by(visit)
    first, second = visit.query.get("first"), visit.query.get("second")
    with visit.runtime.database.read() as session:
        grouped = quality.groups(session, visit.caller, wanted, by)
        compared = (
            None
            if first is None or second is None
            else quality.compare(session, visit.caller, wanted, by, first, second)
        )
    return visit.page(
        "quality/compare.html",
        grouped=grouped,
        compared=compared,
        by=by,
        by_name=GROUPS[by],
        span=plots.span,
        few=FEW_VOTES,
        query=_query(visit),
        calls=_calls(visit, wanted),
        range_name=RANGES[_range(visit)][0],
    )


@pages.get("/analytics/<any(points, groups):table>.csv")
def quality_csv(visit: Visit, table: str) -> Response:
    """The numbers behind the drawings, or of the groups, as a file."""
    wanted, by = _selection(visit), _by(visit)
    with visit.runtime.database.read() as session:
        if table == "points":
            lines = _point_lines(quality.overview(session, visit.caller, wanted))
        else:
            lines = _group_lines(quality.groups(session, visit.caller, wanted, by))
        text = csv_text.BYTE_ORDER_MARK + "".join(csv_text.line(line) for line in lines)
    response = Response(text, content_type="text/csv; charset=utf-8")
    name = f"quality-{table}-{_range(visit)}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


# --- what is asked


def _selection(visit: Visit) -> Selection:
    until = datetime.now(UTC)
    wanted = Selection(
        since=until - RANGES[_range(visit)][1],
        until=until,
        model=visit.query.get("model") or None,
        queue=_queue(visit),
    )
    if "prompt" in visit.query and visit.query["prompt"] != "*":
        wanted = replace(wanted, prompt=visit.query["prompt"])
    return replace(wanted, user_id=_user_id(visit))


def _range(visit: Visit) -> str:
    return _one_of(visit, "range", tuple(RANGES), USUAL_RANGE)


def _by(visit: Visit) -> GroupBy:
    return GroupBy(_one_of(visit, "by", tuple(GROUPS), GroupBy.PROMPT))


def _queue(visit: Visit) -> str | None:
    return _one_of(visit, "queue", ("", *Queue), "") or None


def _one_of(visit: Visit, name: str, choices: tuple[str, ...], usual: str) -> str:
    found = visit.query.get(name, usual)
    if found not in choices:
        named = ", ".join(choice for choice in choices if choice)
        raise InvalidParameter(f"Invalid {name}. Must be one of: {named}", pointer=f"/{name}")
    return found


def _user_id(visit: Visit) -> int | None:
    """Whose jobs: an administrator may ask for one person's, by address."""
    address = visit.query.get("user", "").strip()
    if not address:
        return None
    if not visit.caller.is_admin:
        return visit.caller.user_id
    with visit.runtime.database.read() as session:
        user = accounts.find_user(session, address[:254])
    if user is None:
        raise InvalidParameter(f"Invalid user: nobody has the address {address[:80]}")
    return user.id


def _calls(visit: Visit, wanted: Selection) -> ApiCalls:
    """How to get the rows that are counted, as far as a list can say it."""
    asked: dict[str, str | int | bool | None] = {
        "model": wanted.model,
        "queue": wanted.queue,
        "created_after": iso(wanted.since),
        "user": visit.query.get("user", "").strip() if visit.caller.is_admin else None,
    }
    asked["all_users"] = visit.caller.is_admin and not asked["user"]
    given = {name: value for name, value in asked.items() if value}
    return api_calls.of_counted(visit.base_url, given)


def _query(visit: Visit) -> dict[str, str]:
    """The address's own parameters, for links that keep them."""
    return {name: visit.query[name] for name in FILTERS if visit.query.get(name)}


# --- what is drawn


def _plots(visit: Visit, seen: Overview) -> dict[str, tuple[Plot, list[Series]]]:
    """Each drawing with the series it is made of."""
    draw = partial(plots.stacked, [point.at for point in seen.points], step=seen.step)
    jobs = plots.series_of(
        [{name: getattr(point.numbers, name) for name in STATES} for point in seen.points], STATES
    )
    costs = plots.series_of(
        [{k: float(v) for k, v in point.cost_by_model.items()} for point in seen.points],
        seen.models,
    )
    failures = plots.series_of([dict(point.failures) for point in seen.points], seen.error_codes)

    def of_state(at: datetime, one: Series) -> str:
        return _outputs_at(visit, at, seen, status=one.name)

    def of_failure(at: datetime, one: Series) -> str:
        return _outputs_at(visit, at, seen, status="failed", error=one.name)

    return {
        "jobs": (draw(jobs, words=words.count, address=of_state), jobs),
        "cost": (draw(costs, words=words.dollars), costs),
        "failures": (draw(failures, words=words.count, address=of_failure), failures),
        "tries": (plots.histogram(seen.tries, TRIES, what="jobs with tries:"), []),
    }


def _outputs_at(
    visit: Visit, at: datetime, seen: Overview, *, status: str, error: str | None = None
) -> str:
    """The list of outputs a bar stands for, as far as a list can say it (by creation)."""
    return render.address(
        "outputs",
        status=status,
        error=None if error == quality.OTHER else error,
        model=visit.query.get("model"),
        queue=visit.query.get("queue"),
        since=iso(at),
        before=iso(at + plots.width_of(seen.step)),
        all="1" if visit.caller.is_admin else None,
    )


def _outputs_of(visit: Visit, by: GroupBy, group: quality.Group) -> str:
    """The list of outputs of a group; empty where a list has no such filter."""
    since = iso(datetime.now(UTC) - RANGES[_range(visit)][1])
    if group.name == quality.OTHER or by is GroupBy.PROMPT:
        return ""
    if by is GroupBy.USER:
        return (
            render.address("outputs", user=group.label, since=since) if "@" in group.label else ""
        )
    everybody = "1" if visit.caller.is_admin else None
    return render.address("outputs", **{by.value: group.name}, since=since, all=everybody)


# --- what is exported


def _point_lines(seen: Overview) -> Iterator[list[Any]]:
    yield [
        *("at", "accepted", "completed", "failed", "cancelled", "p50_seconds", "p95_seconds"),
        *("p99_seconds", "input_tokens", "output_tokens", "cost_usd"),
        *(f"cost_usd {model}" for model in seen.models),
        *(f"failed {code}" for code in seen.error_codes),
    ]
    for point in seen.points:
        yield [*_numbers_of(point), *_shares_of(point, seen)]


def _numbers_of(point: Point) -> list[Any]:
    held = point.numbers
    quantiles = [None if q is None else q.seconds for q in (held.p50, held.p95, held.p99)]
    return [
        *(iso(point.at), held.accepted, held.completed, held.failed, held.cancelled),
        *quantiles,
        *(held.input_tokens, held.output_tokens, held.cost),
    ]


def _shares_of(point: Point, seen: Overview) -> list[Any]:
    costs = [point.cost_by_model.get(model, 0) for model in seen.models]
    return [*costs, *(point.failures.get(code, 0) for code in seen.error_codes)]


def _group_lines(grouped: quality.Groups) -> Iterator[list[Any]]:
    yield [
        *(grouped.by.value, "ended", "success_rate", "thumbs_up", "votes", "rate", "low", "high"),
        *("response_rate", "p50_seconds", "p95_seconds", "retries_per_job", "cost_usd", "failed"),
    ]
    for group in grouped.groups:
        held, rating = group.numbers, group.rating
        yield [
            *(group.label, held.ended, held.success_rate, rating.up, rating.votes, rating.rate),
            *(rating.sequence.low, rating.sequence.high, rating.response_rate),
            *(None if q is None else q.seconds for q in (held.p50, held.p95)),
            *(held.retries_per_job, held.cost, held.failed),
        ]
