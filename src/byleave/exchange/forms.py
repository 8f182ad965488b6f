"""Bytes in, a draft report and its V1 violations out: CSV, JSON and Parquet read to the letter.

Rules of this file:

1. What is not exactly so is refused, never normalised: no trimming, no unquoting, no other way to write a
   number. Only what was read whole and clean may count as a row.
2. All violations at once, each with its row (1 is the first data row) and column, and one for one cause: a
   file that ends every line in `\\r\\n` has one violation, a file that mixes line ends one a line.
3. Nothing is read past 16 MiB or 20,000 rows; for Parquet the footer is judged first (`parquet`).
4. A cell's value is shown only where it is short, plain ASCII and no address.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from byleave.errors import one_line
from byleave.exchange import parquet
from byleave.exchange.terms import CODE, Cell

KEY = ("day", "interface", "surface", "variant")
FIGURES = ("sends", "recipient_clicks", "clicks_total")
COLUMNS = (*KEY, *FIGURES)
HEADER = ",".join(COLUMNS)
MAX_BYTES = 16 * 1024 * 1024
MAX_ROWS = 20_000
MAX_FIGURE = 2**53 - 1
"""Largest figure: beyond it JSON numbers are not exact (RFC 7493 §2.2) and RFC 8785 has no form."""

Form: TypeAlias = Literal["csv", "json", "parquet"]
Rule: TypeAlias = Literal["V1", "V2", "V3", "V4", "V5", "V6"]


class Violation(msgspec.Struct, frozen=True):
    """One thing wrong. `row` is None for the manifest and the whole file; for a manifest's field `column` is
    its name."""

    rule: Rule
    row: int | None
    column: str | None
    message: str


class Row(NamedTuple):
    """One cell's figures of one UTC day (`day` as YYYY-MM-DD)."""

    day: str
    interface: str
    surface: str
    variant: str
    sends: int
    recipient_clicks: int
    clicks_total: int

    @property
    def cell(self) -> Cell:
        return Cell(self.interface, self.surface, self.variant)


class Partial(NamedTuple):
    """A row as far as it could be read; None where the value is refused. `number` counts from 1."""

    number: int
    day: str | None
    interface: str | None
    surface: str | None
    variant: str | None
    sends: int | None
    recipient_clicks: int | None
    clicks_total: int | None

    @property
    def key(self) -> tuple[str | None, ...]:
        return self[1:5]

    def whole(self) -> Row | None:
        """The row, if nothing of it was refused."""
        return None if None in self else Row(*self[1:])  # type: ignore[arg-type]


class Parcel(msgspec.Struct, frozen=True):
    """A report as it arrives: `rows` is the CSV, Parquet or JSON file, `manifest` the file beside the first
    two (None where it is missing)."""

    form: Form
    rows: bytes
    manifest: bytes | None = None


class Draft(msgspec.Struct):
    """A report as far as it could be read. `row_count` is None where the rows could not even be counted,
    `complete` says that every row there is stands in `rows`, `clean` that none of them breaks V1."""

    manifest: dict[str, Any] | None = None
    rows: list[Partial] = msgspec.field(default_factory=list)
    row_count: int | None = None
    complete: bool = False
    violations: list[Violation] = msgspec.field(default_factory=list)
    clean: bool = False

    def add(self, row: int | None, column: str | None, message: str) -> None:
        self.violations.append(Violation("V1", row, column, message))

    def whole_rows(self) -> list[Row]:
        """The rows of which nothing was refused."""
        return [row for partial in self.rows if (row := partial.whole()) is not None]


class Odd(str):
    """A JSON number that is not a plain integer (1e3, −0, 1.0, NaN), kept as it was written."""


class Twice(dict[str, Any]):
    """A JSON object in which the names `doubled` stand more than once."""

    doubled: frozenset[str] = frozenset()


def read(parcel: Parcel) -> Draft:
    """The draft in `parcel`. Never raises for what the bytes hold."""
    draft = Draft()
    if len(parcel.rows) + len(parcel.manifest or b"") > MAX_BYTES:
        draft.add(None, None, f"larger than {MAX_BYTES} bytes")
        return draft
    if parcel.form == "json":
        _read_json(parcel.rows, draft)
        return draft
    if parcel.manifest is None:
        draft.add(None, "manifest", "the manifest is missing: NAME.manifest.json belongs beside the rows")
    else:
        manifest = parse_json(parcel.manifest, draft, "manifest: ")
        if isinstance(manifest, dict):
            draft.manifest = manifest
        elif manifest is not None:
            draft.add(None, "manifest", "the manifest must be a JSON object")
    told = len(draft.violations)
    if parcel.form == "csv":
        _read_csv(parcel.rows, draft)
    else:
        _read_parquet(parcel.rows, draft)
    draft.clean = draft.complete and len(draft.violations) == told
    return draft


