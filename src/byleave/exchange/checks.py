"""V1–V6 over one report: all violations at once, each at its row, and what could not be judged.

Rules of this file:

1. Pure: a report's bytes, the agreement's terms, the reports accepted before and a time come in; a verdict
   comes out. Nothing in the bytes can raise.
2. One cause, one violation. What only follows from another violation is not a second one, but it is not
   hidden either: it stands in that violation's message or under `unchecked`.
3. `ok` means no violation of V1–V5. Warnings (V6) never refuse.
4. The newest revision of a period wins; a revision is judged together with the periods after it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from hashlib import sha256
from itertools import product
from typing import Any

import msgspec

from byleave.errors import Invalid
from byleave.exchange import cohort, plausible
from byleave.exchange.forms import (
    FIGURES,
    KEY,
    Draft,
    Odd,
    Parcel,
    Partial,
    Rule,
    Violation,
    canonical_csv,
    in_order,
    read,
    shown_name,
)
from byleave.exchange.history import Known, newest
from byleave.exchange.manifest import COHORT, FIELDS, HOUR_MS, day_ms, field_problems, time_ms
from byleave.exchange.terms import DAYS, MAX_CELLS, Cell, Terms
from byleave.keys import canonical, unb64url, verify_jws

SKEW_MS = 5 * 60 * 1000
"""How far a partner's clock may run ahead."""
REVISABLE = 3
"""Periods back from the last closed one that may be revised freely."""


class Verdict(msgspec.Struct, frozen=True):
    """What `check` found. `receipt` stands where the report is acceptable; for one that was accepted before
    it is that one's, and `known` is true."""

    ok: bool
    violations: list[Violation]
    warnings: list[Violation]
    unchecked: list[str]
    receipt: dict[str, Any] | None
    known: bool


def check(parcel: Parcel, terms: Terms | None, history: Sequence[Known] | None, at_ms: int) -> Verdict:
    """Judge the report in `parcel` as received at `at_ms` (milliseconds since 1970, UTC).

    `terms` None: no agreement at hand; `history` None: nothing is known of earlier reports, an empty one:
    this is the first. Both leave rules unjudged, which `unchecked` names.
    """
    judge = _Judge(read(parcel), terms, history, at_ms)
    judge.run()
    violations = in_order(judge.found)
    ok = not violations
    return Verdict(
        ok=ok,
        violations=violations,
        warnings=judge.warnings,
        unchecked=judge.unchecked,
        receipt=judge.receipt() if ok else None,
        known=ok and judge.twin is not None,
    )


