"""Checking passwords is slow by design; here: that it makes nobody wait who signs nobody in."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from app import accounts
from app.accounts import passwords
from tests.api.house import House
from tests.api.visiting import PASSWORD, sign_in, signed_in, visitor, with_password


def test_jobs_are_accepted_while_a_password_is_checked(
    fresh: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_password(fresh, fresh.alice)
    accepted: list[int] = []
    real = passwords._matches

    def slow(stored: str | None, password: str) -> bool:
        accepted.append(fresh.submit(fresh.bob)["output_id"])
        return real(stored, password)

    monkeypatch.setattr(passwords, "_matches", slow)
    assert sign_in(fresh, fresh.alice)[1].status_code == 303
    change = {"current": PASSWORD, "new": "another good password"}
    alice = signed_in(fresh, fresh.alice)
    assert alice.post("/account/password", data=change).status_code == 303
    assert len(accepted) == 2


def test_few_passwords_are_checked_at_once_and_the_rest_is_told_to_come_again(
    fresh: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def stuck(_stored: str | None, _password: str) -> bool:
        begun.release()
        return not go_on.wait(20)

    monkeypatch.setattr(passwords, "_matches", stuck)
    monkeypatch.setattr(passwords, "LONGEST_TURN_SECONDS", 0.01)

    def attempt(number: int) -> int:
        data = {"email": f"nobody{number}@example.org", "password": "x" * 20}
        return visitor(fresh).post("/sign-in", data=data).status_code

    with ThreadPoolExecutor(passwords.CHECKS_AT_ONCE) as pool:
        under_way = [pool.submit(attempt, n) for n in range(passwords.CHECKS_AT_ONCE)]
        assert all(begun.acquire(timeout=20) for _ in under_way)
        assert attempt(99) == 429
        go_on.set()
        assert {one.result() for one in under_way} == {401}
    assert attempt(100) == 401


def test_a_password_changed_while_the_old_one_is_checked_signs_nobody_in(
    fresh: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_password(fresh, fresh.alice)
    real = passwords._matches

    def overtaken(stored: str | None, password: str) -> bool:
        with fresh.database.write() as session:
            accounts.set_password(
                session, accounts.OPERATOR, fresh.alice.user_id, "another good password"
            )
        return real(stored, password)

    monkeypatch.setattr(passwords, "_matches", overtaken)
    assert sign_in(fresh, fresh.alice)[1].status_code == 401


def test_checking_nobodys_password_costs_what_anybodys_costs() -> None:
    real, nobodys = PasswordHasher().hash(PASSWORD), passwords._nobodys_hash()
    assert extract_parameters(nobodys) == extract_parameters(real)
    with pytest.raises(VerifyMismatchError):  # it was computed to the end
        PasswordHasher().verify(nobodys, PASSWORD)
