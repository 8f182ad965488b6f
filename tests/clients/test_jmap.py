"""Unmodified public JMAP clients, in processes of their own, read the owner's inbox and the masked account.

The owner's inbox by a plain bearer token of `byleave token`; the masked account through `byleave proxy`, which adds
the partner's proofs; by https where a client knows nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers.gateway import CLIENT, Served, served

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


@contextmanager
def proxying(served: Served, folder: Path, token: dict[str, Any], *more: str) -> Iterator[dict[str, Any]]:
    """A running `byleave proxy`; what it said when it was ready."""
    file = folder / "token.json"
    file.write_text(json.dumps(token))
    line = [sys.executable, "-c", "from byleave.cli import main; main()", "proxy", "--gateway", served.url]
    process = subprocess.Popen(
        [*line, "--token-file", str(file), "--port", "0", "--json", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        said = process.stdout.readline()
        assert said, process.stderr.read()
        yield json.loads(said)
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
        assert errors == "" and process.returncode in (0, -signal.SIGTERM), errors


@pytest.fixture
def masked_token(served: Served, tmp_path: Path) -> tuple[dict[str, Any], list[str]]:
    """A partner's token for the masked account, and the options that go with it."""
    partner = served.authorized()
    key = tmp_path / "key.jwk"
    key.touch(mode=0o600)
    key.write_text(json.dumps(partner.proof_key))
    return partner.answer, ["--client", CLIENT, "--key", str(key)]


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


def test_jmaplib_reads_the_masked_account(
    served: Served, masked_token: tuple[dict[str, Any], list[str]], clients_python: Path, tmp_path: Path
) -> None:
    token, options = masked_token
    with proxying(served, tmp_path, token, *options) as proxy:
        told = run(clients_python, "read_with_jmaplib.py", proxy["session_url"], "unused")
        masked(told)
        assert told["full"] == 2 and told["stale"] is False


def test_jmapc_reads_the_owners_inbox(
    served: Served, bearer: str, clients_python: Path, tmp_path: Path
) -> None:
    token = {"access_token": bearer, "token_type": "Bearer"}
    with proxying(served, tmp_path, token, "--tls", str(tmp_path / "tls")) as proxy:
        host, trust = proxy["url"].removeprefix("https://"), proxy["certificate"]
        whole(run(clients_python, "read_with_jmapc.py", host, "unused", REQUESTS_CA_BUNDLE=trust))


def test_jmapc_reads_the_masked_account(
    served: Served, masked_token: tuple[dict[str, Any], list[str]], clients_python: Path, tmp_path: Path
) -> None:
    token, options = masked_token
    with proxying(served, tmp_path, token, *options, "--tls", str(tmp_path / "tls"), "--secret") as proxy:
        host, trust = proxy["url"].removeprefix("https://"), proxy["certificate"]
        assert (
            httpx.get(proxy["session_url"], verify=ssl.create_default_context(cafile=trust)).status_code
            == 401
        )
        masked(run(clients_python, "read_with_jmapc.py", host, proxy["token"], REQUESTS_CA_BUNDLE=trust))


def test_events_come_through_the_proxy(
    served: Served, masked_token: tuple[dict[str, Any], list[str]], tmp_path: Path
) -> None:
    token, options = masked_token
    with proxying(served, tmp_path, token, *options) as proxy:
        url = httpx.get(proxy["session_url"]).json()["eventSourceUrl"]
        url = url.replace("{types}", "*").replace("{closeafter}", "no").replace("{ping}", "30")
        assert url.startswith(proxy["url"])
        with httpx.stream("GET", url, timeout=20) as events:
            assert events.headers["Content-Type"].startswith("text/event-stream")
            assert next(events.iter_lines()) == ": open", "it comes while the stream is open"


@pytest.mark.parametrize(
    ("file", "options", "says"),
    [
        (None, [], "token.json: no such file; write it with"),
        ("[]", [], "token.json: not a token"),
        ('{"access_token": "a\\nb"}', [], "token.json: not a token"),
        ('{"access_token": "a"}', [], "--key: the token is bound to the partner's key"),
        ('{"access_token": "a"}', ["--gateway", "http://inbox.example"], "plain http beyond this machine"),
        ('{"access_token": "a"}', ["--ask", "tailoring"], "--ask: needs PURPOSE:LEVEL"),
    ],
)
def test_what_the_proxy_refuses_to_start_with(
    file: str | None, options: list[str], says: str, tmp_path: Path
) -> None:
    made = tmp_path / "token.json"
    if file is not None:
        made.write_text(file)
    line = [sys.executable, "-c", "from byleave.cli import main; main()", "proxy", "--token-file", str(made)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([*line, *options], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode != 0 and done.stdout == ""
    assert says in done.stderr and done.stderr.count("\n") == 1
