"""Chats about assets: what may be named, who may see it, what it brings with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from app import assets, chats
from app.accounts import Caller
from app.assets import Asset, AssetRef, Loaded, NewAsset, Part, asset_types, reference
from app.assets.loading import MOST_CHARACTERS
from app.chats import NewChat, Request, Taken
from app.chats.views import Shown
from app.errors import AssetNotFound, Forbidden, InvalidParameter, NotFound, TurnInProgress
from app.plugins import registry
from app.prompts import library
from app.prompts.definition import from_json
from models import Chat, ChatMessage, LLMOutput, MessageAsset
from tests.integration.application.conftest import RecordedRuntime, Rows

SQL = {"sql": "select sum(total) from orders"}


class Desk:
    """Stores assets and begins chats about them."""

    def __init__(self, runtime: RecordedRuntime) -> None:
        self.runtime = runtime
        self.database = runtime.database

    def store(self, caller: Caller, type: str = "metric_file", **facts: Any) -> AssetRef:
        wanted = NewAsset(**{"type": type, "name": "Revenue", "content": SQL, **facts})
        with self.database.write() as session:
            return AssetRef(type, str(assets.create(session, caller, wanted).id))

    def chat(self, caller: Caller, ref: AssetRef, prompt: str | None = None, **facts: Any) -> Taken:
        first = None if prompt is None else Request(content=prompt)
        wanted = NewChat(model="simulator/echo", asset=ref, first=first, **facts)
        return chats.create(self.runtime.real, caller, wanted)

    def shown(self, taken: Taken) -> list[Shown]:
        with self.database.read() as session:
            return chats.newest_messages(session, taken.chat_id)

    def described(self, caller: Caller, taken: Taken) -> dict[str, Any]:
        with self.database.read() as session:
            return chats.describe(session, caller, chats.get_chat(session, caller, taken.chat_id))

    def told(self, output_id: int) -> str:
        """What the model is told before the conversation."""
        with self.database.read() as session:
            script = session.get_one(LLMOutput, output_id).script
        assert script
        return str(script["messages"][0]["content"])

    def content(self, caller: Caller, ref: AssetRef) -> str:
        """What the model would be told; blank where the caller may not see it."""
        with self.database.read() as session:
            found = assets.material(session, caller, ref)
        return found.text if found else ""

    def number(self, model: Any) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(model)) or 0

    def links(self) -> list[tuple[Any, ...]]:
        with self.database.read() as session:
            rows = session.scalars(select(MessageAsset).order_by(MessageAsset.message_id)).all()
            return [(r.asset_type, r.asset_id, r.version, r.role) for r in rows]


@pytest.fixture
def desk(recorded: RecordedRuntime) -> Desk:
    return Desk(recorded)


# Naming one


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ({"asset_type": "metric_file", "asset_id": "5"}, AssetRef("metric_file", "5")),
        ({"metric_id": "5"}, AssetRef("metric_file", "5")),
        ({"dashboard_id": "5"}, AssetRef("dashboard_file", "5")),
        (
            {"asset_type": "report_file", "asset_id": "1", "metric_id": "2"},
            AssetRef("report_file", "1"),
        ),
        ({}, None),
    ],
)
def test_an_asset_is_named_by_type_and_id_or_by_an_older_field(
    sent: dict[str, Any], found: AssetRef | None
) -> None:
    assert reference(sent) == found


@pytest.mark.parametrize(
    "sent",
    [
        {"asset_id": "5"},
        {"asset_type": "metric_file"},
        {"metric_id": "1", "dashboard_id": "2"},
        {"asset_type": "Metric file", "asset_id": "5"},
        {"asset_type": "../x", "asset_id": "5"},
        {"asset_type": "metric_file", "asset_id": ""},
        {"asset_type": "metric_file", "asset_id": "a\x00"},
        {"asset_type": "metric_file", "asset_id": "x" * 256},
    ],
)
def test_half_an_asset_or_two_are_refused(sent: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        reference(sent)


# Beginning without a prompt


def test_without_a_prompt_two_messages_bring_the_asset_in_and_no_model_is_asked(
    desk: Desk, alice: Caller
) -> None:
    ref = desk.store(alice)
    taken = desk.chat(alice, ref)
    file, text = desk.shown(taken)
    assert taken.message_ids == (file.message.id, text.message.id)
    assert taken.job is None
    assert desk.number(LLMOutput) == 0
    (part,) = file.to_json()["parts"]
    assert {**part, "metadata": None} == {
        "type": "file",
        "id": ref.id,
        "file_type": "metric_file",
        "file_name": "Revenue",
        "version_id": ref.id,
        "version_number": 1,
        "filter_version_id": None,
        "metadata": None,
    }
    assert (text.text, text.status, file.status) == (
        "Revenue is ready. Ask a question about it.",
        "success",
        "success",
    )
    described = desk.described(alice, taken)
    assert described["title"] == "Revenue"
    assert described["asset"] == {"type": "metric_file", "id": ref.id, "version": 1}
    assert desk.links() == [("metric_file", ref.id, 1, "import")]


def test_the_first_question_knows_the_asset_and_later_ones_its_newest_version(
    desk: Desk, alice: Caller, rows: Rows
) -> None:
    ref = desk.store(alice)
    taken = desk.chat(alice, ref)
    first = chats.send(desk.runtime.real, alice, taken.chat_id, Request(content="Why?"))
    assert first.job
    assert "select sum(total) from orders" in desk.told(first.job.output_id)
    rows.complete(first.job.output_id)
    with desk.database.write() as session:
        assets.add_version(session, alice, int(ref.id), content={"sql": "select 2"})
    second = chats.send(desk.runtime.real, alice, taken.chat_id, Request(content="And?"))
    assert second.job
    assert "select 2" in desk.told(second.job.output_id)
    assert "version 2" in desk.told(second.job.output_id)


def test_with_a_prompt_there_are_no_automatic_messages_but_a_link(
    desk: Desk, alice: Caller
) -> None:
    ref = desk.store(alice)
    taken = desk.chat(alice, ref, "What is it?")
    assert [one.message.role for one in desk.shown(taken)] == ["user", "assistant"]
    assert taken.job
    assert "select sum(total)" in desk.told(taken.job.output_id)
    assert desk.links() == [("metric_file", ref.id, 1, "context")]
    assert desk.described(alice, taken)["title"] == "What is it"


def test_nine_hundred_repeated_creations_make_one_chat(desk: Desk, alice: Caller) -> None:
    ref = desk.store(alice)
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(desk.chat, alice, ref, client_message_id="once") for _ in range(900)]
    assert len({one.result().chat_id for one in made}) == 1
    assert (desk.number(Chat), desk.number(ChatMessage)) == (1, 2)


# Who may see one


@pytest.mark.parametrize("prompt", [None, "Tell me"])
def test_a_strangers_asset_and_none_are_the_same_and_nothing_is_made(
    desk: Desk, alice: Caller, bob: Caller, prompt: str | None
) -> None:
    ref = desk.store(alice)
    for named in (ref, AssetRef("metric_file", "999"), AssetRef("report_file", ref.id)):
        with pytest.raises(AssetNotFound):
            desk.chat(bob, named, prompt)
    assert (desk.number(Chat), desk.number(LLMOutput)) == (0, 0)


def test_what_everybody_may_read_only_its_owner_changes(
    desk: Desk, alice: Caller, bob: Caller
) -> None:
    ref = desk.store(alice, shared=True)
    assert desk.chat(bob, ref).message_ids
    with desk.database.write() as session, pytest.raises(Forbidden):
        assets.add_version(session, bob, int(ref.id), content=1)
    with desk.database.read() as session:
        assert [row.id for row in assets.list_assets(session, bob).rows] == [int(ref.id)]
        assert not assets.find(session, bob, ref).may_edit


def test_who_may_only_read_it_is_suggested_no_changes(
    desk: Desk, alice: Caller, bob: Caller
) -> None:
    ref = desk.store(alice, shared=True)
    for caller, told in ((alice, False), (bob, True)):
        taken = desk.chat(caller, ref, "What is it?")
        assert taken.job
        assert ("may only read" in desk.told(taken.job.output_id)) is told


def test_who_may_see_it_no_more_is_told_nothing_of_it(
    desk: Desk, alice: Caller, bob: Caller
) -> None:
    ref = desk.store(alice, shared=True)
    taken = desk.chat(bob, ref)
    with desk.database.write() as session:
        assets.add_version(session, alice, int(ref.id), shared=False)
    asked = chats.send(desk.runtime.real, bob, taken.chat_id, Request(content="What is it?"))
    assert asked.job
    assert "select sum" not in desk.told(asked.job.output_id)


# What is told of one


def test_a_dashboard_brings_its_metrics_and_names_those_one_may_not_see(
    desk: Desk, alice: Caller, bob: Caller
) -> None:
    mine = desk.store(bob, name="Mine", content={"sql": "select mine"})
    hers = desk.store(alice, name="Hers", content={"sql": "select hers"})
    content = {"metrics": [int(mine.id), {"id": hers.id}, "999"]}
    ref = desk.store(bob, "dashboard_file", name="Board", content=content)
    told = desk.content(bob, ref)
    assert "select mine" in told
    assert "select hers" not in told
    assert f"metric_file {hers.id}, metric_file 999" in told


def test_an_output_and_its_job_are_assets(
    desk: Desk, alice: Caller, bob: Caller, rows: Rows
) -> None:
    output_id = rows.completed(alice, text="Forty-two.")
    job_id = rows.read(output_id).job_id
    for ref in (AssetRef("llm_output", str(output_id)), AssetRef("llm_job", job_id)):
        assert "Forty-two." in desk.content(alice, ref)
        assert desk.content(bob, ref) == ""
    with desk.database.read() as session, pytest.raises(AssetNotFound):
        assets.find(session, alice, AssetRef("llm_output", "x"))


def test_a_prompt_is_an_asset_in_the_version_that_is_named(desk: Desk, alice: Caller) -> None:
    for text in ("Hello {{who}}", "Dear {{who}}"):
        written = {"name": "greet", "messages": [{"role": "user", "content": text}]}
        with desk.database.write() as session:
            library.store(session, alice, [from_json(written)])
    assert "Hello {{who}}" in desk.content(alice, AssetRef("prompt_template", "greet@1"))
    with desk.database.read() as session:
        assert assets.find(session, alice, AssetRef("prompt_template", "greet")).version == 2


def test_a_type_that_nobody_registered_is_any_stored_asset(desk: Desk, alice: Caller) -> None:
    ref = desk.store(alice, "sales_report", content="Just words")
    assert "Sales report “Revenue”" in desk.content(alice, ref)


def test_a_long_asset_is_cut(desk: Desk, alice: Caller) -> None:
    ref = desk.store(alice, content="x" * (MOST_CHARACTERS + 5))
    told = desk.content(alice, ref)
    assert told.endswith("(...)")
    assert len(told) < MOST_CHARACTERS + 10


def test_a_plugin_adds_a_type(desk: Desk, alice: Caller) -> None:
    class Weather:
        label = "Weather"

        def find(self, _session: Any, _caller: Caller, ref: AssetRef) -> Asset | None:
            return Asset(type="weather", id=ref.id, name=f"in {ref.id}", label=self.label)

        def load(self, _session: Any, _caller: Caller, asset: Asset) -> Loaded:
            return Loaded([Part(asset, f"It rains {asset.name}.")])

    section = registry().asset_types
    section.add("weather", Weather())
    try:
        assert "weather" in asset_types()
        taken = desk.chat(alice, AssetRef("weather", "Bern"), "Umbrella?")
        assert taken.job
        assert "It rains in Bern." in desk.told(taken.job.output_id)
    finally:
        section._parts.pop("weather")


def test_the_same_content_adds_no_version(desk: Desk, alice: Caller) -> None:
    ref = desk.store(alice)
    with desk.database.write() as session:
        assert assets.add_version(session, alice, int(ref.id), content=SQL).version == 1
        assert assets.add_version(session, alice, int(ref.id), content=[]).version == 2
        assert assets.add_version(session, alice, int(ref.id), name="Other").version == 2


@pytest.mark.parametrize(
    "facts",
    [{"type": "No type"}, {"name": " "}, {"name": "x" * 256}, {"content": "a\x00"}],
)
def test_what_cannot_be_stored_is_refused(desk: Desk, alice: Caller, facts: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        desk.store(alice, **facts)


# Letting people in


def test_each_role_may_what_it_may_with_an_asset(
    desk: Desk, alice: Caller, bob: Caller, admin: Caller
) -> None:
    number = int(desk.store(alice).id)

    def may(caller: Caller, act: Any) -> bool:
        try:
            with desk.database.write() as session:
                act(session, caller, number)
                session.rollback()
        except (AssetNotFound, Forbidden):
            return False
        return True

    acts = {
        "see": assets.get,
        "list": assets.list_grants,
        "change": lambda *who: assets.add_version(*who, content=[1]),
        "share": lambda *who: assets.add_version(*who, shared=True),
        "let in": lambda *who: assets.grant(*who, user_id=admin.user_id, role="can_view"),
        "remove": assets.remove,
    }
    everything = list(acts)
    allowed = {
        None: [],
        "can_view": ["see", "list"],
        "can_edit": ["see", "list", "change"],
        "full_access": ["see", "list", "change"],
        "owner": everything,
    }
    for role, expected in allowed.items():
        if role is not None:
            with desk.database.write() as session:
                assets.grant(session, alice, number, user_id=bob.user_id, role=role)
        assert [name for name, act in acts.items() if may(bob, act)] == expected, role
    assert [name for name, act in acts.items() if may(admin, act)] == everything
    with desk.database.write() as session:
        assets.revoke(session, alice, number, user_id=bob.user_id)
        assets.add_version(session, alice, number, shared=True)
    assert [name for name, act in acts.items() if may(bob, act)] == ["see"]


def test_who_was_let_in_finds_it_and_talks_about_it(desk: Desk, alice: Caller, bob: Caller) -> None:
    ref = desk.store(alice)
    for role, said in (("can_view", "suggest no changes"), ("can_edit", "")):
        with desk.database.write() as session:
            assets.grant(session, alice, int(ref.id), user_id=bob.user_id, role=role)
        taken = desk.chat(bob, ref, "What is it?")
        assert taken.job is not None
        told = desk.told(taken.job.output_id)
        assert SQL["sql"] in told
        assert ("suggest no changes" in told) == bool(said)
    with desk.database.read() as session:
        assert [str(row.id) for row in assets.list_assets(session, bob).rows] == [ref.id]
        people = assets.list_grants(session, bob, int(ref.id))
    assert [(one["user_id"], one["role"]) for one in people] == [
        (alice.user_id, "owner"),
        (bob.user_id, "can_edit"),
    ]
    with desk.database.write() as session:
        assets.revoke(session, alice, int(ref.id), user_id=bob.user_id)
    assert desk.content(bob, ref) == ""


def test_a_dashboards_metrics_are_those_one_was_let_into(
    desk: Desk, alice: Caller, bob: Caller
) -> None:
    seen, unseen = desk.store(alice, content="seen"), desk.store(alice, content="unseen")
    dashboard = desk.store(
        alice, "dashboard_file", content={"metrics": [seen.id, unseen.id]}, shared=True
    )
    with desk.database.write() as session:
        assets.grant(session, alice, int(seen.id), user_id=bob.user_id, role="can_view")
    told = desk.content(bob, dashboard)
    assert "seen\n</asset>" in told
    assert "unseen" not in told
    assert f"Not to be seen by the author: metric_file {unseen.id}." in told


# Bringing one into a chat


def test_an_asset_is_brought_into_a_chat_that_is_there(desk: Desk, alice: Caller) -> None:
    first, second = desk.store(alice), desk.store(alice, name="Costs", content="costs")
    taken = desk.chat(alice, first)
    runtime = desk.runtime.real
    brought = chats.bring_in(runtime, alice, taken.chat_id, second)
    assert brought.new
    assert brought.job is None
    described = desk.described(alice, taken)
    assert described["asset"] == {"type": "metric_file", "id": second.id, "version": 1}
    assert described["title"] == "Revenue"
    assert len(described["messages"]) == 4
    again = chats.bring_in(runtime, alice, taken.chat_id, second)
    assert (again.new, again.message_ids) == (False, ())
    with desk.database.write() as session:
        assets.add_version(session, alice, int(second.id), content="higher costs")
    assert chats.bring_in(runtime, alice, taken.chat_id, second).new
    said = chats.send(runtime, alice, taken.chat_id, Request(content="Why?"))
    assert said.job is not None
    assert "higher costs" in desk.told(said.job.output_id)
    with pytest.raises(TurnInProgress):
        chats.bring_in(runtime, alice, taken.chat_id, first)


def test_nothing_is_brought_in_that_one_may_not_see_or_where_one_may_not_write(
    desk: Desk, alice: Caller, bob: Caller
) -> None:
    hers, his = desk.store(alice), desk.store(bob)
    taken = desk.chat(alice, hers)
    runtime = desk.runtime.real
    with pytest.raises(AssetNotFound):
        chats.bring_in(runtime, alice, taken.chat_id, his)
    with pytest.raises(NotFound):
        chats.bring_in(runtime, bob, taken.chat_id, his)
    with desk.database.write() as session:
        chats.grant(session, alice, taken.chat_id, user_id=bob.user_id, role="can_view")
    with pytest.raises(Forbidden):
        chats.bring_in(runtime, bob, taken.chat_id, his)
    assert len(desk.described(alice, taken)["messages"]) == 2


def test_chats_are_found_by_what_they_are_or_were_about(
    desk: Desk, alice: Caller, bob: Caller
) -> None:
    one, other = desk.store(alice, shared=True), desk.store(alice)
    about_one = desk.chat(alice, one)
    about_both = desk.chat(alice, one, "Hello")
    about_other = desk.chat(alice, other)
    chats.bring_in(desk.runtime.real, alice, about_other.chat_id, one)
    desk.chat(bob, one)

    def found(caller: Caller, ref: AssetRef) -> list[int]:
        with desk.database.read() as session:
            return [chat.id for chat in chats.list_chats(session, caller, asset=ref).rows]

    expected = [about_other.chat_id, about_both.chat_id, about_one.chat_id]
    assert found(alice, one) == expected
    assert found(alice, other) == [about_other.chat_id]
    assert len(found(bob, one)) == 1
    assert found(bob, other) == []
