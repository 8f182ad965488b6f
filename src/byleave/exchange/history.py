"""Reports that were accepted before: read back whole, the newest revision of each period.

Rules of this file:

1. A history holds what was accepted: one that is not whole, or whose rows are not those it was sealed over,
   is refused by name; signatures are not judged again, since keys retire.
2. The same report in two forms counts once; two reports of one sequence and revision with different contents
   cannot both have been accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from byleave.errors import Code, Refused
from byleave.exchange.forms import Parcel, Row, canonical_csv, read
from byleave.exchange.manifest import field_problems


class Known(msgspec.Struct, frozen=True):
    """A report that was accepted before."""

    manifest: Mapping[str, Any]
    rows: tuple[Row, ...]
    content_sha256: str

    @property
    def sequence(self) -> int:
        return int(self.manifest["sequence"])

    @property
    def revision(self) -> int:
        return int(self.manifest["revision"])


def known(parcel: Parcel, file: str) -> Known:
    """A report of a history. `file` is the name that a refusal shows. Raises Refused if it is not whole."""
    draft = read(parcel)
    if draft.manifest is None or not draft.clean or field_problems(draft.manifest):
        raise Refused(
            Code.MALFORMED, file, "", "not a whole report", "a history holds reports as they were accepted"
        )
    rows = tuple(draft.whole_rows())
    digest = sha256(canonical_csv(rows)).hexdigest()
    if digest != draft.manifest["content_sha256"]:
        raise Refused(
            Code.MALFORMED, file, "content_sha256", "not the rows it was sealed over", "restore the report"
        )
    return Known(draft.manifest, rows, digest)


def newest(history: Sequence[Known], *, agreement_id: str | None = None) -> dict[int, Known]:
    """The newest revision of each period. The same report in two forms counts once. Raises Refused where two
    files of one sequence and revision differ."""
    best: dict[int, Known] = {}
    seen: dict[tuple[int, int], str] = {}
    for report in history:
        if agreement_id is not None and report.manifest["agreement_id"] != agreement_id:
            continue
        key = report.sequence, report.revision
        if seen.setdefault(key, report.content_sha256) != report.content_sha256:
            raise Refused(
                Code.AMBIGUOUS,
                "history",
                f"sequence {key[0]}, revision {key[1]}",
                "two reports with different contents",
                "keep the one that was accepted",
            )
        if key[0] not in best or best[key[0]].revision < key[1]:
            best[key[0]] = report
    return best
