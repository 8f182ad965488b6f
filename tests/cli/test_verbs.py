"""Every verb of spec cli.md: the keys of its JSON, and one line where it refuses."""

from __future__ import annotations

import itertools
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import Terminal

MESSAGE = "telegram/user:1001/1"
EMAIL = b"From: ann@example.test\r\nDate: Fri, 1 Mar 2024 10:00:00 +0000\r\n\r\nYes, let us.\r\n\r\n> Shall we?\r\n"


def partner(byleave: Terminal) -> dict[str, Any]:
    """A key, a published agreement and a client of it."""
    key = byleave.json("keys", "new", "--out", "partner.jwk")
    drafted = byleave.json(
        "agreement", "new", "--partner", "streamflix", "--purpose", "tailoring:masked", "--key", "partner.jwk",
        "--out", "deal.json",
    )  # fmt: skip
    once = byleave.json("agreement", "sign", "deal.json", "--key", "partner.jwk")
    twice = byleave.json("agreement", "sign", "deal.json")
    added = byleave.json("agreement", "add", "deal.json")
    for answer in (drafted, once, twice, added):
        assert set(answer) == {"agreement", "partner", "purposes", "status"}
        assert answer["purposes"] == ["tailoring:masked"] and answer["partner"] == "streamflix"
    assert [drafted["status"], once["status"], twice["status"]] == ["unsigned", "1 signature", "2 signatures"]
    assert added["status"] == "published"
    deal = json.loads(Path("deal.json").read_bytes())
    client = {
        "client_id": "web",
        "agreement": deal["id"],
        "redirect_uris": deal["partner"]["redirect_uris"],
        "jwks": deal["partner"]["jwks"],
    }
    Path("client.json").write_text(json.dumps(client))
    Path("public.jwk").write_text(json.dumps(key["jwk"]))
    assert byleave.json("client", "add", "client.json") == {"client_id": "web"}
    return {"agreement": deal["id"], "jwk": key["jwk"]}


# ── what each answers ───────────────────────────────────────────────────────────────────────────────────────
def test_init_makes_a_store_once(byleave: Terminal) -> None:
    assert byleave.json("init", "--mode", "personal") == {"mode": "personal", "store": "inbox.db"}
    assert "there is a store already" in byleave("init", "--mode", "sandbox").refusal
    assert byleave.json("init", "--mode", "sandbox", "--store", "sqlite:///other.db")["mode"] == "sandbox"
    assert "other.db" in byleave.files()


def test_import_answers_counts_and_a_dry_run_writes_nothing(byleave: Terminal) -> None:
    before = byleave.files()
    dry = byleave.json("import", "chat.json", "--dry-run")
    assert {"source", "owner", "conversations", "messages", "seconds"} <= set(dry)
    assert byleave.files() == before
    done = byleave.json("import", "chat.json", "--me", "telegram:user1000")
    assert set(done) == {"source", "owner", "conversations", "messages", "seconds"}
    assert (done["source"], done["owner"], done["conversations"]) == ("telegram", "me", 1)
    assert done["messages"] == {"added": 3, "updated": 0, "unchanged": 0, "skipped": {}}
    again = byleave.json("import", "chat.json", "--me", "telegram:user1000")
    assert again["messages"] == {"added": 0, "updated": 0, "unchanged": 3, "skipped": {}}
    assert "personal" in byleave("signin", "--person", "telegram:user1001").refusal, "the store is personal"
    kept = byleave.json("ledger", "verify"), byleave.json("people")
    byleave.json("import", "chat.json", "--dry-run", "--owner", "somebody else")
    assert (byleave.json("ledger", "verify"), byleave.json("people")) == kept


def test_export_answers_every_record(sandbox: Terminal) -> None:
    lines = [json.loads(line) for line in sandbox("export", "--format", "jsonl").out.splitlines()]
    assert [line["id"] for line in lines] == ["1", "2", "3"]
    assert f"{lines[0]['source']}/{lines[0]['conversation']}/{lines[0]['id']}" == MESSAGE
    assert {"source", "conversation", "id", "sender", "sender_name", "sent_at", "kind", "text"} <= set(
        lines[0]
    )


