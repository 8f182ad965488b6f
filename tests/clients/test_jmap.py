"""Unmodified public JMAP clients, in processes of their own, read the owner's inbox and the masked account.

The owner's inbox by a plain bearer token of `byleave token`; the masked account through a proxy that adds the
partner's proofs, as `byleave proxy` will.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from byleave.consent import grant
from tests.clients.proxy import Ask, Proxy
from tests.servers.gateway import Served, served
from tests.servers.partner import Partner

__all__ = ["served"]

HERE = Path(__file__).parent


def run(python: Path, script: str, *words: str, **environment: str) -> Any:
    done = subprocess.run(
        [str(python), "-I" if not environment else "-E", str(HERE / script), *words],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def bearer(served: Served) -> str:
    """The owner's token, as `byleave token` prints it."""
    with served.world.store.read() as snapshot:
        [own] = [g for g in grant.of_owner(snapshot, served.owner) if g.for_owner]
    line = [
        sys.executable,
        "-c",
        "from byleave.cli import main; main()",
        "token",
        "--grant",
        own.grant_id.hex(),
    ]
    done = subprocess.run(
        [*line, "--store", str(served.world.path), "--base-url", served.url, "--json"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    said = json.loads(done.stdout)
    assert said["token_type"] == "Bearer" and said["session_url"] == f"{served.url}/.well-known/jmap"
    return str(said["access_token"])


@pytest.fixture(scope="module")
def partner(served: Served) -> Iterator[Partner]:
    yield served.authorized()


def as_partner(partner: Partner) -> Ask:
    def ask(method: str, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        return partner.ask(method, path, content=body, headers=headers)

    return ask


def as_owner(url: str, token: str) -> Ask:
    def ask(method: str, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        said = {**headers, "Authorization": f"Bearer {token}"}
        return httpx.request(method, url + path, content=body, headers=said, timeout=30)

    return ask


def consistent(told: Any, messages: int) -> None:
    """What a client may expect of any account, masked or not."""
    assert told["total"] == len(told["emails"]) == messages
    assert sum(told["mailboxes"].values()) == messages
    assert all(email["size"] == email["blob"] for email in told["emails"])
    assert told["threads"] is True
    assert told["missing"] == ["m" + "a" * 26]
    assert told["changes"] == []
    assert told["hits"] == told["snippets"] == 1
    assert told["unknown_state"] == "cannotCalculateChanges"


def whole(told: Any) -> None:
    consistent(told, 3)
    assert any("secret" in email["text"] for email in told["emails"])


def masked(told: Any) -> None:
    consistent(told, 2)
    text = json.dumps(told)
    assert "secret" not in text and "user1002" not in text and "user1001" not in text
    assert sum("lighthouse" in email["text"] for email in told["emails"]) == 1


def test_jmaplib_reads_the_owners_inbox(served: Served, bearer: str, clients_python: Path) -> None:
    told = run(clients_python, "read_with_jmaplib.py", f"{served.url}/.well-known/jmap", bearer)
    whole(told)
    assert told["full"] == 3 and told["streams"] == {"Mailbox": [], "Email": []} and told["stale"] is False


def test_jmaplib_reads_the_masked_account(served: Served, partner: Partner, clients_python: Path) -> None:
    with Proxy(served.url, as_partner(partner)) as proxy:
        told = run(clients_python, "read_with_jmaplib.py", f"{proxy.url}/.well-known/jmap", "unused")
        masked(told)
        assert told["full"] == 2 and told["stale"] is False
        assert "POST /jmap/api" in proxy.asked


def test_jmapc_reads_the_owners_inbox(
    served: Served, bearer: str, clients_python: Path, tmp_path: Path
) -> None:
    with Proxy(served.url, as_owner(served.url, bearer), tmp_path) as proxy:
        trust = str(proxy.certificate)
        whole(run(clients_python, "read_with_jmapc.py", proxy.host, bearer, REQUESTS_CA_BUNDLE=trust))


def test_jmapc_reads_the_masked_account(
    served: Served, partner: Partner, clients_python: Path, tmp_path: Path
) -> None:
    with Proxy(served.url, as_partner(partner), tmp_path) as proxy:
        trust = str(proxy.certificate)
        masked(run(clients_python, "read_with_jmapc.py", proxy.host, "unused", REQUESTS_CA_BUNDLE=trust))