class _Judge:
    """One check under way; the rules in the order of the spec."""

    def __init__(
        self, draft: Draft, terms: Terms | None, history: Sequence[Known] | None, at_ms: int
    ) -> None:
        self.draft, self.terms, self.at_ms = draft, terms, at_ms
        self.found: list[Violation] = list(draft.violations)
        self.warnings: list[Violation] = []
        self.unchecked: list[str] = []
        self.twin: Known | None = None
        self.manifest: dict[str, Any] = {}
        """The manifest's fields that are there and well typed."""
        self.history: list[Known] | None = None
        self.latest: dict[int, Known] = {}
        agreement_id = terms.agreement_id if terms else (draft.manifest or {}).get("agreement_id")
        if history is not None:
            self.history = [known for known in history if known.manifest["agreement_id"] == agreement_id]
            self.latest = newest(self.history)
            if foreign := len(history) - len(self.history):
                self.unchecked.append(f"{foreign} reports of the history are another agreement's: left out")
        self.expected: int | None = None
        """The sequence that would have been right, where this one is not."""

    def add(self, rule: Rule, row: int | None, column: str | None, message: str) -> None:
        self.found.append(Violation(rule, row, column, message))

    def run(self) -> None:
        if self.terms is None:
            self.unchecked.append("no agreement: signature, calendar, codes and the complete grid")
        if self.history is None:
            self.unchecked.append("no history: sequence and revision, clicks against earlier sends")
        self.fields()
        self.content = (
            sha256(canonical_csv(self.draft.whole_rows())).hexdigest() if self.draft.clean else None
        )
        self.identity()
        self.seal()
        self.calendar()
        self.cells()
        self.arithmetic()
        self.cohort()
        if self.draft.clean and not self.found:
            before = self.latest.get(self.manifest["sequence"] - 1)
            earlier = [k.rows for s, k in sorted(self.latest.items()) if s < self.manifest["sequence"]]
            self.warnings = list(
                plausible.warnings(self.draft.whole_rows(), before.rows if before else None, earlier)
            )
        elif self.found:
            self.unchecked.append("V6: judged once V1 to V5 hold")

    # V1, the manifest's half

    def fields(self) -> None:
        stated = self.draft.manifest
        if stated is None:
            self.unchecked.append("the manifest could not be read: V2, V3 and the totals of V5")
            return
        problems = field_problems(stated)
        for name, problem in problems:
            rule: Rule = "V2" if name == "signature" else "V1"
            self.add(rule, None, shown_name(name), problem)
        bad = {name for name, _ in problems}
        self.manifest = {name: value for name, value in stated.items() if name in {*FIELDS, COHORT} - bad}

    # V2

    def identity(self) -> None:
        manifest, terms = self.manifest, self.terms
        if terms is not None:
            for name, right in (("partner_id", terms.partner_id), ("agreement_id", terms.agreement_id)):
                if manifest.get(name, right) != right:
                    self.add("V2", None, name, f"is not the agreement's ({right})")
        if not {"sequence", "revision", "supersedes"} <= manifest.keys():
            return
        sequence, revision, supersedes = (manifest[n] for n in ("sequence", "revision", "supersedes"))
        if revision == 0 and supersedes is not None:
            self.add("V2", None, "supersedes", "must be null at revision 0")
        if revision > 0 and supersedes is None:
            self.add("V2", None, "supersedes", f"must name the report that revision {revision} replaces")
        if self.history is None:
            return
        same = [k for k in self.history if (k.sequence, k.revision) == (sequence, revision)]
        if same and self.content in (None, same[0].content_sha256):
            self.twin = same[0]
            return
        if same:
            self.add(
                "V2",
                None,
                "content_sha256",
                f"conflict (409): sequence {sequence}, revision {revision} was accepted with other rows; "
                f"a correction is revision {self.latest[sequence].revision + 1}",
            )
            return
        last = self.latest.get(sequence)
        if last is None:
            self._first_of_its_period(sequence, revision)
            return
        if revision != last.revision + 1:
            self.add("V2", None, "revision", f"must be {last.revision + 1}: the last is {last.revision}")
        elif supersedes is not None and supersedes != last.manifest["report_id"]:
            self.add(
                "V2", None, "supersedes", f"must be {last.manifest['report_id']}, the report it replaces"
            )
        self._late(sequence)

    def _first_of_its_period(self, sequence: int, revision: int) -> None:
        last = max(self.latest, default=0)
        if sequence != last + 1:
            self.expected = last + 1
            message = f"must be {last + 1}: the last accepted is {last or 'none'}"
            self.add("V2", None, "sequence", message)
        if revision != 0:
            self.add("V2", None, "revision", f"must be 0: no report of sequence {sequence} was accepted")

    def _late(self, sequence: int) -> None:
        if self.terms is not None:
            closed = self.terms.sequence(_day_of(self.at_ms)) - 1
            if sequence < closed - REVISABLE:
                self.unchecked.append(
                    f"a revision more than {REVISABLE} periods back needs the operator's approval"
                )

    def seal(self) -> None:
        manifest, stated = self.manifest, self.draft.manifest or {}
        report_id = manifest.get("report_id")
        if report_id is not None and self.twin is None:
            for other in self.history or ():
                if other.manifest["report_id"] == report_id:
                    self.add("V2", None, "report_id", f"is that of sequence {other.sequence}; make a new one")
                    break
        if "content_sha256" in manifest:
            if self.content is None:
                self.unchecked.append("content_sha256: the rows have no canonical form until V1 holds")
            elif manifest["content_sha256"] != self.content:
                self.add("V2", None, "content_sha256", f"is not that of the canonical CSV, {self.content}")
        if "signature" in manifest:
            problem = self._signature(manifest["signature"], stated)
            if problem is not None:
                self.add("V2", None, "signature", problem)

    def _signature(self, signature: str, stated: Mapping[str, Any]) -> str | None:
        """What is wrong with the seal. Without an agreement only what it was taken over is compared."""
        try:
            sealed: bytes | None = canonical({n: v for n, v in stated.items() if n != "signature"})
        except Invalid:
            sealed = None
        if sealed is None or _holds_odd(stated):
            if not any(v.rule == "V1" for v in self.found):
                return "cannot be judged: the manifest has no canonical form (RFC 8785)"
            self.unchecked.append("signature: the manifest has no canonical form until V1 holds")
            return None
        try:
            if self.terms is None:
                payload = unb64url(signature.split(".")[1])
            else:
                _, payload = verify_jws(
                    signature, self.terms.jwks, ("ES256", "EdDSA"), at_s=self.at_ms // 1000
                )
        except Invalid as error:
            return error.detail
        except (ValueError, IndexError):
            return "not a compact JWS"
        return None if payload == sealed else "was made over another manifest (canonical JSON by RFC 8785)"

    # V3

    def period(self) -> tuple[date, date] | None:
        """The fortnight by which the cells are judged: the calendar's, unless the rows plainly are those of
        the manifest's."""
        start, sequence = self.manifest.get("period_start"), self.manifest.get("sequence")
        stated = None
        if start is not None and date.fromisoformat(start) <= date.max - timedelta(days=DAYS):
            first = date.fromisoformat(start)
            stated = first, first + timedelta(days=DAYS - 1)
        due = self.terms.period(sequence) if self.terms and sequence is not None else None
        wanted = self.terms.period(self.expected) if self.terms and self.expected is not None else None
        candidates = [p for p in (due, stated, wanted) if p is not None]
        days = [row.day for row in self.draft.rows if row.day is not None]

        def covered(p: tuple[date, date]) -> int:
            return sum(p[0].isoformat() <= day <= p[1].isoformat() for day in days)

        return max(candidates, key=covered, default=None)

    def calendar(self) -> None:
        manifest = self.manifest
        if manifest.get("timezone", "UTC") != "UTC":
            self.add("V3", None, "timezone", "must be UTC")
        if not {"period_start", "period_end"} <= manifest.keys():
            return
        start, end = (date.fromisoformat(manifest[n]) for n in ("period_start", "period_end"))
        due = self._due(start, end)
        closes = day_ms((due or (start, end))[1]) + 24 * HOUR_MS
        future = closes > self.at_ms
        if future:
            self.add("V3", None, "period_end", "the period is not over: its last day ends at 24:00 UTC")
        if "generated_at" in manifest:
            generated = time_ms(manifest["generated_at"])
            assert generated is not None
            if generated < closes + 24 * HOUR_MS:
                self.add(
                    "V3", None, "generated_at", "a report is final: not before 24 h after the period's end"
                )
            elif generated > self.at_ms + SKEW_MS and not future:
                self.add("V3", None, "generated_at", "lies in the future")

    def _due(self, start: date, end: date) -> tuple[date, date] | None:
        """The period that the sequence covers, with what differs from it told."""
        sequence = self.manifest.get("sequence")
        due = self.terms.period(sequence) if self.terms and sequence is not None else None
        if self.terms is None or sequence is None:
            if (end - start).days != DAYS - 1:
                self.add("V3", None, "period_end", f"a period has {DAYS} days, both ends included")
            return None
        if due is None:
            self.add("V3", None, "sequence", "lies beyond the calendar")
            return None
        if self.expected is not None and self.terms.period(self.expected) == (start, end):
            return start, end  # the sequence alone is wrong, and V2 says so
        if (start, end) != due and (end - start).days == DAYS - 1:
            message = f"sequence {sequence} covers {due[0]} to {due[1]}"
            self.add("V3", None, "period_start", message)
        elif (start, end) != due:
            name = "period_start" if start != due[0] else "period_end"
            self.add("V3", None, name, f"sequence {sequence} covers {due[0]} to {due[1]}")
        return due

    # V4

    def cells(self) -> None:
        if self.terms is not None:
            version = self.manifest.get("dimensions_version", self.terms.version)
            if version != self.terms.version:
                self.add("V4", None, "dimensions_version", f"must be {self.terms.version}")
        period = self.period()
        if not self.draft.complete or period is None:
            self.unchecked.append("V4: the rows or the period could not be read")
            self._duplicates()
            return
        if self.terms is None:
            self._duplicates()
            self._days(period)
            return
        active = {
            day.isoformat(): self.terms.cells(day)
            for day in (period[0] + timedelta(days=i) for i in range(DAYS))
        }
        wanted: set[tuple[str, ...]] = {(day, *cell) for day, cells in active.items() for cell in cells}
        strays: list[tuple[Partial, str, str | None]] = []
        for row in self.draft.rows:
            if None in row.key:
                strays.append((row, "", None))
            elif row.key not in wanted:
                strays.append((row, *self._why_extra(row, active)))
        missing = wanted - {row.key for row in self.draft.rows}
        meant = _meant(strays, missing)
        self._tell_missing(missing - set(meant.values()), wanted)
        for row, message, column in strays:
            cell = meant.get(row.number)
            hint = f"; {_named(cell)} has no row: is it this one?" if cell else ""
            if message:
                self.add("V4", row.number, column, message + hint)
            elif hint:
                self._extend(row.number, hint)
        self._duplicates()

    def _why_extra(self, row: Partial, active: Mapping[str, Sequence[Cell]]) -> tuple[str, str | None]:
        assert self.terms is not None and row.day is not None
        if row.day not in active:
            return "an extra row: the day is not of this period", "day"
        codes = self.terms.codes(date.fromisoformat(row.day))
        for name, code, valid in zip(KEY[1:], row.key[1:], codes, strict=True):
            if code not in valid:
                return f"{code} is no code of {name} on {row.day}", name
        return "an extra row: no active cell of that day", None

    def _tell_missing(self, missing: set[tuple[str, ...]], wanted: set[tuple[str, ...]]) -> None:
        if wanted and missing == wanted and not self.draft.rows:
            self.add("V4", None, None, f"no rows at all; the grid has {len(wanted)}, zeros explicit")
            return
        for key in sorted(missing):
            self.add("V4", None, None, f"missing: {_named(key)}; a zero is a row too")

    def _extend(self, number: int, hint: str) -> None:
        """Put `hint` behind the first violation of a row that could not be told to be a cell's."""
        for i, violation in enumerate(self.found):
            if violation.row == number:
                self.found[i] = msgspec.structs.replace(violation, message=violation.message + hint)
                return

    def _duplicates(self) -> None:
        first: dict[tuple[str | None, ...], int] = {}
        for row in self.draft.rows:
            if None not in row.key and first.setdefault(row.key, row.number) != row.number:
                self.add("V4", row.number, None, f"the same day and cell as row {first[row.key]}")

    def _days(self, period: tuple[date, date]) -> None:
        """Without an agreement: the days alone, and how many cells a day has."""
        per_day: Counter[str] = Counter()
        for row in self.draft.rows:
            if row.day is None:
                continue
            per_day[row.day] += 1
            if not period[0].isoformat() <= row.day <= period[1].isoformat():
                self.add("V4", row.number, "day", "an extra row: the day is not of this period")
        for day, cells in sorted(per_day.items()):
            if cells > MAX_CELLS:
                self.add("V4", None, "day", f"{cells} cells on {day}; at most {MAX_CELLS}")

    # V5

    def arithmetic(self) -> None:
        draft, manifest = self.draft, self.manifest
        count = manifest.get("row_count")
        if count is not None and draft.row_count is not None and count != draft.row_count:
            self.add("V5", None, "row_count", f"is {count}; there are {draft.row_count} rows")
        for row in draft.rows:
            known_both = row.recipient_clicks is not None and row.clicks_total is not None
            if known_both and row.recipient_clicks > row.clicks_total:  # type: ignore[operator]
                self.add("V5", row.number, "recipient_clicks", "more than clicks_total")
        totals = manifest.get("totals")
        if totals is not None and draft.complete:
            for name in FIGURES:
                values = [getattr(row, name) for row in draft.rows]
                if None in values:
                    self.unchecked.append(f"totals.{name}: a row of it could not be read")
                elif sum(values) != totals[name]:
                    self.add(
                        "V5", None, "totals", f"{name} is {totals[name]}; the rows add up to {sum(values)}"
                    )
        self._cumulative()

    def _cumulative(self) -> None:
        """Clicks never outrun sends: per cell, at every day, over the newest revisions of all periods."""
        sequence = self.manifest.get("sequence")
        if sequence is None or not self.draft.complete:
            return
        if self.expected is not None:
            self.unchecked.append("V5: clicks against earlier sends, until the sequence is right")
            return
        if sequence != 1 and (self.history is None or not set(range(1, sequence)) <= self.latest.keys()):
            self.unchecked.append("V5: clicks against earlier sends needs every earlier report")
            return
        days: dict[Cell, list[tuple[str, int | None, int, int]]] = defaultdict(list)
        for other, report in self.latest.items():
            if other != sequence:
                for row in report.rows:
                    days[row.cell].append((row.day, None, row.sends, row.recipient_clicks))
        unknown: set[Cell] = set()
        for partial in self.draft.rows:
            if None in partial.key:
                continue
            cell = Cell(*partial.key[1:])  # type: ignore[arg-type]
            if partial.sends is None or partial.recipient_clicks is None:
                unknown.add(cell)
            else:
                entry = str(partial.day), partial.number, partial.sends, partial.recipient_clicks
                days[cell].append(entry)
        for cell, entries in sorted(days.items()):
            if cell in unknown:
                self.unchecked.append(f"V5: clicks against sends of {cell}: a row of it could not be read")
                continue
            for number, message in _outrun(cell, sorted(entries, key=lambda e: e[0])):
                self.add("V5", number, "recipient_clicks", message)

    def cohort(self) -> None:
        """V4 and V5 of the optional table of clicks by the day of their send."""
        table, period = self.manifest.get(COHORT), self.period()
        if table is None:
            return
        if self.terms is None or period is None:
            self.unchecked.append("cohort: no agreement, or no period")
            return
        rows = self.draft.rows if self.draft.complete else None
        for rule, message in cohort.judge(table, self.terms, period, rows):
            self.add(rule, None, COHORT, message)

    def receipt(self) -> dict[str, Any]:
        manifest, content = (
            (self.twin.manifest, self.twin.content_sha256) if self.twin else (self.manifest, self.content)
        )
        names = ("report_id", "partner_id", "agreement_id", "sequence", "revision", "supersedes")
        return {**{name: manifest[name] for name in names}, "content_sha256": content}


