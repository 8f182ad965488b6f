"""When a report is due, and what follows when it does not come.

Rules of this file:

1. All that moves a period's state stands here: open → due → overdue → suspended → reinstated, and `accepted`
   for a report that came in time, `waived` where an operator let one go.
2. A pure function of the agreement's terms, what was accepted, waivers, outages and a time. Nothing is
   stored, so nothing can disagree with the ledger that these four come from.
3. Hours of an outage of ours after the period's close do not count: they move every deadline behind them by
   as much.
4. Acceptance reinstates by itself, from the moment it was received; nobody has to lift a suspension.
5. Suspension stops reads and sends (403 `report-overdue`); grants stay.

Times are milliseconds since 1970, UTC. A deadline belongs to the state that follows it: at +3 d a report is
overdue, at +7 d the agreement is suspended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from byleave.exchange.checks import REVISABLE
from byleave.exchange.manifest import HOUR_MS, day_ms
from byleave.exchange.terms import Terms

DAY_MS = 24 * HOUR_MS
REMIND_AFTER_MS = 2 * DAY_MS
REMIND_BEFORE_MS = 12 * HOUR_MS


class State(StrEnum):
    """What one period is in, seen at one moment."""

    OPEN = "open"
    DUE = "due"
    OVERDUE = "overdue"
    SUSPENDED = "suspended"
    REINSTATED = "reinstated"
    ACCEPTED = "accepted"
    WAIVED = "waived"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A report that was accepted; of a period with revisions the first counts."""

    sequence: int
    received_at: int


@dataclass(frozen=True, slots=True)
class Waiver:
    """An operator's: period `sequence` is not due before `until`, or never where that is None. It binds from
    `at` on, the moment of its ledger entry."""

    sequence: int
    at: int
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """Reports could not be received from `start` until `end` (None: still), through our fault."""

    start: int
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """One period at one moment. `overdue_at` and `suspended_at` are the deadlines as far as they are known
    then; None where a waiver took them away."""

    sequence: int
    closes_at: int
    overdue_at: int | None
    suspended_at: int | None
    accepted_at: int | None
    state: State


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell: `reminder`, `overdue` or `suspended`, to the partner and perhaps the operator."""

    at: int
    sequence: int
    kind: str
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """An agreement's periods up to the one that is open, and whether any of them suspends it."""

    periods: tuple[Period, ...]

    @property
    def suspended(self) -> bool:
        """Reads and sends answer 403 `report-overdue`."""
        return any(period.state is State.SUSPENDED for period in self.periods)

    @property
    def state(self) -> State:
        """The gravest state of any period that still asks for something; else that of the last closed one."""
        for state in (State.SUSPENDED, State.OVERDUE, State.DUE):
            if any(period.state is state for period in self.periods):
                return state
        closed = [period.state for period in self.periods if period.state is not State.OPEN]
        return closed[-1] if closed else State.OPEN


def standing(
    terms: Terms,
    accepted: Sequence[Accepted],
    waivers: Sequence[Waiver],
    outages: Sequence[Outage],
    now: int,
) -> Standing:
    """Every period of the agreement that has begun by `now`, first to last.

    What lies after `now` (a report received later, a waiver not yet given) does not count: asked again for an
    earlier time, the answer is what it was then.
    """
    return Standing(tuple(_period(terms, k, accepted, waivers, outages, now) for k in _begun(terms, now)))


def notices(
    terms: Terms,
    accepted: Sequence[Accepted],
    waivers: Sequence[Waiver],
    outages: Sequence[Outage],
    since: int,
    until: int,
) -> list[Notice]:
    """What is to be told in (`since`, `until`], in order of time: reminders at close, 2 days after it and
    12 hours before the deadline to the partner; from the deadline on daily to partner and operator; the
    suspension to both."""
    told = []
    for k in _begun(terms, until):
        for notice in _calls(terms, k, waivers, outages, until):
            if not since < notice.at <= until:
                continue
            state = _period(terms, k, accepted, waivers, outages, notice.at).state
            if state in (State.DUE, State.OVERDUE, State.SUSPENDED):
                told.append(notice)
    return sorted(told, key=lambda notice: (notice.at, notice.sequence))


