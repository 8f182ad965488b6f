"""What a row looks like from outside: ids of the grant, people as tokens, fragments put together.

Ids are invertible ciphertexts (spec api.md): `m`, `t`, `b` and the state are base32 of one AES block under the
grant's own sub-key, the number in front and zeros behind. A page of ids is one call to the cipher, and an id
whose zeros do not come back was never given out here: hidden, foreign and invented ids are one case. Whatever
is done for a page is done for all of it at once: to go id by id was half of a page's time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import Any

import numpy as np
import orjson
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from byleave.words.fragment import EDGE, person_token, slot

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

    def spelled(
        self, use: str, numbers: Sequence[int], part: int = 0, before: bytes = b'"', after: bytes = b'"'
    ) -> list[bytes]:
        """A page of ids as JSON, each between `before` and `after`."""
        plain = np.zeros((len(numbers), 2), ">u8")
        plain[:, 0] = numbers
        plain[:, 1] = part << 32
        sealed = self._cipher(use).encryptor().update(plain.tobytes())
        head = before + use.encode()
        pattern = head + bytes(26) + after
        made = np.empty((len(numbers), len(pattern)), np.uint8)
        made[:] = np.frombuffer(pattern, np.uint8)
        letters = np.frombuffer(_letters(sealed), np.uint8).reshape(-1, 32)
        made[:, len(head) : len(head) + 26] = letters[:, :26]
        found: list[bytes] = made.view(f"S{len(pattern)}").ravel().tolist()
        return found

    def take(self, use: str, id: str) -> tuple[int, int] | None:
        """(number, part) of an id given out as `use`, or None."""
        return self.take_all(use, [id]).get(id)

    def take_all(self, use: str, ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """id → (number, part) for those of `ids` that were given out as `use`."""
        formed = list(ids)
        text = "".join(formed)
        if set(map(len, formed)) != {27} or not text.isascii():
            formed = [id for id in formed if len(id) == 27 and id.isascii()]
            text = "".join(formed)
        if not formed:
            return {}
        signs = np.frombuffer(text.encode(), np.uint8).reshape(-1, 27)
        digits = _DIGITS[signs[:, 1:]]
        well = (signs[:, 0] == ord(use)) & (digits.max(axis=1) < 32) & (digits[:, 25] & 3 == 0)
        spread = np.zeros((len(formed), 4, 8), np.uint64)
        spread.reshape(-1, 32)[:, :26] = digits
        forties = (spread @ _WEIGHTS).astype(">u8").view(np.uint8).reshape(-1, 4, 8)
        sealed = forties[:, :, 3:].reshape(-1, 20)[:, :16].tobytes()
        plain = np.frombuffer(self._cipher(use).decryptor().update(sealed), ">u4").reshape(-1, 4)
        well &= (plain[:, 3] == 0) & (plain[:, 0] < 1 << 30)
        numbers = plain.view(">u8")[:, 0].tolist()
        taken = zip(formed, zip(numbers, plain[:, 2].tolist(), strict=True), strict=True)
        return dict(taken if well.all() else compress(taken, well.tolist()))

    def eight(self, person: bytes) -> str:
        """The first characters of a person's pairwise id: the same person, the same eight, in this grant only."""
        found = self._eights.get(person)
        if found is None:
            sealed = self._cipher("p").encryptor().update(person)
            found = self._eights[person] = _base32(sealed)[0][:8]
        return found

    def eights(self, persons: Sequence[bytes]) -> list[bytes]:
        """`eight` of each of `persons`."""
        sealed = self._cipher("p").encryptor().update(b"".join(persons))
        letters = np.frombuffer(_letters(sealed), np.uint8).reshape(-1, 32)[:, :8].copy()
        found: list[bytes] = letters.view("S8").ravel().tolist()
        return found

    def person_id(self, person: bytes) -> str:
        """A person's pairwise id in full: `p` and one AES block, of which address tokens show eight characters."""
        return "p" + _base32(self._cipher("p").encryptor().update(person))[0]

    def person_of(self, id: str) -> bytes | None:
        """The person (16 bytes) behind a full id; a well-formed one that was never given out is nobody's. None for
        what is no id."""
        if not id.startswith("p") or not _BLOCK.fullmatch(id[1:]):
            return None
        sealed = (int(id[1:].translate(_BASE32), 32) >> 2).to_bytes(16, "big")
        return bytes(self._cipher("p").decryptor().update(sealed))


_ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567"
_LETTERS = _ALPHABET + bytes(256 - len(_ALPHABET))
_BASE32 = str.maketrans(_ALPHABET.decode(), "0123456789abcdefghijklmnopqrstuv")
_DIGITS = np.full(256, 255, np.uint8)
"""Letter → digit; what is none is too large for one."""
_DIGITS[np.frombuffer(_ALPHABET, np.uint8)] = np.arange(32)
_WEIGHTS = np.array([32**n for n in range(7, -1, -1)], np.uint64)
_ROUNDS = (
    (12, 0x000FFFFF_00000000, 0x00000000_000FFFFF),
    (6, 0x03FF0000_03FF0000, 0x000003FF_000003FF),
    (3, 0x1F001F00_1F001F00, 0x001F001F_001F001F),
)
"""What parts 40 bits at the end of 64 into eight bytes of 5 bits: shift, who moves, who stays."""