def test_people_and_what_a_yes_makes_visible(sandbox: Terminal) -> None:
    found = {row["handle"]: row for row in sandbox.json("people")}
    assert all(set(row) == {"handle", "name", "messages", "visible_for"} for row in found.values())
    assert found["telegram:user1001"]["messages"] == 2 and found["telegram:user1001"]["visible_for"] == []
    sandbox.json(
        "choice", "set", "--person", "telegram:user1001", "--level", "masked", "--purpose", "tailoring"
    )
    found = {row["handle"]: row for row in sandbox.json("people")}
    assert found["telegram:user1001"]["visible_for"] == ["tailoring"]


def test_signin_answers_a_link(sandbox: Terminal) -> None:
    for who in (("--owner", "me"), ("--person", "telegram:user1001")):
        answer = sandbox.json("signin", *who, "--at", "2026-11-02T09:00:00Z")
        assert set(answer) == {"url", "expires_at"}
        assert answer["url"].startswith("http://127.0.0.1:8420/me/signin/")
        assert answer["expires_at"].startswith("2026-11-02T09:15:00")


def test_keys(byleave: Terminal) -> None:
    shown = byleave.json("keys", "new")
    assert set(shown) == {"kid", "jwk"} and "d" in shown["jwk"] and shown["jwk"]["kid"] == shown["kid"]
    kept = byleave.json("keys", "new", "--out", "k.jwk")
    assert set(kept) == {"kid", "jwk"} and "d" not in kept["jwk"]
    assert Path("k.jwk").stat().st_mode & 0o077 == 0


def test_a_partner_from_key_to_token(sandbox: Terminal) -> None:
    made = partner(sandbox)
    [row] = sandbox.json("agreement", "list")
    assert {"agreement", "partner", "purposes", "status"} <= set(row)
    shown = sandbox.json("agreement", "show", made["agreement"])
    assert {"agreement", "partner", "purposes", "status"} <= set(shown) and shown["document"]["signatures"]
    granted = sandbox.json(
        "grant", "create", "--owner", "me", "--purpose", "tailoring", "--level", "masked", "--agreement", made["agreement"]
    )  # fmt: skip
    assert set(granted) == {"grant", "account_id", "expires_at"}
    token = sandbox.json("token", "--grant", granted["grant"], "--dpop-jwk", "public.jwk")
    assert set(token) == {"access_token", "token_type", "expires_in", "account_id", "session_url"}
    assert token["token_type"] == "DPoP" and token["expires_in"] <= 3600
    assert token["account_id"] == granted["account_id"]
    assert "--dpop-jwk" in sandbox("token", "--grant", granted["grant"]).refusal
    listed = {row["grant"]: row for row in sandbox.json("grant", "list")}
    assert {"grant", "purpose", "level", "agreement", "expires_at", "revoked_at"} <= set(
        listed[granted["grant"]]
    )
    assert sandbox.json("grant", "revoke", granted["grant"])["revoked_at"]
    again = {row["grant"]: row for row in sandbox.json("grant", "list")}
    assert again[granted["grant"]]["revoked_at"] and "ended" in sandbox(
        "token", "--grant", granted["grant"], "--dpop-jwk", "public.jwk"
    ).refusal  # fmt: skip


def test_the_owners_token_is_a_bearer(sandbox: Terminal) -> None:
    [own] = [row for row in sandbox.json("grant", "list") if row["purpose"] == "owner"]
    token = sandbox.json("token", "--grant", own["grant"])
    assert token["token_type"] == "Bearer" and token["expires_in"] == 30 * 86_400
    assert token["session_url"].endswith("/.well-known/jmap")