# -- CSV ----------------------------------------------------------------------------------------------------


def _read_csv(data: bytes, draft: Draft) -> None:
    if data.startswith(b"\xef\xbb\xbf"):
        draft.add(None, None, "begins with a byte order mark; write UTF-8 without one")
        data = data[3:]
    if not data:
        draft.add(None, None, f"empty; the first line must be {HEADER}")
        return
    lines = data.split(b"\n")
    ended = lines[:-1]
    if lines[-1]:
        draft.add(len(lines) - 1 or None, None, r"the last line does not end in \n")
    else:
        lines.pop()
    if len(lines) - 1 > MAX_ROWS:
        draft.add(None, None, f"{len(lines) - 1} rows; a report has at most {MAX_ROWS}")
        return
    if ended and all(line.endswith(b"\r") for line in ended):
        draft.add(None, None, r"every line ends in \r\n; write \n alone")
        lines = [line.removesuffix(b"\r") for line in lines]
    columns, first = _read_header(lines[0], draft)
    if columns is not None and len(lines) > 1 and re.match(rb"[0-9]{4}-[0-9]{2}-[0-9]{2},", lines[1]):
        columns = (
            list(COLUMNS) if len(columns) == len(COLUMNS) else columns
        )  # a header that names them wrongly
    if columns is None:
        return
    strange = sum(line.strip(b"\r") in (b"", HEADER.encode()) for line in lines[first:])
    draft.row_count = len(lines) - first - strange
    before: tuple[str | None, ...] = ()
    for number, line in enumerate(lines[first:], 1):
        row = _csv_row(number, line, columns, draft)
        draft.rows.append(row)
        if None not in row.key:
            if row.key < before:
                draft.add(
                    number, None, "not sorted: belongs before the row above (by " + ", ".join(KEY) + ")"
                )
            before = row.key
    draft.complete = True


def _read_header(line: bytes, draft: Draft) -> tuple[list[str] | None, int]:
    """The columns by which to read on, None where they cannot be told, and the number of header lines."""
    text = line.decode("utf-8", "replace")
    if text == HEADER:
        return list(COLUMNS), 1
    names = text.split(",")
    if len(names) == len(COLUMNS) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", names[0]):
        draft.add(None, None, f"the header is missing; the first line must be {HEADER}")
        return list(COLUMNS), 0
    meant = [name.strip(" \t\r\"'\0").lower() for name in names]
    faults = [f"{name} twice" for name in COLUMNS if meant.count(name) > 1]
    faults += [f"{name} missing" for name in COLUMNS if name not in meant]
    faults += [f"{len([n for n in meant if n not in COLUMNS])} unknown"] if set(meant) - set(COLUMNS) else []
    what = ", ".join(faults) or ("other order" if sorted(names) == sorted(COLUMNS) else "written otherwise")
    draft.add(None, None, f"the header must be exactly {HEADER} ({what})")
    return (meant, 1) if all(meant.count(name) == 1 for name in COLUMNS) else (None, 1)


def _csv_row(number: int, line: bytes, columns: list[str], draft: Draft) -> Partial:
    nothing = Partial(number, *(None,) * len(COLUMNS))
    if not line.strip(b"\r"):
        draft.add(number, None, "an empty line")
        return nothing
    if line.strip(b"\r") == HEADER.encode():
        draft.add(number, None, "the header again")
        return nothing
    if line.endswith(b"\r"):
        draft.add(number, None, r"the line ends in \r\n, others in \n; write \n alone")
        line = line[:-1]
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        draft.add(number, None, f"not UTF-8 at byte {error.start + 1} of the line")
        return nothing
    cells = text.split(",")
    if len(cells) != len(columns):
        quoted = "; quotes are not part of the form" if '"' in text else ""
        draft.add(number, None, f"{len(cells)} cells instead of {len(columns)}{quoted}")
        return nothing
    by_name = dict(zip(columns, cells, strict=True))
    values = [_csv_value(number, name, by_name[name], draft) for name in COLUMNS]
    return Partial(number, *values)


