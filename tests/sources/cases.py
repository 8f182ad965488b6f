"""The cases in `data/`: an export beside what must come of it.

`data/<room>/<case>.<ext>` (or a folder `<case>`) stands beside `<case>.expected.jsonl` or
`<case>.refused.txt`, and `<case>.options.json` where options are given. `python -m tests.sources accept
CASE` writes the outcome for review.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from byleave.errors import Refused
from byleave.model import Conversation, Record
from byleave.sources import Options, recognise
from byleave.sources.archive import Export

DATA = Path(__file__).parent / "data"
OUTCOMES = (".expected.jsonl", ".refused.txt", ".options.json")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cases() -> Iterator[Path]:
    for room in sorted(p for p in DATA.iterdir() if p.is_dir()):
        yield from sorted(p for p in room.iterdir() if not p.name.endswith(OUTCOMES))


def outcome(case: Path) -> tuple[str, str]:
    """(ending, text) of what the importers make of a case."""
    given = case.parent / (name_of(case) + ".options.json")
    options = Options(**json.loads(given.read_text())) if given.exists() else Options()
    try:
        export = Export(case)
        lines = [shown(item) for item in recognise(export).read(export, options)]
    except Refused as refused:
        return ".refused.txt", f"{refused}\n"
    return ".expected.jsonl", "".join(lines)


def shown(item: Conversation | Record) -> str:
    """One line of JSON: what differs from the defaults, times as RFC 3339."""
    found: dict[str, Any] = {"is": type(item).__name__}
    for field in msgspec.structs.fields(item):
        value = getattr(item, field.name)
        if field.default is not msgspec.NODEFAULT and value == field.default:
            continue
        if field.name in ("sent_at", "edited_at", "as_of") and value is not None:
            value = (EPOCH + timedelta(milliseconds=value)).isoformat().replace("+00:00", "Z")
        found[field.name] = _plain(value)
    return json.dumps(found, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, msgspec.Struct):
        pairs = ((f.name, getattr(value, f.name)) for f in msgspec.structs.fields(value))
        return {name: _plain(v) for name, v in pairs if v not in (None, "", ())}
    return value if not isinstance(value, bytes) else value.decode("utf-8", "replace")


def name_of(case: Path) -> str:
    return case.name if case.is_dir() else case.name.rsplit(".", 1)[0]
