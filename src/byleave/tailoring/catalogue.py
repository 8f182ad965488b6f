"""A partner's catalogue of titles: CSV, JSON Lines or IMDb's title.basics TSV → titles, every refusal by row.

Rules of this file:

1. Nothing is half-imported and nothing is guessed: a file with one bad row is refused as a whole, and the
   refusal lists each bad row with its number, its field and what to do (the first 20, and how many more).
2. A partner cannot say what is sensitive. A column named so is refused, not ignored: they must see that it
   has no effect. Flags are kept apart, by title id, and are changed by two operators (`byleave.titles`).
3. Fewer than 20 titles is no catalogue but a question about people, and is refused.
4. Text is text: control and direction-override characters, empty titles and titles of more than 300 signs
   are refused. Columns that mean nothing here are left alone.

IMDb: `title.basics.tsv` as described at IMDb's non-commercial datasets page: tab separated, no quoting, "\\N"
for nothing. Rows that are no films (`titleType` other than movie, tvMovie, short, video) are counted, not
refused; adult titles (`isAdult`) are left out.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from byleave.errors import Code, Refused
from byleave.words.gazetteer import Title

FEWEST = 20
MOST = 2_000_000
SHOWN = 20
"""Bad rows that a refusal names; the rest are counted."""
_LONGEST_TITLE = 300
_LONGEST_ID = 128
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FILMS = frozenset({"movie", "tvMovie", "short", "video"})
_ID_FIELDS = ("title_id", "id", "tconst")
_SENSITIVE = frozenset(
    {"sensitive", "sensitive_flag", "is_sensitive", "sensitivity", "sensitive_themes", "flag", "flags"}
    | {"theme", "themes"}
)


class Catalogue(msgspec.Struct, frozen=True):
    """The titles of one file in its order; `skipped` counts rows that are no films."""

    titles: tuple[Title, ...]
    format: str
    skipped: int = 0


def read_catalogue(path: Path, *, fewest: int = FEWEST) -> Catalogue:
    """The catalogue in the file. Raises Refused (one line) that names file, rows and remedy."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise Refused(Code.NOT_FOUND, path.name, "", "no such file", "give the catalogue's path") from None
    except OSError as error:
        raise Refused(Code.MALFORMED, path.name, "", f"cannot be read ({error.strerror})", "") from None
    return parse_catalogue(raw, path.name, fewest=fewest)


def parse_catalogue(raw: bytes, name: str, *, fewest: int = FEWEST) -> Catalogue:
    """As `read_catalogue`, from bytes; `name` is the file's in refusals. Gzip is unpacked up to 1 GiB."""
    if raw[:2] == b"\x1f\x8b":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as packed:
                raw = packed.read((1 << 30) + 1)
        except (OSError, EOFError):
            raise Refused(Code.TRUNCATED, name, "", "broken gzip", "pack it again") from None
        if len(raw) > 1 << 30:
            raise Refused(Code.TOO_LARGE, name, "", "more than 1 GiB unpacked", "split it")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(Code.MALFORMED, name, f"byte {error.start}", "not UTF-8", "save it as UTF-8") from None
    if not text.strip():
        raise Refused(Code.EMPTY, name, "", "nothing in it", "give one title a row")
    first = text.lstrip().split("\n", 1)[0]
    if first.startswith("{"):
        form, rows = "jsonl", _json_rows(text)
    elif first.startswith("tconst\t"):
        form, rows = "imdb", _imdb_rows(text)
    else:
        form, rows = "csv", _csv_rows(text, name)
    return _collect(rows, name, form, fewest)


Row = tuple[int, dict[str, Any] | str]
"""Number of the line in the file, and its fields, or what is wrong with it."""


