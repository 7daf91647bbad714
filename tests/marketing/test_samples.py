"""The samples of the documentation do what they say: each verifies what we sign and refuses what we did not."""

import json
import runpy
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from marketing.webhooks.docs import SAMPLES, SAMPLES_FOLDER
from marketing.webhooks.signing import new_secret, sign

BODY = '{"type":"purchase.recorded","n":"é"}'.encode()
NODE = """
import {{ verify }} from {path};
const {{ secret, headers, body }} = JSON.parse(process.argv[1]);
process.stdout.write(String(verify(secret, headers, Buffer.from(body))));
"""
PHP = """require {path}; [$secret, $headers, $body] = json_decode($argv[1], true);
echo verify($secret, $headers, $body) ? 'true' : 'false';"""


def message(secret: str, *, seconds_ago: int = 0) -> dict[str, str]:
    timestamp = int(time.time()) - seconds_ago
    # As in a rotation: the signature of another secret comes first.
    signature = sign(secrets=[new_secret(), secret], message_id="evt_1", timestamp=timestamp, body=BODY)
    return {"webhook-id": "evt_1", "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def python(secret: str, headers: dict[str, str], body: bytes) -> bool:
    return bool(runpy.run_path(str(SAMPLES_FOLDER / "verify.py"))["verify"](secret, headers, body))


def node(secret: str, headers: dict[str, str], body: bytes) -> bool:
    code = NODE.format(path=json.dumps(str(SAMPLES_FOLDER / "verify.mjs")))
    given = json.dumps({"secret": secret, "headers": headers, "body": body.decode()})
    return said(["node", "--input-type=module", "-e", code, given])


def php(secret: str, headers: dict[str, str], body: bytes) -> bool:
    code = PHP.format(path=json.dumps(str(SAMPLES_FOLDER / "verify.php")))
    return said(["php", "-r", code, json.dumps([secret, headers, body.decode()])])


def said(command: list[str]) -> bool:
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout in ("true", "false")
    return done.stdout == "true"


@pytest.mark.parametrize("verify", [python, node, php])
def test_a_sample_knows_ours_from_others(verify: Any) -> None:
    secret = new_secret()
    assert verify(secret, message(secret), BODY)
    assert not verify(secret, message(secret), BODY + b" ")
    assert not verify(new_secret(), message(secret), BODY)
    assert not verify(secret, message(secret, seconds_ago=301), BODY)


def test_the_shell_prints_the_signature(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    secret = new_secret()
    (tmp_path / "body.json").write_bytes(BODY)
    done = subprocess.run(
        ["sh", str(SAMPLES_FOLDER / "verify.sh")],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin:/usr/local/bin",
            "SECRET": secret,
            "ID": "evt_1",
            "TIMESTAMP": "1790000000",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    signature = sign(secrets=[secret], message_id="evt_1", timestamp=1_790_000_000, body=BODY)
    assert f"v1,{done.stdout}" == signature


def test_the_page_shows_them_to_everybody(client: Client) -> None:
    text = client.get("/api/docs/webhooks").content.decode()
    for file in SAMPLES.values():
        assert "whsec_" in (SAMPLES_FOLDER / file).read_text()
    assert text.count("<pre") == 1 + len(SAMPLES)
    assert "5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h" in text
