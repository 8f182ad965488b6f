"""npm's openid-client, unmodified, in a process of its own: the whole way of a partner.

PAR, RAR, PKCE, private_key_jwt, DPoP with the server's nonce, introspection, refresh and revocation. The owner's
click is made on the real consent page. Without node the tests are skipped with one line; with CI=true they fail.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.clients.conftest import node_folder
from tests.servers.gateway import CLIENT, Served, served
from tests.servers.partner import CALLBACK, decide

__all__ = ["served"]


@pytest.fixture(scope="session")
def openid_client() -> Path:
    return node_folder(Path(__file__).parent / "openid")


def test_the_whole_way_of_a_partner(served: Served, openid_client: Path) -> None:
    node = subprocess.Popen(
        ["node", "partner.mjs"],
        cwd=openid_client,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert node.stdin is not None and node.stdout is not None and node.stderr is not None

    def told() -> Any:
        assert node.stdout is not None and node.stderr is not None
        line = node.stdout.readline()
        assert line, node.stderr.read()[-3000:]
        return json.loads(line)

    try:
        asked = {
            "issuer": served.url,
            "client_id": CLIENT,
            "jwk": served.partner_key,
            "redirect_uri": CALLBACK,
            "details": served.partner().details(),
        }
        node.stdin.write(json.dumps(asked) + "\n")
        node.stdin.flush()
        authorize = urlsplit(told()["authorize"])
        with httpx.Client(base_url=served.url, timeout=30) as browser:
            path = f"{authorize.path}?{authorize.query}"
            answer = decide(browser, path, served.signed_in(served.owner))
        assert answer.status_code == 303
        node.stdin.write(answer.headers["location"] + "\n")
        node.stdin.flush()
        seen = told()
    finally:
        node.kill()
        node.communicate()
    assert seen["metadata"] is True
    assert seen["token_type"].lower() == "dpop" and seen["scope"] == "inbox.read"
    [detail] = seen["details"]
    assert detail["type"] == "inbox_access" and detail["level"] == "masked"
    assert seen["accounts"] == [detail["identifier"]]
    assert seen["introspected"]["active"] is True and seen["introspected"]["cnf"]["jkt"]
    assert seen["introspected"]["authorization_details"] == seen["details"]
    assert seen["second"] in (401, "invalid_dpop_proof", "invalid_token")
    assert seen["again"] == 200
    assert seen["revoked"] in (401, "invalid_token")
    assert seen["told"] == {"active": False}
    assert seen["replayed"] == "invalid_grant"
    assert seen["after"] in (401, "invalid_token"), "a code used twice ends what it gave"