def test_choices(sandbox: Terminal) -> None:
    who = ("--person", "telegram:user1001")
    made = sandbox.json("choice", "set", *who, "--level", "masked", "--purpose", "tailoring")
    assert set(made) == {"choice", "effective_from", "version"}
    no = sandbox.json("choice", "set", *who, "--level", "none")
    assert no["version"] > made["version"]
    listed = sandbox.json("choice", "list", *who)
    keys = {"choice", "level", "purpose", "partner", "conversation", "at", "by"}
    assert all(keys <= set(row) for row in listed)
    assert [(row["level"], row["purpose"], row["by"]) for row in listed] == [
        ("masked", "tailoring", "self"),
        ("none", None, "self"),
    ]
    gone = sandbox.json("choice", "withdraw", "--choice", no["choice"])
    assert set(gone) == {"choice", "effective_from", "version"}


def test_ledger(sandbox: Terminal) -> None:
    verified = sandbox.json("ledger", "verify")
    assert set(verified) == {"ok", "size", "root", "problems"}
    assert verified["ok"] is True and verified["problems"] == [] and verified["size"] > 0
    sandbox("export")
    shown = sandbox.json("ledger", "show", "--owner", "me")
    keys = {"at", "partner", "operative", "purpose", "grant", "level", "messages"}
    assert shown and all(keys <= set(row) for row in shown)
    assert isinstance(sandbox.json("ledger", "show", "--person", "telegram:user1001"), list)


def test_a_ledger_that_was_changed_does_not_verify(sandbox: Terminal) -> None:
    assert sandbox.json("ledger", "verify")["ok"]
    connection = sqlite3.connect("inbox.db")
    connection.execute("UPDATE entry SET event = CAST(event || ' ' AS BLOB) WHERE leaf = 1")
    connection.commit()
    connection.close()
    said = sandbox("ledger", "verify", "--json")
    assert said.status != 0 and json.loads(said.out)["problems"]


def test_policy_explain(sandbox: Terminal) -> None:
    made = sandbox.json("grant", "create", "--purpose", "own-agent", "--level", "text")
    explain = ("policy", "explain", "--grant", made["grant"], "--message", MESSAGE)
    assert set(sandbox.json(*explain)) == {"level", "because"}
    assert sandbox.json(*explain)["level"] == "none"
    sandbox.json(
        "choice", "set", "--person", "telegram:user1001", "--level", "text", "--purpose", "own-agent"
    )
    answer = sandbox.json(*explain)
    assert answer["level"] == "text" and any("choice of" in line for line in answer["because"])
    own = sandbox.json(*explain[:-1], MESSAGE[:-1] + "2")
    assert own["level"] == "text"


def test_words(byleave: Terminal) -> None:
    line = json.dumps({"id": "a", "text": "Call Maud on +1 555 0100.", "contacts": ["Maud"]}).encode()
    masked = json.loads(byleave("words", "mask", stdin=line + b"\n").out)
    assert set(masked) == {"id", "masked", "spans"} and "Maud" not in masked["masked"]
    assert {span["type"] for span in masked["spans"]} == {"PERSON", "PHONE"}
    assert all(set(span) == {"start", "end", "type"} for span in masked["spans"])
    Path("one.eml").write_bytes(EMAIL)
    parts = [json.loads(part) for part in byleave("words", "parts", "one.eml").out.splitlines()]
    assert len(parts) >= 2 and all(set(p) == {"part", "author", "how", "start", "end", "text"} for p in parts)
    assert all(a["end"] == b["start"] for a, b in itertools.pairwise(parts))
    Path("titles.csv").write_text("title_id,title,year\nt1,The Lighthouse Keepers of Elba,1999\n")
    line = json.dumps(
        {"id": 1, "conv": "c", "speaker": "s", "text": "I loved The Lighthouse Keepers of Elba, what a film!"}
    ).encode()
    said = byleave("words", "mentions", "--catalogue", "titles.csv", "--stance-out", "s.jsonl", stdin=line)
    found = json.loads(said.out)
    assert set(found) == {"id", "mentions"}
    assert all(set(m) == {"start", "end", "title_id", "p"} for m in found["mentions"])
    assert Path("s.jsonl").exists()


def test_report_check(byleave: Terminal) -> None:
    Path("report.json").write_text("{}")
    said = byleave("report", "check", "report.json", "--json")
    assert said.status != 0 and said.err == ""
    verdict = json.loads(said.out)
    assert verdict["ok"] is False and verdict["violations"]
    assert all({"rule", "row", "column", "message"} <= set(one) for one in verdict["violations"])


