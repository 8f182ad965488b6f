"""`byleave report submit|show|calendar|waive` and `byleave send`, as a partner and an operator type them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from byleave.cli import answering, sending
from byleave.partner import client
from byleave.words.fragment import rfc3339
from tests.exchange.test_delivery import built, end_of
from tests.exchange.world import ANN, URL, Exchanging


@pytest.fixture
def it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchanging]:
    made = Exchanging(tmp_path)
    key = tmp_path / "key.jwk"
    key.touch(mode=0o600)
    key.write_text(json.dumps(made.key.as_dict(private=True)))

    def partner_at(gateway: str, client_id: str, file: Path, operative: str | None) -> client.Partner:
        assert gateway == URL and file.name == "key.jwk"
        return made.partner

    monkeypatch.setattr(answering, "partner_at", partner_at)
    monkeypatch.setattr(sending, "partner_at", partner_at)
    yield made
    made.world.store.close()


def run(*line: str) -> tuple[int, Any]:
    app = typer.Typer()
    answering.register(app)
    sending.register(app)
    done = CliRunner().invoke(app, line)
    return done.exit_code, json.loads(done.stdout) if done.stdout.startswith(
        ("{", "[")
    ) else done.stdout or done.exception


def test_submit_show_and_the_operators_glance(it: Exchanging, tmp_path: Path) -> None:
    it.now = end_of(1)
    made, key = built(it, 1), ("--client", "streamflix-web", "--key", str(tmp_path / "key.jwk"))
    file = tmp_path / "1.csv"
    file.write_bytes(made.csv())
    (tmp_path / "1.manifest.json").write_bytes(made.manifest_json())
    code, kept = run("report", "submit", str(file), *key, "--json")
    assert code == 0 and kept["ok"] and kept["receipt"].count(".") == 2
    code, told = run("report", "show", *key, "--json")
    assert told["periods"][0]["state"] == "accepted"
    code, then = run("report", "show", *key, "--at", "2026-09-20T12:00:00Z", "--json")
    assert then["periods"][0]["state"] == "open" and then["reports"] == []
    assert run("report", "show", kept["report_id"], *key, "--at", "2026-09-20T12:00:00Z")[0] == 1
    code, beside = run("report", "show", kept["report_id"], *key, "--json")
    assert beside["findings"] == []
    file.write_bytes(made.csv().replace(b",0,0,0", b",1,0,0", 1))
    code, refused = run("report", "submit", str(file), *key, "--json")
    assert code == 1 and refused["problem"] == "invalid-report" and refused["violations"]
    store = ("--store", str(it.world.path), "--json")
    it.now = end_of(2, 8)
    at = ("--at", rfc3339(it.now))
    code, [glance] = run("report", "calendar", *store, *at)
    assert glance["suspended"] and [p["state"] for p in glance["periods"]] == [
        "accepted",
        "suspended",
        "open",
    ]
    code, _ = run(
        "report",
        "waive",
        "--agreement",
        "streamflix-deal",
        "--sequence",
        "2",
        "--operator",
        "operator:a",
        *store,
        *at,
    )
    assert code == 0
    code, [glance] = run("report", "calendar", *store, *at)
    assert not glance["suspended"] and glance["periods"][1]["state"] == "waived"


def test_send_from_a_command_line(it: Exchanging, tmp_path: Path) -> None:
    key = ("--client", "streamflix-web", "--key", str(tmp_path / "key.jwk"), "--token", it.token.access_token)
    card = (
        "--title",
        "The Lighthouse",
        "--title-id",
        "t1",
        "--interface",
        "tv",
        "--surface",
        "detail",
        "--variant",
        "card-on_platform",
    )
    code, told = run("send", "card", it.address(ANN), *key, *card, "--idempotency-key", "k", "--json")
    assert code == 0 and told["state"] == "waiting" and told["confirm_url"].startswith(URL + "/me/sends/")
    code, again = run("send", "card", it.address(ANN), *key, *card, "--idempotency-key", "k", "--json")
    assert again == told
    code, listed = run("send", "list", *key, "--json")
    assert [s["id"] for s in listed] == [told["id"]]
