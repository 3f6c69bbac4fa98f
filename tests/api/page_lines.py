"""Every page and what four people meet there: nobody, alice who owns the row, bob the stranger, ada
who administrates. A new page needs a line, or `test_pages_frame.py` fails.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from api.web.pages import Page
from api.web.site import all_pages
from app import accounts
from app.prompts import library
from app.prompts.definition import Definition, PromptMessage, Step
from models import Base, SavedView
from tests.api.house import House

SEES, SIGN_IN, FORBIDDEN, UNSEEN = "sees it", "must sign in", "may not", "does not find it"


@dataclass(frozen=True)
class Line:
    """What four people meet."""

    nobody: str
    owner: str
    stranger: str
    administrator: str


OPEN = Line(SEES, SEES, SEES, SEES)
OWN = Line(SIGN_IN, SEES, SEES, SEES)
ROW = Line(SIGN_IN, SEES, UNSEEN, SEES)
ONLY_OWNER = Line(SIGN_IN, SEES, UNSEEN, UNSEEN)
ADMINISTRATORS = Line(SIGN_IN, FORBIDDEN, FORBIDDEN, SEES)

LINES = {
    "home": OPEN,
    "sign_in_form": OPEN,
    "sign_in_now": OPEN,
    "sign_out_now": OPEN,
    **dict.fromkeys(
        (
            "account",
            "change_password",
            "own_keys",
            "create_own_key",
            "outputs",
            "outputs_summary",
            "outputs_rows",
            "output_news",
            "outputs_many",
            "do_to_many",
            "export_outputs",
            "save_view",
            "submit",
            "submit_now",
            "preview_now",
            "platform_health",
            "quality_page",
            "quality_csv",
            "compare_quality",
            "prompts",
            "new_prompt",
            "create_prompt",
            "preview_prompt",
            "import_prompts",
            "import_prompts_now",
            "chats_page",
            "chat_availability",
            "start_chat",
            "choose_other",  # a redirect to where a stranger finds nothing; it tells nothing
        ),
        OWN,
    ),
    **dict.fromkeys(
        (
            "output",
            "task",
            "give_feedback",
            "re_run",
            "cancel",
            "advance",
            "erase_form",
            "erase",
            "render_answer",
            "download",
            "events",
            "compare",
            "regenerate_form",
            "regenerate",
            "regenerate_preview",
            "side_by_side",
            "one_answer",
            "correct_items",
            "suggested_words",
            "chat",
            "chat_thread",
            "chat_news",
            "say_in_chat",
            "retry_in_chat",
            "stop_in_chat",
            "judge_in_chat",
            "rename_chat",
            "share_chat_with",
            "unshare_chat_with",
            "remove_chat_now",
            "prompt",
            "prompt_diff",
            "download_prompt",
            "edit_prompt",
            "change_prompt",
            "publish_prompt",
            "discard_prompt_draft",
            "label_prompt",
            "unlabel_prompt",
            "roll_back_prompt",
            "share_prompt",
            "ask_archive_prompt",
            "archive_prompt",
        ),
        ROW,
    ),
    **dict.fromkeys(
        ("renew_own_key", "ask_revoke_own_key", "revoke_own_key", "delete_view"), ONLY_OWNER
    ),
    **dict.fromkeys(
        (
            "admin_keys",
            "create_any_key",
            "renew_any_key",
            "ask_revoke_any_key",
            "revoke_any_key",
            "queues",
            "ask_pause",
            "pause",
            "resume",
            "ask_retry",
            "retry_all",
            "admin",
            "agents",
            "limits",
            "effective_settings",
            "health_checks",
            "audit_trail",
            "users",
            "create_user",
            "user",
            "change_user",
            "set_user_password",
            "providers",
            "try_provider",
            "endpoints",
            "create_endpoint",
            "change_endpoint",
            "remove_endpoint",
            "prices",
            "set_price",
        ),
        ADMINISTRATORS,
    ),
}
"""Page → what people meet."""

#: What stands in every form that is sent; the rest of it is empty.
FILLED = {"kind": "queue", "name": "low"}

#: Answers that are no pages of ours but what a model wrote, files and streams: their own headers.
OWN_HEADERS = {
    "chat_news",
    "download_prompt",
    "render_answer",
    "download",
    "events",
    "output_news",
    "export_outputs",
    "quality_csv",
}

PAGES = {page.name.removeprefix("page_"): page for page in all_pages()}
FORMS = [name for name, page in PAGES.items() if page.method == "POST"]


def address(house: House, page: Page) -> str:
    """A page's address with things of alice's in it, made for this request."""
    path = page.path
    if "key_id" in path:
        with house.database.write() as session:
            made = accounts.create_key(session, house.alice.user_id)
            path = path.replace("<row:key_id>", str(made.key.id))
    if "view_id" in path:
        with house.database.write() as session:
            view = SavedView(
                user_id=house.alice.user_id, name=f"{secrets.token_hex(8)}", query="q=x"
            )
            session.add(view)
            session.flush()
            path = path.replace("<row:view_id>", str(view.id))
    if "comparison_id" in path:
        metadata = {"compare": "c1"}
        row = house.submit(metadata=metadata)["output_id"]
        path = path.replace("<comparison_id>", "c1").replace("<row:output_id>", str(row))
        return f"{path}?ids={row}"
    if "output_id" in path or "job_id" in path:
        job = house.ended(format="markdown")
        path = path.replace("<row:output_id>", str(job["output_id"]))
        path = path.replace("<job:job_id>", job["job_id"])
        path = path.replace("<row:other>", str(house.ended()["output_id"]))
    if "chat_id" in path or "message_id" in path:
        chat_id, message_id = chat_of_alice(house)
        path = path.replace("<row:chat_id>", str(chat_id))
        path = path.replace("<row:message_id>", str(message_id))
    if path.startswith("/prompts/<name>"):
        path = path.replace("<name>", prompt_of_alice(house))
        path = re.sub(r"<any\((\w+),[^>]*>", r"\1", path)
        return f"{path}?user_id={house.alice.user_id}"
    path = path.replace("<row:user_id>", str(house.bob.user_id))
    path = path.replace("<what>", "raw").replace("<code>", "timeout")
    path = re.sub(r"<any\((\w+),[^>]*>", r"\1", path)
    if path.endswith("/pause"):
        path += "?kind=queue&name=low"
    assert "<" not in path, f"{page.name}: say what stands for the argument in {page.path}"
    return path


def chat_of_alice(house: House) -> tuple[int, int]:
    """A chat with a question and its answer, and the answer's number."""
    said = {"prompt": "Hello", "model": "simulator/echo"}
    made = house.post("/api/v1/chats", as_=house.alice, json=said).get_json()
    return made["id"], made["message_ids"][1]


def prompt_of_alice(house: House) -> str:
    """A private prompt with two versions and a draft."""
    name = f"p{secrets.token_hex(6)}"
    alice = accounts.Caller(user_id=house.alice.user_id, email="", name="alice")
    for number, text in enumerate(("Hello {{who}}", "Good day, {{who}}", "Dear {{who}}")):
        definition = Definition(name=name, steps=(Step(messages=(PromptMessage("user", text),)),))
        with house.database.write() as session:
            library.store(session, alice, [definition], publish=number < 2)
    return name


def dump(house: House) -> dict[str, list[Any]]:
    """Every row of every table."""
    with house.database.read() as session:
        return {
            table.name: sorted(map(repr, session.execute(select(table)).all()))
            for table in Base.metadata.sorted_tables
        }
