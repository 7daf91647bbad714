"""Tokens that somebody made up: 401, all of them."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.test import Client
from rest_framework_simplejwt.tokens import RefreshToken

from cloudpos.tenancy.models import User
from tests.fixtures import Shop

pytestmark = pytest.mark.django_db

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE_PEM = RSA_KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
PUBLIC_PEM = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)

Claims = dict[str, Any]


def ask(shop: Shop, token: str, *, scheme: str = "Bearer") -> Any:
    return Client().get(
        "/api/v1/customers",
        headers={"authorization": f"{scheme} {token}", "x-store-id": str(shop.store.pk)},
    )


@pytest.fixture
def claims(shop: Shop) -> Claims:
    """What a good token says."""
    now = int(time.time())
    return {
        "sub": str(shop.owner.user_id),
        "iss": settings.JWT_ISSUER,
        "aud": settings.JWT_AUDIENCE,
        "iat": now,
        "exp": now + 600,
        "token_type": "access",
    }


def sign(claims: Claims, *, headers: dict[str, Any] | None = None, secret: str | None = None) -> str:
    return jwt.encode(claims, secret or settings.JWT_SECRET, algorithm="HS256", headers=headers)


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hand(header: Any, claims: Any, key: bytes | None = None, digest: Any = hashlib.sha256) -> str:
    """A token that no library would make, signed with `key` (default: our secret)."""
    signed = f"{segment(header)}.{segment(claims)}"
    secret = settings.JWT_SECRET.encode() if key is None else key
    return f"{signed}.{segment(hmac.new(secret, signed.encode(), digest).digest())}"


def test_a_good_token_gets_in(shop: Shop, claims: Claims) -> None:
    """Or the refusals below would prove nothing."""
    assert ask(shop, sign(claims)).status_code == 200
    assert ask(shop, by_hand({"alg": "HS256", "typ": "JWT"}, claims)).status_code == 200
    # Another CloudPOS service leaves token_type out and may name more audiences.
    other = {key: value for key, value in claims.items() if key != "token_type"}
    assert ask(shop, sign({**other, "aud": ["another-service", settings.JWT_AUDIENCE]})).status_code == 200


HEADERS: dict[str, Callable[[Claims], str]] = {
    "alg none": lambda c: f"{segment({'alg': 'none', 'typ': 'JWT'})}.{segment(c)}.",
    "alg None": lambda c: f"{segment({'alg': 'None', 'typ': 'JWT'})}.{segment(c)}.",
    "alg none with a signature": lambda c: by_hand({"alg": "none"}, c),
    "no alg": lambda c: by_hand({"typ": "JWT"}, c),
    "alg null": lambda c: by_hand({"alg": None}, c),
    "alg list": lambda c: by_hand({"alg": ["HS256"]}, c),
    "alg lower case": lambda c: by_hand({"alg": "hs256"}, c),
    "HS384": lambda c: by_hand({"alg": "HS384"}, c, digest=hashlib.sha384),
    "HS512": lambda c: by_hand({"alg": "HS512"}, c, digest=hashlib.sha512),
    "RS256": lambda c: jwt.encode(c, PRIVATE_PEM, algorithm="RS256"),
    "HS256 with a public key as the secret": lambda c: by_hand({"alg": "HS256"}, c, key=PUBLIC_PEM),
    "RS256 named, HS256 signed": lambda c: by_hand({"alg": "RS256"}, c),
    "no signature": lambda c: sign(c).rsplit(".", 1)[0] + ".",
    "no third part": lambda c: sign(c).rsplit(".", 1)[0],
    "four parts": lambda c: f"{sign(c)}.x",
    "another secret": lambda c: sign(c, secret="another-secret-of-the-right-length-12345"),
    "empty secret": lambda c: by_hand({"alg": "HS256"}, c, key=b""),
    "jku": lambda c: sign(c, headers={"jku": "https://evil.example/keys.json"}),
    "jwk": lambda c: sign(c, headers={"jwk": {"kty": "oct", "k": segment(b"x" * 32)}}),
    "x5u": lambda c: sign(c, headers={"x5u": "https://evil.example/cert.pem"}),
    "x5c": lambda c: sign(c, headers={"x5c": [segment(b"cert")]}),
    "crit": lambda c: sign(c, headers={"crit": ["exp"]}),
    "kid is a path": lambda c: by_hand({"alg": "HS256", "kid": "../../dev/null"}, c, key=b""),
    "kid is SQL": lambda c: by_hand({"alg": "HS256", "kid": "x' UNION SELECT 'a"}, c, key=b"a"),
    "b64 false": lambda c: by_hand({"alg": "HS256", "b64": False, "crit": ["b64"]}, c),
    "header is a list": lambda c: by_hand(["HS256"], c),
    "claims are a list": lambda c: by_hand({"alg": "HS256"}, [c]),
    "claims are no JSON": lambda c: by_hand({"alg": "HS256"}, b"\xff\xfe"),
    "claims are deep": lambda c: by_hand({"alg": "HS256"}, b'{"sub":' + b"[" * 1500 + b"]" * 1500 + b"}"),
}


@pytest.mark.parametrize("attack", HEADERS, ids=str)
def test_forged_headers_and_signatures(shop: Shop, claims: Claims, attack: str) -> None:
    response = ask(shop, HEADERS[attack](claims))
    assert response.status_code == 401
    assert response.json()["code"] == "invalid_token"
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


WITHOUT = object()
CLAIMS: dict[str, tuple[Claims, str]] = {
    **{f"no {name}": ({name: WITHOUT}, "invalid_token") for name in ("exp", "iat", "sub", "aud", "iss")},
    "expired": ({"iat": -1200, "exp": -600}, "token_expired"),
    "expires as text": ({"exp": "tomorrow"}, "invalid_token"),
    "expires never": ({"exp": None}, "invalid_token"),
    "expires in a list": ({"exp": [10**10]}, "invalid_token"),
    "lives a year": ({"exp": 31_536_000}, "invalid_token"),
    "lives to the end of time": ({"exp": 10**18}, "invalid_token"),
    "expires beyond any number": ({"exp": 1e400}, "invalid_token"),
    "expires at no number": ({"exp": float("nan")}, "invalid_token"),
    "born in the distant past": ({"iat": -(10**9)}, "invalid_token"),
    "born in the future": ({"iat": 3600, "exp": 4200}, "invalid_token"),
    "born as text": ({"iat": "now"}, "invalid_token"),
    "not before tomorrow": ({"nbf": 86_400}, "invalid_token"),
    "not before text": ({"nbf": "x"}, "invalid_token"),
    "another audience": ({"aud": "another-service"}, "invalid_token"),
    "no audience in the list": ({"aud": []}, "invalid_token"),
    "audience null": ({"aud": None}, "invalid_token"),
    "another issuer": ({"iss": "https://evil.example"}, "invalid_token"),
    "issuer is a list": ({"iss": ["cloudpos"]}, "invalid_token"),
    "a refresh token": ({"token_type": "refresh"}, "invalid_token"),
    "an unknown kind of token": ({"token_type": "sliding"}, "invalid_token"),
    "subject is a number": ({"sub": 1}, "invalid_token"),
    "subject is no UUID": ({"sub": "admin"}, "invalid_token"),
    "subject is a list": ({"sub": []}, "invalid_token"),
    "subject is empty": ({"sub": ""}, "invalid_token"),
    "subject with NUL": ({"sub": "\x00" * 36}, "invalid_token"),
}
TIMES = ("iat", "exp", "nbf")


@pytest.mark.parametrize("attack", CLAIMS, ids=str)
def test_claims_that_are_not_right(shop: Shop, claims: Claims, attack: str) -> None:
    changed, code = CLAIMS[attack]
    now = int(time.time())
    for name, value in changed.items():
        if value is WITHOUT:
            del claims[name]
        elif name in TIMES and isinstance(value, int):
            claims[name] = now + value
        else:
            claims[name] = value
    response = ask(shop, by_hand({"alg": "HS256", "typ": "JWT"}, claims))
    assert (response.status_code, response.json()["code"]) == (401, code)


def test_a_real_refresh_token_is_no_access_token(shop: Shop) -> None:
    user = User.objects.get(pk=shop.owner.user_id)
    assert ask(shop, str(RefreshToken.for_user(user))).status_code == 401


def test_a_token_of_nobody_is_good_for_nothing(shop: Shop, claims: Claims) -> None:
    response = ask(shop, sign({**claims, "sub": str(uuid.uuid4())}))
    assert (response.status_code, response.json()["code"]) == (403, "store_forbidden")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Basic dXNlcjpwYXNz",
        "Token x",
        "Bearer " + "A" * 100_000,
        "Bearer \u00e9",
        "Bearer null",
        "Bearer undefined",
        "Bearer {token}, Bearer {token}",
    ],
)
def test_headers_that_carry_no_token(shop: Shop, claims: Claims, header: str) -> None:
    response = Client().get(
        "/api/v1/customers",
        headers={
            "authorization": header.replace("{token}", sign(claims)),
            "x-store-id": str(shop.store.pk),
        },
    )
    assert response.status_code == 401


@pytest.mark.parametrize(
    ("store", "status"),
    [
        ("", 400),
        ("x", 400),
        ("1", 400),
        ("{store}", 200),
        ("{{store}}", 400),
        ("urn:uuid:{store}", 400),
        ("{store} ", 400),
        ("{store},{store}", 400),
        ("00000000-0000-0000-0000-000000000000", 403),
        ("' OR 1=1 --", 400),
        ("\u0661" * 36, 400),
    ],
)
def test_store_ids_that_are_none(shop: Shop, claims: Claims, store: str, status: int) -> None:
    response = Client().get(
        "/api/v1/customers",
        headers={
            "authorization": f"Bearer {sign(claims)}",
            "x-store-id": store.replace("{store}", str(shop.store.pk)),
        },
    )
    assert response.status_code == status


def test_the_token_decides_before_the_store_is_looked_at(shop: Shop) -> None:
    for store in ("", str(uuid.uuid4()), str(shop.store.pk)):
        response = Client().get(
            "/api/v1/customers", headers={"authorization": "Bearer x", "x-store-id": store}
        )
        assert response.status_code == 401
