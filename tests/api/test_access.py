"""Who may do what: every route with every key, no key, a stranger's ids, and sly methods.

The tables below have a line for each operation; a new route without one fails the first test.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from api import openapi
from api.app import endpoints
from api.errors import PROBLEM
from api.openapi_examples import example_of
from api.routing import Endpoint
from app import accounts
from app.prompts import library
from app.prompts.definition import from_json
from models import Scope
from tests.api.house import JOBS, OUTPUTS, SEED, House, Person, document

PUBLIC, ANY, ADMINISTRATOR = "public", "any key", "administrator"

#: operation → what a key needs
NEEDS: dict[str, str] = {
    "createJob": "jobs:write",
    "createJobs": "jobs:write",
    "previewJob": "jobs:write",
    "getJob": "jobs:read",
    "explainJob": "jobs:read",
    "cancelJob": "jobs:write",
    "advanceJob": "jobs:write",
    "streamJob": "jobs:read",
    "listOutputs": "jobs:read",
    "getOutput": "jobs:read",
    "eraseOutput": "jobs:write",
    "giveFeedback": "feedback:write",
    "reRunOutput": "jobs:write",
    "regenerateOutput": "jobs:write",
    "retryFailedOutputs": "jobs:write",
    "actOnOutputs": "jobs:write",
    "listAgents": "jobs:read",
    "createAgent": "jobs:write",
    "getAgent": "jobs:read",
    "updateAgent": "jobs:write",
    "importPrompts": "templates:admin",
    "listPrompts": "jobs:read",
    "getPrompt": "jobs:read",
    "replacePrompt": "templates:admin",
    "updatePrompt": "templates:admin",
    "archivePrompt": "templates:admin",
    "publishPrompt": "templates:admin",
    "discardDraft": "templates:admin",
    "listPromptVersions": "jobs:read",
    "comparePromptVersions": "jobs:read",
    "labelPrompt": "templates:admin",
    "removePromptLabel": "templates:admin",
    "rollBackPrompt": "templates:admin",
    "listPromptUses": "jobs:read",
    "previewPrompt": "jobs:read",
    "reviewItems": "jobs:write",
    "suggestWords": "jobs:read",
    "createChat": "chat:write",
    "getChatStatus": "chat:read",
    "listChatGrants": "chat:read",
    "listChats": "chat:read",
    "getChat": "chat:read",
    "updateChat": "chat:write",
    "removeChat": "chat:write",
    "sendMessage": "chat:write",
    "listMessages": "chat:read",
    "retryMessage": "chat:write",
    "cancelMessage": "chat:write",
    "judgeMessage": "chat:write",
    "streamChat": "chat:read",
    "setChatContext": "chat:write",
    "makeChatPass": "chat:write",
    "bringAssetIntoChat": "chat:write",
    "shareChat": "chat:write",
    "unshareChat": "chat:write",
    "keepDocument": "chat:write",
    "listDocuments": "chat:read",
    "searchDocuments": "chat:read",
    "getDocument": "chat:read",
    "removeDocument": "chat:write",
    "getMe": ANY,
    "listUsers": ADMINISTRATOR,
    "createUser": ADMINISTRATOR,
    "updateUser": ADMINISTRATOR,
    "eraseUser": ADMINISTRATOR,
    "listAssetTypes": "chat:read",
    "listAssets": "chat:read",
    "createAsset": "chat:write",
    "getAsset": "chat:read",
    "updateAsset": "chat:write",
    "removeAsset": "chat:write",
    "shareAsset": "chat:write",
    "listAssetGrants": "chat:read",
    "unshareAsset": "chat:write",
    "listKeys": "keys:admin",
    "createKey": "keys:admin",
    "revokeKey": "keys:admin",
    "listModels": ANY,
    "listEndpoints": ADMINISTRATOR,
    "createEndpoint": ADMINISTRATOR,
    "updateEndpoint": ADMINISTRATOR,
    "removeEndpoint": ADMINISTRATOR,
    "listPrices": ADMINISTRATOR,
    "createPrice": ADMINISTRATOR,
    "listQueues": "ops:read",
    "pauseQueue": ADMINISTRATOR,
    "resumeQueue": ADMINISTRATOR,
    "pauseModel": ADMINISTRATOR,
    "resumeModel": ADMINISTRATOR,
    "listAuditEvents": ADMINISTRATOR,
    "checkProcess": PUBLIC,
    "checkAlive": PUBLIC,
    "checkReadiness": PUBLIC,
    "readMetrics": "ops:read",
}

#: operations that name a row of somebody: what a stranger gets, and whose row it names
OWNED: dict[str, str] = {
    "getJob": "job",
    "explainJob": "job",
    "cancelJob": "job",
    "advanceJob": "job",
    "streamJob": "job",
    "getOutput": "output",
    "eraseOutput": "output",
    "giveFeedback": "output",
    "reRunOutput": "output",
    "regenerateOutput": "output",
    "getAgent": "agent",
    "updateAgent": "agent",
    "revokeKey": "key",
    "getPrompt": "prompt",
    "replacePrompt": "prompt",
    "updatePrompt": "prompt",
    "archivePrompt": "prompt",
    "publishPrompt": "prompt",
    "discardDraft": "prompt",
    "listPromptVersions": "prompt",
    "comparePromptVersions": "prompt",
    "labelPrompt": "prompt",
    "removePromptLabel": "prompt",
    "rollBackPrompt": "prompt",
    "listPromptUses": "prompt",
    "previewPrompt": "prompt",
    "reviewItems": "output",
    "suggestWords": "output",
    "getChat": "chat",
    "listChatGrants": "chat",
    "updateChat": "chat",
    "removeChat": "chat",
    "getAsset": "asset",
    "updateAsset": "asset",
    "removeAsset": "asset",
    "shareAsset": "asset",
    "listAssetGrants": "asset",
    "unshareAsset": "asset",
    "setChatContext": "chat",
    "makeChatPass": "chat",
    "bringAssetIntoChat": "chat",
    "sendMessage": "chat",
    "listMessages": "chat",
    "retryMessage": "message",
    "cancelMessage": "message",
    "judgeMessage": "message",
    "streamChat": "chat",
    "shareChat": "chat",
    "unshareChat": "chat",
    "getDocument": "document",
    "removeDocument": "document",
}

#: operations whose path names something nobody owns
NOBODYS = {
    "updateUser",
    "eraseUser",
    "updateEndpoint",
    "removeEndpoint",
    "pauseQueue",
    "resumeQueue",
    "pauseModel",
    "resumeModel",
}

BODIES: dict[str, Any] = {
    "shareChat": {"user_id": 2},
    "shareAsset": {"user_id": 2},
    "createKey": {},
    "createAgent": {"name": "brief"},
    "createUser": {"email": "dora@example.org"},
    "updateUser": {"name": "Charlie"},
    "updateEndpoint": {"model": "large"},
}
"""What to send where the document's example would not do."""

