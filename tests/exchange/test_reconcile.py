"""Reconciliation: the letter of the sends rule, faults found where they are, and what stays silent.

How often honest traffic alarms is measured by `bench/reconcile.py`; here are single, fixed cases.
"""

from __future__ import annotations

import json
import warnings
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.errors import Refused
from byleave.exchange.reconcile import Outcome, read_side, reconcile

FIRST = date(2026, 11, 2)
CELLS = [(i, "detail", v) for i in ("tv", "web", "phone") for v in ("card-on_platform", "card-off_platform")]
Array = Any


def world(periods: int = 5, seed: int = 3) -> tuple[Array, Array]:
    """Figures × cells × days of both sides, honest: three in a hundred clicks are lost."""
    rng = np.random.default_rng(seed)
    days = periods * 14
    size = rng.uniform(80, 900, (len(CELLS), 1)) * (1 + 0.3 * np.sin(np.arange(days) * 2 * np.pi / 7))
    sends = rng.poisson(size)
    first = rng.binomial(sends, 0.3)
    again = rng.poisson(first * 0.2)
    kept = rng.binomial(first, 0.97)
    return np.stack([sends, first, first + again]), np.stack([sends, kept, kept + rng.binomial(again, 0.97)])


def file(figures: Array, **more: Any) -> bytes:
    cells = [
        {
            "day": str(FIRST + timedelta(days=d)),
            **dict(zip(("interface", "surface", "variant"), cell, strict=True)),
            **dict(
                zip(("sends", "recipient_clicks", "clicks_total"), figures[:, c, d].tolist(), strict=True)
            ),
        }
        for c, cell in enumerate(CELLS)
        for d in range(figures.shape[2])
    ]
    spans = [
        {"start": str(FIRST + timedelta(days=14 * k)), "end": str(FIRST + timedelta(days=14 * k + 13))}
        for k in range(figures.shape[2] // 14)
    ]
    return json.dumps({"cells": cells, "periods": spans, "exceptions": [], **more}).encode()


def judge(platform: Array, partner: Array, **more: Any) -> Outcome:
    return reconcile(read_side(file(platform), "platform"), read_side(file(partner, **more), "partner"))


def test_honest_sides_agree() -> None:
    for seed in range(4):
        outcome = judge(*world(seed=seed))
        assert outcome.findings == [] and outcome.accepted_periods == 4
        assert outcome.days == ("2026-12-28", "2027-01-10")


@pytest.mark.parametrize(("off", "found"), [(3, False), (-3, False), (6, True), (-6, True)])
def test_sends_by_the_letter(off: int, found: bool) -> None:
    platform, partner = world()
    cell = int(platform[0].mean(axis=1).argmin())
    assert platform[0, cell, -5] < 600  # so that max(3, 0.5 %) is 3
    partner[0, cell, -5] += off
    outcome = judge(platform, partner)
    assert any(f.kind == "sends-day" for f in outcome.findings) is found
    if found:
        (finding,) = (f for f in outcome.findings if f.kind == "sends-day")
        assert finding.cell == CELLS[cell] and finding.days == ("2027-01-06",) and finding.size == off


def test_small_differences_that_add_up_are_found() -> None:
    platform, partner = world()
    partner[0, 2, -14:] += 2
    kinds = {f.kind for f in judge(platform, partner).findings}
    assert kinds == {"sends-period"}


def test_a_fault_is_found_in_its_cell() -> None:
    platform, partner = world()
    partner[1:, 3, -14:] = np.round(partner[1:, 3, -14:] * 1.2)
    outcome = judge(platform, partner)
    assert {f.cell for f in outcome.findings if f.kind.startswith("more-than-redirects") and f.cell[0]} >= {
        CELLS[3]
    }
    found = outcome.findings[0].answer()
    assert set(found) >= {"cell", "days", "kind", "size", "probability"} and found["probability"] == 0.0


def test_five_percent_in_one_variant_is_found_from_clicks_alone() -> None:
    platform, partner = world()
    hit = [c for c, cell in enumerate(CELLS) if cell[2] == "card-on_platform"]
    partner[1:, hit, -14:] = np.round(partner[1:, hit, -14:] * 1.05)
    places = {f.cell for f in judge(platform, partner).findings}
    assert (None, None, "card-on_platform") in places


def test_a_lost_day_a_dropped_cell_and_a_copied_period() -> None:
    platform, partner = world()
    lost = partner.copy()
    lost[1:, :, -4] = 0
    assert any(f.days == ("2027-01-07",) for f in judge(platform, lost).findings)
    dropped = partner.copy()
    dropped[1:, 0, -14:] = 0
    assert CELLS[0] in {f.cell for f in judge(platform, dropped).findings}
    copied = partner.copy()
    copied[1:, :, -14:] = copied[1:, :, -28:-14]
    assert judge(platform, copied).findings


def test_an_undeclared_outage_hour_is_a_hint() -> None:
    platform, partner = world()
    partner[1:, :, -6] = np.round(partner[1:, :, -6] * 0.94)
    outcome = judge(platform, partner)
    assert outcome.findings == []
    assert ("outage", ("2027-01-05",)) in {(h.kind, h.days) for h in outcome.hints}


def test_midnight_moves_a_click_to_the_next_day() -> None:
    platform, partner = world()
    partner[1:, :, -7] -= 2
    partner[1:, :, -6] += 2
    assert judge(platform, partner).findings == []


def test_declared_exceptions_are_left_out() -> None:
    platform, partner = world()
    partner[:, :, -4] = 0
    assert judge(platform, partner).findings
    declared = {"code": "outage", "from": "2027-01-07", "to": "2027-01-07", "cells": [], "note": ""}
    assert judge(platform, partner, exceptions=[declared]).findings == []
    hours = {**declared, "from": "2027-01-07T02:00:00Z", "to": "2027-01-08T00:00:00Z", "cells": None}
    assert judge(platform, partner, exceptions=[hours]).findings == []
    elsewhere = {**declared, "cells": ["/".join(CELLS[0])]}
    assert judge(platform, partner, exceptions=[elsewhere]).findings


def test_the_first_period_is_judged_without_history() -> None:
    platform, partner = world(periods=1)
    assert judge(platform, partner).findings == []
    partner[1:, 3, :] = np.round(partner[1:, 3, :] * 1.2)
    assert judge(platform, partner).findings


@pytest.mark.parametrize("periods", [None, [], 5, [1, 2, 3, 4, 5], [["2026-11-02", "2026-12-27"]]])
def test_periods_in_every_form(periods: Any) -> None:
    platform, partner = world()
    partner[0, 0, -3] += 50
    sides = [
        read_side(json.dumps({**json.loads(file(f)), "periods": periods}).encode(), "side")
        for f in (platform, partner)
    ]
    outcome = reconcile(*sides)
    assert outcome.days == ("2026-12-28", "2027-01-10") and outcome.findings


def test_a_cell_that_a_side_leaves_out_counts_zero() -> None:
    platform, partner = world()
    body = json.loads(file(partner))
    body["cells"] = [c for c in body["cells"] if c["day"] != "2027-01-10"]
    outcome = reconcile(read_side(file(platform), "a"), read_side(json.dumps(body).encode(), "b"))
    assert outcome.findings


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"cells": {}}',
        b'{"cells": []}',
        b'{"cells": [1]}',
        b"[" * 99_999,
        b'{"cells": [{"day": "2026-11-02"}]}',
        b'{"cells": [{"day": "x", "interface": "a", "surface": "b", "variant": "c", "sends": 1, '
        b'"recipient_clicks": 1, "clicks_total": 1}]}',
        b'{"cells": [{"day": "2026-11-02", "interface": "a", "surface": "b", "variant": "c", "sends": -1, '
        b'"recipient_clicks": 1, "clicks_total": 1}]}',
    ],
    ids=range(10),
)
def test_what_is_no_side_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        side = read_side(data, "side")
        reconcile(side, side)