# ── what each refuses ───────────────────────────────────────────────────────────────────────────────────────
def test_provider_decides_nothing_for_people(byleave: Terminal) -> None:
    byleave.json("init", "--mode", "provider")
    for verb in (
        "grant create --purpose own-agent --level text",
        "choice set --person ann@example.test --level none",
        "choice withdraw --choice 00",
        "token --grant 00",
        "export",
        "people",
        "mcp --grant 00",
        "signin --owner me",
    ):
        assert "provider" in byleave(*verb.split()).refusal, verb


def test_personal_types_for_others_for_the_own_assistant_only(byleave: Terminal) -> None:
    byleave.json("import", "chat.json", "--me", "telegram:user1000")
    yes = ("choice", "set", "--person", "telegram:user1001", "--level")
    assert "own assistant only" in byleave(*yes, "masked", "--purpose", "tailoring").refusal
    assert "own assistant only" in byleave(*yes, "text", "--purpose", "own-agent").refusal
    byleave.json(*yes, "masked", "--purpose", "own-agent")
    [row] = byleave.json("choice", "list", "--person", "telegram:user1001")
    assert row["by"] == "owner"
    byleave.json("import", "chat.json", "--owner", "two")
    assert "--owner" in byleave(*yes, "masked", "--purpose", "own-agent").refusal
    byleave.json(*yes, "masked", "--purpose", "own-agent", "--owner", "two")


def test_sandbox_stays_on_loopback(sandbox: Terminal) -> None:
    assert "no public address" in sandbox("serve", "--public-url", "https://inbox.example").refusal
    assert "loopback" in sandbox("serve", "--host", "0.0.0.0").refusal


def test_the_tier_full_is_refused_before_anything_is_read(
    byleave: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    from byleave.words import ner

    monkeypatch.setattr(ner, "find_spec", lambda name: None)
    ner.reader.cache_clear()
    assert "byleave[ner]" in byleave("import", "chat.json", "--tier", "full").refusal
    assert not (byleave.folder / "inbox.db").exists()
    assert byleave.json("import", "chat.json", "--tier", "rules")["messages"]["added"] == 3


def test_several_owners_must_be_named(sandbox: Terminal) -> None:
    sandbox.json("import", "chat.json", "--owner", "two")
    for verb in (
        "people",
        "export",
        "import chat.json",
        "grant create --purpose own-agent --level text",
        "grant list",
        "ledger show",
    ):
        assert "--owner" in sandbox(*verb.split()).refusal, verb
    assert sandbox.json("people", "--owner", "two")


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "people --wrong",
        "import",
        "import nothing.json",
        "import chat.json --date-order xyz",
        "import chat.json --tz Nowhere/Else",
        "import chat.json --me nobody",
        "import chat.json --owner ''",
        "people --owner nobody",
        "signin",
        "signin --owner me --base-url javascript:x",
        "signin --owner nobody",
        "signin --owner me --person telegram:user1001",
        "export --format csv",
        "grant create --purpose nonsense --level text",
        "grant create --purpose owner --level text",
        "grant create --purpose own-agent --level loud",
        "grant create --purpose own-agent --level none",
        "grant create --purpose own-agent --level full",
        "grant create --purpose own-agent --level text --unanswered text",
        "grant create --purpose own-agent --level text --conversation nonsense",
        "grant create --purpose own-agent --level text --agreement nothing",
        "grant create --purpose own-agent --level text --until 2020-01-01T00:00:00Z",
        "grant create --purpose own-agent --level text --until yesterday",
        "grant create --purpose own-agent --level text --until 2026-12-01T00:00:00",
        "grant create --purpose own-agent --level text --until 9999-12-31T00:00:00Z",
        "grant create --purpose tailoring --level masked",
        "grant create --purpose tailoring --level masked --agreement nothing",
        "grant revoke zz",
        "grant revoke 00",
        "token --grant zz",
        "token --grant 00",
        "mcp --grant zz",
        "choice set --person nobody --level none",
        "choice set --person telegram:user1 --level masked",
        "choice set --person telegram:user1 --level masked --purpose owner",
        "choice set --person telegram:user1 --level none --partner ''",
        "choice set --person telegram:user1 --level none --conversation nonsense",
        "choice set --person telegram:user1 --level none --at noon",
        "choice withdraw --choice zz",
        "choice list --person @",
        "policy explain --grant zz --message a/b/c",
        "agreement show nothing",
        "agreement sign nothing.json",
        "agreement sign chat.json",
        "agreement add chat.json",
        "agreement new --partner p --purpose tailoring --key chat.json",
        "client add nothing.json",
        "client add chat.json",
        "keys new --alg none",
        "words parts nothing.eml",
        "words mentions --catalogue nothing.csv",
        "report check nothing.json",
        "serve --port 99999",
    ],
)
def test_one_line_says_what_is_wrong(sandbox: Terminal, line: str) -> None:
    assert sandbox(*("" if word == "''" else word for word in line.split())).refusal


