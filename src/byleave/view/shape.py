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
from typing import Any, TypeAlias

import numpy as np
import orjson
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from byleave.words.fragment import EDGE, slot

Numbers: TypeAlias = "Sequence[int] | NDArray[np.int64]"
_BLOCK = re.compile(r"[a-z2-7]{25}[aeimquy4]")
"""26 characters of base32 that 16 bytes give: the last one holds three bits (RFC 4648 §6, zero pad bits)."""


MOST_TOKENS = 20_000
"""A grant's, in one process."""


class Ids:
    """The ids of one grant. `secret` is the store's secret for ids (32 bytes)."""

    def __init__(self, secret: bytes, grant_id: bytes) -> None:
        self._base = hmac.new(secret, grant_id, hashlib.sha256).digest()
        self._sealing: dict[str, Callable[[bytes], bytes]] = {}
        self._opening: dict[str, Callable[[bytes], bytes]] = {}
        self.account_id = "a" + _base32(self._key("a"))[0]
        self._eights: dict[bytes, str] = {}
        self._tokens: dict[bytes, bytes] = {}
        self._tokens_of = -1

    def tokens(self, claims: int) -> dict[bytes, bytes]:
        """Slot → token, as filled so far: kept between requests as long as no handle has become another person's
        (`identity.claims`)."""
        if self._tokens_of != claims or len(self._tokens) > MOST_TOKENS:
            self._tokens, self._tokens_of = {}, claims
        return self._tokens

    def _key(self, use: str) -> bytes:
        return hmac.new(self._base, use.encode(), hashlib.sha256).digest()[:16]

    def _seal(self, use: str, plain: bytes) -> bytes:
        """`plain` block by block under the sub-key for `use`: one block, never two alike, so ECB is the block itself."""
        found = self._sealing.get(use)
        if found is None:
            found = self._sealing[use] = (
                Cipher(algorithms.AES(self._key(use)), modes.ECB()).encryptor().update
            )
        return found(plain)

    def _open(self, use: str, sealed: bytes) -> bytes:
        found = self._opening.get(use)
        if found is None:
            found = self._opening[use] = (
                Cipher(algorithms.AES(self._key(use)), modes.ECB()).decryptor().update
            )
        return found(sealed)

    def _sealed(self, use: str, numbers: Numbers, part: int) -> NDArray[np.uint8]:
        """A row of 32 letters for each of `numbers`, of which the first 26 count."""
        plain = np.zeros((len(numbers), 2), ">u8")
        plain[:, 0] = numbers
        plain[:, 1] = part << 32
        return _letters(self._seal(use, plain.tobytes()))

    def give(self, use: str, numbers: Iterable[int], part: int = 0) -> list[str]:
        """The ids `use` (m, t, s, b) of `numbers`."""
        text = self._sealed(use, list(numbers), part).tobytes().decode()
        return [use + text[at : at + 26] for at in range(0, len(text), 32)]

    def spelled(
        self, use: str, numbers: Numbers, part: int = 0, before: bytes = b'"', after: bytes = b'"'
    ) -> list[bytes]:
        """A page of ids as JSON, each between `before` and `after`."""
        made = self._written(use, numbers, part, before, after)
        found: list[bytes] = made.view(f"S{made.shape[1]}").ravel().tolist()
        return found

    def listed(self, use: str, numbers: Numbers) -> bytes:
        """A page of ids as a JSON array."""
        return b"[" + self._written(use, numbers, 0, b'"', b'",').tobytes()[:-1] + b"]"

    def _written(
        self, use: str, numbers: Numbers, part: int, before: bytes, after: bytes
    ) -> NDArray[np.uint8]:
        pattern = before + use.encode() + bytes(26) + after
        made = np.empty((len(numbers), len(pattern)), np.uint8)
        made[:] = np.frombuffer(pattern, np.uint8)
        start = len(before) + 1
        made[:, start : start + 26] = self._sealed(use, numbers, part)[:, :26]
        return made

    def take(self, use: str, id: str) -> tuple[int, int] | None:
        """(number, part) of an id given out as `use`, or None."""
        return self.take_all(use, [id]).get(id)

    def take_all(self, use: str, ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """id → (number, part) for those of `ids` that were given out as `use`."""
        formed, well, numbers, parts = self._taken(use, list(ids))
        return dict(
            compress(
                zip(formed, zip(numbers.tolist(), parts.tolist(), strict=True), strict=True), well.tolist()
            )
        )

    def numbers(self, use: str, ids: Sequence[str]) -> dict[str, int]:
        """id → number for those of `ids` that were given out as `use`, without a part."""
        formed, well, numbers, parts = self._taken(use, ids)
        well &= parts == 0
        taken = zip(formed, numbers.tolist(), strict=True)
        return dict(taken if well.all() else compress(taken, well.tolist()))

    def _taken(
        self, use: str, formed: Sequence[str]
    ) -> tuple[Sequence[str], NDArray[np.bool_], NDArray[Any], NDArray[Any]]:
        """(ids that have an id's form, which of them were given out as `use`, their numbers, their parts)."""
        text = "".join(formed)
        if set(map(len, formed)) != {27} or not text.isascii():
            formed = [id for id in formed if len(id) == 27 and id.isascii()]
            text = "".join(formed)
        digits = np.frombuffer(text.encode().translate(_DIGITS), np.uint8).reshape(-1, 27)
        spread = np.zeros((len(formed), 32))
        spread[:, :26] = digits[:, 1:]
        forties = (spread.reshape(-1, 8) @ _WEIGHTS).astype(">u8").view(np.uint8).reshape(-1, 8)
        sealed = forties[:, 3:].reshape(-1, 20)[:, :16].tobytes()
        plain = np.frombuffer(self._open(use, sealed), ">u4").reshape(-1, 4)
        well = (plain[:, 3] == 0) & (plain[:, 0] < 1 << 30) & (digits[:, 26] & 3 == 0)
        well &= (digits < 32).all(axis=1) & (digits[:, 0] == _DIGITS[ord(use)])
        return formed, well, plain.view(">u8")[:, 0], plain[:, 2]

    def eight(self, person: bytes) -> str:
        """The first characters of a person's pairwise id: the same person, the same eight, in this grant only."""
        found = self._eights.get(person)
        if found is None:
            found = self._eights[person] = _base32(self._seal("p", person))[0][:8]
        return found

    def eights(self, persons: Sequence[bytes]) -> list[bytes]:
        """`eight` of each of `persons`."""
        letters = _letters(self._seal("p", b"".join(persons)))[:, :8].copy()
        found: list[bytes] = letters.view("S8").ravel().tolist()
        return found

    def person_id(self, person: bytes) -> str:
        """A person's pairwise id in full: `p` and one AES block, of which address tokens show eight characters."""
        return "p" + _base32(self._seal("p", person))[0]

    def person_of(self, id: str) -> bytes | None:
        """The person (16 bytes) behind a full id; a well-formed one that was never given out is nobody's. None for
        what is no id."""
        if not id.startswith("p") or not _BLOCK.fullmatch(id[1:]):
            return None
        sealed = (int(id[1:].translate(_BASE32), 32) >> 2).to_bytes(16, "big")
        return self._open("p", sealed)


_ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567"
_BASE32 = str.maketrans(_ALPHABET.decode(), "0123456789abcdefghijklmnopqrstuv")
_DIGITS = bytes(_ALPHABET.find(sign) if sign in _ALPHABET else 255 for sign in range(256))
"""Letter → digit; what is none is too large for one."""
_WEIGHTS = np.array([32.0**n for n in range(7, -1, -1)])
"""Of eight digits; forty bits are exact in a float."""
_PAIRS = np.frombuffer(b"".join(bytes((a, b)) for a in _ALPHABET for b in _ALPHABET), np.uint16)
"""Ten bits → two letters."""
_TENS = np.array([30, 20, 10, 0], np.int64)


def _base32(blocks: bytes) -> list[str]:
    """Each 16 bytes as 26 characters of base32 without padding, in lower case."""
    text = _letters(blocks).tobytes().decode()
    return [text[at : at + 26] for at in range(0, len(text), 32)]


def _letters(blocks: bytes) -> NDArray[np.uint8]:
    """Each 16 bytes as a row of 32 letters of base32, of which the first 26 count: forty bits by forty bits, ten of
    them at a time. `base64.b32encode` goes five bytes by five bytes and was a third of a page's time."""
    given = np.frombuffer(blocks, np.uint8).reshape(-1, 16)
    forties = np.zeros((len(given), 4, 8), np.uint8)
    forties[:, :3, 3:] = given[:, :15].reshape(-1, 3, 5)
    forties[:, 3, 3] = given[:, 15]
    pairs = _PAIRS[(forties.view(">u8").astype(np.int64) >> _TENS) & 1023]
    letters: NDArray[np.uint8] = pairs.view(np.uint8).reshape(-1, 32)
    return letters


_NOBODY = ("", "", bytes(16))
_TOKEN = b'{"name":null,"email":"p%b@masked.invalid"}'
"""`fragment.address_token` as JSON."""


class People:
    """Fills the slots of one view. `find` gives (number, value, name, person id) for numbers of handles: only
    those that this view shows are ever read."""

    def __init__(
        self, ids: Ids, for_owner: bool,
        find: Callable[[Sequence[int]], Iterable[tuple[int, str, str, bytes]]], conversations: dict[int, str],
        claims: int | None,
    ) -> None:  # fmt: skip
        self._ids = ids
        self._for_owner = for_owner
        self._find = find
        self._handles: dict[int, tuple[str, str, bytes]] = {}
        self._conversations = conversations
        self._values = {} if claims is None else ids.tokens(claims)

    def know(self, numbers: Iterable[int]) -> None:
        """Reads these handles at once, ahead of filling."""
        fresh = set(numbers).difference(self._handles)
        if fresh:
            self._handles.update(dict.fromkeys(fresh, _NOBODY))
            self._handles.update({row[0]: row[1:] for row in self._find(sorted(fresh))})

    def fill(self, fragment: bytes) -> bytes:
        """`fragment` (one, or many joined) with every slot but `B` filled: names for the owner and for slots that are
        open (`fragment.opened`), tokens for all others."""
        pieces = fragment.split(EDGE)
        slots = pieces[1::2]
        if slots:
            fresh = set(slots).difference(self._values)
            if fresh:
                self._learn(fresh)
            pieces[1::2] = map(self._values.__getitem__, slots)
        return b"".join(pieces)

    def named(self, handle: int) -> bytes:
        """The address object of a handle, as its bearer allows the owner to see it."""
        return self.fill(slot("a", handle))

    def token(self, handle: int) -> str:
        """The eight characters that stand for a handle's person in this grant."""
        self.know((handle,))
        return self._ids.eight(self._handles[handle][2])

    def person(self, handle: int) -> bytes:
        """Whose handle it is (16 bytes)."""
        self.know((handle,))
        return self._handles[handle][2]

    def person_id(self, handle: int) -> str:
        """The pairwise id of a handle's person, in full."""
        return self._ids.person_id(self.person(handle))

    def _learn(self, slots: set[bytes]) -> None:
        """What stands for each of `slots`: all handles read at once, all tokens in one call to the cipher."""
        kinds = {s: chr(s[0]) for s in slots}
        hidden = [s for s, kind in kinds.items() if kind == "N" or (kind in "AP" and not self._for_owner)]
        numbers = [int(s[1:], 16) for s, kind in kinds.items() if kind in "APap"]
        self.know(numbers)
        persons = [
            hashlib.sha256(s[1:]).digest()[:16] if kinds[s] == "N" else self._handles[int(s[1:], 16)][2]
            for s in hidden
        ]
        found = {
            s: _TOKEN % eight if kinds[s] == "A" else b"[person %b]" % eight
            for s, eight in zip(hidden, self._ids.eights(persons), strict=True)
        }
        for s in slots - found.keys():
            found[s] = EDGE + s + EDGE if kinds[s] == "B" else self._named(s)
        self._values.update(found)

    def _named(self, slot: bytes) -> bytes:
        number = int(slot[1:], 16)
        if slot[:1] == b"C":
            return orjson.dumps(self._conversations.get(number) or None)
        value, name, _ = self._handles[number]
        if slot[:1] in b"Aa":
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