def revisable(terms: Terms, sequence: int, now: int) -> bool:
    """Whether period `sequence` may be revised freely: the last closed one and up to three before it."""
    closed = [k for k in _begun(terms, now) if _closes(terms, k) <= now]
    return bool(closed) and closed[-1] - REVISABLE <= sequence <= closed[-1]


def _begun(terms: Terms, now: int) -> range:
    """The periods that start by `now` and before the agreement's term ends."""
    last = (now - day_ms(terms.anchor)) // (14 * DAY_MS) + 1
    if terms.term.last is not None:
        last = min(last, terms.sequence(terms.term.last))
    return range(1, max(0, last) + 1)


def _closes(terms: Terms, sequence: int) -> int:
    """24:00 UTC of the period's last day."""
    return day_ms(terms.anchor) + 14 * DAY_MS * sequence


def _period(
    terms: Terms,
    sequence: int,
    accepted: Sequence[Accepted],
    waivers: Sequence[Waiver],
    outages: Sequence[Outage],
    now: int,
) -> Period:
    closes = _closes(terms, sequence)
    overdue, suspended = _deadlines(terms, closes, sequence, waivers, outages, now)
    received = [a.received_at for a in accepted if a.sequence == sequence and a.received_at <= now]
    first = min(received, default=None)
    if first is not None:
        # Judged by what was known when it came: a waiver given later does not undo a suspension that was.
        _, bites = _deadlines(terms, closes, sequence, waivers, outages, first)
        late = bites is not None and first >= bites
        state = State.REINSTATED if late else State.ACCEPTED
    elif now < closes:
        state = State.OPEN
    elif overdue is None or suspended is None:
        state = State.WAIVED
    elif now >= suspended:
        state = State.SUSPENDED
    elif now >= overdue:
        state = State.OVERDUE
    else:
        state = State.DUE
    return Period(sequence, closes, overdue, suspended, first, state)


def _deadlines(
    terms: Terms, closes: int, sequence: int, waivers: Sequence[Waiver], outages: Sequence[Outage], now: int
) -> tuple[int | None, int | None]:
    """When the period is overdue and when it suspends, by what is known at `now`."""
    overdue = _after(closes, terms.grace_days * DAY_MS, outages, now)
    suspended = _after(closes, terms.suspend_days * DAY_MS, outages, now)
    for waiver in waivers:
        if waiver.sequence != sequence or waiver.at > now:
            continue
        if waiver.until is None:
            return None, None
        if waiver.until > overdue:
            overdue = waiver.until
            rest = (terms.suspend_days - terms.grace_days) * DAY_MS
            suspended = max(suspended, _after(overdue, rest, outages, now))
    return overdue, suspended


def _after(start: int, span: int, outages: Sequence[Outage], now: int) -> int:
    """The moment when `span` has passed since `start`, hours of our outages not counted. An outage that has
    not ended by `now` lasts until then."""
    end = start + span
    for outage in sorted(outages, key=lambda o: o.start):
        if outage.start > now:
            continue
        stop = now if outage.end is None or outage.end > now else outage.end
        # `start` walks past what was counted, so that overlapping outages count once.
        begin = max(start, outage.start)
        if begin < end and stop > begin:
            end += stop - begin
            start = stop
    return end


def _calls(
    terms: Terms, sequence: int, waivers: Sequence[Waiver], outages: Sequence[Outage], until: int
) -> Iterator[Notice]:
    """The moments at which a period may have something to say, by the deadlines as they stand at `until`."""
    closes = _closes(terms, sequence)
    if closes > until:
        return
    overdue, suspended = _deadlines(terms, closes, sequence, waivers, outages, until)
    yield Notice(closes, sequence, "reminder", ("partner",))
    if overdue is None or suspended is None:
        return
    for at in (_after(closes, REMIND_AFTER_MS, outages, until), overdue - REMIND_BEFORE_MS):
        if closes < at < overdue:
            yield Notice(at, sequence, "reminder", ("partner",))
    at = overdue
    while at < min(suspended, until + 1):
        yield Notice(at, sequence, "overdue", ("partner", "operator"))
        at += DAY_MS
    yield Notice(suspended, sequence, "suspended", ("partner", "operator"))