def _base32(blocks: bytes) -> list[str]:
    """Each 16 bytes as 26 characters of base32 without padding, in lower case."""
    text = _letters(blocks).decode()
    return [text[at : at + 26] for at in range(0, len(text), 32)]


def _letters(blocks: bytes) -> bytes:
    """Each 16 bytes as 32 characters of base32, of which the first 26 count.

    A page is one large number, spread and shifted as a whole: `base64.b32encode` goes five bytes by five bytes."""
    count = len(blocks) // 16
    spread = bytearray(32 * count)
    for i in range(16):
        spread[i // 5 * 8 + 3 + i % 5 :: 32] = blocks[i::16]
    bits = int.from_bytes(spread, "big")
    for shift, moves, stays in _ROUNDS:
        moving = int.from_bytes(moves.to_bytes(8, "big") * (4 * count), "big")
        staying = int.from_bytes(stays.to_bytes(8, "big") * (4 * count), "big")
        bits = ((bits << shift) & moving) | (bits & staying)
    return bits.to_bytes(32 * count, "big").translate(_LETTERS)


_NOBODY = ("", "", bytes(16))
_TOKEN = b'{"name":null,"email":"p%b@masked.invalid"}'
"""`fragment.address_token` as JSON."""


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
        self._tokens: dict[bytes, bytes] = {}
        self._names: dict[bytes, bytes] = {}

    def know(self, numbers: Iterable[int]) -> None:
        """Reads these handles at once, ahead of filling."""
        fresh = set(numbers).difference(self._handles)
        if fresh:
            self._handles.update(dict.fromkeys(fresh, _NOBODY))
            self._handles.update({row[0]: row[1:] for row in self._find(sorted(fresh))})

    def fill(self, fragment: bytes, shown: frozenset[int] | None = None) -> bytes:
        """`fragment` (one, or many joined) with every slot but `B` filled. `shown`: handles whose bearers let their
        name be seen."""
        pieces = fragment.split(EDGE)
        slots = pieces[1::2]
        if slots:
            pieces[1::2] = self._values(slots, shown)
        return b"".join(pieces)

    def named(self, handle: int) -> bytes:
        """The address object of a handle, as its bearer allows the owner to see it."""
        return self.fill(slot("A", handle), frozenset((handle,)))

    def token(self, handle: int) -> str:
        """The eight characters that stand for a handle's person in this grant."""
        self.know((handle,))
        return self._ids.eight(self._handles[handle][2])

    def _values(self, slots: list[bytes], shown: frozenset[int] | None) -> Iterable[bytes]:
        """What stands for each of `slots` (a letter and eight hex digits)."""
        different = set(slots)
        if self._for_owner:
            self._name(different.difference(self._names))
            return map(self._names.__getitem__, slots)
        open_ = {s for s in different if s[:1] in b"AP" and int(s[1:], 16) in shown} if shown else ()
        if not open_:
            self._hide(different.difference(self._tokens))
            return map(self._tokens.__getitem__, slots)
        self._hide(different.difference(self._tokens, open_))
        self._name(open_.difference(self._names))
        values = {**self._tokens, **{s: self._names[s] for s in open_}}
        return map(values.__getitem__, slots)

    def _hide(self, slots: Iterable[bytes]) -> None:
        """Tokens for all of `slots`, in one call to the cipher."""
        people = [(s, int(s[1:], 16)) for s in slots if s[:1] in b"AP"]
        self.know([number for _, number in people])
        others = [s for s in slots if s[:1] == b"N"]
        persons = [self._handles[number][2] for _, number in people]
        persons += [hashlib.sha256(s[1:]).digest()[:16] for s in others]
        for s, eight in zip([*(s for s, _ in people), *others], self._ids.eights(persons), strict=True):
            self._tokens[s] = _TOKEN % eight if s[:1] == b"A" else person_token(eight.decode()).encode()
        for s in slots:
            if s[:1] in b"BC":
                self._tokens[s] = EDGE + s + EDGE if s[:1] == b"B" else b"null"

    def _name(self, slots: Iterable[bytes]) -> None:
        """Names for all of `slots`."""
        self.know([int(s[1:], 16) for s in slots if s[:1] in b"AP"])
        self._hide({s for s in slots if s[:1] in b"NB"}.difference(self._tokens))
        for s in slots:
            self._names[s] = self._named(s) if s[:1] not in b"NB" else self._tokens[s]

    def _named(self, slot: bytes) -> bytes:
        number = int(slot[1:], 16)
        if slot[:1] == b"C":
            return orjson.dumps(self._conversations.get(number) or None)
        value, name, _ = self._handles[number]
        if slot[:1] == b"A":
            return orjson.dumps({"name": name or None, "email": address_of(value)})
        return orjson.dumps(name)[1:-1]


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