QUERIES = {"suggestWords": "q=in", "searchDocuments": "q=in"}
"""The query of operations that cannot do without."""

EVERY = {endpoint.name: endpoint for endpoint in endpoints()}
PRIVATE = sorted(name for name, need in NEEDS.items() if need != PUBLIC)


def test_every_operation_has_its_line_here() -> None:
    assert EVERY.keys() == NEEDS.keys()
    with_arguments = {name for name, e in EVERY.items() if "<" in e.path}
    assert with_arguments == OWNED.keys() | NOBODYS


@dataclass
class Things:
    """One row of each kind, all of alice's."""

    job_id: str
    output_id: int
    agent_id: int
    key_id: int
    name: str = "nobodys"
    label: str = "production"
    chat_id: int = 10**6
    message_id: int = 10**6
    asset_id: int = 10**6
    document_id: int = 10**6


@pytest.fixture(scope="module")
def things(shared: House) -> Things:
    job = shared.ended(model="simulator/echo")
    with shared.database.write() as session:
        alice = accounts.caller_of(accounts.find_user(session, "alice@example.org"))  # type: ignore[arg-type]
        agent = accounts.create_agent(session, alice, name="hers")
        key = accounts.create_key(session, shared.alice.user_id)
        hers = from_json({"name": "hers", "messages": [{"content": "Hello"}]})
        library.store(session, alice, [hers])
        library.set_label(session, alice, "hers", label="production", version=1)
    said = {"prompt": "Hello", "model": "simulator/echo"}
    chat = shared.post("/api/v1/chats", as_=shared.alice, json=said).get_json()
    stored = {"type": "metric_file", "name": "hers", "content": 1}
    asset = shared.post("/api/v1/assets", as_=shared.alice, json=stored).get_json()
    text = {"key": "hers.md", "title": "Hers", "text": "Whales."}
    kept = shared.post("/api/v1/documents", as_=shared.alice, json=text).get_json()
    return Things(
        job["job_id"],
        job["output_id"],
        agent.id,
        key.key.id,
        name="hers",
        chat_id=chat["id"],
        message_id=chat["message_ids"][1],
        asset_id=asset["id"],
        document_id=kept["id"],
    )


