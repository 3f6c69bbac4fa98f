"""Signing in and out, and one's own password."""

from __future__ import annotations

from flask import Response, request

from api.web import addresses, api_calls, render, sign_in
from api.web.pages import Audience, Pages
from api.web.visit import Visit
from app import accounts
from app.errors import Forbidden, InvalidParameter, TooManyRequests, Unauthenticated

pages = Pages()

#: How much of an address's or a person's rate one wrong password takes: 600 a minute become ten.
COST_OF_A_TRY = 60


@pages.get("/", Audience.ANYBODY)
def home(visit: Visit) -> Response:
    """On to the outputs, or to the sign-in."""
    return visit.go(render.address("outputs" if visit.signed_in else "sign_in_form"))


@pages.get("/sign-in", Audience.ANYBODY)
def sign_in_form(visit: Visit) -> Response:
    """The form; whoever is signed in already goes on."""
    if visit.signed_in:
        return visit.go(_next_of(visit.query.get("next", "")))
    return visit.page("account/sign_in.html", next=visit.query.get("next", ""))


@pages.post("/sign-in", Audience.ANYBODY)
def sign_in_now(visit: Visit) -> Response:
    """Check the password and keep the sign-in in a cookie, always a new one."""
    email, password = visit.form.get("email", ""), visit.form.get("password", "")
    _slow_down(visit, f"address:{request.remote_addr}", f"email:{email.strip().lower()[:254]}")
    try:
        made = accounts.sign_in(
            visit.runtime.database,
            email,
            password,
            user_agent=request.headers.get("User-Agent", ""),
            instead_of=request.cookies.get(sign_in.COOKIE, ""),
        )
    except Unauthenticated as refusal:
        return visit.page(
            "account/sign_in.html",
            status=401,
            refusal=refusal.message,
            email=email[:254],
            next=visit.form.get("next", ""),
        )
    response = visit.go(_next_of(visit.form.get("next", "")))
    sign_in.keep(response, made.token, secure=sign_in.over_tls(visit.runtime))
    return response


@pages.post("/sign-out", Audience.ANYBODY)
def sign_out_now(visit: Visit) -> Response:
    """End the sign-in here."""
    with visit.runtime.database.write() as session:
        accounts.sign_out(session, request.cookies.get(sign_in.COOKIE, ""))
    response = visit.go(render.address("sign_in_form"), said="You are signed out.")
    sign_in.forget(response)
    return response


@pages.get("/account")
def account(visit: Visit) -> Response:
    """Who one is, and the form for a new password."""
    return _account(visit)


@pages.post("/account/password")
def change_password(visit: Visit) -> Response:
    """Change one's own password; every sign-in ends, this one too."""
    _slow_down(visit, f"email:{visit.caller.email}")
    try:
        accounts.change_password(
            visit.runtime.database,
            visit.caller,
            current=visit.form.get("current", ""),
            new=visit.form.get("new", ""),
        )
    except (InvalidParameter, Forbidden) as refusal:
        return _account(visit, status=refusal.status, refusal=refusal.message)
    response = visit.go(
        render.address("sign_in_form"), said="The password is changed. Sign in with the new one."
    )
    sign_in.forget(response)
    return response


def _account(visit: Visit, *, status: int = 200, refusal: str = "") -> Response:
    calls = api_calls.of_address(visit.base_url, "/api/v1/me")
    return visit.page("account/account.html", status=status, refusal=refusal, calls=calls)


def _slow_down(visit: Visit, *whose: str) -> None:
    """Raises TooManyRequests for who tries often, from one address or for one person."""
    for one in whose:
        left = visit.runtime.limiter.check(f"sign-in:{one}", cost=COST_OF_A_TRY)
        if not left.allowed:
            raise TooManyRequests(
                "Too many attempts to sign in", retry_after_seconds=left.retry_after_seconds
            )


def _next_of(address: str) -> str:
    """Where to go on after signing in."""
    return addresses.own(address, render.address("outputs"))
