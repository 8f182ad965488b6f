"""Kinds of entry, their canonical bytes, and the blinded leaf that stands for each in the public tree.

Rules of this file (spec: ledger.md, "Format and privacy"):

1. An *event* says what happened, in full. It is kept beside the tree, under keys that can be erased. Its
   bytes are RFC 8785 canonical JSON, so that whoever is handed an event and its salt can recompute the leaf.
2. A *leaf* says nothing: version, class, commitment, 34 bytes always. The commitment is HMAC-SHA256 under a
   salt of the event's own; without the salt nobody can test a guess, and once it is erased nobody ever can.
3. There are two classes. PUBLIC is for what is published anyway (agreements, clients, keys). All that
   touches a person is PRIVATE, and so are the pads, which nobody can tell from it.
4. A reading names its messages as numbers of the grant, delta-coded: one entry a page, no names.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from enum import IntEnum, StrEnum
from itertools import accumulate
from operator import sub
from typing import TypeAlias

import msgspec

from byleave.errors import Code, Invalid
from byleave.model import Ms

VERSION = 1
LEAF_BYTES = 34
MIN_SALT = 16
MAX_NUMBER = 2**63 - 1


class Kind(StrEnum):
    """Every kind of entry. A name once given is never used for something else."""

    STORE = "store"
    """The first entry: the store's mode."""
    IMPORT = "import"
    READING = "reading"
    UNDELIVERED = "undelivered"
    """Marks an earlier reading whose delivery is not known."""
    COUNTED = "counted"
    """Denials and empty polls of one authenticated caller, counted by the minute."""
    GRANT = "grant"
    UNANSWERED = "unanswered"
    """An owner raised unanswered senders for their own assistant."""
    REVOCATION = "revocation"
    CHOICE = "choice"
    WITHDRAWAL = "withdrawal"
    SIGNIN = "signin"
    ERASURE = "erasure"
    RECALL = "recall"
    """A partner is told to delete what it was shown."""
    SEND = "send"
    CLICKS = "clicks"
    """Daily sums of clicks."""
    REPORT = "report"
    WAIVER = "waiver"
    APPROVAL = "approval"
    """An operator lets a revision of an old period come."""
    NOTICE = "notice"
    """A deadline that partner or operator was told of."""
    ALERT = "alert"
    SUSPENSION = "suspension"
    BUDGET = "budget"
    """An operator raised a budget."""
    AGREEMENT = "agreement"
    CLIENT = "client"
    KEY = "key"
    POLICY = "policy"
    RELEASE = "release"
    """Totals with noise that were released, and what they spent of the year's privacy account."""
    EPOCH = "epoch"
    """Closed sums of an epoch."""


class Class(IntEnum):
    """What a leaf shows of its kind."""

    PUBLIC = 1
    PRIVATE = 2


_PUBLIC = frozenset(
    {
        Kind.STORE,
        Kind.AGREEMENT,
        Kind.CLIENT,
        Kind.KEY,
        Kind.POLICY,
        Kind.BUDGET,
        Kind.WAIVER,
        Kind.APPROVAL,
        Kind.SUSPENSION,
        Kind.RELEASE,
    }
)

Fact: TypeAlias = str | int | bool | list[str | int] | None


class Reading(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="reading"
):
    """One answer given through a view. Times are milliseconds since 1970."""

    at: Ms
    grant: str
    account: str
    partner: str | None
    """None for the owner and the owner's own agent, as is `agreement`."""
    agreement: str | None
    purpose: str
    operative: str
    case: str | None = None
    endpoint: str
    """What was asked, as `Email/get`, `search`, `push`: a method's name, never its arguments."""
    level: str
    numbers: bytes
    """The messages: numbers of the grant's own, as `pack_numbers` gives them."""
    length: int = msgspec.field(name="bytes")
    """Length of the answer in bytes."""
    version: int
    """The consent version that the answer was read at."""

    def messages(self) -> list[int]:
        """The numbers of the messages, ascending."""
        return unpack_numbers(self.numbers)


