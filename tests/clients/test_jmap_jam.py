"""npm's jmap-jam, unmodified, in a process of its own, reads the owner's inbox."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import node_folder
from tests.servers.gateway import Served, served

__all__ = ["served"]


@pytest.fixture(scope="module")
def seen(served: Served, bearer: str) -> dict[str, Any]:
    asked = {"session": f"{served.url}/.well-known/jmap", "token": bearer}
    done = subprocess.run(
        ["node", "read.mjs"], cwd=node_folder(Path(__file__).parent / "jam"), input=json.dumps(asked) + "\n",
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_counts_pages_and_threads_agree(seen: dict[str, Any]) -> None:
    assert seen["total"] == len(seen["found"]) == len(seen["emails"]) == 3 and seen["notFound"] == []
    assert sum(box["totalEmails"] for box in seen["mailboxes"]) == seen["total"]
    assert [e["id"] for e in seen["emails"]] == seen["found"]
    in_threads = [id for thread in seen["threads"] for id in thread["emailIds"]]
    assert sorted(in_threads) == sorted(seen["found"])
    assert all(e["bodyValues"][e["textBody"][0]["partId"]]["value"] for e in seen["emails"])
    assert seen["state"] == seen["session"]


def test_search_changes_and_a_download(seen: dict[str, Any]) -> None:
    [hit] = seen["searched"]
    [snippet] = seen["snippets"]
    assert snippet["emailId"] == hit and "<mark>lighthouse</mark>" in snippet["preview"]
    changes = seen["changes"]
    assert changes["created"] == changes["destroyed"] == [] and changes["newState"] == changes["oldState"]
    download = seen["download"]
    assert download["size"] == download["stated"] and download["type"].startswith("message/rfc822")
    assert seen["submissions"] == []


def test_what_is_refused(seen: dict[str, Any]) -> None:
    refused = seen["refused"]
    assert refused["set"] == refused["create"] == "accountReadOnly"
    assert refused["foreign"] == "accountNotFound" and refused["sort"] == "unsupportedSort"
    assert "accepted" not in refused.values(), refused