def _outrun(cell: Cell, days: list[tuple[str, int | None, int, int]]) -> Iterator[tuple[int | None, str]]:
    """The days on which cumulative clicks pass cumulative sends and pass them by more than the day before:
    where that only lasts, nothing new is wrong. Of later periods only the first day, and only where the
    report in hand shows none."""
    ahead, told, in_hand = 0, False, False
    for day, number, sends, clicks in days:
        before, ahead = ahead, ahead + clicks - sends
        in_hand = in_hand or number is not None
        if ahead <= max(before, 0) or (number is None and (told or not in_hand)):
            continue
        told = True
        where = "" if number is not None else f" in a later period, with this report's figures: {day}"
        yield number, f"cumulative clicks of {cell} pass its cumulative sends by {ahead}{where}"


def _meant(
    strays: Sequence[tuple[Partial, str, str | None]], missing: set[tuple[str, ...]]
) -> dict[int, tuple[str, ...]]:
    """For rows that are no cell's, the missing cell that each most likely stands for: one that differs in the
    refused values alone or, for rows that were read, in one. A cell is meant once."""
    # Every missing cell stands under each of the 16 ways to leave values of it open.
    open_ways = list(product((True, False), repeat=len(KEY)))
    index: dict[tuple[str | None, ...], list[tuple[str, ...]]] = defaultdict(list)
    for key in sorted(missing, reverse=True):
        for way in open_ways:
            index[_masked(key, way)].append(key)
    meant: dict[int, tuple[str, ...]] = {}
    free = set(missing)
    for row, _, _ in strays:
        if None in row.key:
            patterns = [row.key]
        else:
            patterns = [_masked(row.key, tuple(i != j for j in range(len(KEY)))) for i in range(len(KEY))]
        for pattern in patterns:
            candidates = index.get(pattern, [])
            while candidates and candidates[-1] not in free:
                candidates.pop()
            if candidates:
                meant[row.number] = candidates.pop()
                free.discard(meant[row.number])
                break
    return meant


def _masked(key: Sequence[str | None], way: Sequence[bool]) -> tuple[str | None, ...]:
    return tuple(value if kept else None for value, kept in zip(key, way, strict=True))


def _named(key: Sequence[str]) -> str:
    return f"{key[0]} {'/'.join(key[1:])}"


def _holds_odd(value: Any) -> bool:
    """Whether a number in `value` is written otherwise than RFC 8785 would, so that reading it changed it."""
    if isinstance(value, Odd):
        return True
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_holds_odd(child) for child in children)


def _day_of(ms: int) -> date:
    return date(1970, 1, 1) + timedelta(days=ms // (24 * HOUR_MS))
