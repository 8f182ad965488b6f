"""The optional cohort table: sealed with the manifest in every form, and each rule of it broken alone."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from byleave.exchange import cohort
from byleave.exchange import report as reports
from byleave.exchange.forms import Row
from tests.exchange.conftest import Desk


def table(rows: list[Row]) -> list[dict[str, Any]]:
    """Every click on the day of its send, but one a cell that is older."""
    found = []
    for row in rows:
        cell = row.cell._asdict()
        found.append(
            {"send_day": row.day, **cell, "age": "0", "clicks": row.clicks_total - (row.clicks_total > 0)}
        )
        if row.clicks_total:
            found.append(
                {"send_day": row.day, **cell, "age": "1-6" if row.day < "2026-11-15" else "7-29", "clicks": 1}
            )
    return [row for row in found if row["age"] != "7-29"] + [
        {**row, "send_day": "2026-11-02", "age": "7-29", "clicks": n} for row, n in _late(found)
    ]


def _late(found: list[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    late = Counter({tuple(r[d] for d in cohort.DIMENSIONS): r["clicks"] for r in found if r["age"] == "7-29"})
    return [(dict(zip(cohort.DIMENSIONS, cell, strict=True)), n) for cell, n in late.items()]


def test_a_table_is_accepted_in_every_form(desk: Desk) -> None:
    rows = desk.rows()
    whole = table(rows)
    for parcel in (desk.csv(rows, cohort=whole), desk.json(rows, cohort=whole)):
        verdict = desk.check(parcel)
        assert verdict.ok, verdict.violations[:3]
    made = reports.build(
        rows, desk.terms, sequence=1, report_id="01900001-0000-7000-8000-000000000000", generated_at_ms=desk.at(1),
        key=desk.key, bot_filter_version="1", preparer="x", cohort=whole,
    )  # fmt: skip
    assert reports.check(made.parcel("parquet"), desk.terms, [], desk.at(1)).ok


def test_a_table_changed_after_sealing_is_refused(desk: Desk) -> None:
    parcel = desk.json(cohort=table(desk.rows()))
    body = json.loads(parcel.rows)
    body["manifest"]["cohort"][0]["clicks"] += 1
    rules = {v.rule for v in desk.check(reports.Parcel("json", json.dumps(body).encode())).violations}
    assert rules == {"V2", "V5"}


def _first(**changed: Any) -> Any:
    return lambda rows: [{**rows[0], **changed}, *rows[1:]]


@pytest.mark.parametrize(
    ("change", "rule", "message"),
    [
        (lambda rows: "x", "V1", "must be a list"), (lambda rows: [*rows, 4], "V1", "must be an object of exactly"),
        (_first(age="2"), "V1", "age must be one of"), (_first(age=0), "V1", "age must be one of"),
        (_first(clicks=-1), "V1", "clicks must be"), (_first(clicks=True), "V1", "clicks must be"),
        (_first(clicks="4"), "V1", "clicks must be"), (_first(clicks=1.5), "V1", "clicks must be"),
        (_first(send_day="2026-11-31"), "V1", "send_day must be"), (_first(send_day="20261102"), "V1", "send_day must be"),
        (_first(surface="=x"), "V1", "surface is not a code"), (_first(more=1), "V1", "must be an object of exactly"),
        (lambda rows: [*rows, {**rows[0], "clicks": 0}], "V4", "stand twice"),
        (lambda rows: [*rows, {**rows[0], "send_day": "2026-11-01", "age": "1-6", "clicks": 0}], "V4", "no active cell"),
        (lambda rows: [*rows, {**rows[0], "interface": "fridge", "clicks": 0}], "V4", "no active cell"),
        (lambda rows: [*rows, {**rows[0], "age": "30+", "clicks": 0}], "V4", "not 30+ days old"),
        (lambda rows: [*rows, {**rows[0], "send_day": "9999-12-31", "clicks": 0}], "V4", "not 0 days old"),
        (lambda rows: rows[1:], "V5", "the rows' clicks_total is"),
    ],
)  # fmt: skip
def test_each_rule_broken_alone(desk: Desk, change: Any, rule: str, message: str) -> None:
    rows = desk.rows()
    found = desk.check(desk.csv(rows, cohort=change(table(rows)))).violations
    assert {(v.rule, v.column, v.row) for v in found} == {(rule, "cohort", None)}, found[:3]
    assert any(message in v.message for v in found)


def test_many_wrong_rows_are_told_in_few_lines(desk: Desk) -> None:
    bad = [{"send_day": "x"}] * 500
    found = desk.check(desk.csv(cohort=bad)).violations
    assert len(found) == 41 and found[-1].message == "460 more rows are wrong"
