"""V1–V5: for every rule files that break it alone, all violations at once, one violation for one cause."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from byleave.errors import Refused
from byleave.exchange.forms import HEADER, Row


def rules(verdict: Any) -> set[str]:
    return {violation.rule for violation in verdict.violations}


def test_an_honest_report_passes_in_every_form(desk: Any) -> None:
    report = desk.report()
    receipts = []
    for form in ("csv", "json", "parquet"):
        verdict = desk.check(report.parcel(form))
        assert verdict.violations == []
        assert verdict.ok and verdict.warnings == [] and verdict.unchecked == []
        receipts.append(verdict.receipt)
    assert receipts[0] == receipts[1] == receipts[2]


def line(number: int, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """An edit of data row `number`."""

    def edit(data: bytes) -> bytes:
        lines = data.split(b"\n")
        lines[number] = change(lines[number])
        return b"\n".join(lines)

    return edit


def cell(number: int, column: int, text: bytes) -> Callable[[bytes], bytes]:
    def change(row: bytes) -> bytes:
        cells = row.split(b",")
        cells[column] = text
        return b",".join(cells)

    return line(number, change)


V1_FILES: dict[str, tuple[Callable[[bytes], bytes], int | None, str | None]] = {
    "bom": (lambda d: b"\xef\xbb\xbf" + d, None, None),
    "utf-16": (lambda d: d.decode().encode("utf-16"), None, None),
    "empty": (lambda d: b"", None, None),
    "all crlf": (lambda d: d.replace(b"\n", b"\r\n"), None, None),
    "one crlf": (line(5, lambda r: r + b"\r"), 5, None),
    "no last newline": (lambda d: d[:-1], 56, None),
    "blank line": (line(5, lambda r: r + b"\n"), 6, None),
    "blank end": (lambda d: d + b"\n", 57, None),
    "header in capitals": (lambda d: d.replace(b"day,", b"Day,", 1), None, None),
    "header twice": (lambda d: HEADER.encode() + b"\n" + d, 1, None),
    "header missing": (lambda d: d.split(b"\n", 1)[1], None, None),
    "duplicate column": (lambda d: d.replace(b"clicks_total", b"sends", 1), None, None),
    "column order": (lambda d: d.replace(b"day,interface", b"interface,day", 1), None, None),
    "extra cell": (line(4, lambda r: r + b",7"), 4, None),
    "cell short": (line(4, lambda r: r.rsplit(b",", 1)[0]), 4, None),
    "semicolons": (lambda d: d.replace(b",", b";"), None, None),
    "unsorted": (lambda d: swap(d, 3, 4), 4, None),
    "nul": (cell(7, 1, b"t\0v"), 7, "interface"),
    "latin-1": (cell(7, 1, b"t\xe9"), 7, None),
    "formula =": (cell(7, 3, b"=card"), 7, "variant"),
    "formula +": (cell(7, 3, b"+card"), 7, "variant"),
    "formula -": (cell(7, 3, b"-card"), 7, "variant"),
    "formula @": (cell(7, 3, b"@card"), 7, "variant"),
    "formula tab": (cell(7, 3, b"\tcard"), 7, "variant"),
    "formula cr": (cell(7, 3, b"\rcard"), 7, "variant"),
    "formula in a figure": (cell(7, 4, b"=1+1"), 7, "sends"),
    "quoted": (cell(7, 1, b'"tv"'), 7, "interface"),
    "quoted figure": (cell(7, 4, b'"7"'), 7, "sends"),
    "space": (cell(7, 1, b" tv"), 7, "interface"),
    "space in a figure": (cell(7, 4, b"7 "), 7, "sends"),
    "capitals": (cell(7, 1, b"TV"), 7, "interface"),
    "long code": (cell(7, 1, b"t" * 41), 7, "interface"),
    "empty code": (cell(7, 1, b""), 7, "interface"),
    "replacement character": (cell(7, 1, "t�".encode()), 7, "interface"),
    "short date": (cell(7, 0, b"2026-11-3"), 7, "day"),
    "compact date": (cell(7, 0, b"20261103"), 7, "day"),
    "week date": (cell(7, 0, b"2026-W45-1"), 7, "day"),
    "no such day": (cell(7, 0, b"2026-11-31"), 7, "day"),
    "arabic digits": (cell(7, 0, "٢٠٢٦-11-03".encode()), 7, "day"),
    "negative": (cell(7, 4, b"-5"), 7, "sends"),
    "minus zero": (cell(7, 4, b"-0"), 7, "sends"),
    "plus": (cell(7, 4, b"+5"), 7, "sends"),
    "exponent": (cell(7, 4, b"1e3"), 7, "sends"),
    "decimal": (cell(7, 4, b"5.0"), 7, "sends"),
    "nan": (cell(7, 4, b"NaN"), 7, "sends"),
    "leading zero": (cell(7, 4, b"007"), 7, "sends"),
    "underscore": (cell(7, 4, b"1_0"), 7, "sends"),
    "hexadecimal": (cell(7, 4, b"0x10"), 7, "sends"),
    "empty figure": (cell(7, 4, b""), 7, "sends"),
    "2 to the 53": (cell(7, 4, b"9007199254740992"), 7, "sends"),
    "5,000 digits": (cell(7, 4, b"9" * 5000), 7, "sends"),
    "eastern digits": (cell(7, 4, "٧".encode()), 7, "sends"),
    "20,001 rows": (lambda d: d + b"2026-11-02,a,b,c,0,0,0\n" * 19_945, None, None),
    "17 MB": (lambda d: d + b"x" * 17_000_000, None, None),
}


def swap(data: bytes, i: int, j: int) -> bytes:
    lines = data.split(b"\n")
    lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


@pytest.mark.parametrize("name", V1_FILES)
def test_v1_alone_in_csv(desk: Any, name: str) -> None:
    edit, row, column = V1_FILES[name]
    verdict = desk.check(desk.csv(edit=edit))
    assert not verdict.ok and verdict.receipt is None
    assert rules(verdict) == {"V1"}
    assert (row, column) in {(v.row, v.column) for v in verdict.violations}
    if name not in ("utf-16", "semicolons", "header twice", "header missing"):
        assert len(verdict.violations) == 1


JSON_VALUES = ["1e3", "5.0", "-0", "-1", "NaN", "Infinity", "true", "null", '"5"', "[5]", "9" * 400, "1E400"]


@pytest.mark.parametrize("literal", JSON_VALUES)
def test_v1_alone_in_json_figures(desk: Any, literal: str) -> None:
    body = json.loads(desk.json().rows)
    body["rows"][6]["sends"] = 123454321
    edited = json.dumps(body).replace("123454321", literal).encode()
    verdict = desk.check(type(desk.json())("json", edited))
    assert [(v.rule, v.row, v.column) for v in verdict.violations] == [("V1", 7, "sends")]


def _rows(body: dict[str, Any]) -> Any:
    return body["rows"]


JSON_EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "formula": lambda b: _rows(b)[6].update(variant="=1"),
    "number as code": lambda b: _rows(b)[6].update(variant=5),
    "lone surrogate": lambda b: _rows(b)[6].update(variant="\ud800"),
    "time as day": lambda b: _rows(b)[6].update(day="2026-11-03T00:00:00Z"),
    "missing column": lambda b: _rows(b)[6].pop("sends"),
    "extra column": lambda b: _rows(b)[6].update(user="x"),
    "row is a list": lambda b: _rows(b).__setitem__(6, list(_rows(b)[6].values())),
}


@pytest.mark.parametrize("name", JSON_EDITS)
def test_v1_alone_in_json_rows(desk: Any, name: str) -> None:
    parcel = desk.json()
    body = json.loads(parcel.rows)
    JSON_EDITS[name](body)
    verdict = desk.check(type(parcel)("json", json.dumps(body).encode()))
    assert {(v.rule, v.row) for v in verdict.violations} == {("V1", 7)}


def test_row_order_is_free_in_json(desk: Any) -> None:
    parcel = desk.json()
    body = json.loads(parcel.rows)
    body["rows"].reverse()
    assert desk.check(type(parcel)("json", json.dumps(body).encode())).ok


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"manifest": {}, "rows": {}}',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"[" * 70_000,
        b'{"a":' * 50_000,
        b'{"rows": [' + b"{}," * 90_000 + b"{}]}",
        b'{"rows": "\xff"}',
        b'{"manifest": {"schema": "\\ud800"}, "rows": [1, null, "x", {}]}',
    ],
    ids=range(12),
)
def test_odd_json_is_v1_and_never_a_crash(desk: Any, data: bytes) -> None:
    verdict = desk.check(type(desk.json())("json", data))
    assert not verdict.ok and "V1" in rules(verdict)


def test_a_name_twice_is_told_where_it_stands(desk: Any) -> None:
    data = desk.json().rows
    first = data.replace(b'"interface": "tv"', b'"interface": "tv", "interface": "tv"', 1)
    verdict = desk.check(type(desk.json())("json", first))
    assert [(v.rule, v.row, v.column) for v in verdict.violations] == [("V1", 1, "interface")]
    field = data.replace(b'"revision": 0', b'"revision": 0, "revision": 0', 1)
    verdict = desk.check(type(desk.json())("json", field))
    assert [(v.rule, v.row, v.column) for v in verdict.violations] == [("V1", None, "revision")]


MANIFEST_V1: dict[str, dict[str, Any]] = {
    "schema": {"schema": "byleave.partner-report/2"},
    "report_id": {"report_id": "0d2b3f52-8a5c-4d0e-9a61-6a8b2b8a1f00"},
    "sequence": {"sequence": "1"},
    "revision": {"revision": True},
    "supersedes": {"supersedes": ""},
    "period_start": {"period_start": "2 November 2026"},
    "generated_at": {"generated_at": "2026-11-17 06:00"},
    "row_count": {"row_count": 56.0},
    "totals": {"totals": {"sends": 1}},
    "exceptions": {"exceptions": [{"code": "outage"}]},
    "content_sha256": {"content_sha256": "AB"},
    "preparer": {"preparer": ""},
    "comment": {"comment": "an unknown field"},
    "click_cutoff": {"click_cutoff": ...},
}


@pytest.mark.parametrize("name", MANIFEST_V1)
def test_v1_alone_in_the_manifest(desk: Any, name: str) -> None:
    verdict = desk.check(desk.csv(**MANIFEST_V1[name]))
    assert rules(verdict) == {"V1"}
    assert {(v.row, v.column) for v in verdict.violations} == {(None, name)}


def test_an_odd_number_anywhere_in_the_manifest_is_refused(desk: Any) -> None:
    """1e3 and 1000 have one canonical form, so a seal alone would not tell them apart."""
    declared = {"code": "outage", "from": "2026-11-03", "to": "2026-11-03", "cells": None, "note": "x"}
    parcel = desk.csv(exceptions=[declared])
    assert desk.check(parcel).ok
    for old, new in (
        (b'"x"', b"1e3"),
        (b'"note": "x"', b'"note": -0'),
        (b'"outage"', b"1e3"),
        (b"56", b"56.0"),
    ):
        assert old in parcel.manifest
        bad = type(parcel)("csv", parcel.rows, parcel.manifest.replace(old, new, 1))
        assert not desk.check(bad).ok and rules(desk.check(bad)) == {"V1"}


def test_a_missing_manifest_hides_no_violation_of_the_rows(desk: Any) -> None:
    parcel = desk.csv(edit=cell(7, 4, b"-5"))
    verdict = desk.check(type(parcel)("csv", parcel.rows, None))
    assert {(v.row, v.column) for v in verdict.violations} == {(None, "manifest"), (7, "sends")}


def test_v2_alone(desk: Any) -> None:
    assert column(desk.check(desk.csv(partner_id="other"))) == ("V2", "partner_id")
    assert column(desk.check(desk.csv(agreement_id="other"))) == ("V2", "agreement_id")
    assert column(desk.check(desk.csv(content_sha256="0" * 64))) == ("V2", "content_sha256")
    assert column(desk.check(desk.csv(key=desk.stranger))) == ("V2", "signature")
    assert column(desk.check(desk.csv(supersedes="01900000-0000-7000-8000-000000000001"))) == (
        "V2",
        "supersedes",
    )
    assert column(desk.check(desk.csv(revision=1))) is None
    parcel = desk.csv()
    manifest = json.loads(parcel.manifest)
    for signature in ("", "a.b.c", manifest["signature"][:-4] + "AAAA", manifest["signature"] + "\n"):
        bad = json.dumps({**manifest, "signature": signature}).encode()
        assert column(desk.check(type(parcel)("csv", parcel.rows, bad))) == ("V2", "signature")
    del manifest["signature"]
    assert column(desk.check(type(parcel)("csv", parcel.rows, json.dumps(manifest).encode()))) == (
        "V2",
        "signature",
    )
    moved = {**json.loads(parcel.manifest), "preparer": "Somebody else"}
    bad = type(parcel)("csv", parcel.rows, json.dumps(moved).encode())
    assert column(desk.check(bad)) == ("V2", "signature")
    assert column(desk.check(bad, bare=True)) == ("V2", "signature")


def column(verdict: Any) -> tuple[str, str | None] | None:
    """Rule and column of the only violation; None where there are others."""
    assert not verdict.ok
    return (
        (verdict.violations[0].rule, verdict.violations[0].column) if len(verdict.violations) == 1 else None
    )


def test_a_retired_key_is_judged_when_the_report_was_received(desk: Any) -> None:
    parcel = desk.csv(key=desk.old)
    assert desk.check(parcel, at=desk.at(2) - 1000).ok
    assert column(desk.check(parcel, at=desk.at(2))) == ("V2", "signature")


def test_sequence_follows_the_history(desk: Any) -> None:
    first, second, third = (desk.csv(period=k) for k in (1, 2, 3))
    assert desk.check(second, [first]).ok
    assert column(desk.check(third, [first])) == ("V2", "sequence")
    assert column(desk.check(second, [])) == ("V2", "sequence")
    # The right fortnight under a wrong number is one mistake, not two.
    assert column(desk.check(desk.csv(period=2, sequence=5), [first])) == ("V2", "sequence")


def test_the_same_report_again_gets_the_same_receipt_and_another_conflicts(desk: Any) -> None:
    first, second = desk.csv(), desk.csv(period=2)
    once = desk.check(first)
    again = desk.check(desk.report().parcel("json"), [first, second])
    assert once.ok and again.ok and again.known and not once.known
    assert once.receipt == again.receipt
    other = desk.csv(desk.rows(1, seed=9))
    verdict = desk.check(other, [first, second])
    assert column(verdict) == ("V2", "content_sha256")
    assert "409" in verdict.violations[0].message


def test_revisions_name_what_they_replace(desk: Any) -> None:
    first = desk.csv()
    rows = desk.rows(1, seed=3)
    replaced = json.loads(first.manifest)["report_id"]
    good = desk.csv(rows, revision=1, supersedes=replaced)
    assert desk.check(good, [first]).ok
    assert column(desk.check(desk.csv(rows, revision=2, supersedes=replaced), [first])) == ("V2", "revision")
    wrong = "01900000-0000-7000-8000-000000000001"
    assert column(desk.check(desk.csv(rows, revision=1, supersedes=wrong), [first])) == ("V2", "supersedes")
    assert column(desk.check(desk.csv(rows, revision=1, supersedes=None), [first])) == ("V2", "supersedes")
    assert column(desk.check(desk.csv(rows, revision=1, supersedes=replaced), [])) == ("V2", "revision")
    same_id = desk.csv(rows, revision=1, supersedes=replaced, report_id=replaced)
    assert column(desk.check(same_id, [first])) == ("V2", "report_id")


def test_two_accepted_reports_of_one_number_are_refused(desk: Any) -> None:
    with pytest.raises(Refused, match="two reports"):
        desk.check(desk.csv(period=2), [desk.csv(), desk.csv(desk.rows(1, seed=4))])


def test_v3_alone(desk: Any) -> None:
    def at(**changed: Any) -> tuple[str, str | None] | None:
        return column(desk.check(desk.csv(**changed)))

    assert at(timezone="Europe/Paris") == ("V3", "timezone")
    assert at(period_start="2026-11-03", period_end="2026-11-16") == ("V3", "period_start")
    assert at(period_end="2026-11-14") == ("V3", "period_end")
    assert at(generated_at="2026-11-16T23:59:59Z") == ("V3", "generated_at")
    assert at(generated_at="2026-11-17T01:00:00+02:00") == ("V3", "generated_at")
    assert desk.check(desk.csv(generated_at="2026-11-17T00:00:00Z")).ok
    assert at(generated_at="2029-01-01T00:00:00Z") == ("V3", "generated_at")
    early = desk.check(desk.csv(), at=desk.at(1, -0.01))
    assert column(early) == ("V3", "period_end")
    beyond = desk.check(desk.csv(sequence=10**12))
    assert not beyond.ok and {v.column for v in beyond.violations} == {"sequence"}


def test_v4_alone(desk: Any) -> None:
    rows = desk.rows()
    gone = rows[:9] + rows[10:]
    verdict = desk.check(desk.csv(gone))
    assert column(verdict) == ("V4", None) and verdict.violations[0].row is None
    assert rows[9].day in verdict.violations[0].message and str(rows[9].cell) in verdict.violations[0].message
    extra = sorted([*rows, rows[3]._replace(day="2026-11-17")])
    assert [(v.rule, v.row) for v in desk.check(desk.csv(extra)).violations] == [("V4", 57)]
    assert [(v.rule, v.row) for v in desk.check(desk.csv(sorted([*rows, rows[3]]))).violations] == [("V4", 5)]
    unknown = sorted([*rows, rows[3]._replace(variant="zzz")])
    verdict = desk.check(desk.csv(unknown))
    assert [(v.rule, v.row, v.column) for v in verdict.violations] == [("V4", 5, "variant")]
    assert column(desk.check(desk.csv(dimensions_version=2))) == ("V4", "dimensions_version")
    nothing = desk.check(desk.csv([]))
    assert column(nothing) == ("V4", None)


def test_a_wrong_code_names_the_cell_it_stands_for(desk: Any) -> None:
    rows = desk.rows()
    rows[3] = rows[3]._replace(variant="card-zz")
    verdict = desk.check(desk.csv(rows))
    assert [(v.rule, v.row) for v in verdict.violations] == [("V4", 4)]
    assert "card-on_platform has no row" in verdict.violations[0].message


def test_codes_are_judged_on_their_day(desk: Any) -> None:
    desk2 = type(desk)()
    dimensions = desk2.agreement["report"]["dimensions"]
    dimensions["interface"] = ["tv", {"code": "web", "valid_from": "2026-11-09", "valid_to": "2026-11-12"}]
    rows = desk2.rows()
    assert len(rows) == 2 * 14 + 2 * 4
    assert desk2.check(desk2.csv(rows)).ok
    late = sorted([*rows, Row("2026-11-13", "web", "detail", "card-on_platform", 0, 0, 0)])
    assert rules(desk2.check(desk2.csv(late))) == {"V4"}


def test_v5_alone(desk: Any) -> None:
    rows = desk.rows()
    assert column(desk.check(desk.csv(row_count=55))) == ("V5", "row_count")
    totals = {"sends": 1, "recipient_clicks": 2, "clicks_total": 3}
    assert [(v.rule, v.column) for v in desk.check(desk.csv(totals=totals)).violations] == [
        ("V5", "totals")
    ] * 3
    over = [*rows]
    over[20] = over[20]._replace(clicks_total=over[20].recipient_clicks - 1)
    verdict = desk.check(desk.csv(over))
    assert [(v.rule, v.row, v.column) for v in verdict.violations] == [("V5", 21, "recipient_clicks")]


def test_clicks_may_pass_sends_on_a_day_but_never_so_far(desk: Any) -> None:
    rows = desk.rows()
    late = [*rows]
    late[40] = late[40]._replace(sends=0)
    assert desk.check(desk.csv(late)).ok
    first = [*rows]
    first[0] = first[0]._replace(sends=0)
    verdict = desk.check(desk.csv(first))
    assert [(v.rule, v.row) for v in verdict.violations] == [("V5", 1)]


def test_a_revision_is_judged_with_the_later_periods(desk: Any) -> None:
    first = desk.csv()
    sent = sum(row.sends for row in desk.rows() if row.cell == desk.rows()[0].cell)
    done = sum(row.recipient_clicks for row in desk.rows() if row.cell == desk.rows()[0].cell)
    second_rows = desk.rows(2)
    n = sent - done
    second_rows[0] = second_rows[0]._replace(sends=0, recipient_clicks=n, clicks_total=n)
    second = desk.csv(second_rows, period=2)
    assert desk.check(second, [first]).ok
    fewer = desk.rows()
    fewer[0] = fewer[0]._replace(sends=fewer[0].sends - 1)
    replaced = json.loads(first.manifest)["report_id"]
    verdict = desk.check(desk.csv(fewer, revision=1, supersedes=replaced), [first, second])
    assert [(v.rule, v.row, v.column) for v in verdict.violations] == [("V5", None, "recipient_clicks")]
    assert second_rows[0].day in verdict.violations[0].message


def test_forty_violations_are_told_at_once_with_their_rows(desk: Any) -> None:
    rows = desk.rows()
    bad: list[tuple[str, int]] = []
    lines = [",".join(map(str, row)).encode() for row in rows]
    for i in range(40):
        cells = lines[i].split(b",")
        column, text = [(0, b"2026-1-1"), (1, b"=x"), (4, b"-1"), (5, b"1e3"), (3, b'"v"')][i % 5]
        cells[column] = text
        lines[i] = b",".join(cells)
        bad.append(("V1", i + 1))
    data = HEADER.encode() + b"\n" + b"\n".join(lines) + b"\n"
    verdict = desk.check(desk.csv(edit=lambda _: data))
    assert [(v.rule, v.row) for v in verdict.violations] == bad


def test_what_was_not_checked_is_said(desk: Any) -> None:
    from byleave.exchange.report import check

    verdict = check(desk.csv(period=2), None, None, desk.at(8))
    assert verdict.ok and len(verdict.unchecked) == 3
    assert any("agreement" in line for line in verdict.unchecked)
    assert any("history" in line for line in verdict.unchecked)


def test_warnings_refuse_nothing(desk: Any) -> None:
    first = desk.csv()
    copied = [b._replace(day=a.day) for a, b in zip(desk.rows(2), desk.rows(1), strict=True)]
    verdict = desk.check(desk.csv(copied, period=2), [first])
    assert verdict.ok and [w.rule for w in verdict.warnings] == ["V6"]
    steady = [row._replace(sends=100, recipient_clicks=30, clicks_total=33) for row in desk.rows()]
    verdict = desk.check(desk.csv(steady))
    assert verdict.ok and "constant click rate" in verdict.warnings[0].message


def test_an_agreement_with_too_many_cells_is_refused(desk: Any) -> None:
    from byleave.exchange.report import terms_of

    wide = json.loads(json.dumps(desk.agreement))
    wide["report"]["dimensions"]["variant"] = [f"v{i}" for i in range(33)]
    with pytest.raises(Refused, match="64"):
        terms_of(wide)
    assert replace(desk.terms, version=2).version == 2
