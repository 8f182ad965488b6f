"""What a row looks like from outside: ids of the grant, people as tokens, fragments put together.

Ids are invertible ciphertexts (spec api.md): `m`, `t`, `b` and the state are base32 of one AES block under the
grant's own sub-key, the number in front and zeros behind. A page of ids is one call to the cipher, and an id
whose zeros do not come back was never given out here: hidden, foreign and invented ids are one case.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any

import orjson
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from byleave.words import fragment as fragments
from byleave.words.fragment import INDEX, address_token, person_token

_BLOCK = re.compile(r"[a-z2-7]{25}[aeimquy4]")
"""26 characters of base32 that 16 bytes give: the last one holds three bits (RFC 4648 §6, zero pad bits)."""


class Ids:
    """The ids of one grant. `secret` is the store's secret for ids (32 bytes)."""

    def __init__(self, secret: bytes, grant_id: bytes) -> None:
        self._base = hmac.new(secret, grant_id, hashlib.sha256).digest()
        self._ciphers: dict[str, Any] = {}
        self.account_id = "a" + _base32(self._key("a"))[0]
        self._eights: dict[bytes, str] = {}

    def _key(self, use: str) -> bytes:
        return hmac.new(self._base, use.encode(), hashlib.sha256).digest()[:16]

    def _cipher(self, use: str) -> Any:
        found = self._ciphers.get(use)
        if found is None:
            found = self._ciphers[use] = Cipher(
                algorithms.AES(self._key(use)), modes.ECB()
            )  # one block, never two alike
        return found

    def give(self, use: str, numbers: Iterable[int], part: int = 0) -> list[str]:
        """The ids `use` (m, t, s, b) of `numbers`."""
        tail = part.to_bytes(4, "big") + bytes(4)
        plain = b"".join([n.to_bytes(8, "big") + tail for n in numbers])
        return [use + text for text in _base32(self._cipher(use).encryptor().update(plain))]

    def take(self, use: str, id: str) -> tuple[int, int] | None:
        """(number, part) of an id given out as `use`, or None."""
        return self.take_all(use, [id]).get(id)

    def take_all(self, use: str, ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """id → (number, part) for those of `ids` that were given out as `use`."""
        formed = [id for id in ids if id[:1] == use and _BLOCK.fullmatch(id, 1)]
        digits = "".join(formed).encode().translate(_DIGITS)
        starts = range(1, 27 * len(formed), 27)
        sealed = b"".join([(int(digits[at : at + 26], 32) >> 2).to_bytes(16, "big") for at in starts])
        plain = self._cipher(use).decryptor().update(sealed)
        taken: dict[str, tuple[int, int]] = {}
        for at, id in zip(range(0, len(plain), 16), formed, strict=True):
            number = int.from_bytes(plain[at : at + 8], "big")
            if plain[at + 12 : at + 16] == bytes(4) and number < 1 << 62:
                taken[id] = number, int.from_bytes(plain[at + 8 : at + 12], "big")
        return taken

    def eight(self, person: bytes) -> str:
        """The first characters of a person's pairwise id: the same person, the same eight, in this grant only."""
        found = self._eights.get(person)
        if found is None:
            sealed = self._cipher("p").encryptor().update(person)
            found = self._eights[person] = _base32(sealed)[0][:8]
        return found

    def person_id(self, person: bytes) -> str:
        """A person's pairwise id in full: `p` and one AES block, of which address tokens show eight characters."""
        return "p" + _base32(self._cipher("p").encryptor().update(person))[0]

    def person_of(self, id: str) -> bytes | None:
        """The person (16 bytes) behind a full id; a well-formed one that was never given out is nobody's. None for
        what is no id."""
        if not id.startswith("p") or not _BLOCK.fullmatch(id[1:]):
            return None
        sealed = (int(id[1:].encode().translate(_DIGITS), 32) >> 2).to_bytes(16, "big")
        return bytes(self._cipher("p").decryptor().update(sealed))


_ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567"
_LETTERS = _ALPHABET + bytes(256 - len(_ALPHABET))
_DIGITS = bytes.maketrans(_ALPHABET, b"0123456789abcdefghijklmnopqrstuv")
_ROUNDS = (
    (12, 0x000FFFFF_00000000, 0x00000000_000FFFFF),
    (6, 0x03FF0000_03FF0000, 0x000003FF_000003FF),
    (3, 0x1F001F00_1F001F00, 0x001F001F_001F001F),
)
"""What parts 40 bits at the end of 64 into eight bytes of 5 bits: shift, who moves, who stays."""


def _base32(blocks: bytes) -> list[str]:
    """Each 16 bytes as 26 characters of base32 without padding, in lower case.

    A page is one large number, spread and shifted as a whole: `base64.b32encode` goes five bytes by five bytes
    and was a third of a page's time."""
    count = len(blocks) // 16
    spread = bytearray(32 * count)
    for i in range(16):
        spread[i // 5 * 8 + 3 + i % 5 :: 32] = blocks[i::16]
    bits = int.from_bytes(spread, "big")
    for shift, moves, stays in _ROUNDS:
        moving = int.from_bytes(moves.to_bytes(8, "big") * (4 * count), "big")
        staying = int.from_bytes(stays.to_bytes(8, "big") * (4 * count), "big")
        bits = ((bits << shift) & moving) | (bits & staying)
    text = bits.to_bytes(32 * count, "big").translate(_LETTERS).decode()
    return [text[at : at + 26] for at in range(0, 32 * count, 32)]


_PERSONAL = re.compile(rb"\x01([APNC])([0-9a-f]{8})\x02")
"""Every slot but `B` (`fragment.SLOT`)."""
_NOBODY = ("", "", bytes(16))


class People:
    """Fills the slots of one view. `find` gives (number, value, name, person id) for numbers of handles: only
    those that this view shows are ever read."""

    def __init__(
        self, ids: Ids, for_owner: bool,
        find: Callable[[Sequence[int]], Iterable[tuple[int, str, str, bytes]]], conversations: dict[int, str],
    ) -> None:  # fmt: skip
        self._ids = ids
        self._for_owner = for_owner
        self._find = find
        self._handles: dict[int, tuple[str, str, bytes]] = {}
        self._conversations = conversations
        self._filled: dict[tuple[bytes, bytes, bool], bytes] = {}

    def know(self, numbers: Iterable[int]) -> None:
        """Reads these handles at once, ahead of filling."""
        fresh = {n for n in numbers if n not in self._handles}
        if fresh:
            self._handles.update(dict.fromkeys(fresh, _NOBODY))
            self._handles.update(
                {n: (value, name, person) for n, value, name, person in self._find(sorted(fresh))}
            )

    def _handle(self, number: int) -> tuple[str, str, bytes]:
        if number not in self._handles:
            self.know((number,))
        return self._handles[number]

    def fill(self, fragment: bytes, shown: frozenset[int] | None = None) -> bytes:
        """`fragment` with every slot but `B` filled. `shown`: handles whose bearers let their name be seen."""
        return _PERSONAL.sub(lambda m: self._value(m[1], m[2], shown), fragment)

    def named(self, handle: int) -> bytes:
        """The address object of a handle, as its bearer allows the owner to see it."""
        return self._value(b"A", b"%08x" % handle, frozenset((handle,)))

    def token(self, handle: int) -> str:
        """The eight characters that stand for a handle's person in this grant."""
        return self._ids.eight(self._handle(handle)[2])

    def person(self, handle: int) -> bytes:
        """Whose handle it is (16 bytes)."""
        return self._handle(handle)[2]

    def person_id(self, handle: int) -> str:
        """The pairwise id of a handle's person, in full."""
        return self._ids.person_id(self._handle(handle)[2])

    def _value(self, kind: bytes, number: bytes, shown: frozenset[int] | None) -> bytes:
        plain = self._for_owner or (kind in b"AP" and shown is not None and int(number, 16) in shown)
        key = (kind, number, plain)
        found = self._filled.get(key)
        if found is None:
            found = self._filled[key] = self._make(kind, int(number, 16), number, plain)
        return found

    def _make(self, kind: bytes, number: int, digits: bytes, plain: bool) -> bytes:
        if kind == b"C":
            name = self._conversations.get(number) if plain else None
            return orjson.dumps(name or None)
        if kind == b"N":
            digest = hashlib.sha256(digits).digest()[:16]
            return person_token(self._ids.eight(digest)).encode()
        value, name, person = self._handle(number)
        if kind == b"A" and plain:
            return orjson.dumps({"name": name or None, "email": address_of(value)})
        if kind == b"A":
            return orjson.dumps(address_token(self._ids.eight(person)))
        return orjson.dumps(name)[1:-1] if plain else person_token(self._ids.eight(person)).encode()


def address_of(handle: str) -> str:
    """A handle in the form of a mail address; handles that are none end in `.invalid` (RFC 2606)."""
    kind, _, value = handle.partition(":")
    if kind == "mail":
        return value
    if re.fullmatch(r"[A-Za-z0-9+._-]{1,64}", value):
        return f"{value}@{kind}.invalid"
    if not value:
        return "unknown@sender.invalid"
    return f"{hashlib.sha256(handle.encode()).hexdigest()[:16]}@{kind}.invalid"


# ── properties ──────────────────────────────────────────────────────────────────────────────────────────────
DYNAMIC = (
    "id",
    "blobId",
    "threadId",
    "mailboxIds",
    "receivedAt",
    "keywords",
    "messageId",
    "inReplyTo",
    "references",
)
"""Properties that the view makes; all others stand in the fragment."""
PREPARED = frozenset(DYNAMIC) | frozenset(fragments.SEGMENTS) - {"body"} | {"bodyValues"}
PARTS_OF_BODY = {"bodyStructure", "textBody", "htmlBody", "attachments"}


class Picker:
    """Puts the properties of one request together, message by message, as JSON bytes."""

    def __init__(self, properties: Sequence[str], *, body_values: bool, max_body_bytes: int) -> None:
        self.dynamic = [p for p in properties if p in DYNAMIC]
        self.static = [p for p in properties if p in INDEX and p != "body" and p not in self.dynamic]
        self.body_values = "bodyValues" in properties
        self.fetch_body = body_values
        self.max_body_bytes = max_body_bytes
        self._indexes = [INDEX[p] for p in self.static]
        self._get = itemgetter(*self._indexes) if len(self._indexes) > 1 else None
        self.has_parts = bool(PARTS_OF_BODY & set(self.static))
        names = [*self.dynamic, *self.static]
        pieces = [b'"' + p.encode() + b'":%b' for p in names]
        if self.body_values:
            pieces.append(b'"bodyValues":{"1":%b}' if body_values else b'"bodyValues":{}')
        self._template = b"{" + b",".join(pieces) + b"}"

    def pick(self, segments: list[bytes], given: tuple[bytes, ...], blob_id: str) -> bytes | None:
        """One JSON object, or None where the fragment lacks a property (the blob has to be read). `given` are the
        values of `dynamic`, in order."""
        values: tuple[bytes, ...] = (
            self._get(segments) if self._get else tuple(segments[i] for i in self._indexes)
        )
        if b"" in values:
            return None
        if self.body_values and self.fetch_body:
            body = segments[INDEX["body"]]
            if not body or not segments[INDEX["textBody"]]:
                return None  # of several parts, or HTML: which part the words are of, only the blob tells
            values = (*values, _body_value(body, self.max_body_bytes))
        joined = self._template % (*given, *values)
        return joined.replace(b"\x01B00000001\x02", blob_id.encode()) if self.has_parts else joined


def _body_value(body: bytes, most: int) -> bytes:
    """An EmailBodyValue (RFC 8621 §4.1.4); cut at a character boundary past `most` octets (0: no limit)."""
    if not most or len(body) - 2 <= most:
        return b'{"value":' + body + b',"isEncodingProblem":false,"isTruncated":false}'
    value = str(orjson.loads(body)).encode()
    if len(value) <= most:
        return b'{"value":' + body + b',"isEncodingProblem":false,"isTruncated":false}'
    cut = value[:most].decode(errors="ignore")
    return b'{"value":' + orjson.dumps(cut) + b',"isEncodingProblem":false,"isTruncated":true}'


def rendered(segments: list[bytes], message_id: str, parents: list[str], direct: Sequence[str] = ()) -> bytes:
    """The blob of filled segments (see `fragments.blob`)."""
    email = {
        name: orjson.loads(segments[INDEX[name]])
        for name in ("from", "sender", "to", "cc", "bcc", "replyTo", "subject", "sentAt")
        if segments[INDEX[name]]
    }
    body = segments[INDEX["body"]]
    return fragments.blob(email, orjson.loads(body) if body else "", message_id, parents, direct)
