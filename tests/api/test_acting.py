"""Feedback, re-run, regenerate, cancel, advance, why, preview and bulk, in the seed's words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.house import JOBS, OUTPUTS, SEED, House

ECHO = {"model": "simulator/echo"}


def row(house: House, output_id: int) -> dict[str, Any]:
    return dict(house.get(f"{OUTPUTS}/{output_id}", as_=house.alice).get_json())


@pytest.mark.parametrize(
    ("sent", "feedback", "comment"),
    [
        ({"feedback_type": "thumbs_up"}, "thumbs_up", None),
        ({"feedback_type": "thumbs_down", "comment": "  wrong \n"}, "thumbs_down", "wrong"),
        ({"feedback_type": "thumbs_down", "comment": " \n"}, "thumbs_down", None),
        ({"feedback_type": "none", "comment": None}, "none", None),
    ],
)
def test_feedback_is_stored_and_echoed(
    house: House, sent: dict[str, Any], feedback: str, comment: str | None
) -> None:
    job = house.submit(**ECHO)  # on every status, pending included
    answer = house.post(f"{OUTPUTS}/{job['output_id']}/feedback", as_=house.alice, json=sent)
    assert (answer.status_code, answer.get_json()) == (
        200,
        {"status": "success", "feedback": feedback, "comment": comment},
    )
    stored = row(house, job["output_id"])
    assert (stored["feedback"], stored["feedback_comment"]) == (feedback, comment)
    assert stored["feedback_at"] is not None


@pytest.mark.parametrize(
    "sent", [{}, {"feedback_type": "up"}, {"feedback_type": None}, {"feedback_type": 1},
             {"feedback_type": ["none"]}, {"feedback_type": {}}, {"feedback_type": ""}]
)  # fmt: skip
def test_an_unknown_verdict_is_refused_in_the_seeds_words(
    house: House, sent: dict[str, Any]
) -> None:
    job = house.submit(**ECHO)
    answer = house.post(f"{OUTPUTS}/{job['output_id']}/feedback", as_=house.alice, json=sent)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "Invalid feedback type")
    assert row(house, job["output_id"])["feedback_at"] is None


def test_a_comment_of_the_wrong_type_or_length_is_400(shared: House) -> None:
    path = f"{OUTPUTS}/{shared.submit(**ECHO)['output_id']}/feedback"
    for comment in (1, ["x"], "x" * 10_001):
        sent = {"feedback_type": "none", "comment": comment}
        assert shared.post(path, as_=shared.alice, json=sent).status_code == 400


def test_a_re_run_is_a_new_job_and_its_parent_stays_as_it_was(house: House) -> None:
    job = house.ended(**ECHO)
    before = row(house, job["output_id"])
    answer = house.post(f"{OUTPUTS}/{job['output_id']}/re_run", as_=house.alice)
    told = answer.get_json()
    assert answer.status_code == 201
    assert list(told) == ["status", "message", "job_id", "output_id"]
    assert (told["status"], told["message"]) == ("success", "Job queued for re-run")
    child = row(house, told["output_id"])
    assert (child["parent_id"], child["root_id"], child["derivation"]) == (
        job["output_id"],
        job["output_id"],
        "re_run",
    )
    assert child["job_id"] == told["job_id"]
    after = row(house, job["output_id"])
    assert after["children"] == [told["output_id"]]
    assert {**after, "children": []} == before


def test_a_regeneration_changes_what_is_named_and_keeps_the_rest(house: House) -> None:
    job = house.ended(options={"temperature": 0.5}, **ECHO)
    path = f"{OUTPUTS}/{job['output_id']}/regenerate"
    answer = house.post(path, as_=house.alice, json={"context": {"concept": "deep learning"}})
    told = answer.get_json()
    assert (answer.status_code, told["message"]) == (201, "Job queued for regeneration")
    child = row(house, told["output_id"])
    assert child["context"] == {"concept": "deep learning"}
    assert (child["model_name"], child["options"]) == ("simulator/echo", {"temperature": 0.5})
    assert child["derivation"] == "regenerate"


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"context": []}, "Context must be a hash/object"),
        ({"context": None}, "Context must be a hash/object"),
        ({"template": " "}, "Missing required parameter: template"),
        ({"model": ""}, "Missing required parameter: model"),
        ({"model": "mystery-1"}, "Unsupported model: mystery-1"),
        ({"format": "text"}, "Unknown parameter: format"),
        ({"options": 1}, "Invalid options: should be a valid dictionary"),
    ],
)
def test_a_regeneration_is_checked_as_a_new_job_is(
    house: House, sent: dict[str, Any], sentence: str
) -> None:
    job = house.ended(**ECHO)
    path = f"{OUTPUTS}/{job['output_id']}/regenerate"
    answer = house.post(path, as_=house.alice, json=sent)
    assert (answer.status_code, answer.get_json()["error"]) == (400, sentence)


def test_only_an_ended_job_can_be_run_again(house: House) -> None:
    job = house.submit(**ECHO)
    path = f"{OUTPUTS}/{job['output_id']}"
    assert house.post(f"{path}/re_run", as_=house.alice).status_code == 409
    house.fail(job)
    assert house.post(f"{path}/re_run", as_=house.alice).status_code == 201
    assert house.post(f"{path}/regenerate", as_=house.alice, json={}).status_code == 201


def test_a_repeated_re_run_with_one_key_makes_one_child(house: House) -> None:
    job = house.ended(**ECHO)
    path, headers = f"{OUTPUTS}/{job['output_id']}/re_run", {"Idempotency-Key": "again"}
    first = house.post(path, as_=house.alice, headers=headers)
    second = house.post(path, as_=house.alice, headers=headers)
    assert first.get_json() == second.get_json()
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(row(house, job["output_id"])["children"]) == 1


def test_a_pending_job_is_cancelled_at_once_and_only_once(house: House) -> None:
    job = house.submit(**ECHO)
    path, failures = f"{JOBS}/{job['job_id']}/cancel", house.runtime.wake.failures
    answer = house.post(path, as_=house.alice)
    assert house.runtime.wake.failures == failures, "Flower is told, too"
    assert (answer.status_code, answer.get_json()["status"]) == (200, "cancelled")
    assert answer.get_json()["attempts"] == []
    assert house.post(path, as_=house.alice).status_code == 409


def test_a_running_job_is_asked_to_stop(house: House) -> None:
    job = house.submit(**ECHO)
    house.claim(job)
    told = house.post(f"{JOBS}/{job['job_id']}/cancel", as_=house.alice).get_json()
    assert (told["status"], told["cancel_requested"]) == ("processing", True)


def test_advancing_makes_a_later_job_due_now(house: House) -> None:
    job = house.submit(run_at=3600, **ECHO)
    path = f"{JOBS}/{job['job_id']}/advance"
    before = row(house, job["output_id"])["run_at"]
    told = house.post(path, as_=house.alice).get_json()
    assert told["run_at"] < before
    house.claim(job)
    assert house.post(path, as_=house.alice).status_code == 409


def test_why_names_what_a_job_waits_for(house: House) -> None:
    job, later = house.submit(**ECHO), house.submit(run_at=3600, **ECHO)

    def why(job: dict[str, Any]) -> dict[str, Any]:
        path = f"{JOBS}/{job['job_id']}/why"
        return dict(house.get(path, as_=house.alice).get_json())

    assert why(job)["reason"] == "no_worker"
    assert {r["reason"] for r in why(job)["reasons"]} == {"no_worker", "queued"}
    assert (why(later)["reason"], why(later)["until"] is not None) == ("scheduled", True)
    house.post("/api/v1/queues/default/pause", as_=house.ada, json={"reason": "repairs"})
    assert "repairs" in why(job)["detail"]
    house.claim(house.submit(queue="high", **ECHO))
    house.post("/api/v1/queues/default/resume", as_=house.ada)
    house.complete(job)
    assert why(job)["reason"] == "ended"


def test_a_preview_shows_the_prompt_and_stores_nothing(house: House) -> None:
    body = {**SEED, "template": "{{concept}} {{other}}", "strict": True}
    answer = house.post(f"{JOBS}/preview", as_=house.alice, json=body)
    told = answer.get_json()
    assert answer.status_code == 200
    assert told["prompt"] == "machine learning {{other}}"
    assert told["missing_variables"] == ["other"]
    assert house.get(OUTPUTS, as_=house.alice).get_json()["data"] == []
    assert house.post(f"{JOBS}/preview", as_=house.alice, json={}).status_code == 400


def test_bulk_accepts_all_in_their_order(house: House) -> None:
    jobs = [{**SEED, **ECHO, "context": {"concept": str(i)}} for i in range(50)]
    answer = house.post(f"{JOBS}/bulk", as_=house.alice, json={"jobs": jobs})
    told = answer.get_json()["jobs"]
    assert answer.status_code == 201
    assert len(told) == 50
    assert list(told[0]) == ["job_id", "output_id", "status", "estimated_completion"]
    assert row(house, told[7]["output_id"])["context"] == {"concept": "7"}
    assert [job["output_id"] for job in told] == sorted(job["output_id"] for job in told)


def test_one_bad_job_keeps_all_out_and_every_fault_is_named(house: House) -> None:
    jobs: list[Any] = [dict(SEED, **ECHO) for _ in range(5)]
    jobs[1]["format"] = "pdf"
    jobs[3] |= {"foo": 1, "queue": 2}
    answer = house.post(f"{JOBS}/bulk", as_=house.alice, json={"jobs": jobs})
    told = answer.get_json()
    assert answer.status_code == 400
    assert {f["pointer"] for f in told["errors"]} == {
        "/jobs/1/format",
        "/jobs/3/foo",
        "/jobs/3/queue",
    }
    assert told["error"].startswith("2 of 5 jobs cannot be accepted")
    assert house.get(OUTPUTS, as_=house.alice).get_json()["data"] == []


def test_bulk_faults_of_meaning_are_named_too(house: House) -> None:
    jobs: list[Any] = [dict(SEED, **ECHO) for _ in range(3)]
    jobs[2]["model"] = "mystery-1"
    told = house.post(f"{JOBS}/bulk", as_=house.alice, json={"jobs": jobs}).get_json()
    assert told["errors"][0]["pointer"] == "/jobs/2/model"
    assert house.get(OUTPUTS, as_=house.alice).get_json()["data"] == []


@pytest.mark.parametrize("jobs", [None, [], {}, "x", [1], [None], [[]], [SEED] * 1001])
def test_what_is_no_list_of_jobs_is_400(shared: House, jobs: Any) -> None:
    answer = shared.post(f"{JOBS}/bulk", as_=shared.alice, json={"jobs": jobs})
    assert answer.status_code == 400
