"""Catalogues: three forms, every refusal by row, and no sensitive flag from a partner."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.errors import Code, Refused
from byleave.tailoring.catalogue import parse_catalogue, read_catalogue
from byleave.words.gazetteer import Title


def csv_of(*rows: str, head: str = "title_id,title,year") -> bytes:
    fill = [f"f{i},Filler {i},2001" for i in range(20)] if head == "title_id,title,year" else []
    return "\n".join([head, *rows, *fill]).encode()


def refusal(raw: bytes, **options: int) -> Refused:
    with pytest.raises(Refused) as caught:
        parse_catalogue(raw, "shelf", **options)
    assert "\n" not in str(caught.value)
    return caught.value


def test_csv() -> None:
    found = parse_catalogue(csv_of('1,"Salt, Iron",1999', "2,Up,"), "shelf")
    assert found.titles[:2] == (Title("1", "Salt, Iron", 1999), Title("2", "Up"))
    assert found.format == "csv"


def test_csv_with_languages_semicolons_and_bom() -> None:
    raw = "\ufeffid;title;title_de;title_pt-br\n1;The Glass Fox;Der gläserne Fuchs;\n".encode()
    assert parse_catalogue(raw, "shelf", fewest=1).titles == (
        Title("1", "The Glass Fox", 0, ("Der gläserne Fuchs",)),
    )


def test_json_lines() -> None:
    rows = [{"title_id": 7, "title": "Up", "year": 2009, "titles": {"de": "Oben"}, "popularity": 12.5}]
    raw = "\n".join(json.dumps(r) for r in rows).encode()
    assert parse_catalogue(raw, "x", fewest=1).titles == (Title("7", "Up", 2009, ("Oben",), 12.5),)


IMDB = (
    "tconst\ttitleType\tprimaryTitle\toriginalTitle\tisAdult\tstartYear\tendYear\truntimeMinutes\tgenres\n"
    'tt1\tmovie\tThe "Glass" Fox\tLe renard\t0\t1980\t\\N\t90\tDrama\n'
    "tt2\ttvSeries\tLong Series\tLong Series\t0\t1990\t\\N\t\\N\t\\N\n"
    "tt3\tmovie\tHidden\tHidden\t1\t1990\t\\N\t\\N\t\\N\n"
    "tt4\tshort\tSea\tSea\t0\t\\N\t\\N\t\\N\t\\N\n"
)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_imdb(pack: object) -> None:
    raw = IMDB.encode()
    found = parse_catalogue(gzip.compress(raw) if pack is gzip.compress else raw, "x", fewest=1)
    assert found.titles == (Title("tt1", 'The "Glass" Fox', 1980, ("Le renard",)), Title("tt4", "Sea"))
    assert (found.format, found.skipped) == ("imdb", 2)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("1,,2001", "row 2: title is missing"),
        (",Up,2001", "row 2: no title_id"),
        ("1,Up,20x1", "row 2: year is not"),
        ("1,Up,1066", "row 2: year is not"),
        ("1,Up", "row 2: 2 cells where the head has 3"),
        (f"1,{'a' * 301},2001", "row 2: title is longer"),
        ("1,U\x07p,2001", "row 2: title has control"),
        ("1,U\u202ep,2001", "row 2: title has control or direction"),
        ("f3,Up,2001", "row 6: title_id already in row 2"),
        ("a b,Up,2001", "row 2: title_id is not"),
    ],
)
def test_each_bad_row_is_named(row: str, says: str) -> None:
    assert says in str(refusal(csv_of(row)))


def test_many_bad_rows_are_counted_not_listed() -> None:
    text = str(refusal(csv_of(*[f"{i},,2001" for i in range(50)])))
    assert "50 rows refused" in text and "and 30 more" in text and len(text) < 1500


@pytest.mark.parametrize(
    "raw",
    [
        b"title_id,title,sensitive\n1,Up,0\n",
        b"title_id,title,Themes\n1,Up,\n",
        b'{"title_id": "1", "title": "Up", "sensitive": false}\n',
        b'{"title_id": "1", "title": "Up", "Flags": []}\n',
    ],
)
def test_a_partner_cannot_supply_a_flag(raw: bytes) -> None:
    found = refusal(raw, fewest=1)
    assert found.code is Code.DENIED and "sensitive flag" in str(found)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", Code.EMPTY),
        (b"  \n", Code.EMPTY),
        (b"\xff\xfe", Code.MALFORMED),
        (b"name,year\nUp,2009\n", Code.MALFORMED),
        (b"title_id,title,title\n", Code.AMBIGUOUS),
        (b"\x1f\x8bbroken", Code.TRUNCATED),
        (b"title_id,title\n1,Up\n", Code.DENIED),
        (b'title_id,title\n1,"Up\n', Code.MALFORMED),
    ],
)
def test_whole_files_that_are_refused(raw: bytes, code: Code) -> None:
    assert refusal(raw).code is code


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        read_catalogue(tmp_path / "none.csv")
    assert str(tmp_path) not in str(caught.value) and "none.csv" in str(caught.value)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda t: b"title_id,title\n" + t.encode("utf-8", "replace"))
)
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        parse_catalogue(raw, "x", fewest=0)
    except Refused as refused:
        assert "\n" not in str(refused)
