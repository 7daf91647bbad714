"""A token that was found good is believed for its life, and nothing else is."""

import time
import uuid

import jwt
import pytest
from pytest_django import Settings

from cloudpos.tenancy import tokens
from cloudpos.tenancy.tokens import InvalidToken, TokenExpired, mint_access_token, read_access_token

ALICE = uuid.UUID("0198c0de-0000-7000-8000-00000000a11c")


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signature was checked."""
    checked: list[str] = []
    verify = tokens._verified

    def counted(token: str) -> tuple[uuid.UUID, int]:
        checked.append(token)
        return verify(token)

    monkeypatch.setattr(tokens, "_verified", counted)
    return checked


def test_a_token_is_verified_once(verifications: list[str]) -> None:
    token = mint_access_token(user_id=ALICE)
    assert [read_access_token(token) for _ in range(3)] == [ALICE] * 3
    assert verifications == [token]


def test_a_token_that_was_good_expires_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    token = mint_access_token(user_id=ALICE)
    assert read_access_token(token) == ALICE
    started = time.time()
    life = tokens.ACCESS_SECONDS_MAX + tokens.CLOCK_SKEW_SECONDS
    monkeypatch.setattr(tokens.time, "time", lambda: started + life - 2)
    assert read_access_token(token) == ALICE
    monkeypatch.setattr(tokens.time, "time", lambda: started + life + 1)
    with pytest.raises(TokenExpired):
        read_access_token(token)


def test_a_neighbour_of_a_good_token_is_refused() -> None:
    token = mint_access_token(user_id=ALICE)
    assert read_access_token(token) == ALICE
    head, claims, signature = token.split(".")
    forged = jwt.encode(
        jwt.decode(token, options={"verify_signature": False}) | {"sub": str(uuid.uuid4())}, "x" * 32
    )
    for other in (
        f"{head}.{claims}.",
        f"{head}.{claims}.{signature[:-2]}AA",
        f"{head}.{forged.split('.')[1]}.{signature}",
    ):
        with pytest.raises(InvalidToken):
            read_access_token(other)


def test_another_secret_does_not_know_it(settings: Settings) -> None:
    token = mint_access_token(user_id=ALICE)
    assert read_access_token(token) == ALICE
    settings.JWT_SECRET = "another secret that is long enough for HS256"
    with pytest.raises(InvalidToken):
        read_access_token(token)


@pytest.mark.parametrize("token", ["", "a.b.c", "\ud800"])
def test_refusals_are_not_remembered(token: str, verifications: list[str]) -> None:
    for _ in range(2):
        with pytest.raises(InvalidToken):
            read_access_token(token)
    assert verifications == [token, token]
