"""Agreements: one of the spec's shape passes, and every way to bend one is refused by field."""

from __future__ import annotations

import copy
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from byleave import keys
from byleave.cli.agreement import app as agreement_app
from byleave.cli.keys import app as keys_app
from byleave.consent import agreement as agreements
from byleave.errors import Conflict, Refused
from byleave.model import Level, Mode

PARTNER, PROVIDER = keys.generate(), keys.generate("EdDSA")
OTHER = keys.generate()
DAY = datetime.date(2026, 11, 2)


def full() -> dict[str, Any]:
    """The agreement of names.md."""
    return {
        "schema": "byleave.agreement/1",
        "id": "streamflix-2026",
        "version": 1,
        "partner": {
            "id": "streamflix",
            "name": "Streamflix",
            "contact": "privacy@streamflix.example",
            "jwks": {"keys": [PARTNER.public()]},
            "redirect_uris": ["https://streamflix.example/cb"],
            "operatives": "named",
        },
        "purposes": [
            {"purpose": "tailoring", "level": "masked"},
            {"purpose": "ranking", "level": "signals"},
        ],
        "budgets": {
            "people_per_day": 500,
            "new_people_per_day": 50,
            "messages_per_day": 20000,
            "bytes_per_day": 50000000,
        },
        "report": {
            "anchor": "2026-11-02",
            "dimensions": {
                "interface": ["tv", "web", "phone"],
                "surface": ["detail", "credits"],
                "variant": ["card-on_platform", "card-off_platform"],
            },
            "valid_from": "2026-11-02",
            "valid_to": None,
            "grace_days": 3,
            "suspend_days": 7,
        },
        "link_destinations": ["https://streamflix.example/title/"],
        "retention_days": 30,
        "term": {"from": "2026-11-02", "to": "2027-11-01"},
        "interests": [],
        "approved_by": ["operator:a", "operator:b"],
        "signatures": [],
    }


def decode(document: dict[str, Any]) -> agreements.Agreement:
    return agreements.decode(json.dumps(document).encode(), "a.json")


def provider() -> dict[str, Any]:
    return {"keys": [PROVIDER.public()]}


def test_the_agreement_of_the_spec() -> None:
    a = decode(full())
    assert a.level("tailoring") is Level.MASKED and a.level("support-case") is Level.NONE
    assert a.runs(DAY) and not a.runs(datetime.date(2027, 11, 2))
    assert (
        a.approved_in(Mode.PROVIDER) and not a.approved_in(Mode.SANDBOX) and not a.approved_in(Mode.PERSONAL)
    )
    assert a.terms.report and a.terms.report.dimensions.codes(DAY)["surface"] == ["detail", "credits"]
    assert agreements.decode(a.encode()).document == full()


