"""Parquet: judged in the footer first, opened where it can do no harm."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from byleave.exchange.forms import COLUMNS, Parcel


def columns(rows: list[Any]) -> dict[str, Any]:
    by_name = dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    by_name["day"] = [date.fromisoformat(day) for day in by_name["day"]]
    return by_name


def write(arrays: dict[str, Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(arrays), sink, **options)
    return sink.getvalue()


@pytest.fixture
def honest(desk: Any) -> dict[str, Any]:
    return columns(desk.rows())


def judge(desk: Any, data: bytes) -> Any:
    return desk.check(Parcel("parquet", data, desk.csv().manifest))


def told(verdict: Any) -> set[tuple[str, int | None, str | None]]:
    return {(v.rule, v.row, v.column) for v in verdict.violations}


def test_any_integer_width_and_required_or_optional_columns(desk: Any, honest: dict[str, Any]) -> None:
    honest["sends"] = pa.array(honest["sends"], pa.uint8())
    honest["recipient_clicks"] = pa.array(honest["recipient_clicks"], pa.int16())
    honest["clicks_total"] = pa.array(honest["clicks_total"], pa.uint64())
    honest["interface"] = pa.array(honest["interface"]).dictionary_encode()
    fields = [pa.field("day", pa.date32(), nullable=False), *pa.table(honest).schema][:1]
    assert fields[0].nullable is False
    assert judge(desk, write(honest)).ok
    assert judge(desk, write(honest, use_dictionary=False, compression="zstd")).ok
    table = pa.table(honest)
    strict = pa.schema([field.with_nullable(False) for field in table.schema])
    sink = io.BytesIO()
    pq.write_table(table.cast(strict), sink)
    assert judge(desk, sink.getvalue()).ok


def test_row_order_is_free(desk: Any) -> None:
    assert judge(desk, write(columns(desk.rows()[::-1]), row_group_size=10)).ok


TYPES: dict[str, tuple[str, Any]] = {
    "text day": ("day", pa.string()),
    "timestamp day": ("day", pa.timestamp("ms")),
    "float": ("sends", pa.float64()),
    "text figure": ("sends", pa.string()),
    "decimal": ("sends", pa.decimal128(9, 0)),
    "boolean": ("sends", pa.bool_()),
    "binary code": ("variant", pa.binary()),
}


@pytest.mark.parametrize("name", TYPES)
def test_other_types_are_refused(desk: Any, honest: dict[str, Any], name: str) -> None:
    column, kind = TYPES[name]
    if column == "day" and kind == pa.string():
        honest["day"] = [str(day) for day in honest["day"]]
    elif kind == pa.string():
        honest[column] = [str(n) for n in honest[column]]
    elif kind == pa.bool_():
        honest[column] = [bool(n) for n in honest[column]]
    elif kind == pa.binary():
        honest[column] = [code.encode() for code in honest[column]]
    honest[column] = (
        pa.array(honest[column]).cast(kind) if column == "day" else pa.array(honest[column], kind)
    )
    assert told(judge(desk, write(honest))) == {("V1", None, column)}


def test_values_are_judged_as_in_the_other_forms(desk: Any, honest: dict[str, Any]) -> None:
    honest["sends"][3] = None
    honest["clicks_total"][4] = -1
    honest["interface"][5] = "=tv"
    honest["variant"][6] = "x" * 1_000_000
    honest["day"] = pa.array([d.toordinal() - 719_163 for d in honest["day"]], pa.int32())
    days = honest["day"].to_pylist()
    days[7] = 2**31 - 1
    honest["day"] = pa.array(days, pa.int32()).cast(pa.date32())
    assert told(judge(desk, write(honest))) == {
        ("V1", 4, "sends"),
        ("V1", 5, "clicks_total"),
        ("V1", 6, "interface"),
        ("V1", 7, "variant"),
        ("V1", 8, "day"),
    }


def test_columns_are_exactly_these(desk: Any, honest: dict[str, Any]) -> None:
    assert told(judge(desk, write({**honest, "user": honest["sends"]}))) == {("V1", None, None)}
    del honest["variant"]
    assert told(judge(desk, write(honest))) == {("V1", None, None)}


def test_bombs_are_refused_before_they_are_opened(desk: Any, honest: dict[str, Any]) -> None:
    many = {name: pa.concat_arrays([pa.array(v)] * 400) for name, v in honest.items()}
    verdict = judge(desk, write(many))
    assert told(verdict) == {("V1", None, None)} and "22400 rows" in verdict.violations[0].message
    wide = {**honest, "variant": ["v" * 2_000_000 + str(i) for i in range(56)]}
    verdict = judge(desk, write(wide, compression="zstd", use_dictionary=False))
    assert told(verdict) == {("V1", None, None)} and "footer claims" in verdict.violations[0].message


def test_a_shared_text_is_never_multiplied(desk: Any, honest: dict[str, Any]) -> None:
    """20,000 rows of one text of 8 MB: 160 GB if each row got its own."""
    rows = {name: (pa.array(v).take(pa.array([0] * 20_000))) for name, v in honest.items()}
    rows["variant"] = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), ["v" * 8_000_000])
    data = write(rows, compression="zstd", dictionary_pagesize_limit=2**30)
    assert len(data) < 1_000_000
    verdict = judge(desk, data)
    assert not verdict.ok and {v.column for v in verdict.violations if v.rule == "V1"} == {"variant"}


def test_broken_bytes_are_refused(desk: Any, honest: dict[str, Any]) -> None:
    good = write(honest)
    for data in (b"", b"PAR1", b"PAR1" * 100, good[:-1], good[8:], good[:500] + b"\xff" * 300 + good[800:]):
        assert not judge(desk, data).ok
