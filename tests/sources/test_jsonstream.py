"""The stream reads what the standard library reads, whatever the chunks."""

from __future__ import annotations

import io
import json
import re
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.errors import Code, Refused
from byleave.sources.jsonstream import JsonStream

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


class Dribble(io.BytesIO):
    """Gives `step` bytes at a time, whatever is asked for."""

    def __init__(self, data: bytes, step: int) -> None:
        super().__init__(data)
        self.step = step

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self.step)


def walked(json_stream: JsonStream) -> Any:
    """The document rebuilt by stepping."""
    found = json_stream.peek()
    if found == "{":
        return {key: walked(json_stream) for key in json_stream.members()}
    if found == "[":
        return [walked(json_stream) for _ in json_stream.items()]
    return json_stream.value()


def stream(data: bytes, step: int, repair_x: bool = False) -> JsonStream:
    return JsonStream(cast(BinaryIO, Dribble(data, step)), "x.json", repair_x=repair_x)


@given(values, st.integers(1, 7), st.sampled_from([None, 1]), st.booleans())
@settings(max_examples=80, derandomize=True, deadline=None)
def test_same_as_the_library(value: Any, step: int, indent: int | None, ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    data = text.encode("utf-8", "surrogatepass")
    reader = stream(data, step)
    assert walked(reader) == value
    reader.end()
    whole = stream(data, step)
    assert whole.value() == value
    if isinstance(value, list):
        assert list(stream(data, step).values()) == value


@given(st.text("\\x4Fg\x07é", max_size=30), st.integers(1, 5))
@settings(max_examples=150, derandomize=True, deadline=None)
def test_x_escapes_are_repaired_across_chunks(text: str, step: int) -> None:
    """Telegram's writer: control characters as \\xNN, backslashes doubled."""
    written = json.dumps(text, ensure_ascii=False)
    written = re.sub(r"\\u00([01][0-9a-f])", lambda m: "\\x" + m[1].upper(), written)
    assert stream(written.encode(), step, repair_x=True).value() == text


@given(values, st.integers(1, 7), st.data())
@settings(max_examples=60, derandomize=True, deadline=None)
def test_a_cut_is_refused_with_its_byte(value: Any, step: int, data: st.DataObject) -> None:
    whole = json.dumps([value], ensure_ascii=True).encode()
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(Refused) as caught:
        walked(stream(cut, step))
    assert caught.value.code is Code.TRUNCATED and re.search(r"byte \d+:", str(caught.value))


@pytest.mark.parametrize(
    ("data", "code", "byte"),
    [
        (b'{"a": tru}' + b" " * 40, Code.MALFORMED, 6),
        (b'{"a" 1}', Code.MALFORMED, 5),
        (b'[1 2, "and more to come behind it"]', Code.MALFORMED, 3),
        (b'{"a": NaN}', Code.MALFORMED, 6),
        (b'{"a": 1}}', Code.MALFORMED, 8),
        (b'{"a": "\xff"}', Code.MALFORMED, 7),
        (b'["\\q", "a long string behind the mistake"]', Code.MALFORMED, 2),
        (b"[" * 5000, Code.MALFORMED, None),
        (b"1" * 5000, Code.MALFORMED, 0),
    ],
)
def test_what_is_no_json(data: bytes, code: Code, byte: int | None) -> None:
    with pytest.raises(Refused) as caught:
        reader = stream(data, 1 << 20)
        walked(reader)
        reader.end()
    assert caught.value.code is code
    assert byte is None or f"byte {byte}:" in str(caught.value)


def test_deep_values_are_refused_not_crashed() -> None:
    for data in (b"[" * 200_000, b'{"a":' * 200_000):
        with pytest.raises(Refused):
            stream(data, 1 << 20).value()
        with pytest.raises(Refused):
            stream(data, 1 << 20).skip()