def _json_rows(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            yield number, "not JSON: one object a line"
            continue
        yield number, value if isinstance(value, dict) else "not an object"


def _imdb_rows(text: str) -> Iterator[Row]:
    lines = text.split("\n")
    head = lines[0].rstrip("\r").split("\t")
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = line.rstrip("\r").split("\t")
        if len(cells) != len(head):
            yield number, f"{len(cells)} cells where the head has {len(head)}"
            continue
        row = dict(zip(head, cells, strict=True))
        if row.get("titleType") not in _FILMS or row.get("isAdult") == "1":
            yield number, {}
            continue
        titles = [t for t in (row.get("primaryTitle", ""), row.get("originalTitle", "")) if t and t != "\\N"]
        year = row.get("startYear", "\\N")
        yield (
            number,
            {
                "title_id": row["tconst"],
                "title": titles[0] if titles else "",
                "titles": {"original": titles[1]} if len(titles) > 1 and titles[1] != titles[0] else {},
                "year": "" if year == "\\N" else year,
            },
        )


def _csv_rows(text: str, name: str) -> Iterator[Row]:
    head_line = text.split("\n", 1)[0]
    mark = max(",;\t", key=head_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    remedy = "give a head row with title_id, title and, where known, year, title_xx"
    try:
        head = [cell.strip().lower() for cell in next(reader)]
    except (csv.Error, StopIteration):
        raise Refused(Code.MALFORMED, name, "row 1", "no head row", remedy) from None
    if "title" not in head or not any(f in head for f in _ID_FIELDS):
        raise Refused(Code.MALFORMED, name, "row 1", "no title_id or no title in the head row", remedy)
    if len(set(head)) != len(head):
        raise Refused(Code.AMBIGUOUS, name, "row 1", "a column named twice", "name each column once")
    for column in head:
        if column in _SENSITIVE:
            raise _no_flag(name, "row 1")
    try:
        for cells in reader:
            number = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(head):
                yield number, f"{len(cells)} cells where the head has {len(head)}"
                continue
            row: dict[str, Any] = dict(zip(head, cells, strict=True))
            row["titles"] = {c: row.pop(c) for c in list(row) if _language(c) and row[c].strip()}
            yield number, row
    except csv.Error:
        yield reader.line_num, "broken quoting"


def _language(column: str) -> bool:
    """title_de, title_pt-br, title_zh_hant."""
    code = column.removeprefix("title_").replace("_", "-")
    return (
        column.startswith("title_")
        and column != "title_id"
        and 2 <= len(code) <= 12
        and code.replace("-", "").isalnum()
    )


def _no_flag(name: str, place: str) -> Refused:
    return Refused(
        Code.DENIED, name, place, "a sensitive flag, which a partner cannot supply",
        "take the column out; two operators set flags",
    )  # fmt: skip


def _collect(rows: Iterator[Row], name: str, form: str, fewest: int) -> Catalogue:
    titles: list[Title] = []
    wrong: list[str] = []
    bad = skipped = 0
    seen: dict[str, int] = {}
    for number, row in rows:
        if row == {}:
            skipped += 1
            continue
        made = row if isinstance(row, str) else _title(row, name, number)
        if isinstance(made, Title):
            if made.id in seen:
                made = f"title_id already in row {seen[made.id]}"
            else:
                seen[made.id] = number
                titles.append(made)
                if len(titles) > MOST:
                    raise Refused(
                        Code.TOO_LARGE, name, f"row {number}", f"more than {MOST} titles", "split it"
                    )
                continue
        bad += 1
        if len(wrong) < SHOWN:
            wrong.append(f"row {number}: {made}")
    if bad:
        more = f"; and {bad - len(wrong)} more" if bad > len(wrong) else ""
        raise Refused(
            Code.MALFORMED, name, "", f"{bad} rows refused: " + "; ".join(wrong) + more,
            "mend these rows; nothing was imported",
        )  # fmt: skip
    if len(titles) < fewest:
        raise Refused(
            Code.DENIED, name, "", f"{len(titles)} titles, fewer than {fewest}", "give the whole catalogue"
        )
    return Catalogue(tuple(titles), form, skipped)


def _title(row: dict[str, Any], name: str, number: int) -> Title | str:
    """The row as a Title, or what is wrong with it."""
    if any(str(key).strip().lower() in _SENSITIVE for key in row):
        raise _no_flag(name, f"row {number}")
    ids = [row[f] for f in _ID_FIELDS if row.get(f) not in (None, "")]
    if len(ids) != 1:
        return "no title_id" if not ids else "two ids"
    key = str(ids[0]).strip() if isinstance(ids[0], str | int) and not isinstance(ids[0], bool) else ""
    if not key or len(key) > _LONGEST_ID or not key.isprintable() or " " in key:
        return "title_id is not a short word without blanks"
    title = row.get("title")
    problem = _text_problem(title)
    if problem:
        return f"title {problem}"
    others = row.get("titles") or {}
    if not isinstance(others, dict) or len(others) > 60:
        return "titles is not an object of language: title"
    for other in others.values():
        problem = _text_problem(other)
        if problem:
            return f"a title in another language {problem}"
    year = _year(row.get("year"))
    if year is None:
        return "year is not a year from 1870 to 2100"
    popularity = _number(row.get("popularity"))
    if popularity is None:
        return "popularity is not a number from 0"
    assert isinstance(title, str)
    names = tuple(sorted({str(o).strip() for o in others.values()} - {title.strip()}))
    return Title(key, title.strip(), year, names, popularity)


def _text_problem(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        return "is missing"
    if len(value) > _LONGEST_TITLE:
        return f"is longer than {_LONGEST_TITLE} signs"
    if any(unicodedata.category(c) in ("Cc", "Cs") or c in _DIRECTION for c in value.strip()):
        return "has control or direction characters"
    return ""


def _year(value: object) -> int | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return 0
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value).strip()
    if not (text.isascii() and text.isdigit() and len(text) == 4):
        return None
    year = int(text)
    return year if 1870 <= year <= 2100 else None


def _number(value: object) -> float | None:
    if value is None or value == "":
        return 0.0
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < 1e15 else None