def path_for(endpoint: Endpoint, things: Things) -> str:
    """The operation's path with alice's ids in it."""
    user_id = 999 if endpoint.name == "eraseUser" else 3  # people are needed again
    names = {
        **vars(things),
        "user_id": user_id,
        "queue": "low",
        "model": "gpt-4",
        "endpoint": "none",
    }
    return openapi.path_of(endpoint).format(**names)


def body_for(endpoint: Endpoint) -> dict[str, Any]:
    """A body its schema accepts; nothing for operations without."""
    if endpoint.method == "GET":
        return {}
    if endpoint.body is None:
        return {}
    schemas = document()["components"]["schemas"]
    example = next(iter(endpoint.examples.values()), None)
    sent = BODIES.get(endpoint.name, example)
    if sent is None:
        sent = example_of(schemas[endpoint.body.__name__], schemas)
    return {"data": json.dumps(sent), "content_type": "application/json"}


def try_it(house: House, endpoint: Endpoint, path: str, as_: Person | None, **kw: Any) -> Any:
    sent = body_for(endpoint)
    if "?" not in path:
        sent |= query_for(endpoint)
    return house.call(endpoint.method, path, as_=as_, buffered=False, **sent, **kw)


def query_for(endpoint: Endpoint) -> dict[str, str]:
    """A query without which the operation is refused; nothing for most."""
    return {"query_string": QUERIES[endpoint.name]} if endpoint.name in QUERIES else {}


@pytest.mark.parametrize("name", PRIVATE)
def test_without_a_key_or_with_a_wrong_one_it_is_401(
    shared: House, things: Things, name: str
) -> None:
    path = path_for(EVERY[name], things)
    key = shared.alice.key
    for authorization in (
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {key}",
        key,
        f"Bearer {key} x",
        f"Bearer {key[:-1]}",
        f"Bearer {key.swapcase()}",
        f"Bearer {key}x",
        f"Bearer {'x' * 10_000}",
        "Bearer ljk_live_" + "0" * 60,
        "Bearer schl\u00fcssel",
    ):
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = try_it(shared, EVERY[name], path, None, headers=headers)
        assert answer.status_code == 401, authorization
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.content_type == PROBLEM


