"""Acting on many outputs over HTTP, and the trail administrators read of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.house import House

RETRY, BULK = "/api/v1/llm_outputs/retry_failed", "/api/v1/llm_outputs/bulk"
TRAIL = "/api/v1/audit_events"


def failed(house: House, **changes: Any) -> int:
    job = house.submit(**changes)
    house.fail(job)
    return int(job["output_id"])


def test_what_failed_is_retried_once(house: House) -> None:
    parent = failed(house)
    answer = house.post(RETRY, as_=house.alice, json={"error_code": "x"})
    assert (answer.status_code, answer.get_json()["more"]) == (200, False)
    (child,) = answer.get_json()["accepted"]
    row = house.get(f"/api/v1/llm_outputs/{child['output_id']}", as_=house.alice).get_json()
    assert (row["parent_id"], row["derivation"], row["status"]) == (parent, "re_run", "pending")
    assert house.post(RETRY, as_=house.alice).get_json()["accepted"] == []


def test_rows_are_cancelled_and_run_again_by_id_or_by_filter(house: House) -> None:
    waiting, done = house.submit(queue="low"), house.ended()
    ids = [waiting["output_id"], done["output_id"]]
    answer = house.post(BULK, as_=house.alice, json={"action": "cancel", "ids": ids}).get_json()
    assert answer["cancelled"] == [waiting["output_id"]]
    assert [one["code"] for one in answer["skipped"]] == ["conflict"]
    low = {"action": "re_run", "filters": {"queue": "low"}}
    counted = house.post(BULK, as_=house.alice, json={**low, "dry_run": True}).get_json()
    assert (counted["matching"], counted["capped"], counted["accepted"]) == (1, False, [])
    assert len(house.post(BULK, as_=house.alice, json=low).get_json()["accepted"]) == 1


def test_a_strangers_rows_take_no_part(house: House) -> None:
    output_id = failed(house)
    body = {"action": "re_run", "ids": [output_id]}
    answer = house.post(BULK, as_=house.charlie, json=body).get_json()
    assert [one["code"] for one in answer["skipped"]] == ["not_found"]
    assert house.post(RETRY, as_=house.charlie).get_json()["accepted"] == []
    assert house.post(RETRY, as_=house.charlie, json={"all_users": True}).status_code == 403
    assert house.post(RETRY, as_=house.charlie, json={"user_id": 1}).status_code == 403
    everybody = {"action": "cancel", "filters": {"all_users": True}}
    assert house.post(BULK, as_=house.charlie, json=everybody).status_code == 403


@pytest.mark.parametrize("sent", [
    {}, {"action": "re_run"}, {"action": "erase", "ids": [1]}, {"action": "cancel", "ids": []},
    {"action": "cancel", "ids": [1], "filters": {}}, {"action": "cancel", "ids": ["1"]},
    {"action": "cancel", "filters": {"status": "done"}}, {"action": "cancel", "filters": {"x": 1}},
    {"action": "cancel", "ids": [1], "dry_run": True}, {"action": "cancel", "ids": [1] * 1001},
    {"action": "re_run", "filters": {}, "limit": 0}, {"action": "re_run", "filters": {"q": "\x00"}},
])  # fmt: skip
def test_odd_acts_are_400(shared: House, sent: dict[str, Any]) -> None:
    assert shared.post(BULK, as_=shared.alice, json=sent).status_code == 400


def test_administrators_read_the_trail(house: House) -> None:
    house.post("/api/v1/queues/low/pause", as_=house.ada, json={"reason": "upgrade"})
    failed(house)
    house.post(RETRY, as_=house.ada, json={"all_users": True})
    page = house.get(f"{TRAIL}?limit=2", as_=house.ada).get_json()
    assert [event["action"] for event in page["data"]] == ["outputs.re_run", "operations.paused"]
    paused = page["data"][1]
    assert (paused["actor"], paused["subject"]) == ("ada@example.org", "queue:low")
    assert paused["details"] == {"seconds": None, "reason": "upgrade"}
    assert paused["request_id"]
    kind = house.get(f"{TRAIL}?action=user.created&limit=1", as_=house.ada).get_json()
    assert (kind["data"][0]["actor"], kind["has_more"]) == ("operator", True)
    assert house.get(f"{TRAIL}?action=user.eaten", as_=house.ada).status_code == 400