def test_all_zero_sides_agree() -> None:
    nothing = np.zeros((3, len(CELLS), 28), dtype=int)
    assert judge(nothing, nothing).findings == []


figures = st.sampled_from([0, 0, 1, 2, 3, 5, 50, 100, 2500, 10**6, 2**53 - 1])


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    rows=st.dictionaries(
        st.tuples(st.integers(0, 45), st.sampled_from("ab"), st.sampled_from("cd")),
        st.tuples(*[figures] * 6),
        min_size=1,
        max_size=60,
    )
)
def test_any_figures_give_an_answer(rows: Any) -> None:
    """One cell or many, holes, zeros against millions: no crash, no warning, plain JSON."""
    sides = []
    for part in (slice(0, 3), slice(3, 6)):
        cells = [
            {"day": str(FIRST + timedelta(days=d)), "interface": i, "surface": "s", "variant": v}
            | dict(zip(("sends", "recipient_clicks", "clicks_total"), n[part], strict=True))
            for (d, i, v), n in rows.items()
        ]
        sides.append(read_side(json.dumps({"cells": cells}).encode(), "side"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = reconcile(*sides)
    json.dumps(outcome.answer(), allow_nan=False)
    assert all(0 <= f.probability <= 1 for f in outcome.findings)
    assert reconcile(sides[0], sides[0]).findings == []
