"""What the environment may say, and that what makes no sense is named."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from cloudpos.environment import email_url


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("smtp+tls://us%40er:p%2Fw%23@smtp.example.com:587", ("smtp", "smtp.example.com", 587, "us@er", "p/w#", True)),
        (" smtp://localhost ", ("smtp", "localhost", None, None, None, None)),
        ("consolemail://", ("console", None, None, None, None, None)),
    ],
)  # fmt: skip
def test_how_mails_go_out(monkeypatch: pytest.MonkeyPatch, said: str, expected: tuple[object, ...]) -> None:
    monkeypatch.setenv("EMAIL_URL", said)
    found = email_url("EMAIL_URL", "dummymail://")
    names = ("EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD", "EMAIL_USE_TLS")
    assert (found["EMAIL_BACKEND"].split(".")[-2], *(found.get(name) for name in names)) == expected


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "is empty: leave it out"),
        ("  ", "is empty"),
        ("smtp.example.com:587", "must begin with one of smtp://, smtps://"),
        ("https://user:s3cret@smtp.example.com", "must begin with one of"),
        ("smtp://", "names no mail server"),
        ("smtp+tls://user:s3cret@:587", "names no mail server"),
        ("smtp://user:s3cret@host:port", "its port is a number"),
        ("smtp://user:s3cret@host:99999", "its port is a number"),
        # Unwritten, they end the host's part: the rest of the password would be taken for a path.
        ("smtp://user:s3cret/x@host:587", "/ is written %2F"),
        ("smtp://user:3/s3cret@host:587", "/ is written %2F"),
        ("smtp://user:3#s3cret@host:587", "# %23"),
        ("smtp://[s3cret", "cannot be read"),
    ],
)
def test_what_makes_no_sense_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, said: str, why: str
) -> None:
    monkeypatch.setenv("EMAIL_URL", said)
    with pytest.raises(ImproperlyConfigured) as refused:
        email_url("EMAIL_URL", "consolemail://")
    message = str(refused.value)
    assert message.startswith("EMAIL_URL") and why in message
    assert "smtp+tls://user:password@smtp.example.com:587" in message and "s3cret" not in message
