"""Every status the document promises can be reached: one scenario each, or a reason why not.

A new status without a line here fails the first test; a line whose status does not come fails too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import AnyHttpUrl

from api import openapi
from api.app import endpoints
from app import accounts
from app.endpoint_settings import Configured, Endpoint, Origin
from app.errors import Unavailable
from app.limits import Allowance
from models import LLMOutput
from tests.api.house import JOBS, OUTPUTS, SEED, House, empty, move_in
from tests.api.test_access import NEEDS, Things, body_for, path_for, query_for
from tests.api.test_operations import work

ECHO = {"model": "simulator/echo"}
PROMPTS = "/api/v1/prompts"
UNNAMED = {"messages": [{"content": "Good evening"}]}
DRAFT = {"name": "mine", **UNNAMED}
LABEL = {"label": "production", "version": 1}
EVERY = {endpoint.name: endpoint for endpoint in endpoints()}
PROMISED = {
    (endpoint.name, status)
    for endpoint in endpoints()
    for status in (*endpoint.answers, *openapi.refusals(endpoint))
}
UNKNOWN = Things("0d9f6a52-7c1e-4d2b-9a57-3f6f0c2f1b11", 10**6, 10**6, 10**6)


def call(house: House, name: str, path: str = "", **kw: Any) -> Any:
    """An ordinary request of ada's; `kw` says what is not ordinary about it."""
    endpoint = EVERY[name]
    sent = {"as_": house.ada, **body_for(endpoint), **query_for(endpoint), **kw}
    response = house.call(endpoint.method, path or path_for(endpoint, UNKNOWN), **sent)
    response.close()
    return response


# What every operation of a kind can end with


def refuse_query(house: House, name: str) -> Any:
    return call(house, name, query_string={"no_such_parameter": "1"})


def no_key(house: House, name: str) -> Any:
    return call(house, name, as_=None)


def wrong_scope(house: House, name: str) -> Any:
    other = "jobs:read" if NEEDS[name].startswith("chat:") else "chat:read"
    return call(house, name, as_=house.key_for(house.ada, [other]))


def unknown_id(house: House, name: str) -> Any:
    path = path_for(EVERY[name], UNKNOWN).replace("/users/3", "/users/999")
    path = path.replace("/low/", "/none/").replace("gpt-4", "m" * 300)
    return call(house, name, path)


def too_large(house: House, name: str) -> Any:
    size = EVERY[name].body_limits.max_bytes
    return call(house, name, data=b"{" + b" " * size, content_type="application/json")


def wrong_type(house: House, name: str) -> Any:
    return call(house, name, data=b"{}", content_type="text/plain")


