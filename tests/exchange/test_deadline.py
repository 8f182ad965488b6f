"""The state of every period of a year, against a table written out by hand from the spec."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.exchange.deadline import (
    DAY_MS,
    Accepted,
    Outage,
    State,
    Waiver,
    notices,
    revisable,
    standing,
)

HOUR = DAY_MS // 24


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def states(desk: Any, now: str, accepted: Any = (), waivers: Any = (), outages: Any = ()) -> list[str]:
    found = standing(desk.terms, accepted, waivers, outages, ms(now))
    return [period.state.value for period in found.periods]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-01T23:59:59", []),
        ("2026-11-02T00:00", ["open"]),
        ("2026-11-15T23:59:59", ["open"]),
        ("2026-11-16T00:00", ["due", "open"]),
        ("2026-11-18T23:59:59", ["due", "open"]),
        ("2026-11-19T00:00", ["overdue", "open"]),
        ("2026-11-22T23:59:59", ["overdue", "open"]),
        ("2026-11-23T00:00", ["suspended", "open"]),
        ("2026-11-30T00:00", ["suspended", "due", "open"]),
    ],
)
def test_without_a_report(desk: Any, now: str, expected: list[str]) -> None:
    assert states(desk, now) == expected


def test_acceptance_reinstates_by_itself_from_its_moment_on(desk: Any) -> None:
    late = [Accepted(1, ms("2026-11-25T10:00"))]
    assert states(desk, "2026-11-25T09:59:59", late) == ["suspended", "open"]
    assert states(desk, "2026-11-25T10:00", late) == ["reinstated", "open"]
    assert not standing(desk.terms, late, [], [], ms("2026-11-25T10:00")).suspended
    assert states(desk, "2026-11-20T00:00", [Accepted(1, ms("2026-11-19T12:00"))]) == ["accepted", "open"]


def test_one_late_period_suspends_whatever_the_others_are(desk: Any) -> None:
    found = standing(desk.terms, [Accepted(2, ms("2026-12-01T12:00"))], [], [], ms("2026-12-02T00:00"))
    assert found.suspended and found.state is State.SUSPENDED
    assert [p.state.value for p in found.periods] == ["suspended", "accepted", "open"]


def test_a_waiver_moves_or_takes_away_the_deadline_once_it_is_given(desk: Any) -> None:
    until = [Waiver(1, ms("2026-11-24T00:00"), ms("2026-12-01T00:00"))]
    assert states(desk, "2026-11-23T23:59", waivers=until)[0] == "suspended"
    assert states(desk, "2026-11-24T00:00", waivers=until)[0] == "due"
    assert states(desk, "2026-12-01T00:00", waivers=until)[0] == "overdue"
    assert states(desk, "2026-12-05T00:00", waivers=until)[0] == "suspended"
    assert states(desk, "2026-12-20T00:00", waivers=[Waiver(1, ms("2026-11-24T00:00"))])[0] == "waived"
    assert states(desk, "2026-12-20T00:00", waivers=[Waiver(2, ms("2026-11-24T00:00"))])[0] == "suspended"


def test_our_outage_moves_every_deadline_behind_it(desk: Any) -> None:
    outage = [Outage(ms("2026-11-17T00:00"), ms("2026-11-17T06:00"))]
    assert states(desk, "2026-11-19T05:59", outages=outage)[0] == "due"
    assert states(desk, "2026-11-19T06:00", outages=outage)[0] == "overdue"
    assert states(desk, "2026-11-23T06:00", outages=outage)[0] == "suspended"
    before = [Outage(ms("2026-11-14T00:00"), ms("2026-11-16T02:00"))]
    assert states(desk, "2026-11-19T01:59", outages=before)[0] == "due"
    assert states(desk, "2026-11-19T02:00", outages=before)[0] == "overdue"
    twice = [*outage, Outage(ms("2026-11-17T03:00"), ms("2026-11-17T08:00"))]
    assert states(desk, "2026-11-19T07:59", outages=twice)[0] == "due"
    assert states(desk, "2026-11-19T08:00", outages=twice)[0] == "overdue"
    still = [Outage(ms("2026-11-18T00:00"))]
    assert states(desk, "2026-12-18T00:00", outages=still)[0] == "due"
    after = [Outage(ms("2026-11-24T00:00"), ms("2026-11-25T00:00"))]
    assert states(desk, "2026-11-24T12:00", outages=after)[0] == "suspended"


def test_reminders(desk: Any) -> None:
    def told(accepted: Any = (), **kinds: Any) -> list[tuple[str, str]]:
        found = notices(desk.terms, accepted, [], kinds.get("outages", ()), 0, ms("2026-11-24T00:00"))
        return [(n.kind, datetime.fromtimestamp(n.at / 1000, UTC).strftime("%m-%dT%H")) for n in found]

    everything = [
        ("reminder", "11-16T00"),
        ("reminder", "11-18T00"),
        ("reminder", "11-18T12"),
        ("overdue", "11-19T00"),
        ("overdue", "11-20T00"),
        ("overdue", "11-21T00"),
        ("overdue", "11-22T00"),
        ("suspended", "11-23T00"),
    ]
    assert told() == everything
    assert told([Accepted(1, ms("2026-11-18T06:00"))]) == everything[:2]
    moved = told(outages=[Outage(ms("2026-11-16T06:00"), ms("2026-11-16T18:00"))])
    assert moved[1:4] == [("reminder", "11-18T12"), ("reminder", "11-19T00"), ("overdue", "11-19T12")]
    halves = [
        n
        for a, b in ((0, ms("2026-11-18T00:00")), (ms("2026-11-18T00:00"), ms("2026-11-24T00:00")))
        for n in notices(desk.terms, [], [], [], a, b)
    ]
    assert len(halves) == 8


def test_a_year_of_fortnights(desk: Any) -> None:
    """Every third report is late by two days, every seventh by nine; the term's last day starts a 27th."""
    accepted, expected = [], []
    for k in range(1, 28):
        late = 12 if k % 7 == 0 else 5 if k % 3 == 0 else 1.5
        accepted.append(Accepted(k, desk.at(k, late)))
        expected.append("reinstated" if late == 12 else "accepted")
    assert states(desk, "2028-01-01T00:00", accepted) == expected


def test_revisions_are_free_three_periods_back(desk: Any) -> None:
    now = desk.at(6, 1)
    assert [k for k in range(1, 9) if revisable(desk.terms, k, now)] == [3, 4, 5, 6]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    received=st.integers(0, 40 * 24),
    outages=st.lists(st.tuples(st.integers(0, 30 * 24), st.integers(1, 48)), max_size=4),
    now=st.integers(0, 45 * 24),
)
def test_states_only_move_forward(desk: Any, received: int, outages: Any, now: int) -> None:
    """Hour by hour: a due period never opens again, and nothing but acceptance ends a suspension."""
    start = ms("2026-11-02T00:00")
    gaps = [Outage(start + a * HOUR, start + (a + b) * HOUR) for a, b in outages]
    rank = ["open", "due", "overdue", "suspended", "reinstated"]
    accepted = [Accepted(1, start + received * HOUR)]
    path = [
        standing(desk.terms, accepted, [], gaps, start + h * HOUR).periods[0].state.value
        for h in range(0, now + 1, 6)
    ]
    places = [rank.index(state) if state in rank else 9 for state in path]
    assert places == sorted(places)