def at(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *steps, last = path.split(".")
        for step in steps:
            document = document[int(step) if step.isdigit() else step]
        key: Any = int(last) if last.isdigit() else last
        if value is KeyError:
            del document[key]
        else:
            document[key] = value

    return change


BENT = [
    ("schema", "byleave.agreement/2"),
    ("id", "Streamflix"),
    ("id", "../x"),
    ("id", "a" * 64),
    ("version", 0),
    ("version", True),
    ("version", "1"),
    ("version", 2**53),
    ("extra", 1),
    ("partner.extra", 1),
    ("budgets.extra", 1),
    ("budgets", KeyError),
    ("retention_days", KeyError),
    ("term", KeyError),
    ("partner.jwks.keys", []),
    ("partner.jwks.keys.0", PARTNER.to_private()),
    ("partner.jwks.keys.0", {"kty": "oct", "k": "AAAA", "kid": "x"}),
    ("partner.jwks.keys.0.kid", KeyError),
    ("partner.jwks.keys.0.d", "AAAA"),
    ("partner.jwks.keys", [PARTNER.public(), {**OTHER.public(), "kid": PARTNER.kid}]),
    ("partner.name", ""),
    ("partner.name", "a\u202eb"),
    ("partner.name", "a\nb"),
    ("partner.name", "\ud800"),
    ("partner.contact", "nobody"),
    ("partner.contact", "http://streamflix.example/"),
    ("partner.operatives", "none"),
    ("partner.redirect_uris.0", "http://streamflix.example/cb"),
    ("partner.redirect_uris.0", "http://127.0.0.1.evil.example/cb"),
    ("partner.redirect_uris.0", "http://localhost@evil.example/cb"),
    ("partner.redirect_uris.0", "https://streamflix.example/cb#x"),
    ("partner.redirect_uris.0", "https://streamflix.example/cb#"),
    ("partner.redirect_uris.0", "https://a@streamflix.example/cb"),
    ("partner.redirect_uris.0", "https://*.example/cb"),
    ("partner.redirect_uris.0", "https:///cb"),
    ("partner.redirect_uris.0", "https://evil.example\\@streamflix.example/"),
    ("partner.redirect_uris.0", "https://streamflix.example/\n"),
    ("partner.redirect_uris.0", "https://streamflix.example:99999/"),
    ("partner.redirect_uris.0", "https://[::1/"),
    ("partner.redirect_uris.0", "javascript:alert(1)"),
    ("partner.redirect_uris", ["https://a.example/", "https://a.example/"]),
    ("purposes", []),
    ("purposes.0.purpose", "owner"),
    ("purposes.0.purpose", "own-agent"),
    ("purposes.0.purpose", "resale"),
    ("purposes.0.level", "text"),
    ("purposes.0.level", "none"),
    ("purposes.0.level", "Masked"),
    ("purposes.1.level", "masked"),
    ("purposes.1.purpose", "tailoring"),
    ("budgets.people_per_day", 0),
    ("budgets.messages_per_day", -1),
    ("budgets.bytes_per_day", 1.5),
    ("budgets.bytes_per_day", None),
    ("budgets.new_people_per_day", 501),
    ("report.anchor", "2026-11-31"),
    ("report.anchor", "02.11.2026"),
    ("report.valid_to", "2026-11-01"),
    ("report.suspend_days", 2),
    ("report.dimensions.variant", []),
    ("report.dimensions.variant.0", "Card"),
    ("report.dimensions.variant.0", "a" * 41),
    ("report.dimensions.variant.0", {"code": "a", "valid_from": "2026-11-02", "valid_to": "2026-11-01"}),
    ("report.dimensions.variant", ["a", "a"]),
    ("report.dimensions.variant", [f"v{i}" for i in range(11)]),
    ("report.dimensions.person", ["a"]),
    ("link_destinations.0", "http://streamflix.example/"),
    ("link_destinations.0", "https://streamflix.example"),
    ("link_destinations.0", "https://streamflix.example/a?to="),
    ("link_destinations.0", "https://streamflix.example/a/../"),
    ("link_destinations.0", "https://streamflix.example/a/%2e%2E/"),
    ("retention_days", -1),
    ("term.to", "2026-11-01"),
    ("approved_by", []),
    ("approved_by", ["operator:a"]),
    ("approved_by", ["operator:a", "operator:a"]),
    ("approved_by", ["sandbox", "owner"]),
    ("approved_by", ["operator:a", "owner"]),
    ("approved_by", ["operator:a", "b"]),
    ("signatures", ["x"] * 9),
    ("signatures", "x"),
]


@pytest.mark.parametrize(("path", "value"), BENT, ids=[f"{p}={str(v)[:30]!r}" for p, v in BENT])
def test_bent_agreements_are_refused_by_field(path: str, value: Any) -> None:
    document = full()
    at(path, value)(document)
    with pytest.raises(Refused) as caught:
        decode(document)
    line = str(caught.value)
    assert line.startswith("a.json: ") and "\n" not in line
    assert PARTNER.to_private()["d"] not in line


def test_not_json() -> None:
    text = json.dumps(full())
    for data in (
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff\xfe",
        text.replace('"version"', '"id": "b", "version"').encode(),
    ):
        with pytest.raises(Refused):
            agreements.decode(data)
    with pytest.raises(Refused):
        agreements.decode(b" " * (256 * 1024) + text.encode())


def test_dated_codes() -> None:
    document = full()
    late = {"code": "late", "valid_from": "2027-01-01", "valid_to": None}
    document["report"]["dimensions"]["variant"] = [
        {"code": "a", "valid_from": "2026-11-02", "valid_to": "2026-12-31"},
        {"code": "a", "valid_from": "2027-02-01"},
        late,
    ]
    terms = decode(document).terms.report
    assert terms is not None
    days = [DAY, datetime.date(2026, 12, 31), datetime.date(2027, 1, 1), datetime.date(2027, 2, 1)]
    assert [terms.dimensions.codes(day)["variant"] for day in days] == [["a"], ["a"], ["late"], ["a", "late"]]
    # 6 × 10 cells today, 6 × 11 from the new year on: too many, though no day before has more than 60.
    document["report"]["dimensions"]["variant"] = [f"v{i}" for i in range(10)] + [late]
    with pytest.raises(Refused):
        decode(document)


def test_both_must_sign() -> None:
    a = decode(full())
    assert not agreements.check(a, provider()).complete
    a = agreements.sign(a, PARTNER)
    assert agreements.check(a, provider()).provider is None
    assert agreements.sign(a, PARTNER).terms.signatures == a.terms.signatures
    a = agreements.sign(a, PROVIDER)
    assert agreements.check(a, provider()) == agreements.Signatures(PARTNER.kid, PROVIDER.kid, ())
    again = agreements.decode(a.encode())
    assert agreements.check(again, provider()).complete
    assert not agreements.check(again, {"keys": [OTHER.public()]}).complete
    assert not agreements.check(again, {"keys": []}).complete
    # The payload is the canonical form itself.
    payload = keys.verify_jws(a.terms.signatures[0], [PARTNER])[1]
    assert json.loads(payload) == {k: v for k, v in full().items() if k != "signatures"}


def test_a_changed_term_undoes_the_signatures() -> None:
    signed = agreements.sign(agreements.sign(decode(full()), PARTNER), PROVIDER)
    for path, value in [
        ("budgets.people_per_day", 501),
        ("purposes.0.level", "signals"),
        ("approved_by", ["sandbox"]),
        ("partner.redirect_uris.0", "https://streamflix.example/cc"),
        ("interests", ["a seat on the board"]),
    ]:
        document = copy.deepcopy(dict(signed.document))
        at(path, value)(document)
        found = agreements.check(decode(document), provider())
        assert (found.partner, found.provider, len(found.problems)) == (None, None, 2)


def test_one_side_cannot_sign_for_both() -> None:
    document = full()
    document["partner"]["jwks"]["keys"].append({**PROVIDER.public(), "kid": "mine"})
    a = agreements.sign(agreements.sign(decode(document), PARTNER), PROVIDER)
    found = agreements.check(a, provider())
    assert not found.complete and found.provider is None
    twice = {**full(), "signatures": [PARTNER.sign(decode(full()).payload())] * 2}
    assert not agreements.check(decode(twice), provider()).complete


def test_strangers_and_rubbish_are_problems() -> None:
    a = agreements.sign(agreements.sign(decode(full()), PARTNER), PROVIDER)
    for odd in ("", "x", "a.b.c", OTHER.sign(a.payload()), PARTNER.sign(a.payload() + b" ")):
        document = {**a.document, "signatures": [*a.terms.signatures, odd]}
        found = agreements.check(decode(document), provider())
        assert found.problems == ("signatures[2] is neither side's over these terms",) and not found.complete


def test_retired_keys() -> None:
    document = full()
    document["partner"]["jwks"]["keys"][0] = {**PARTNER.public(), "exp": 1000}
    a = agreements.sign(agreements.sign(decode(document), PARTNER), PROVIDER)
    assert agreements.check(a, provider(), at_s=999).complete
    assert not agreements.check(a, provider(), at_s=1000).complete


def test_versions_follow_each_other() -> None:
    old = decode(full())
    document = {**full(), "version": 2}
    assert agreements.succeed(decode(document), old) == ()
    document["budgets"] = {**document["budgets"], "messages_per_day": 20001}
    document["purposes"] = [*document["purposes"], {"purpose": "support-case", "level": "text"}]
    document["partner"] = {**document["partner"], "operatives": "any"}
    assert agreements.succeed(decode(document), old) == (
        "purposes.support-case",
        "budgets.messages_per_day",
        "partner.operatives",
    )
    for change in ({"version": 3}, {"version": 1}, {"id": "other"}):
        with pytest.raises(Conflict):
            agreements.succeed(decode({**document, **change}), old)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    st.dates(datetime.date(2000, 1, 1), datetime.date(2100, 1, 1)),
    st.from_regex(r"[a-z0-9][a-z0-9._-]{0,40}", fullmatch=True),
)
def test_what_new_makes_is_accepted(day: datetime.date, partner: str) -> None:
    a = agreements.new(partner, [("tailoring", "masked")], [PARTNER.public()], today=day)
    assert agreements.decode(a.encode()).document == a.document
    assert a.runs(day) and a.approved_in(Mode.SANDBOX)