def rate_spent(house: House, name: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        spent = Allowance(False, 1, 0, 60, 60)
        patch.setattr("app.limits.RateLimiter.check", lambda *_, **__: spent)
        return call(house, name)


def database_away(house: House, name: str) -> Any:
    def away(*_: Any, **__: Any) -> None:
        raise Unavailable("The database is not available")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.db.Database.read", away)
        return call(house, name)


OF_ALL: dict[int, Callable[[House, str], Any]] = {
    400: refuse_query,
    401: no_key,
    403: wrong_scope,
    404: unknown_id,
    413: too_large,
    415: wrong_type,
    429: rate_spent,
    503: database_away,
}


# What only one can


def done(name: str, **kw: Any) -> Callable[[House], Any]:
    return lambda house: call(house, name, **kw)


def on_job(name: str, *, ended: bool = False, **kw: Any) -> Callable[[House], Any]:
    """The operation on a job of ada's."""

    def act(house: House) -> Any:
        job = house.ended(house.ada, **ECHO) if ended else house.submit(house.ada, **ECHO)
        return call(house, name, path_for(EVERY[name], things_of(job)), **kw)

    return act


def on_agent(name: str) -> Callable[[House], Any]:
    def act(house: House) -> Any:
        made = house.post("/api/v1/agents", as_=house.ada, json={"name": "x"}).get_json()
        return call(house, name, f"/api/v1/agents/{made['id']}")

    return act


def things_of(job: dict[str, Any]) -> Things:
    return Things(job["job_id"], job["output_id"], 1, 1)


def unchanged(name: str) -> Callable[[House], Any]:
    def act(house: House) -> Any:
        path = path_for(EVERY[name], things_of(house.ended(house.ada, **ECHO)))
        etag = call(house, name, path).headers["ETag"]
        return call(house, name, path, headers={"If-None-Match": etag})

    return act


def without_allowance(name: str) -> Callable[[House], Any]:
    def act(house: House) -> Any:
        job = house.ended(house.ada, **ECHO)
        with house.database.write() as session:
            ada = accounts.caller_of(accounts.find_user(session, "ada@example.org"))  # type: ignore[arg-type]
            accounts.update_user(session, ada, house.ada.user_id, token_allowance=0)
        return call(house, name, path_for(EVERY[name], things_of(job)))

    return act


def with_body(name: str, body: Any) -> Callable[[House], Any]:
    return lambda house: call(house, name, data=None, content_type=None, json=body)


def unparsable_regeneration(house: House) -> Any:
    path = f"{OUTPUTS}/{house.ended(house.ada, **ECHO)['output_id']}/regenerate"
    return house.post(path, as_=house.ada, json={"template": "{{x"})


def erased_variables(house: House) -> Any:
    """A strict parent whose template is of old: accepted then, refused when it is run again."""
    job = house.ended(house.ada, strict=True, **ECHO)
    with house.database.write() as session:
        session.get_one(LLMOutput, job["output_id"]).context = {}
    return house.post(f"{OUTPUTS}/{job['output_id']}/re_run", as_=house.ada)


def taken_address(house: House) -> Any:
    return house.post("/api/v1/users", as_=house.ada, json={"email": "bob@example.org"})


def last_administrator(house: House) -> Any:
    path = f"/api/v1/users/{house.ada.user_id}"
    return house.call("PATCH", path, as_=house.ada, json={"active": False})


def erase_last_administrator(house: House) -> Any:
    return house.post(f"/api/v1/users/{house.ada.user_id}/erase", as_=house.ada)


def ready(house: House) -> Any:
    work(house, "w1")
    return house.get("/readyz")


def over(house: House) -> Any:
    job = house.ended(house.ada, **ECHO)
    path = f"{JOBS}/{job['job_id']}/events"
    return house.get(path, as_=house.ada, headers={"Last-Event-ID": "end"})


def on_prompt(name: str, *before: tuple[str, Any], **kw: Any) -> Callable[[House], Any]:
    """The operation on a prompt of ada's of two versions, after `before` (addresses, bodies)."""

    def act(house: House) -> Any:
        for text in ("Hello", "Goodbye"):
            sent = {"name": "mine", "messages": [{"content": text}]}
            house.post(PROMPTS, as_=house.ada, json=sent)
        for path, body in before:
            assert house.post(f"{PROMPTS}{path}", as_=house.ada, json=body).status_code < 300
        return call(house, name, path_for(EVERY[name], prompts_things()), **kw)

    return act


def prompts_things() -> Things:
    return Things("", 1, 1, 1, name="mine")


def shared_name_taken(house: House) -> Any:
    for person in (house.alice, house.ada):
        house.post(PROMPTS, as_=person, json={"name": "mine", "messages": [{"content": "Hello"}]})
    path = f"{PROMPTS}/mine"
    house.call("PATCH", path, as_=house.alice, json={"shared": True})
    return house.call("PATCH", path, as_=house.ada, json={"shared": True})


def without_a_file(house: House) -> Any:
    asked = {"name": "mine", "messages": [{"content": "<FILECONTEXT>a.txt</FILECONTEXT>"}]}
    house.post(PROMPTS, as_=house.ada, json=asked)
    return call(house, "previewPrompt", f"{PROMPTS}/mine/preview")


def on_endpoint(name: str) -> Callable[[House], Any]:
    """The operation on an endpoint that was registered before."""

    def act(house: House) -> Any:
        assert call(house, "createEndpoint").status_code == 201
        body = json.loads(body_for(EVERY["createEndpoint"])["data"])
        return call(house, name, path_of_endpoint(name, body["name"]))

    return act


def on_endpoint_of_the_settings(name: str) -> Callable[[House], Any]:
    """The operation on an endpoint that is changed where it is set."""

    def act(house: House) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            ours = Configured(Endpoint(base_url=AnyHttpUrl("http://127.0.0.1:9")), Origin.SETTINGS)
            patch.setattr("app.settings.Settings.registered_endpoints", {"ours": ours})
            return call(house, name, path_of_endpoint(name, "ours"))

    return act


def path_of_endpoint(name: str, endpoint: str) -> str:
    return openapi.path_of(EVERY[name]).format(endpoint=endpoint)


CHATS = "/api/v1/chats"
SAID = {"prompt": "Hello", "model": "simulator/echo"}


def brought_in(*, again: bool = False, busy: bool = False) -> Callable[[House], Any]:
    """An asset of ada's brought into a chat of hers."""

    def act(house: House) -> Any:
        kept = {"type": "metric_file", "name": "m", "content": [1]}
        made = house.post("/api/v1/assets", as_=house.ada, json=kept).get_json()
        said = SAID if busy else {"model": "simulator/echo"}
        chat = house.post(CHATS, as_=house.ada, json=said).get_json()
        path = f"{CHATS}/{chat['id']}/assets"
        named = {"asset_type": "metric_file", "asset_id": str(made["id"])}
        if again:
            house.post(path, as_=house.ada, json=named)
        return house.post(path, as_=house.ada, json=named)

    return act


def about_nothing(house: House) -> Any:
    sent = {"asset_type": "metric_file", "asset_id": "999"}
    return house.post("/api/v1/chats", as_=house.ada, json=sent)


def on_asset(name: str, *, by_another: bool = False) -> Callable[[House], Any]:
    """The operation on an asset of alice's that everybody may read, and into which ada was let."""

    def act(house: House) -> Any:
        kept = {"type": "metric_file", "name": "m", "content": [1], "shared": True}
        made = house.post("/api/v1/assets", as_=house.alice, json=kept).get_json()
        grants = f"/api/v1/assets/{made['id']}/grants"
        house.post(grants, as_=house.alice, json={"user_id": house.ada.user_id})
        path = EVERY[name].path.replace("<row:asset_id>", str(made["id"]))
        path = path.replace("<row:user_id>", str(house.ada.user_id))
        return call(house, name, path=path, as_=house.bob if by_another else house.alice)

    return act


def on_chat(name: str, *, ended: str = "", of_question: bool = False) -> Callable[[House], Any]:
    """The operation on a chat of ada's of one turn, which has `ended` in some way."""

    def act(house: House) -> Any:
        chat = house.post(CHATS, as_=house.ada, json=SAID).get_json()
        question, answer = chat["message_ids"]
        job = {"job_id": chat["job"]["id"], "output_id": chat["messages"][str(answer)]["output_id"]}
        if ended == "complete":
            house.complete(job)
        elif ended == "fail":
            house.fail(job)
        if name == "unshareChat":
            grant = {"user_id": house.charlie.user_id}
            house.post(f"{CHATS}/{chat['id']}/grants", as_=house.ada, json=grant)
        to = things_of(job)
        to.chat_id, to.message_id = chat["id"], question if of_question else answer
        return call(house, name, path_for(EVERY[name], to))

    return act


def told_twice(name: str) -> Callable[[House], Any]:
    """The same client_message_id a second time."""

    def act(house: House) -> Any:
        body = {**SAID, "client_message_id": "c"}
        path = CHATS
        if name == "sendMessage":
            chat = house.post(CHATS, as_=house.ada, json={"model": "simulator/echo"}).get_json()
            path, body = (
                f"{CHATS}/{chat['id']}/messages",
                {"content": "x", "client_message_id": "c"},
            )
        house.post(path, as_=house.ada, json=body)
        return house.post(path, as_=house.ada, json=body)

    return act


def removed_before(house: House) -> Any:
    body = {**SAID, "client_message_id": "c"}
    chat = house.post(CHATS, as_=house.ada, json=body).get_json()
    house.call("DELETE", f"{CHATS}/{chat['id']}", as_=house.ada)
    return house.post(CHATS, as_=house.ada, json=body)


def of_a_step(house: House) -> Any:
    chat = house.post(CHATS, as_=house.alice, json={**SAID, "step_id": "s"}).get_json()
    return house.call("DELETE", f"{CHATS}/{chat['id']}", as_=house.alice)


def its_creator(name: str) -> Callable[[House], Any]:
    def act(house: House) -> Any:
        things, made = CHATS, SAID
        if name.endswith("Asset"):
            things, made = "/api/v1/assets", {"type": "m", "name": "m", "content": 1}
        thing = house.post(things, as_=house.ada, json=made).get_json()
        path, me = f"{things}/{thing['id']}/grants", house.ada.user_id
        if name.startswith("unshare"):
            return house.call("DELETE", f"{path}/{me}", as_=house.ada)
        return house.post(path, as_=house.ada, json={"user_id": me})

    return act


DOCUMENTS = "/api/v1/documents"
TEXT = {"key": "a.md", "title": "A", "text": "Whales."}


def on_document(name: str) -> Callable[[House], Any]:
    """The operation on a document of ada's."""

    def act(house: House) -> Any:
        kept = house.post(DOCUMENTS, as_=house.ada, json=TEXT).get_json()
        path = openapi.path_of(EVERY[name]).format(document_id=kept["id"])
        return call(house, name, path)

    return act


def kept_before(house: House) -> Any:
    house.post(DOCUMENTS, as_=house.ada, json=TEXT)
    return house.post(DOCUMENTS, as_=house.ada, json=TEXT)


def strangers_user(name: str) -> Callable[[House], Any]:
    return with_body(name, {"name": "x", "user_id": 999})


OWN: dict[tuple[str, int], Callable[[House], Any]] = {
    ("createJob", 201): done("createJob"),
    ("createJob", 402): without_allowance("createJob"),
    ("createJob", 404): with_body("createJob", {**SEED, "agent_id": 999}),
    ("createJob", 422): with_body("createJob", {**SEED, "template": "{{x"}),
    ("createJobs", 201): done("createJobs"),
    ("createJobs", 402): without_allowance("createJobs"),
    ("previewJob", 200): done("previewJob"),
    ("previewJob", 404): with_body("previewJob", {**SEED, "agent_id": 999}),
    ("previewJob", 422): with_body("previewJob", {**SEED, "template": "{{x"}),
    ("getJob", 200): on_job("getJob"),
    ("getJob", 304): unchanged("getJob"),
    ("explainJob", 200): on_job("explainJob"),
    ("cancelJob", 200): on_job("cancelJob"),
    ("cancelJob", 409): on_job("cancelJob", ended=True),
    ("advanceJob", 200): on_job("advanceJob"),
    ("advanceJob", 409): on_job("advanceJob", ended=True),
    ("streamJob", 200): on_job("streamJob", ended=True),
    ("streamJob", 204): over,
    ("listOutputs", 200): done("listOutputs"),
    ("getOutput", 200): on_job("getOutput"),
    ("getOutput", 304): unchanged("getOutput"),
    ("eraseOutput", 204): on_job("eraseOutput", ended=True),
    ("eraseOutput", 409): on_job("eraseOutput"),
    ("giveFeedback", 200): on_job("giveFeedback"),
    ("reRunOutput", 201): on_job("reRunOutput", ended=True),
    ("reRunOutput", 402): without_allowance("reRunOutput"),
    ("reRunOutput", 409): on_job("reRunOutput"),
    ("reRunOutput", 422): erased_variables,
    ("regenerateOutput", 201): on_job("regenerateOutput", ended=True),
    ("regenerateOutput", 402): without_allowance("regenerateOutput"),
    ("regenerateOutput", 409): on_job("regenerateOutput"),
    ("regenerateOutput", 422): unparsable_regeneration,
    ("actOnOutputs", 200): done("actOnOutputs"),
    ("retryFailedOutputs", 200): done("retryFailedOutputs"),
    ("listAuditEvents", 200): done("listAuditEvents"),
    ("listAgents", 200): done("listAgents"),
    ("createAgent", 201): done("createAgent"),
    ("createAgent", 404): strangers_user("createAgent"),
    ("getAgent", 200): on_agent("getAgent"),
    ("updateAgent", 200): on_agent("updateAgent"),
    ("importPrompts", 201): done("importPrompts"),
    ("importPrompts", 404): done("importPrompts", query_string={"user_id": "999"}),
    ("importPrompts", 422): with_body("importPrompts", {"messages": [{"role": "boss"}]}),
    ("listPrompts", 200): done("listPrompts"),
    ("getPrompt", 200): on_prompt("getPrompt"),
    ("replacePrompt", 200): on_prompt("replacePrompt", json=UNNAMED, data=None, content_type=None),
    ("replacePrompt", 422): with_body("replacePrompt", {"messages": []}),
    ("updatePrompt", 200): on_prompt("updatePrompt"),
    ("updatePrompt", 409): shared_name_taken,
    ("archivePrompt", 204): on_prompt("archivePrompt"),
    ("publishPrompt", 200): on_prompt("publishPrompt", ("?publish=false", DRAFT)),
    ("publishPrompt", 409): on_prompt("publishPrompt"),
    ("discardDraft", 204): on_prompt("discardDraft", ("?publish=false", DRAFT)),
    ("discardDraft", 409): on_prompt("discardDraft"),
    ("listPromptVersions", 200): on_prompt("listPromptVersions"),
    ("comparePromptVersions", 200): on_prompt("comparePromptVersions"),
    ("labelPrompt", 200): on_prompt("labelPrompt", json=LABEL, data=None, content_type=None),
    ("labelPrompt", 409): on_prompt("labelPrompt", ("?publish=false", DRAFT)),
    ("removePromptLabel", 204): on_prompt("removePromptLabel", ("/mine/labels", LABEL)),
    ("rollBackPrompt", 200): on_prompt("rollBackPrompt", json={}, data=None, content_type=None),
    ("rollBackPrompt", 409): on_prompt(
        "rollBackPrompt", ("/mine/labels", LABEL), json={}, data=None, content_type=None
    ),
    ("listPromptUses", 200): on_prompt("listPromptUses"),
    ("previewPrompt", 200): on_prompt("previewPrompt"),
    ("previewPrompt", 422): without_a_file,
    ("reviewItems", 200): on_job("reviewItems", ended=True),
    ("reviewItems", 409): on_job("reviewItems"),
    ("suggestWords", 200): on_job("suggestWords", ended=True),
    ("listEndpoints", 200): done("listEndpoints"),
    ("createEndpoint", 201): done("createEndpoint"),
    ("createEndpoint", 409): on_endpoint("createEndpoint"),
    ("updateEndpoint", 200): on_endpoint("updateEndpoint"),
    ("updateEndpoint", 409): on_endpoint_of_the_settings("updateEndpoint"),
    ("removeEndpoint", 204): on_endpoint("removeEndpoint"),
    ("removeEndpoint", 409): on_endpoint_of_the_settings("removeEndpoint"),
    ("createChat", 201): done("createChat"),
    ("createChat", 200): told_twice("createChat"),
    ("createChat", 409): removed_before,
    ("listChats", 200): done("listChats"),
    ("getChat", 200): on_chat("getChat"),
    ("updateChat", 200): on_chat("updateChat"),
    ("removeChat", 204): on_chat("removeChat"),
    ("removeChat", 409): of_a_step,
    ("sendMessage", 201): on_chat("sendMessage", ended="complete"),
    ("sendMessage", 200): told_twice("sendMessage"),
    ("sendMessage", 409): on_chat("sendMessage"),
    ("listMessages", 200): on_chat("listMessages"),
    ("retryMessage", 201): on_chat("retryMessage", ended="fail"),
    ("retryMessage", 409): on_chat("retryMessage", ended="complete"),
    ("cancelMessage", 200): on_chat("cancelMessage"),
    ("cancelMessage", 409): on_chat("cancelMessage", ended="complete"),
    ("judgeMessage", 200): on_chat("judgeMessage", ended="complete"),
    ("judgeMessage", 409): on_chat("judgeMessage", of_question=True),
    ("streamChat", 200): on_chat("streamChat"),
    ("getChatStatus", 200): done("getChatStatus"),
    ("createChat", 404): about_nothing,
    ("listAssetTypes", 200): done("listAssetTypes"),
    ("listAssets", 200): done("listAssets"),
    ("createAsset", 201): done("createAsset"),
    ("getAsset", 200): on_asset("getAsset"),
    ("updateAsset", 200): on_asset("updateAsset"),
    ("removeAsset", 204): on_asset("removeAsset"),
    ("updateAsset", 403): on_asset("updateAsset", by_another=True),
    ("removeAsset", 403): on_asset("removeAsset", by_another=True),
    ("shareAsset", 200): on_asset("shareAsset"),
    ("shareAsset", 403): on_asset("shareAsset", by_another=True),
    ("shareAsset", 409): its_creator("shareAsset"),
    ("listAssetGrants", 200): on_asset("listAssetGrants"),
    ("listAssetGrants", 403): on_asset("listAssetGrants", by_another=True),
    ("unshareAsset", 204): on_asset("unshareAsset"),
    ("unshareAsset", 403): on_asset("unshareAsset", by_another=True),
    ("unshareAsset", 409): its_creator("unshareAsset"),
    ("makeChatPass", 201): on_chat("makeChatPass"),
    ("setChatContext", 200): on_chat("setChatContext"),
    ("bringAssetIntoChat", 201): brought_in(),
    ("bringAssetIntoChat", 200): brought_in(again=True),
    ("bringAssetIntoChat", 409): brought_in(busy=True),
    ("listChatGrants", 200): on_chat("listChatGrants"),
    ("shareChat", 200): on_chat("shareChat"),
    ("shareChat", 409): its_creator("shareChat"),
    ("unshareChat", 204): on_chat("unshareChat"),
    ("unshareChat", 409): its_creator("unshareChat"),
    ("keepDocument", 201): done("keepDocument"),
    ("keepDocument", 200): kept_before,
    ("listDocuments", 200): done("listDocuments"),
    ("searchDocuments", 200): done("searchDocuments"),
    ("getDocument", 200): on_document("getDocument"),
    ("removeDocument", 204): on_document("removeDocument"),
    ("getMe", 200): done("getMe"),
    ("listUsers", 200): done("listUsers"),
    ("createUser", 201): done("createUser"),
    ("createUser", 409): taken_address,
    ("updateUser", 200): done("updateUser"),
    ("updateUser", 409): last_administrator,
    ("eraseUser", 200): done("eraseUser", path="/api/v1/users/2/erase"),
    ("eraseUser", 409): erase_last_administrator,
    ("listKeys", 200): done("listKeys"),
    ("createKey", 201): done("createKey"),
    ("createKey", 404): strangers_user("createKey"),
    ("revokeKey", 200): done("revokeKey", path="/api/v1/keys/1"),
    ("listModels", 200): done("listModels"),
    ("listPrices", 200): done("listPrices"),
    ("createPrice", 201): done("createPrice"),
    ("listQueues", 200): done("listQueues"),
    ("pauseQueue", 200): done("pauseQueue"),
    ("resumeQueue", 200): done("resumeQueue"),
    ("pauseModel", 200): done("pauseModel"),
    ("resumeModel", 200): done("resumeModel"),
    ("checkProcess", 200): done("checkProcess"),
    ("checkAlive", 200): done("checkAlive"),
    ("checkReadiness", 200): ready,
    ("checkReadiness", 503): done("checkReadiness"),
    ("readMetrics", 200): done("readMetrics"),
}

UNREACHED: dict[tuple[str, int], str] = {}
"""(operation, status) → why no test can reach it."""


def test_every_promised_status_has_a_scenario() -> None:
    missing = {
        (name, status)
        for name, status in PROMISED
        if (name, status) not in OWN and (name, status) not in UNREACHED and status not in OF_ALL
    }
    assert missing == set()
    assert OWN.keys() | UNREACHED.keys() <= PROMISED


@pytest.mark.parametrize(("name", "status"), sorted(PROMISED - UNREACHED.keys()))
def test_a_promised_status_comes(
    house_on_sqlite: House, redis_url: str, name: str, status: int
) -> None:

    house = house_on_sqlite
    empty(house.database)
    house.people = move_in(house.database)
    special = OWN.get((name, status))
    answer = special(house) if special else OF_ALL[status](house, name)
    assert answer.status_code == status, answer.text