def _csv_value(number: int, column: str, cell: str, draft: Draft) -> Any:
    value: Any = cell
    if column in FIGURES and not re.fullmatch(r"[=@\t\r].*|.*[\0\"'\s].*|", cell, re.DOTALL):
        value = _plain_integer(cell)
    return _judge(number, column, value, draft, text=True)


def _plain_integer(literal: str) -> int | Odd:
    """The integer that `literal` writes in the one way there is, else the literal kept as odd."""
    if re.fullmatch(r"-?(0|[1-9][0-9]{0,18})", literal) and literal != "-0":
        return int(literal)
    return Odd(literal)


# -- JSON ---------------------------------------------------------------------------------------------------


def parse_json(data: bytes, draft: Draft, where: str = "") -> Any:
    """The value in `data`, or None with a violation. Numbers that are no plain integers come as `Odd`,
    objects with a name twice as `Twice`."""
    if data.startswith(b"\xef\xbb\xbf"):
        draft.add(None, None, f"{where}begins with a byte order mark; write UTF-8 without one")
        data = data[3:]
    if data.count(b"{") + data.count(b"[") > 4 * MAX_ROWS or data.count(b",") > 20 * MAX_ROWS:
        draft.add(None, None, f"{where}more objects or values than a report can have")
        return None
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_pairs,
            parse_int=_plain_integer,
            parse_float=Odd,
            parse_constant=Odd,
        )
    except UnicodeDecodeError as error:
        draft.add(None, None, f"{where}not UTF-8 at byte {error.start + 1}")
    except json.JSONDecodeError as error:
        problem = one_line(error.msg.split(":")[0])
        draft.add(None, None, f"{where}not JSON at line {error.lineno}, column {error.colno}: {problem}")
    except RecursionError:
        draft.add(None, None, f"{where}nested deeper than a report can be")
    return None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    twice = Twice(found)
    twice.doubled = frozenset(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
    return twice


def _read_json(data: bytes, draft: Draft) -> None:
    report = parse_json(data, draft)
    if report is None and draft.violations:
        return
    if not isinstance(report, dict):
        draft.add(None, None, 'must be one object {"manifest": {…}, "rows": [{…}]}')
        return
    for name in getattr(report, "doubled", ()):
        draft.add(None, shown_name(name), "stands twice in the report")
    for name in report.keys() - {"manifest", "rows"}:
        draft.add(None, shown_name(name), "is not part of the form: manifest and rows alone")
    manifest, rows = report.get("manifest"), report.get("rows")
    if isinstance(manifest, dict):
        draft.manifest = manifest
    else:
        draft.add(None, "manifest", "the manifest must be an object")
    if not isinstance(rows, list):
        draft.add(None, "rows", "the rows must be a list of objects")
        return
    draft.row_count = len(rows)
    if len(rows) > MAX_ROWS:
        draft.add(None, "rows", f"{len(rows)} rows; a report has at most {MAX_ROWS}")
        return
    told = len(draft.violations)
    for number, row in enumerate(rows, 1):
        draft.rows.append(_json_row(number, row, draft))
    draft.complete, draft.clean = True, len(draft.violations) == told


def _json_row(number: int, row: Any, draft: Draft) -> Partial:
    if not isinstance(row, dict):
        draft.add(number, None, "must be an object")
        return Partial(number, *(None,) * len(COLUMNS))
    doubled: frozenset[str] = getattr(row, "doubled", frozenset())
    for name in sorted(doubled):
        draft.add(number, shown_name(name), "stands twice in the row")
    for name in sorted(row.keys() - set(COLUMNS)):
        draft.add(number, shown_name(name), "is not a column")
    values: list[Any] = []
    for name in COLUMNS:
        if name not in row:
            draft.add(number, name, "is missing")
        ok = name in row and name not in doubled
        values.append(_judge(number, name, row[name], draft) if ok else None)
    return Partial(number, *values)


# -- Parquet ------------------------------------------------------------------------------------------------


def _read_parquet(data: bytes, draft: Draft) -> None:
    if not parquet.installed():
        draft.add(None, None, "Parquet needs the extra: pip install 'byleave[parquet]', or send CSV or JSON")
        return
    problems, rows = parquet.read(data, COLUMNS, MAX_ROWS, MAX_BYTES)
    for column, text in problems:
        draft.add(None, column, text)
    if problems:
        return
    draft.row_count = len(rows)
    for number, (day, *rest) in enumerate(rows, 1):
        values = [_day_of(day), *rest]
        judged = [_judge(number, name, v, draft) for name, v in zip(COLUMNS, values, strict=True)]
        draft.rows.append(Partial(number, *judged))
    draft.complete = True


def _day_of(number: int | None) -> str | None:
    """Days since 1970 as YYYY-MM-DD; a text that is no date where the calendar ends before."""
    if number is None:
        return None
    ordinal = number + date(1970, 1, 1).toordinal()
    return date.fromordinal(ordinal).isoformat() if 1 <= ordinal <= date.max.toordinal() else "out of range"


# -- values -------------------------------------------------------------------------------------------------


def _judge(number: int, column: str, value: Any, draft: Draft, *, text: bool = False) -> Any:
    """`value` if it may stand in `column`; else None, with the violation added. In a `text` form an empty
    figure is empty, in others a text where a number should be."""
    if value is None:
        problem: str | None = "is null"
    elif column in FIGURES and not (text and type(value) is str):
        problem = _figure_problem(value)
    elif not isinstance(value, str) or isinstance(value, Odd):
        problem = "must be text"
    else:
        problem = _text_problem(column, value)
    if problem is None:
        return value
    draft.add(number, column, f"{column} {problem}")
    return None


def _figure_problem(value: Any) -> str | None:
    if isinstance(value, Odd):
        if value == "-0":
            return "is −0; write 0"
        if value.startswith("+"):
            return "begins with +, as a formula does; write digits alone"
        if re.fullmatch(r"-?[0-9]{17,}", value):
            return f"is beyond {MAX_FIGURE}"
        if re.fullmatch(r"-?0[0-9]+", value):
            return f"has leading zeros: {shown(value)}"
        return f"must be an integer from 0, in digits alone: {shown(value)}"
    if type(value) is not int:
        return "must be a number, not text" if isinstance(value, str) else "must be an integer"
    if value < 0:
        return f"is negative: {value}"
    return f"is beyond {MAX_FIGURE}" if value > MAX_FIGURE else None


def _text_problem(column: str, value: str) -> str | None:
    """What is wrong with a text cell, most telling first."""
    if not value:
        return "is empty"
    if "\0" in value:
        return "holds a NUL"
    if value[0] in "=+-@\t\r":
        return f"begins with {_named(value[0])}, as a formula does"
    if '"' in value or "'" in value:
        return "holds quotes; no cell needs them"
    if value != value.strip():
        return "has white space around it"
    if column in FIGURES:
        return f"must be an integer from 0, in digits alone: {shown(value)}"
    if column != "day":
        return None if CODE.fullmatch(value) else f"is not a code [a-z0-9_-]{{1,40}}: {shown(value)}"
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return f"is not a date YYYY-MM-DD: {shown(value)}"
    try:
        date.fromisoformat(value)
    except ValueError:
        return f"is not a day of the calendar: {shown(value)}"
    return None


def _named(c: str) -> str:
    return {"\t": "a tab", "\r": "a carriage return"}.get(c, c)


def shown(value: str) -> str:
    """`value` for a message: itself where it is short, plain and no address, else its length alone."""
    if re.fullmatch(r"[ -?A-~]{1,40}", value):
        return repr(value)
    return f"({len(value)} characters)"


def shown_name(name: str) -> str:
    """A stranger's field name for `column`."""
    return name if re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", name) else f"(a name of {len(name)} characters)"


def canonical_csv(rows: Iterable[Row]) -> bytes:
    """The one form that `content_sha256` is taken over: header, rows sorted by key, `\\n` ends."""
    lines = [HEADER, *(",".join(map(str, row)) for row in sorted(rows))]
    return ("\n".join(lines) + "\n").encode("ascii")


def in_order(violations: Sequence[Violation]) -> list[Violation]:
    """Violations as a reader wants them: the whole file and manifest first, then by row, rule and column."""
    place = {name: i for i, name in enumerate(COLUMNS)}
    return sorted(
        violations, key=lambda v: (v.row or 0, v.rule, place.get(v.column or "", -1), v.column or "")
    )
