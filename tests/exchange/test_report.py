"""Building: counts, the seal, and what the module drags in."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from byleave.errors import Refused
from byleave.exchange import report as reports
from byleave.keys import canonical, verify_jws


def events(*entries: tuple[str, str, str]) -> list[bytes]:
    return [
        json.dumps(
            {
                "kind": kind,
                "day": day,
                "interface": interface,
                "surface": "detail",
                "variant": "card-on_platform",
            }
        ).encode()
        for kind, day, interface in entries
    ]


def test_counts_cell_for_cell_with_zeros(desk: Any) -> None:
    lines = events(
        ("send", "2026-11-02", "tv"),
        ("send", "2026-11-02", "tv"),
        ("recipient_click", "2026-11-03", "tv"),
        ("click", "2026-11-03", "tv"),
        ("send", "2026-11-15", "web"),
    )
    rows = reports.count(lines, desk.terms, 1)
    assert len(rows) == 14 * 4
    live = {(row.day, row.interface): row[4:] for row in rows if any(row[4:])}
    assert live == {
        ("2026-11-02", "tv"): (2, 0, 0),
        ("2026-11-03", "tv"): (0, 1, 2),
        ("2026-11-15", "web"): (1, 0, 0),
    }


@pytest.mark.parametrize(
    "entry", [("send", "2026-11-16", "tv"), ("send", "2026-11-02", "radio"), ("x", "", "")]
)
def test_an_event_outside_the_grid_is_refused_with_its_line(desk: Any, entry: Any) -> None:
    with pytest.raises(Refused, match="line 2"):
        reports.count(events(("send", "2026-11-02", "tv"), entry), desk.terms, 1)


def test_the_seal_is_over_the_canonical_manifest(desk: Any) -> None:
    report = desk.report()
    bare = {name: value for name, value in report.manifest.items() if name != "signature"}
    header, payload = verify_jws(report.manifest["signature"], [desk.key])
    assert payload == canonical(bare) and header["kid"] == desk.key.kid


def test_a_report_is_final(desk: Any) -> None:
    def build(at: int) -> Any:
        return reports.build(
            desk.rows(),
            desk.terms,
            sequence=1,
            report_id="01900001-0000-7000-8000-000000000001",
            generated_at_ms=at,
            key=desk.key,
            bot_filter_version="none",
            preparer="Reports desk",
        )

    with pytest.raises(Refused, match="not final"):
        build(desk.at(1, 1) - 1)
    assert desk.check(build(desk.at(1, 1)).parcel()).ok


def test_it_imports_alone() -> None:
    code = (
        "import sys, byleave.exchange.report; "
        "print([m for m in ('sqlalchemy', 'starlette', 'pyarrow', 'scipy.stats', 'byleave.store') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