def test_help_and_version(byleave: Terminal) -> None:
    assert byleave("--version").out.startswith("byleave ")
    bare = byleave()
    assert "agreement" in bare.out and bare.err == ""
    assert byleave("import", "--help").status == 0


def test_what_is_no_store_is_refused(byleave: Terminal) -> None:
    Path("text.db").write_text("hello")
    Path("empty.db").touch()
    Path("folder").mkdir()
    connection = sqlite3.connect("other.db")
    connection.execute("CREATE TABLE x (a)")
    connection.close()
    for store in ("text.db", "empty.db", "folder", "other.db", "nothing.db", "postgresql://host/name"):
        assert byleave("people", "--store", store).refusal, store
    for store in ("text.db/inside.db", "/proc/inbox.db"):
        assert "cannot be written" in byleave("init", "--mode", "personal", "--store", store).refusal
        assert "cannot be written" in byleave("import", "chat.json", "--store", store).refusal


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Ann@Example.test", "mail:ann@example.test"),
        ("mail: ann@example.test", "mail:ann@example.test"),
        ("MAIL:ann@example.test", "mail:ann@example.test"),
        ("+44 7700 900123", "tel:+447700900123"),
        ("tel:+44 (7700) 900-123", "tel:+447700900123"),
        (" telegram:user1001 ", "telegram:user1001"),
    ],
)
def test_handles_as_people_write_them(sandbox: Terminal, written: str, meant: str) -> None:
    sandbox.json("choice", "set", "--person", written, "--level", "none")
    assert len(sandbox.json("choice", "list", "--person", meant)) == 1


def test_an_agreement_that_is_not_in_force_gives_no_grant(sandbox: Terminal) -> None:
    made = partner(sandbox)
    grant = (
        "grant",
        "create",
        "--purpose",
        "tailoring",
        "--level",
        "masked",
        "--agreement",
        made["agreement"],
    )
    for at in ("2001-01-01T00:00:00Z", "2101-01-01T00:00:00Z"):
        assert "not in force" in sandbox(*grant, "--at", at).refusal
    connection = sqlite3.connect("inbox.db")
    connection.execute("UPDATE agreement SET status = 'suspended'")
    connection.commit()
    connection.close()
    assert "not in force" in sandbox(*grant).refusal


def test_an_agreement_needs_both_signatures(sandbox: Terminal) -> None:
    sandbox.json("keys", "new", "--out", "p.jwk")
    draft = (
        "agreement",
        "new",
        "--partner",
        "p",
        "--purpose",
        "tailoring:masked",
        "--key",
        "p.jwk",
        "--out",
        "d.json",
    )
    sandbox.json(*draft)
    assert "partner" in sandbox("agreement", "add", "d.json").refusal
    sandbox.json("agreement", "sign", "d.json", "--key", "p.jwk")
    assert "provider" in sandbox("agreement", "add", "d.json").refusal


def test_a_defect_shows_no_message(sandbox: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("the words of somebody")

    monkeypatch.setattr("byleave.view.export.people", broken)
    said = sandbox("people")
    assert said.status == 70 and said.out == ""
    assert len(said.err.splitlines()) == 1 and "somebody" not in said.err
