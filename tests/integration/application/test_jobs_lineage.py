"""The family of an output: whole, in the order of its tree, bounded, and nobody else's."""

from __future__ import annotations

import pytest

from app import jobs
from app.accounts import Caller
from app.jobs import lineage as room
from app.jobs.lineage import Family, lineage
from tests.integration.application.conftest import Rows


def family(rows: Rows, caller: Caller, output_id: int) -> Family:
    with rows.runtime.database.read() as session:
        return lineage(session, caller, jobs.get(session, caller, output_id=output_id))


def child(rows: Rows, caller: Caller, parent: int, **changes: object) -> int:
    made = jobs.regenerate(rows.runtime.real, caller, parent, **changes)  # type: ignore[arg-type]
    rows.complete(made.output_id)
    return made.output_id


def test_each_stands_after_its_parent_and_says_what_changed(rows: Rows, alice: Caller) -> None:
    root = rows.completed(alice)
    first = child(rows, alice, root, context={"name": "B"}, options={"temperature": 0.1})
    second = child(rows, alice, root, template="Bye {{name}}")
    below = jobs.re_run(rows.runtime.real, alice, first).output_id
    for one in (root, first, second, below):
        found = family(rows, alice, one)
        assert [(m.id, m.depth) for m in found.members] == [
            (root, 0),
            (first, 1),
            (below, 2),
            (second, 1),
        ]
        assert not found.cut
    assert [(m.derivation, m.changed) for m in found.members] == [
        (None, ()),
        ("regenerate", ("context", "options")),
        ("re_run", ()),
        ("regenerate", ("template",)),
    ]
    assert {m.owner for m in found.members} == {"Alice"}


def test_an_output_without_relatives_is_its_own_family(rows: Rows, alice: Caller) -> None:
    alone = rows.completed(alice)
    rows.completed(alice)
    assert [m.id for m in family(rows, alice, alone).members] == [alone]


def test_an_administrator_sees_a_family_and_a_stranger_none(
    rows: Rows, alice: Caller, bob: Caller, admin: Caller
) -> None:
    root = rows.completed(alice)
    made = child(rows, admin, root, model="house-model")
    assert [m.id for m in family(rows, admin, root).members] == [root, made]
    with rows.runtime.database.read() as session:
        seen = lineage(session, bob, jobs.get(session, alice, output_id=made))
    assert [m.id for m in seen.members if m.id != made] == []


def test_a_large_family_is_cut_and_still_holds_the_one_asked_for(
    rows: Rows, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST", 3)
    root = rows.completed(alice)
    made = [child(rows, alice, root, context={"name": str(n)}) for n in range(4)]
    found = family(rows, alice, made[-1])
    assert [m.id for m in found.members] == [root, made[0], made[1], made[-1]]
    assert found.cut


def test_a_long_chain_is_a_tree_too(rows: Rows, alice: Caller) -> None:
    chain = [rows.completed(alice)]
    for number in range(8):
        chain.append(child(rows, alice, chain[-1], context={"name": str(number)}))
    members = family(rows, alice, chain[4]).members
    assert [(m.id, m.depth) for m in members] == list(zip(chain, range(9), strict=True))
