"""Rows as clients read them: one, many, conditionally; and erasing one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from api.schemas.outputs import AttemptShown, Output
from tests.api.house import JOBS, OUTPUTS, House

ECHO = {"model": "simulator/echo"}


def test_a_row_shows_exactly_the_documented_fields(house: House) -> None:
    job = house.ended(**ECHO)
    row = house.get(f"{OUTPUTS}/{job['output_id']}", as_=house.alice).get_json()
    assert set(row) == set(Output.model_fields)
    assert set(row["attempts"][0]) == set(AttemptShown.model_fields)
    assert (row["status"], row["raw_response"]) == ("completed", "It learns from examples.")
    assert row["output_id"] == row["id"] == job["output_id"]


def test_both_addresses_show_the_same_row(house: House) -> None:
    job = house.ended(**ECHO)
    by_job = house.get(f"{JOBS}/{job['job_id']}", as_=house.alice)
    by_output = house.get(f"{OUTPUTS}/{job['output_id']}", as_=house.alice)
    upper = house.get(f"{JOBS}/{job['job_id'].upper()}", as_=house.alice)
    assert by_job.get_json() == by_output.get_json() == upper.get_json()


def test_asking_again_for_an_unchanged_row_costs_304(house: House) -> None:
    job = house.submit(**ECHO)
    for path in (f"{OUTPUTS}/{job['output_id']}", f"{JOBS}/{job['job_id']}"):
        etag = house.get(path, as_=house.alice).headers["ETag"]
        again = house.get(path, as_=house.alice, headers={"If-None-Match": etag})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == etag
    house.complete(job)
    for path in (f"{OUTPUTS}/{job['output_id']}", f"{JOBS}/{job['job_id']}"):
        changed = house.get(path, as_=house.alice, headers={"If-None-Match": etag})
        assert (changed.status_code, changed.headers["ETag"] != etag) == (200, True)


def test_pages_go_on_where_the_last_one_ended_while_rows_arrive(house: House) -> None:
    made = [house.submit(**ECHO)["output_id"] for _ in range(5)]
    seen, path = [], f"{OUTPUTS}?limit=2&model=simulator/echo"
    while path:
        answer = house.get(path, as_=house.alice)
        page = answer.get_json()
        seen += [row["id"] for row in page["data"]]
        assert page["has_more"] == (page["next"] is not None) == ("Link" in answer.headers)
        house.submit(**ECHO)
        path = ""
        if page["has_more"]:
            link = answer.headers["Link"]
            assert link.endswith('>; rel="next"')
            path = link[1 : link.index(">")]
            query = parse_qs(urlparse(path).query)
            assert query["after"] == [page["next"]]
            assert query["model"] == ["simulator/echo"]
    assert seen == made[::-1]


@pytest.mark.parametrize("query", [
    "limit=0", "limit=101", "limit=-1", "limit=x", "limit=1.5", "limit=", "limit=1&limit=2",
    "after=x", "after=%00", "status=open", "format=pdf", "queue=urgent", "feedback=up",
    "created_after=yesterday", "created_after=2030-01-01", "q=" + "x" * 201, "q=%00", "model=%00",
    "foo=1", "metadata=1", "metadata[a%20b]=1", "parent_id=0", "parent_id=99999999999999999999",
    "all_users=maybe",
])  # fmt: skip
def test_odd_filters_are_400_and_named(shared: House, query: str) -> None:
    answer = shared.get(f"{OUTPUTS}?{query}", as_=shared.alice)
    fault = answer.get_json()["errors"][0]
    assert answer.status_code == 400
    assert fault["parameter"].partition("[")[0] == query.partition("=")[0].partition("[")[0]


def test_filters_find_what_they_name(house: House) -> None:
    plain = house.submit(template="about bees", **ECHO)["output_id"]
    other = house.submit(
        template="about ants",
        model="simulator/json",
        format="json",
        queue="high",
        metadata={"project": "atlas"},
    )["output_id"]
    house.post(f"{OUTPUTS}/{other}/feedback", as_=house.alice, json={"feedback_type": "thumbs_up"})
    hour = timedelta(hours=1)
    ago, ahead = ((datetime.now(UTC) + d).strftime("%Y-%m-%dT%H:%M:%SZ") for d in (-hour, hour))

    def found(**filters: Any) -> list[int]:
        answer = house.get(OUTPUTS, as_=house.alice, query_string=filters)
        return [row["id"] for row in answer.get_json()["data"]]

    assert found() == [other, plain]
    for filters in (
        {"model": "simulator/json"},
        {"template": "about ants"},
        {"format": "json"},
        {"queue": "high"},
        {"feedback": "thumbs_up"},
        {"metadata[project]": "atlas"},
        {"q": "ANTS"},
        {"created_after": ago, "created_before": ahead, "status": "pending", "format": "json"},
    ):
        assert found(**filters) == [other], filters
    for filters in ({"status": "failed"}, {"created_after": ahead}, {"created_before": ago}):
        assert found(**filters) == [], filters


def test_erasing_takes_the_texts_and_leaves_the_ledger(house: House) -> None:
    job = house.submit(context={"concept": "my secret"}, **ECHO)
    path = f"{OUTPUTS}/{job['output_id']}"
    assert house.call("DELETE", path, as_=house.alice).status_code == 409
    house.complete(job, "my secret answer")
    gone = house.call("DELETE", path, as_=house.alice)
    assert (gone.status_code, gone.data, "Content-Type" in gone.headers) == (204, b"", False)
    left = house.get(path, as_=house.alice)
    assert "secret" not in left.text
    row = left.get_json()
    assert row["erased_at"] is not None
    assert len(row["attempts"]) == 1
    assert house.call("DELETE", path, as_=house.alice).status_code == 204
    assert house.post(f"{path}/re_run", as_=house.alice).status_code == 409