def test_command_line(tmp_path: Path) -> None:
    run = CliRunner()
    key, own, file = tmp_path / "k.json", tmp_path / "own.json", tmp_path / "a.json"
    answer = json.loads(run.invoke(keys_app, ["new", "--out", str(key), "--json"]).stdout)
    assert answer["jwk"]["kid"] == answer["kid"] and "d" not in answer["jwk"]
    assert key.stat().st_mode & 0o777 == 0o600
    assert isinstance(run.invoke(keys_app, ["new", "--out", str(key)]).exception, Conflict)
    assert "d" in json.loads(run.invoke(keys_app, ["new"]).stdout)["jwk"]
    run.invoke(keys_app, ["new", "--out", str(own), "--alg", "EdDSA"])
    words = [
        "new",
        "--partner",
        "acme",
        "--purpose",
        "tailoring:masked",
        "--purpose",
        "ranking:signals",
        "--json",
    ]
    words += ["--key", str(key), "--out", str(file), "--at", "2026-11-02T23:59:59Z"]
    made = run.invoke(agreement_app, words)
    assert json.loads(made.stdout) == {
        "agreement": "acme-2026",
        "partner": "acme",
        "purposes": ["tailoring:masked", "ranking:signals"],
        "status": "unsigned",
    }
    for one in (key, own):
        signed = run.invoke(agreement_app, ["sign", str(file), "--key", str(one), "--json"])
        assert signed.exit_code == 0, signed.exception
    ours = {"keys": [keys.read_key(own).public()]}
    assert agreements.check(agreements.decode(file.read_bytes()), ours).complete
    for bad in ("tailoring", "tailoring:text", "x:signals", ":", "owner:full"):
        words = ["new", "--partner", "acme", "--purpose", bad, "--key", str(key)]
        assert isinstance(run.invoke(agreement_app, words).exception, Refused)
    key.chmod(0o644)
    assert isinstance(run.invoke(agreement_app, ["sign", str(file), "--key", str(key)]).exception, Refused)
