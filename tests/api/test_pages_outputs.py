"""The list of outputs without a browser: whose rows, which rows, what a hostile address gets."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from app.csv_text import BYTE_ORDER_MARK
from tests.api.house import House
from tests.api.visiting import Visitor, signed_in, visitor

LIST = "/llm_outputs"
_ROW = re.compile(r'data-live-row="(\d+)"')


def rows_of(answer: TestResponse) -> list[int]:
    """The outputs a page lists, in their order."""
    return [int(found) for found in _ROW.findall(answer.text)]


def link(answer: TestResponse, words: str) -> str:
    """Where the link of these words leads."""
    for address, inner in re.findall(r'<a [^>]*href="([^"]*)"[^>]*>(.*?)</a>', answer.text, re.S):
        if words in re.sub(r"<[^>]+>", "", inner):
            return unescape(address)
    raise AssertionError(f"no link {words!r}")


@pytest.fixture
def alice(house: House) -> Visitor:
    return signed_in(house, house.alice)


def ids(*jobs: dict[str, Any]) -> list[int]:
    return [job["output_id"] for job in jobs]


# Whose rows


def test_everybody_sees_his_own_rows_and_administrators_all_when_they_ask(house: House) -> None:
    mine, theirs = house.submit(house.alice), house.submit(house.bob)
    assert rows_of(signed_in(house, house.alice).get(LIST)) == ids(mine)
    assert rows_of(signed_in(house, house.charlie).get(LIST)) == []
    ada = signed_in(house, house.ada)
    assert rows_of(ada.get(LIST)) == []
    assert rows_of(ada.get(f"{LIST}?all=1")) == ids(theirs, mine)
    assert rows_of(ada.get(f"{LIST}?user=bob@example.org")) == ids(theirs)


@pytest.mark.parametrize("query", ["all=1", "user=bob@example.org", "q=user:nobody@example.org"])
def test_a_member_learns_nothing_of_others(house: House, alice: Visitor, query: str) -> None:
    house.submit(house.bob)
    answer = alice.get(f"{LIST}?{query}")
    assert answer.status_code == 403
    assert "Only an administrator may list other users" in answer.text
    assert rows_of(answer) == []


@pytest.mark.parametrize("path", [
    "rows?ids={id}",
    "export?id={id}&kind=jsonl&texts=1",
    "many?act=re_run&id={id}",
    "many?act=cancel&id={id}",
    "many?act=retry_failed&id={id}",
    "many?act=export&id={id}",
])  # fmt: skip
def test_a_strangers_row_is_not_there_by_any_way(house: House, path: str) -> None:
    job = house.submit(house.alice, template="A secret of alice")
    answer = signed_in(house, house.charlie).get(f"{LIST}/{path.format(id=job['output_id'])}")
    assert answer.status_code == 200
    assert "secret" not in answer.text
    assert rows_of(answer) == []
    assert f"{job['output_id']}," not in answer.text


def test_a_stranger_cannot_cancel_many(house: House) -> None:
    job = house.submit(house.alice)
    charlie = signed_in(house, house.charlie)
    answer = charlie.post(f"{LIST}/many", data={"act": "cancel", "ids": str(job["output_id"])})
    assert answer.status_code == 303
    assert statuses(house) == {"pending": 1}


@pytest.mark.parametrize(
    "path", ["", "/rows?ids=1", "/summary", "/live?after=0", "/many", "/export"]
)
def test_who_is_not_signed_in_is_asked_to(house: House, path: str) -> None:
    answer = visitor(house).get(f"{LIST}{path}")
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/sign-in")


def test_forms_without_a_token_do_nothing(house: House, alice: Visitor) -> None:
    job = house.submit(house.alice)
    many = {"act": "cancel", "ids": str(job["output_id"])}
    assert alice.post(f"{LIST}/many", token="", data=many).status_code == 403
    assert alice.post(f"{LIST}/views", token="", data={"name": "x"}).status_code == 403
    assert statuses(house) == {"pending": 1}


# Which rows


def test_tabs_count_each_state_and_choose_it(house: House, alice: Visitor) -> None:
    waiting, done, failed = house.submit(), house.ended(), house.submit()
    house.fail(failed)
    page = alice.get(LIST)
    tabs = re.findall(r">(\w+) <span class=\"tab-count\">([\d,+]+)<", page.text)
    assert tabs == [
        ("All", "3"),
        ("Pending", "1"),
        ("Processing", "0"),
        ("Completed", "1"),
        ("Failed", "1"),
        ("Cancelled", "0"),
    ]
    for words, job in (("Pending", waiting), ("Completed", done), ("Failed", failed)):
        assert rows_of(alice.get(link(page, words))) == ids(job)


def test_a_filter_means_the_same_in_the_form_and_in_the_search_box(
    house: House, alice: Visitor
) -> None:
    wanted = house.submit(model="simulator/echo", format="json", queue="high", template="Bees")
    house.submit(model="simulator/echo", format="text")
    by_form = alice.get(
        f"{LIST}?model=simulator/echo&format=json&queue=high&template=Bees&since=1h"
    )
    by_words = alice.get(
        f"{LIST}?q={quote('model:simulator/echo format:json queue:high template:Bees since:1h')}"
    )
    assert rows_of(by_form) == rows_of(by_words) == ids(wanted)
    for page in (by_form, by_words):
        shown = re.search(r'id="search"[^>]*value="([^"]*)"', page.text, re.S)
        assert shown
        assert set(unescape(shown[1]).split()) == {
            "model:simulator/echo",
            "format:json",
            "queue:high",
            "template:Bees",
            "since:1h",
        }
        assert 'value="high" selected' in page.text
        assert 'value="1h" selected' in page.text


def test_filters_of_state_error_verdict_and_words_narrow_the_list(
    house: House, alice: Visitor
) -> None:
    liked, failed, plain = house.ended(), house.submit(), house.ended(template="honey {{concept}}")
    house.fail(failed)
    house.post(
        f"/api/v1/llm_outputs/{liked['output_id']}/feedback",
        as_=house.alice,
        json={"feedback_type": "thumbs_up"},
    )
    assert rows_of(alice.get(f"{LIST}?feedback=thumbs_up")) == ids(liked)
    assert rows_of(alice.get(f"{LIST}?error=x")) == ids(failed)
    assert rows_of(alice.get(f"{LIST}?q=honey")) == ids(plain)
    assert rows_of(alice.get(f"{LIST}?q=honey&status=failed")) == []


def test_a_parameter_of_its_own_wins_over_the_same_word(house: House, alice: Visitor) -> None:
    done = house.ended()
    house.submit()
    assert rows_of(alice.get(f"{LIST}?q=status:pending&status=completed")) == ids(done)


def test_pages_go_on_where_the_one_before_ended(house: House, alice: Visitor) -> None:
    made = [house.submit() for _ in range(27)]
    first = alice.get(LIST)
    second = alice.get(link(first, "Older"))
    assert rows_of(first) + rows_of(second) == ids(*reversed(made))
    assert rows_of(alice.get(link(second, "Newest"))) == rows_of(first)


def test_the_filters_stay_while_one_pages(house: House, alice: Visitor) -> None:
    for _ in range(26):
        house.submit(queue="low")
        house.submit(queue="high")
    first = alice.get(f"{LIST}?queue=low&status=pending")
    second = alice.get(link(first, "Older"))
    assert len(rows_of(first)) == 25
    assert len(rows_of(second)) == 1
    assert 'value="low" selected' in second.text


def test_nothing_yet_and_nothing_that_matches_are_told_apart(house: House, alice: Visitor) -> None:
    empty = alice.get(LIST)
    assert "No outputs yet" in empty.text
    assert "curl" in empty.text
    house.submit()
    assert "No output matches" in alice.get(f"{LIST}?model=none").text
    assert link(alice.get(f"{LIST}?model=none"), "Clear filters") == LIST


def test_new_rows_are_counted_for_the_list_that_is_open(house: House, alice: Visitor) -> None:
    first = house.submit(queue="low")["output_id"]
    house.submit(queue="low")
    house.submit(queue="high")
    house.submit(house.bob, queue="low")
    assert "2 new" in alice.get(f"{LIST}/summary?newest={first}").text
    assert "1 new" in alice.get(f"{LIST}/summary?newest={first}&queue=low").text
    assert "new" not in alice.get(f"{LIST}/summary?queue=low").text.replace("newest", "")


def test_what_a_user_wrote_is_shown_and_never_run(house: House, alice: Visitor) -> None:
    house.submit(template="<script>alert(1)</script>{{concept}}", context={"concept": "x"})
    page = alice.get(f"{LIST}?q={quote('<img src=x onerror=alert(1)>')}")
    assert "<img src=x" not in page.text
    assert "<script>alert" not in alice.get(LIST).text


# Hostile addresses

ODD = [
    "q=" + "a" * 1_500,
    "q=" + "a" * 500,
    "q=status:nothing",
    "q=%22open",
    "q=colour:red",
    "q=since:yesterday",
    "q=a%00b",
    "q=%ED%A0%80",
    "model=%00",
    "template=%ED%A0%80%F0%9F",
    "user=%00",
    "status=%00",
    "status=nothing",
    "format=exe",
    "queue=%F0%9F%90%9D",
    "feedback=1",
    "error=%00",
    "since=99999999999d",
    "since=2026-13-45",
    "before=0001-01-01",
    "parent=99999999999999999999",
    "parent=-1",
    "after=%00",
    "after=YWZ0ZXI6MA",
    "after=YWZ0ZXI6OTk5OTk5OTk5OTk5OTk5OTk5OTk",
    "after=" + "A" * 500,
    "size=-1",
    "size=1e9",
    "all=%00",
    "metadata.x=1",
]


@pytest.mark.parametrize("path", [LIST, f"{LIST}/summary", f"{LIST}/many", f"{LIST}/export"])
def test_an_odd_address_is_refused_in_words_or_finds_nothing(
    house: House, alice: Visitor, path: str
) -> None:
    house.submit()
    for query in ODD:
        answer = alice.get(f"{path}?{query}&act=export&which=matching", buffered=True)
        assert answer.status_code in (200, 400, 403), f"{path}?{query}"
        if path != f"{LIST}/export":
            assert answer.content_type == "text/html; charset=utf-8"


def test_an_odd_stream_is_refused(house: House, alice: Visitor) -> None:
    for query in (
        "ids=a&after=0",
        "ids=1,,2&after=0",
        "ids=1&after=x",
        "after=" + "9" * 40,
        "ids=%00&after=0",
        "ids=" + ",".join(map(str, range(300))) + "&after=0",
        "after=0&seen=now",
        "after=0&seen=%00",
    ):
        assert alice.get(f"{LIST}/live?{query}").status_code == 400, query


def test_odd_orders_for_many_are_refused(house: House, alice: Visitor) -> None:
    orders: list[dict[str, str]] = [
        {"act": "cancel", "ids": "1,x"},
        {"act": "drop", "ids": "1"},
        {"act": "cancel", "ids": ",".join(map(str, range(1, 1_500)))},
        {},
    ]
    for data in orders:
        assert alice.post(f"{LIST}/many", data=data).status_code == 400, data


def test_after_an_act_one_never_leaves_the_site(house: House, alice: Visitor) -> None:
    job = house.submit()
    acts = (("many", {"act": "cancel", "ids": str(job["output_id"])}), ("views", {"name": "x"}))
    strangers = ("https://evil.example", "//evil.example", "/\\evil.example")
    for (path, data), elsewhere in itertools.product(acts, strangers):
        answer = alice.post(f"{LIST}/{path}", data={**data, "next": elsewhere})
        assert answer.status_code == 303
        assert answer.headers["Location"] == LIST


# Many at once


def test_what_is_confirmed_is_what_is_done(house: House, alice: Visitor) -> None:
    waiting = [house.submit() for _ in range(3)]
    house.ended()
    asked = alice.get(f"{LIST}/many?act=cancel&which=matching")
    assert "Cancel: 3 outputs" in asked.text
    late = house.submit()
    answer = alice.post(f"{LIST}/many", data=form_of(asked))
    assert answer.status_code == 303
    assert "3 outputs cancelled." in alice.get(LIST).text
    assert statuses(house) == {"cancelled": 3, "completed": 1, "pending": 1}
    assert late["output_id"] not in ids(*waiting)


def test_only_rows_an_act_fits_are_counted(house: House, alice: Visitor) -> None:
    waiting, done, failed = house.submit(), house.ended(), house.submit()
    house.fail(failed)
    chosen = "&".join(f"id={one}" for one in ids(waiting, done, failed))
    for act, said in (
        ("re_run", "Re-run: 2 outputs"),
        ("cancel", "Cancel: 1 output"),
        ("retry_failed", "Retry failed: 1 output"),
    ):
        assert said in alice.get(f"{LIST}/many?act={act}&{chosen}").text


def test_a_failure_is_retried_once_however_often_the_form_is_sent(
    house: House, alice: Visitor
) -> None:
    house.fail(house.submit())
    asked = form_of(alice.get(f"{LIST}/many?act=retry_failed&which=matching"))
    for _ in range(3):
        assert alice.post(f"{LIST}/many", data=asked).status_code == 303
    assert statuses(house) == {"failed": 1, "pending": 1}
    again = alice.get(f"{LIST}/many?act=retry_failed&which=matching")
    assert "Retry failed: 0 outputs" in again.text


def test_re_running_many_keeps_the_parents(house: House, alice: Visitor) -> None:
    parents = [house.ended() for _ in range(3)]
    asked = alice.get(f"{LIST}/many?act=re_run&which=matching&status=completed")
    alice.post(f"{LIST}/many", data=form_of(asked))
    assert statuses(house) == {"completed": 3, "pending": 3}
    children = alice.get(f"{LIST}?parent={parents[0]['output_id']}")
    assert len(rows_of(children)) == 1


# Exports

NASTY = {
    "formula": '=HYPERLINK("http://evil.example")',
    "plus": "+1+1",
    "minus": "-1+1",
    "at": "@SUM(A1)",
    "tab": "\t=1",
    "plain": 'He said "no", and\nleft; ünïcödé 🐝',
}


def test_a_csv_file_read_back_is_the_rows_and_runs_nothing(house: House, alice: Visitor) -> None:
    jobs = {name: house.submit(template=f"{text}") for name, text in NASTY.items()}
    for name, job in jobs.items():
        house.complete(job, NASTY[name])
    answer = alice.get(f"{LIST}/export?which=matching&kind=csv&texts=1", buffered=True)
    assert answer.content_type == "text/csv; charset=utf-8"
    assert re.fullmatch(
        r'attachment; filename="outputs-[\d-]{10}\.csv"', answer.headers["Content-Disposition"]
    )
    read = answer.get_data().decode()
    assert read.startswith(BYTE_ORDER_MARK)
    found = {int(row["id"]): row for row in csv.DictReader(io.StringIO(read[1:], newline=""))}
    assert list(found) == ids(*reversed(list(jobs.values())))
    for name, job in jobs.items():
        row = found[job["output_id"]]
        safe = NASTY[name] if name == "plain" else "'" + NASTY[name]
        assert row["template"] == row["raw_response"] == safe
        assert (row["status"], row["model"], row["feedback"]) == ("completed", "gpt-4", "none")
        assert (row["tries"], row["job_id"]) == ("1", job["job_id"])
        assert json.loads(row["context"]) == {"concept": "machine learning"}


def test_json_lines_are_the_rows_as_they_are(house: House, alice: Visitor) -> None:
    job = house.submit(template=NASTY["formula"])
    house.complete(job, NASTY["plain"])
    answer = alice.get(f"{LIST}/export?which=matching&kind=jsonl&texts=1", buffered=True)
    (row,) = [json.loads(line) for line in answer.get_data().decode().splitlines()]
    assert row["id"] == job["output_id"]
    assert row["template"] == NASTY["formula"]
    assert row["raw_response"] == NASTY["plain"]
    assert row["cost"] is None or isinstance(row["cost"], float)


def test_without_texts_no_prompt_or_answer_is_in_the_file(house: House, alice: Visitor) -> None:
    house.complete(house.submit(template="x" * 500), "an answer nobody should see")
    for kind in ("csv", "jsonl"):
        sent = (
            alice.get(f"{LIST}/export?which=matching&kind={kind}", buffered=True)
            .get_data()
            .decode()
        )
        assert "nobody should see" not in sent
        assert "x" * 160 in sent
        assert "x" * 161 not in sent


def test_an_export_goes_on_over_many_batches_and_keeps_to_its_filters(
    house: House, alice: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.export._BATCH", 4)
    wanted = [house.submit(queue="low") for _ in range(11)]
    house.submit(queue="high")
    house.submit(house.bob, queue="low")
    sent = (
        alice.get(f"{LIST}/export?which=matching&kind=jsonl&queue=low", buffered=True)
        .get_data()
        .decode()
    )
    assert [json.loads(line)["id"] for line in sent.splitlines()] == ids(*reversed(wanted))


def test_ticked_rows_alone_are_exported(house: House, alice: Visitor) -> None:
    first, _, third = (house.submit() for _ in range(3))
    path = f"{LIST}/export?kind=jsonl&id={first['output_id']}&id={third['output_id']}"
    sent = alice.get(path, buffered=True).get_data().decode()
    assert [json.loads(line)["id"] for line in sent.splitlines()] == ids(third, first)
    assert alice.get(f"{LIST}/export?kind=jsonl", buffered=True).get_data() == b""


# Saved views


def test_a_saved_view_is_kept_for_its_owner_alone(house: House, alice: Visitor) -> None:
    back = f"{LIST}?status=failed&q=bees"
    alice.post(f"{LIST}/views", data={"name": " My   bees ", "next": back})
    page = alice.get(LIST)
    address = link(page, "My bees")
    assert address == f"{LIST}?status=failed&q=bees"
    assert "My bees" not in signed_in(house, house.bob).get(LIST).text
    delete = re.search(r'action="(/llm_outputs/views/\d+/delete)"', page.text)
    assert delete
    assert signed_in(house, house.bob).post(delete[1]).status_code == 404
    assert alice.post(delete[1]).status_code == 303
    assert "My bees" not in re.sub(r"(?s)<div id=.notices.*?</div>", "", alice.get(LIST).text)


def test_the_same_name_keeps_the_new_list(house: House, alice: Visitor) -> None:
    for status in ("failed", "pending"):
        alice.post(f"{LIST}/views", data={"name": "the one", "next": f"{LIST}?status={status}"})
    page = alice.get(LIST)
    assert page.text.count("/delete") == 1
    assert link(page, "the one").endswith("status=pending")


def test_a_view_needs_a_name(house: House, alice: Visitor) -> None:
    for name in ("", "   ", "x" * 81, "a\x00b"):
        assert alice.post(f"{LIST}/views", data={"name": name, "next": LIST}).status_code == 400


def test_there_are_only_so_many_views(house: House, alice: Visitor) -> None:
    token = alice.token()
    for number in range(50):
        alice.post(f"{LIST}/views", token=token, data={"name": str(number), "next": LIST})
    assert alice.post(f"{LIST}/views", data={"name": "more", "next": LIST}).status_code == 409


def form_of(page: TestResponse) -> dict[str, str]:
    """The fields of the form that confirms."""
    form = re.search(r'<form method="post" action="/llm_outputs/many".*?</form>', page.text, re.S)
    assert form, page.text
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[0])
    return {name: unescape(value) for name, value in fields}


def statuses(house: House) -> dict[str, int]:
    query = text("SELECT status, count(*) FROM llm_outputs GROUP BY status")
    with house.database.read() as session:
        return {row[0]: row[1] for row in session.execute(query)}
