"""JSON read as a stream: the outline is walked, one value at a time is built.

Rules of this file:

1. Memory is one buffer and one value, however long the file. A value over `MAX_VALUE` is refused.
2. The values themselves are built by the standard library's C scanner, tried at the cursor; where the buffer
   ends first, more is read and it is tried again. It is exact: the scanner decides where a value ends, no
   guess at indentation. (ijson's C events are a third faster, but give no byte for a broken file, and the
   keys behind a long array only after it.)
3. A file that ends early is TRUNCATED, one that is no JSON is MALFORMED, both with the byte.
4. `repair_x` turns `\\xNN` (what Telegram's writer emits for control characters, no JSON) into `\\u00NN`:
   only where the backslash is not itself escaped, and across the borders of chunks.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from byleave.errors import Code, Refused

MAX_VALUE = 64 << 20
MAX_DEPTH = 100
_CHUNK = 1 << 18
_SPACE = re.compile(r"[ \t\n\r]*")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|.)", re.DOTALL)
_HALF_ESCAPE = re.compile(r"x[0-9A-Fa-f]?\Z")
_CUT = re.compile(r"t|tr|tru|f|fa|fal|fals|n|nu|nul|-|\\?u?[0-9A-Fa-f]{0,4}")
"""What may stand last where a file was cut inside a word or an escape."""
_CUT_NUMBER = re.compile(r"(?:\.|[eE][+-]?)\Z")
"""What may be left of a number behind its whole part."""
_NEAR_END = 16
"""The scanner looks at most this many characters past the place it complains about (`\\uD83D\\uDE00`)."""


class _NoJson(Exception):
    """NaN and Infinity: the scanner would take them."""


def _no_constant(word: str) -> Any:
    raise _NoJson


_scan = json.JSONDecoder(strict=False, parse_constant=_no_constant).scan_once  # type: ignore[attr-defined]


class JsonStream:
    """A cursor over one JSON document. `file` and `member` name it in refusals.

    `members()` and `items()` step through an object or array at the cursor; the caller takes each value with
    `value()`, `skip()`, or by stepping into it, before asking for the next."""

    def __init__(
        self,
        stream: BinaryIO,
        file: str,
        member: str = "",
        *,
        repair_x: bool = False,
        limit: int | None = None,
    ) -> None:
        self._stream, self._file, self._member = stream, file, member
        self._repair, self._limit = repair_x, limit
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._buffer, self._at = "", 0
        self._held = ""
        self._bytes = 0
        self._ended = False
        self._depth = 0

    # -- the outline --

    def peek(self) -> str:
        """The next character that is no space; "" at the end of the file."""
        while True:
            self._at = _SPACE.match(self._buffer, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._fill():
                return ""

    def members(self) -> Iterator[str]:
        """Steps through the object at the cursor."""
        self._take("{")
        self._deeper()
        if self.peek() == "}":
            self._at += 1
        else:
            while True:
                if self.peek() != '"':
                    raise self._broken()
                key = self.value()
                self._take(":")
                yield key
                if self._either(",", "}") == "}":
                    break
        self._depth -= 1

    def items(self) -> Iterator[None]:
        """Steps through the array at the cursor."""
        self._take("[")
        self._deeper()
        if self.peek() == "]":
            self._at += 1
        else:
            while True:
                yield None
                if self._either(",", "]") == "]":
                    break
        self._depth -= 1

    def values(self) -> Iterator[Any]:
        """The values of the array at the cursor, one by one. The hot loop: one scanner call a value."""
        self._take("[")
        if self.peek() == "]":
            self._at += 1
            return
        space = _SPACE.match
        while True:
            self.peek()
            yield self.value()
            buffer, at = self._buffer, self._at
            at = space(buffer, at).end()  # type: ignore[union-attr]
            if buffer[at : at + 1] == ",":
                self._at = at + 1
            elif self._either(",", "]") == "]":
                return

    def value(self) -> Any:
        """The value at the cursor, whole."""
        self.peek()
        while True:
            try:
                value, end = _scan(self._buffer, self._at)
            except StopIteration as stop:
                place, unended = int(stop.value), False
            except json.JSONDecodeError as error:
                place, unended = error.pos, error.msg.startswith("Unterminated")
            except (_NoJson, ValueError):
                raise self._broken() from None
            except RecursionError:
                raise self._refused(Code.MALFORMED, "is nested too deeply") from None
            else:
                # A number near the buffer's end may go on in the next chunk (`1`, `e+`, `5`).
                if end + 3 <= len(self._buffer) or self._buffer[end - 1] in '}]"' or self._ended:
                    self._at = end
                    return value
                self._fill()
                continue
            if self._ended or (not unended and place < len(self._buffer) - _NEAR_END):
                cut = self._ended and (unended or _CUT.fullmatch(self._buffer, place) is not None)
                self._at = place
                raise self._broken(cut)
            self._fill()

    def skip(self) -> None:
        """Passes over the value at the cursor without building it."""
        opening = self.peek()
        if opening == "{":
            for _ in self.members():
                self.skip()
        elif opening == "[":
            for _ in self.items():
                self.skip()
        else:
            self.value()

    def end(self) -> None:
        """Refuses anything but space after the document."""
        if self.peek():
            raise self._refused(Code.MALFORMED, "goes on after its end")

    # -- the buffer --

    def _fill(self) -> bool:
        """Reads more behind the cursor. False at the end of the file."""
        if self._ended:
            return False
        rest = self._buffer[self._at :]
        if len(rest) > MAX_VALUE:
            raise self._refused(Code.TOO_LARGE, f"holds a value over {MAX_VALUE >> 20} MiB")
        # Doubling keeps a value of many chunks linear, though each try starts at its beginning.
        chunk = self._stream.read(max(_CHUNK, len(rest)))
        if self._limit is not None and self._bytes > self._limit:
            chunk = b""
        try:
            more = self._decode(chunk, not chunk)
        except UnicodeDecodeError as error:
            raise Refused(
                Code.MALFORMED,
                self._file,
                self._place(self._bytes + error.start),
                "is not UTF-8",
                "export it again as JSON",
            ) from None
        self._ended = not chunk
        self._bytes += len(chunk)
        if self._repair:
            more = self._repaired(self._held + more)
        self._buffer, self._at = rest + more, 0
        return bool(more) or not self._ended

    def _repaired(self, text: str) -> str:
        self._held = ""
        if not self._ended:
            half = _HALF_ESCAPE.search(text, max(0, len(text) - 2))
            body = text[: half.start()] if half else text
            run = len(body) - len(body.rstrip("\\"))
            if run % 2:  # the last backslash opens an escape that the next chunk closes
                self._held = text[len(body) - 1 :]
                text = body[:-1]
        if "\\x" not in text:
            return text
        return _ESCAPE.sub(lambda m: f"\\u00{m[1]}" if m[1] else m[0], text)

    def _take(self, char: str) -> None:
        if self.peek() != char:
            raise self._broken()
        self._at += 1

    def _either(self, one: str, other: str) -> str:
        found = self.peek()
        if found not in (one, other) or not found:
            raise self._broken()
        self._at += 1
        return found

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._refused(Code.MALFORMED, "is nested too deeply")

    # -- refusals --

    def _broken(self, ended: bool | None = None) -> Refused:
        if ended is None:
            ended = self.peek() == "" or (
                self._ended
                and self._buffer[self._at - 1 : self._at].isdigit()
                and _CUT_NUMBER.match(self._buffer, self._at) is not None
            )
        if ended:
            return self._refused(Code.TRUNCATED, "ends in the middle", "fetch the export again")
        return self._refused(Code.MALFORMED, "is no JSON here")

    def _refused(self, code: Code, problem: str, remedy: str = "export it again as JSON") -> Refused:
        rest = len(self._buffer[self._at :].encode("utf-8", "surrogatepass"))
        return Refused(code, self._file, self._place(max(0, self._bytes - rest)), problem, remedy)

    def _place(self, byte: int) -> str:
        return f"{self._member}, byte {byte}" if self._member else f"byte {byte}"