class Counted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="counted"
):
    """What one caller asked in one minute without being given anything."""

    at: Ms
    """The minute's first millisecond."""
    grant: str
    partner: str | None
    operative: str
    denials: int = 0
    empty: int = 0


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Everything else: who did what to which thing. `facts` are names of fields and what they were set to."""

    kind: Kind
    at: Ms
    facts: dict[str, Fact]

    def __post_init__(self) -> None:
        if self.kind in (Kind.READING, Kind.COUNTED):
            raise ValueError("readings and counts have structs of their own")


Event: TypeAlias = Reading | Counted | Act

_ENCODER = msgspec.json.Encoder(order="sorted")


def encode(event: Event) -> bytes:
    """The canonical bytes of `event` (RFC 8785). Raises Invalid for what that form cannot carry."""
    try:
        if isinstance(event, Act):
            _check_facts(event)
            return _ENCODER.encode({"at": event.at, "facts": event.facts, "kind": event.kind})
        return _ENCODER.encode(event)
    except UnicodeError:
        raise Invalid(Code.MALFORMED, "text in an event must be Unicode without lone surrogates") from None


def decode(data: bytes) -> Event:
    """The event whose canonical bytes are `data`.

    Raises Invalid for anything else, also for JSON that says the same in other bytes: what is not canonical
    has another commitment.
    """
    try:
        kind = msgspec.json.decode(data, type=_Kinded).kind
        event: Event
        if kind is Kind.READING:
            event = msgspec.json.decode(data, type=Reading)
            unpack_numbers(event.numbers)
        elif kind is Kind.COUNTED:
            event = msgspec.json.decode(data, type=Counted)
        else:
            body = msgspec.json.decode(data, type=_ActBody)
            event = Act(kind=body.kind, at=body.at, facts=body.facts)
        if encode(event) != data:
            raise Invalid(Code.MALFORMED, "not the canonical bytes of an event")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Invalid(Code.MALFORMED, "not an event") from None
    return event


class _Kinded(msgspec.Struct):
    kind: Kind


class _ActBody(msgspec.Struct, forbid_unknown_fields=True):
    kind: Kind
    at: Ms
    facts: dict[str, Fact]


def _check_facts(event: Act) -> None:
    # Keys are kept to ASCII names so that byte order and RFC 8785's UTF-16 order are one.
    for name, value in event.facts.items():
        if not (name.isascii() and name.isidentifier()):
            raise Invalid(Code.MALFORMED, "a fact's name is an ASCII identifier")
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, float) or (isinstance(one, int) and abs(one) >= 2**53):
                raise Invalid(Code.MALFORMED, "a fact is text, a whole number below 2^53, or a list of these")


def kind_of(event: Event) -> Kind:
    """The kind of `event`."""
    if isinstance(event, Act):
        return event.kind
    return Kind.READING if isinstance(event, Reading) else Kind.COUNTED


def leaf(kind: Kind, event: bytes, salt: bytes) -> bytes:
    """The 34 bytes that stand in the tree for `event` (its canonical bytes): version, class, commitment.

    `salt` is of this event alone, at least 16 random bytes; whoever erases it erases the event's trace.
    """
    if len(salt) < MIN_SALT:
        raise Invalid(Code.MALFORMED, f"a salt has at least {MIN_SALT} bytes")
    return bytes((VERSION, Class.PUBLIC if kind in _PUBLIC else Class.PRIVATE)) + hmac.digest(
        salt, event, "sha256"
    )


def pad(noise: bytes) -> bytes:
    """A leaf that stands for nothing, like a PRIVATE one to everybody; `noise` is 32 random bytes."""
    if len(noise) != 32:
        raise Invalid(Code.MALFORMED, "a pad needs 32 random bytes")
    return bytes((VERSION, Class.PRIVATE)) + noise


def matches(stored: bytes, event: bytes, salt: bytes) -> bool:
    """Whether `stored`, a leaf of the tree, stands for `event` under `salt`; False if that is no event."""
    try:
        return hmac.compare_digest(stored, leaf(kind_of(decode(event)), event, salt))
    except Invalid:
        return False


def pack_numbers(numbers: Sequence[int]) -> bytes:
    """Strictly ascending whole numbers ≥ 0 as LEB128 deltas: the first number, then each step.

    Raises Invalid where they do not ascend, or pass 2⁶³ − 1.
    """
    if not numbers:
        return b""
    steps = [numbers[0], *map(sub, numbers[1:], numbers)]
    if min(steps[1:], default=1) < 1 or steps[0] < 0 or numbers[-1] > MAX_NUMBER:
        raise Invalid(Code.MALFORMED, "numbers must ascend, from 0 to 2^63 - 1")
    if max(steps) < 128:  # what a page mostly is: one byte a message
        return bytes(steps)
    packed = bytearray()
    for step in steps:
        while step > 127:
            packed.append(step & 127 | 128)
            step >>= 7
        packed.append(step)
    return bytes(packed)


def unpack_numbers(packed: bytes) -> list[int]:
    """The numbers of `pack_numbers`. Raises Invalid for bytes that it would not have written."""
    if not packed:
        return []
    steps = list(packed) if max(packed) < 128 else list(_steps(packed))
    numbers = list(accumulate(steps))
    if min(steps[1:], default=1) < 1 or numbers[-1] > MAX_NUMBER:
        raise Invalid(Code.MALFORMED, "packed numbers must ascend, to 2^63 - 1 at most")
    return numbers


def _steps(packed: bytes) -> Iterable[int]:
    step, shift = 0, 0
    for byte in packed:
        step |= (byte & 127) << shift
        if byte > 127:
            shift += 7
            if shift > 63:
                raise Invalid(Code.MALFORMED, "a packed number is too long")
            continue
        if shift and not byte:
            raise Invalid(Code.MALFORMED, "a packed number is not in its shortest form")
        yield step
        step, shift = 0, 0
    if shift:
        raise Invalid(Code.MALFORMED, "the packed numbers end in the middle of one")
