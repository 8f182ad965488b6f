"""One verdict by three ways: `reports.check`, `byleave report check` and `POST /reports` name the same rows; and wrong
types anywhere are refused by each, never a crash, never half a report kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from byleave.cli.report import app
from byleave.exchange import report as reports
from byleave.exchange.forms import Parcel, Row, canonical_csv
from byleave.keys import generate, read_jwk
from byleave.partner.client import Refusal
from byleave.words.fragment import rfc3339
from tests.exchange.test_checks import V1_FILES
from tests.exchange.test_delivery import built, end_of
from tests.exchange.test_fuzz import few
from tests.exchange.world import DAY_MS, Exchanging

Edit = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchanging]:
    made = Exchanging(tmp_path_factory.mktemp("ways"))
    made.now = end_of(1)
    yield made
    made.world.store.close()


def sealed(
    it: Exchanging,
    rows: list[Row] | None = None,
    edit: Edit = lambda data: data,
    key: Any = None,
    **changed: Any,
) -> Parcel:
    """An honest report of period 1 but for what is changed."""
    rows = list(built(it, 1).rows) if rows is None else rows
    manifest = {k: v for k, v in built(it, 1).manifest.items() if k != "signature"}
    manifest["row_count"] = len(rows)
    manifest["totals"] = {
        n: sum(getattr(r, n) for r in rows) for n in ("sends", "recipient_clicks", "clicks_total")
    }
    import hashlib

    manifest["content_sha256"] = hashlib.sha256(canonical_csv(rows)).hexdigest()
    manifest.update(changed)
    made = reports.seal(manifest, key or read_jwk(it.key.as_dict(private=True)))
    return Parcel("csv", edit(canonical_csv(rows)), json.dumps(made).encode())


def with_row(it: Exchanging, n: int, **changed: Any) -> list[Row]:
    rows = list(built(it, 1).rows)
    rows[n] = rows[n]._replace(**changed)
    return rows


CASES: dict[str, tuple[str, Callable[[Exchanging], Parcel]]] = {
    **{
        f"V1 {name}": ("V1", lambda it, name=name: sealed(it, edit=V1_FILES[name][0]))  # type: ignore[misc]
        for name in (
            "bom", "all crlf", "one crlf", "no last newline", "unsorted", "nul", "formula =", "formula @", "minus zero",
            "nan", "exponent", "5,000 digits", "week date", "quoted", "header missing", "20,001 rows", "17 MB",
        )
    },
    "V2 signature": ("V2", lambda it: sealed(it, key=generate("ES256"))),
    "V2 partner": ("V2", lambda it: sealed(it, partner_id="other")),
    "V2 revision": ("V2", lambda it: sealed(it, revision=1, supersedes="019c0000-0000-7abc-8def-000000000001")),
    "V2 content": ("V2", lambda it: sealed(it, content_sha256="0" * 64)),
    "V3 timezone": ("V3", lambda it: sealed(it, timezone="Europe/Berlin")),
    "V3 too early": ("V3", lambda it: sealed(it, generated_at=rfc3339(end_of(1) - DAY_MS))),
    "V3 a day off": ("V3", lambda it: sealed(it, period_end="2026-09-21")),
    "V4 missing cell": ("V4", lambda it: sealed(it, list(built(it, 1).rows)[1:])),
    "V4 unknown code": ("V4", lambda it: sealed(it, with_row(it, len(built(it, 1).rows) - 1, variant="z-unknown"))),
    "V5 row count": ("V5", lambda it: sealed(it, row_count=1)),
    "V5 totals": ("V5", lambda it: sealed(it, totals={"sends": 1, "recipient_clicks": 0, "clicks_total": 0})),
    "V5 more readers than clicks": ("V5", lambda it: sealed(it, with_row(it, 5, sends=9, recipient_clicks=3, clicks_total=2))),
    "V5 more readers than sends": ("V5", lambda it: sealed(it, with_row(it, 5, sends=1, recipient_clicks=3, clicks_total=3))),
}  # fmt: skip


def ways(it: Exchanging, parcel: Parcel, folder: Path) -> list[Any]:
    """The violations as each way tells them, in one form."""
    terms = it.terms
    verdict = reports.check(parcel, terms, [], it.now)
    pure = [
        {"rule": v.rule, "row": v.row, "column": v.column, "message": v.message} for v in verdict.violations
    ]
    (folder / "past").mkdir(exist_ok=True)
    (folder / "deal.json").write_bytes(it.agreement.encode())
    file = folder / f"r.{parcel.form}"
    file.write_bytes(parcel.rows)
    if parcel.manifest is not None:
        (folder / "r.manifest.json").write_bytes(parcel.manifest)
    line = ["check", str(file), "--agreement", str(folder / "deal.json"), "--history", str(folder / "past")]
    done = CliRunner().invoke(app, [*line, "--at", rfc3339(it.now), "--json"])
    own = it.partner.own_token()
    try:
        it.partner.submit(own, parcel)
        told: Any = []
    except Refusal as refusal:
        told = refusal.problem.get("violations", refusal.kind)
    assert it.partner.reports(own)["reports"] == [], "nothing of it was kept"
    if not done.stdout:
        return [pure, done.exit_code, told]
    assert done.exit_code == 1
    return [pure, json.loads(done.stdout)["violations"], told]


@pytest.mark.parametrize("name", CASES)
def test_each_rule_alone(it: Exchanging, tmp_path: Path, name: str) -> None:
    rule, make = CASES[name]
    pure, typed, posted = ways(it, make(it), tmp_path)
    assert {v["rule"] for v in pure} == {rule}
    assert pure == typed == posted


def test_forty_at_once(it: Exchanging, tmp_path: Path) -> None:
    def forty(data: bytes) -> bytes:
        lines = data.split(b"\n")
        for i in range(1, 41):
            cells = lines[i].split(b",")
            column, text = [(0, b"2026-9-7"), (1, b"=x"), (4, b"-1"), (5, b"1e3"), (3, b'"v"')][i % 5]
            cells[column] = text
            lines[i] = b",".join(cells)
        return b"\n".join(lines)

    pure, typed, posted = ways(it, sealed(it, edit=forty), tmp_path)
    assert [(v["rule"], v["row"]) for v in pure] == [("V1", n) for n in range(1, 41)]
    assert pure == typed == posted


ODD = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**40), 10**40), st.floats(), st.text(max_size=8), st.just(-0.0),
        st.sampled_from(["=1+1", "2026-09-07", "UTC", "\ufeff", "\0", "9" * 400, [], {}, 0, 1, 1.0]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip


@few
@given(data=st.data())
def test_wrong_types_anywhere(it: Exchanging, data: st.DataObject) -> None:
    """A field of manifest or rows becomes something else, and the whole is sealed again by the right key."""
    good = built(it, 1)
    manifest = {k: v for k, v in good.manifest.items() if k != "signature"}
    rows: list[Any] = [row._asdict() for row in good.rows]
    where = data.draw(st.sampled_from([*manifest, "rows", "row", "cell", "totals.sends", "exceptions.0"]))
    odd: Any = data.draw(ODD)
    if where == "rows":
        rows = odd
    elif where == "row":
        rows[data.draw(st.integers(0, 9))] = odd
    elif where == "cell":
        rows[data.draw(st.integers(0, 9))][data.draw(st.sampled_from([*Row._fields, "more"]))] = odd
    elif where == "totals.sends":
        manifest["totals"] = {**manifest["totals"], "sends": odd}
    elif where == "exceptions.0":
        manifest["exceptions"] = [odd]
    else:
        manifest[where] = odd
    try:
        made = reports.seal(manifest, read_jwk(it.key.as_dict(private=True)))
    except Exception:
        made = dict(good.manifest, **manifest)  # what RFC 8785 cannot write stays with the old seal
    body = json.dumps({"manifest": made, "rows": rows}).encode("utf-8", "surrogatepass")
    verdict = reports.check(Parcel("json", body), it.terms, [], it.now)
    if verdict.ok:
        unsigned = {k: v for k, v in made.items() if k != "signature"}
        same = json.dumps(rows) == json.dumps([row._asdict() for row in good.rows])
        free = where in (
            "preparer",
            "bot_filter_version",
            "report_id",
            "exceptions",
            "click_cutoff",
            "generated_at",
        )
        assert same and (free or unsigned == {k: v for k, v in good.manifest.items() if k != "signature"})


def test_a_claim_of_ten_gigabytes_is_not_read(it: Exchanging) -> None:
    own = it.partner.own_token()
    answer = it.partner.request(
        "POST", "http://127.0.0.1:8420/reports", own, b"{}", headers={"Content-Length": str(10**10)}
    )
    assert answer.status_code in (400, 413) and answer.json()["status"] == answer.status_code