@pytest.mark.parametrize("name", PRIVATE)
def test_the_key_is_taken_from_its_header_only(shared: House, things: Things, name: str) -> None:
    endpoint, key = EVERY[name], shared.alice.key
    path = path_for(endpoint, things)
    for query in (f"?api_key={key}", f"?access_token={key}", f"?key={key}"):
        assert try_it(shared, endpoint, path + query, None).status_code == 401
    cookie = {"Cookie": f"Authorization=Bearer {key}; session={key}"}
    assert try_it(shared, endpoint, path, None, headers=cookie).status_code == 401
    assert try_it(shared, endpoint, path, None, headers={"X-Api-Key": key}).status_code == 401


@pytest.fixture(scope="module")
def limited(shared: House) -> dict[str, Person]:
    """ada, an administrator, with one key for each scope."""
    return {scope.value: shared.key_for(shared.ada, [scope.value]) for scope in Scope}


@pytest.mark.parametrize("name", PRIVATE)
def test_a_key_needs_the_scope_of_the_route(
    shared: House, things: Things, limited: dict[str, Person], name: str
) -> None:
    endpoint, need = EVERY[name], NEEDS[name]
    path = path_for(endpoint, things).replace("/low/", "/none/")  # nothing is paused for real
    for scope, person in limited.items():
        answer = try_it(shared, endpoint, path, person)
        suffices = need == ANY or scope == ("keys:admin" if need == ADMINISTRATOR else need)
        assert (answer.status_code != 403) == suffices, scope
        if not suffices:
            assert answer.content_type == PROBLEM
        answer.close()


@pytest.mark.parametrize("name", PRIVATE)
def test_members_are_kept_from_what_administrators_may(
    shared: House, things: Things, name: str
) -> None:
    answer = try_it(shared, EVERY[name], path_for(EVERY[name], things), shared.charlie)
    kept = NEEDS[name] in (ADMINISTRATOR, "ops:read")
    assert (answer.status_code == 403) == kept
    answer.close()


@pytest.mark.parametrize("name", sorted(OWNED))
def test_a_strangers_id_and_an_unknown_one_are_the_same_404(
    shared: House, things: Things, name: str
) -> None:
    endpoint = EVERY[name]
    unknown = Things("0d9f6a52-7c1e-4d2b-9a57-3f6f0c2f1b11", 10**6, 10**6, 10**6)
    strangers = try_it(shared, endpoint, path_for(endpoint, things), shared.charlie)
    nobodys = try_it(shared, endpoint, path_for(endpoint, unknown), shared.charlie)
    assert (strangers.status_code, nobodys.status_code) == (404, 404)
    ours, theirs = strangers.get_json(force=True), nobodys.get_json(force=True)
    assert ours.keys() == theirs.keys()
    code = "asset_not_found" if OWNED[name] == "asset" else "not_found"
    assert ours["code"] == theirs["code"] == code


ODD_IDS = [
    "0",
    "-1",
    "1.5",
    "1e3",
    "abc",
    "9" * 23,
    "１",
    "1%00",
    "%00",
    "1%20",
    "%F0%9F%98%80",
    "'",
]


@pytest.mark.parametrize("name", sorted(OWNED))
def test_an_odd_id_is_404_after_the_key_was_checked(
    shared: House, things: Things, name: str
) -> None:
    endpoint = EVERY[name]
    for odd in ODD_IDS:
        path = path_for(endpoint, Things(*[odd] * 9))  # type: ignore[arg-type]
        assert try_it(shared, endpoint, path, shared.alice).status_code == 404, odd
        assert try_it(shared, endpoint, path, None).status_code == 401, odd


@pytest.mark.parametrize("name", PRIVATE)
def test_a_trailing_slash_or_head_or_an_override_opens_no_door(
    shared: House, things: Things, name: str
) -> None:
    endpoint = EVERY[name]
    path = path_for(endpoint, things)
    with_slash = try_it(shared, endpoint, path + "/", None).status_code
    assert with_slash == (404 if "<path:" in endpoint.path else 401)
    options = shared.call("OPTIONS", path)
    assert (options.status_code, options.data) == (204, b"")
    assert endpoint.method in options.headers["Allow"]
    if endpoint.method == "GET":
        head = shared.call("HEAD", path)
        assert head.status_code == 401
        assert not head.data
    for header in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        overridden = shared.call(
            "GET", path, headers={header: endpoint.method}, query_string={"_method": "DELETE"}
        )
        assert overridden.status_code in (401, 405)


