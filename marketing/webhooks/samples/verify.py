import base64
import hashlib
import hmac
import time


def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """`secret` begins with whsec_, the names of `headers` are in lower case.

    `body` is exactly what arrived.
    """
    if abs(time.time() - int(headers["webhook-timestamp"])) > 300:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    prefix = f"{headers['webhook-id']}.{headers['webhook-timestamp']}."
    digest = hmac.digest(key, prefix.encode() + body, hashlib.sha256)
    expected = "v1," + base64.b64encode(digest).decode()
    # Several, separated by spaces, while a secret is being changed.
    given = headers["webhook-signature"].split()
    return any(hmac.compare_digest(expected, each) for each in given)
