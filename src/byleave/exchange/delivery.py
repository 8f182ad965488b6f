"""Reports as they come in: checked, receipted, kept; and what the provider's own figures say beside them.

Rules of this file:

1. A report is accepted whole or not at all. `accept` writes it, its receipt and its entry in one transaction, and
   only if nothing was accepted since it was judged.
2. The same report again gets the receipt that it got; another one in its place is a duplicate, refused.
3. Every accepted version is kept as it came, with the time it came: what was known at any time can be asked.
4. The provider's figures are shown beside an accepted report and never before.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import date
from typing import Any

import msgspec
import orjson
from sqlalchemy import bindparam, insert, select

from byleave.errors import Absent, Code, Conflict, Invalid
from byleave.exchange import duty, sums
from byleave.exchange import report as reports
from byleave.exchange.counts import Side
from byleave.exchange.deadline import revisable
from byleave.exchange.terms import Cell, Terms
from byleave.ledger import log
from byleave.ledger.entry import Act
from byleave.model import Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.tables import report

RECEIPT = "byleave.receipt/1"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted report as it stands in the store."""

    agreement_id: str
    sequence: int
    revision: int
    report_id: str
    received_at: Ms
    client_id: str
    form: str
    rows: bytes
    manifest: bytes | None
    content_sha256: bytes
    receipt: str

    def known(self) -> reports.Known:
        """The report read back."""
        return _known(self.form, self.rows, self.manifest, self.report_id)


_KEPT: dict[tuple[str, bytes], reports.Known] = {}


def _known(form: str, rows: bytes, manifest: bytes | None, name: str) -> reports.Known:
    """What was accepted never changes, so that a history is read once in each process."""
    import hashlib

    key = (name, hashlib.sha256(rows + (manifest or b"")).digest())
    found = _KEPT.get(key)
    if found is None:
        if len(_KEPT) > 256:
            _KEPT.clear()
        found = _KEPT[key] = reports.known(reports.Parcel(form, rows, manifest), name)  # type: ignore[arg-type]
    return found


_COLUMNS = tuple(report.c[name] for name in Kept.__struct_fields__)
_EVERY = prepare(
    select(*_COLUMNS)
    .where(report.c.agreement_id == bindparam("agreement_id"), report.c.received_at <= bindparam("until"))
    .order_by(report.c.sequence, report.c.revision)
)
_ONE = prepare(
    select(*_COLUMNS).where(
        report.c.agreement_id == bindparam("agreement_id"), report.c.report_id == bindparam("report_id")
    )
)
_PLACE = prepare(
    select(report.c.content_sha256, report.c.receipt).where(
        report.c.agreement_id == bindparam("agreement_id"), report.c.sequence == bindparam("sequence"),
        report.c.revision == bindparam("revision"),
    )
)  # fmt: skip
_COUNT = prepare(select(report.c.report_id).where(report.c.agreement_id == bindparam("agreement_id")))
_KEEP = prepare(insert(report))


def every(snapshot: Snapshot, agreement_id: str, until: Ms) -> list[Kept]:
    """Every version of every report that had come by `until`, in order."""
    return [_kept(row) for row in snapshot.all(_EVERY, agreement_id=agreement_id, until=until)]


def find(snapshot: Snapshot, agreement_id: str, report_id: str) -> Kept:
    """Raises Absent: foreign and never accepted alike."""
    row = snapshot.one(_ONE, agreement_id=agreement_id, report_id=report_id)
    if row is None:
        raise Absent(Code.ABSENT, "no such report was accepted")
    return _kept(row)


def _kept(row: tuple[Any, ...]) -> Kept:
    return Kept(**dict(zip(Kept.__struct_fields__, row, strict=True)))


def in_its_place(snapshot: Snapshot, agreement_id: str, parcel: reports.Parcel) -> str | None:
    """Whether `parcel` says that it is a report that was accepted: its receipt, "other" where what was accepted has
    other rows, None where nothing was. Nothing is read but three fields of the manifest."""
    try:
        stated = orjson.loads(parcel.rows if parcel.form == "json" else parcel.manifest or b"")
        manifest = stated["manifest"] if parcel.form == "json" else stated
        sequence, revision, content = (manifest[n] for n in ("sequence", "revision", "content_sha256"))
    except (ValueError, KeyError, TypeError):
        return None
    if (
        type(sequence) is not int
        or type(revision) is not int
        or not abs(sequence) < 2**31
        or not abs(revision) < 2**31
    ):
        return None
    row = snapshot.one(_PLACE, agreement_id=agreement_id, sequence=sequence, revision=revision)
    if row is None:
        return None
    return row[1] if row[0].hex() == content else "other"


def judged(
    terms: Terms,
    parcel: reports.Parcel,
    history: Sequence[Kept],
    approved: Container[tuple[int, int]],
    now: Ms,
) -> reports.Verdict:
    """The verdict on `parcel` as received `now`. A revision of an old period that no operator `approved` (sequence,
    revision) is a violation here, where offline it can only be named."""
    known = [kept.known() for kept in history]
    verdict = reports.check(parcel, terms, known, now)
    if not verdict.ok or verdict.known or verdict.receipt is None:
        return verdict
    sequence, revision = verdict.receipt["sequence"], verdict.receipt["revision"]
    if revision and not revisable(terms, sequence, now) and (sequence, revision) not in approved:
        late = reports.Violation(
            "V2", None, "revision", "so old a period is revised with the operator's approval only"
        )
        return msgspec.structs.replace(verdict, ok=False, violations=[late], receipt=None)
    return verdict