def test_head_answers_like_get_without_a_body(shared: House, things: Things) -> None:
    for path in (f"{OUTPUTS}/{things.output_id}", OUTPUTS, f"{JOBS}/{things.job_id}/events"):
        head = shared.call("HEAD", path, as_=shared.alice)
        assert (head.status_code, head.data) == (200, b"")


def test_an_override_does_not_turn_a_post_into_a_delete(house: House) -> None:
    job = house.ended(model="simulator/echo")
    house.post(
        f"{OUTPUTS}/{job['output_id']}/feedback",
        as_=house.alice,
        json={"feedback_type": "none"},
        headers={"X-HTTP-Method-Override": "DELETE"},
    )
    row = house.get(f"{OUTPUTS}/{job['output_id']}", as_=house.alice).get_json()
    assert row["erased_at"] is None


def test_bob_never_sees_alices_rows_in_a_list(house: House) -> None:
    mine = house.submit(house.bob, model="simulator/echo")["output_id"]
    for _ in range(3):
        house.submit(house.alice, model="simulator/echo")
    listed = house.get(OUTPUTS, as_=house.bob).get_json()["data"]
    assert [row["id"] for row in listed] == [mine]
    assert house.get(f"{OUTPUTS}?all_users=true", as_=house.bob).status_code == 403
    assert house.get(f"{OUTPUTS}?user_id={house.alice.user_id}", as_=house.bob).status_code == 403
    assert len(house.get(f"{OUTPUTS}?all_users=true", as_=house.ada).get_json()["data"]) == 4


def test_a_revoked_or_expired_key_and_an_inactive_user_are_401(house: House) -> None:
    other = house.key_for(house.alice, None)
    keys = house.get("/api/v1/keys", as_=other).get_json()["data"]
    assert house.call("DELETE", f"/api/v1/keys/{keys[0]['id']}", as_=other).status_code == 200
    assert house.get("/api/v1/me", as_=other).status_code == 401
    body = {"expires_at": "2020-01-01T00:00:00Z"}
    expired = house.post("/api/v1/keys", as_=house.alice, json=body).get_json()["key"]
    headers = {"Authorization": f"Bearer {expired}"}
    assert house.get("/api/v1/me", headers=headers).status_code == 401
    path = f"/api/v1/users/{house.bob.user_id}"
    house.call("PATCH", path, as_=house.ada, json={"active": False})
    assert house.get("/api/v1/me", as_=house.bob).status_code == 401


def test_another_users_secret_does_not_open_my_key(house: House) -> None:
    mine, theirs = house.alice.key, house.bob.key
    mixed = mine[:20] + theirs[20:]
    headers = {"Authorization": f"Bearer {mixed}"}
    assert house.get("/api/v1/me", headers=headers).status_code == 401


def test_a_limited_key_cannot_make_itself_an_unlimited_one(house: House) -> None:
    limited = house.key_for(house.alice, ["keys:admin", "jobs:read"])
    made = house.post("/api/v1/keys", as_=limited, json={}).get_json()
    assert set(made["scopes"]) == {"keys:admin", "jobs:read"}
    more = house.post("/api/v1/keys", as_=limited, json={"scopes": ["jobs:write"]})
    assert more.status_code == 403
    others = house.post("/api/v1/keys", as_=house.alice, json={"user_id": house.bob.user_id})
    assert others.status_code == 403


def test_nothing_is_stored_for_a_caller_without_a_key(house: House) -> None:
    house.post(JOBS, json=SEED)
    assert house.get(f"{OUTPUTS}?all_users=true", as_=house.ada).get_json()["data"] == []
