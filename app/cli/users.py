"""Commands about users, on this machine: they need no API key and ask nobody."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import click

from app.accounts import (
    OPERATOR,
    create_user,
    find_user,
    generate_password,
    list_users,
    set_password,
)
from app.cli.machine import machine_database
from app.cli.output import note, show_json, show_table
from app.errors import NotFound
from app.paging import MOST, every_row
from models import Role, User

_COLUMNS = ["id", "email", "name", "role", "active", "password", "tokens_left"]


@click.group()
def users() -> None:
    """Create and list users, and give them passwords."""


@users.command("create")
@click.option("--email", required=True, help="The address they sign in with.")
@click.option("--name", default="", help="What they are called.")
@click.option("--admin", is_flag=True, help="Make them an administrator.")
def users_create(email: str, name: str, admin: bool) -> None:
    """Add a user and print its number. Without a password nobody can sign in as it."""
    role = Role.ADMIN if admin else Role.MEMBER
    with machine_database().write() as session:
        user = create_user(session, email=email, name=name, role=role)
    click.echo(user.id)
    note(f"user {user.id}: {user.email} ({user.role}); llm-jobs users set-password {user.email}")


@users.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def users_list(as_json: bool) -> None:
    """List every user, newest first."""
    with machine_database().read() as session:
        list_page = partial(list_users, session, OPERATOR, limit=MOST)
        found = [_user(user) for user in every_row(lambda after: list_page(after=after))]
    if as_json:
        show_json(found)
    else:
        show_table(_COLUMNS, found)


@users.command("set-password")
@click.argument("email")
@click.option("--generate", is_flag=True, help="Make one up and print it, and only it.")
@click.option("--unless-set", is_flag=True, help="Leave a password that is there.")
def users_set_password(email: str, generate: bool, unless_set: bool) -> None:
    """Give a user a new password, read from standard input or asked for twice.

    Every sign-in of the user ends.
    """
    password = generate_password() if generate else _read_password()
    with machine_database().write() as session:
        user = find_user(session, email)
        if user is None:
            raise NotFound(f"Unknown user: {email}")
        if unless_set and user.password_hash:
            note(f"{user.email} has a password")
            return
        set_password(session, OPERATOR, user.id, password)
    if generate:
        click.echo(password)
    note(f"password of {user.email} set")


@users.command("erase")
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask.")
def users_erase(user: str, yes: bool) -> None:
    """Erase a person: every text, chat and private prompt of theirs, and their name.

    USER is an address or a number. What their jobs cost stays in the books.
    """
    from app.cli.forgetting import erase

    erase(user, ask=not yes)


def _read_password() -> str:
    """The first line of standard input; from a terminal it is not shown."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    try:
        return sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError("standard input is not UTF-8") from None


def _user(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "active": user.active,
        "password": "set" if user.password_hash else "none",
        "tokens_left": user.tokens_left,
    }