def approve(
    tx: Transaction, agreement_id: str, sequence: int, operator: str, now: Ms, entry_id: bytes, salt: bytes
) -> int:
    """Procedure: an operator lets the next revision of an old period come; answers its number. Raises Absent where
    no report of the period was accepted, Invalid where one may be sent without asking."""
    terms = duty.terms_named(tx, agreement_id)
    last = max((k.revision for k in every(tx, agreement_id, now) if k.sequence == sequence), default=None)
    if last is None:
        raise Absent(Code.ABSENT, f"no report of period {sequence} was accepted: there is nothing to revise")
    if revisable(terms, sequence, now):
        raise Invalid(
            Code.INVALID_ARGUMENTS, f"period {sequence} may be revised freely: nobody need approve it"
        )
    facts = {"agreement": agreement_id, "sequence": sequence, "revision": last + 1, "operator": operator}
    if (sequence, last + 1) not in approved(tx, agreement_id):
        log.append(tx, log.STORE_OWNER, entry_id, "approval", now, facts, salt)
    return last + 1


def approved(snapshot: Snapshot, agreement_id: str) -> set[tuple[int, int]]:
    """(sequence, revision) that operators approved: each for one revision, the next one then."""
    found = set()
    for _, _, event in log.of_kind(snapshot, log.STORE_OWNER, "approval"):
        assert isinstance(event, Act)
        sequence, revision = event.facts["sequence"], event.facts["revision"]
        if (
            event.facts["agreement"] == agreement_id
            and isinstance(sequence, int)
            and isinstance(revision, int)
        ):
            found.add((sequence, revision))
    return found


def receipt_of(verdict: reports.Verdict, received_at: Ms) -> dict[str, Any]:
    """What the provider signs for an accepted report."""
    return {"schema": RECEIPT, **(verdict.receipt or {}), "received_at": received_at}


def accept(
    tx: Transaction, agreement_id: str, facts: dict[str, Any], form: str, rows: bytes, manifest: bytes | None,
    receipt: str, client_id: str, accepted_before: int, now: Ms, entry_ids: list[bytes], salts: list[bytes],
) -> str:  # fmt: skip
    """Procedure: keeps a report that was judged against `accepted_before` others. Answers its receipt, which is the
    earlier one where the same report was accepted meanwhile. Raises Conflict where another was."""
    content = bytes.fromhex(facts["content_sha256"])
    there = tx.one(_PLACE, agreement_id=agreement_id, sequence=facts["sequence"], revision=facts["revision"])
    if there is not None:
        if there[0] != content:
            raise Conflict(Code.DUPLICATE_REPORT, "another report of this sequence and revision was accepted")
        return str(there[1])
    if len(tx.all(_COUNT, agreement_id=agreement_id)) != accepted_before:
        raise Conflict(Code.CONFLICT, "another report was accepted meanwhile; send it again")
    sums.close(tx, agreement_id, now, entry_ids[0], salts[0])
    tx.run(
        _KEEP, agreement_id=agreement_id, sequence=facts["sequence"], revision=facts["revision"],
        report_id=facts["report_id"], received_at=now, client_id=client_id, form=form, rows=rows, manifest=manifest,
        content_sha256=content, receipt=receipt,
    )  # fmt: skip
    entry = {name: facts[name] for name in ("report_id", "sequence", "revision", "content_sha256")}
    log.append(
        tx, log.STORE_OWNER, entry_ids[1], "report", now, {"agreement": agreement_id, **entry}, salts[1]
    )
    return receipt


# ── beside each other ───────────────────────────────────────────────────────────────────────────────────────
def sides(snapshot: Snapshot, terms: Terms, history: Sequence[Kept], sequence: int) -> tuple[Side, Side]:
    """(platform, partner) up to period `sequence`, by the newest revisions, for `reconcile`."""
    newest: dict[int, Kept] = {}
    for kept in history:
        if kept.sequence <= sequence:
            newest[kept.sequence] = kept
    counts: dict[tuple[date, Cell], tuple[int, int, int]] = {}
    spans: list[tuple[date, date]] = []
    exceptions: list[dict[str, Any]] = []
    for number, kept in sorted(newest.items()):
        span = terms.period(number)
        assert span is not None
        spans.append(span)
        known = kept.known()
        exceptions += known.manifest["exceptions"]
        for row in known.rows:
            counts[date.fromisoformat(row.day), row.cell] = row.sends, row.recipient_clicks, row.clicks_total
    ours = sums.closed(snapshot, terms.agreement_id, spans[0][0], spans[-1][1])
    return Side("platform", ours, spans, []), Side("partner", counts, spans, exceptions)


def figures(platform: Side, partner: Side, span: tuple[date, date]) -> list[dict[str, Any]]:
    """Both sides' figures of one period, cell by cell."""
    keys = sorted(k for k in platform.counts.keys() | partner.counts.keys() if span[0] <= k[0] <= span[1])
    names = ("sends", "recipient_clicks", "clicks_total")
    return [
        {
            "day": day.isoformat(), **cell._asdict(),
            "platform": dict(zip(names, platform.counts.get((day, cell), (0, 0, 0)), strict=True)),
            "partner": dict(zip(names, partner.counts.get((day, cell), (0, 0, 0)), strict=True)),
        }
        for day, cell in keys
    ]  # fmt: skip
