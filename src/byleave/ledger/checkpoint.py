"""Checkpoints: the head of the tree, signed, and proofs that stand by themselves.

Formats (read 2026-11): C2SP signed-note v1 (Ed25519, type 0x01), tlog-checkpoint, tlog-proof v1.

Rules of this file:

1. A note is read strictly: one text has one spelling, so that a changed bit anywhere in a text or in a known
   key's line is found. Lines by unknown keys are passed over, as the format asks (witnesses come and go).
2. A line by a known key that does not verify refuses the whole note; so does a note without any known key's.
3. The key name of a log is its origin. Two checkpoints of one origin must be consistent; the log never signs
   otherwise.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from byleave.errors import Code, Invalid
from byleave.keys import Key
from byleave.ledger.tiles import HASH, verify_inclusion

ED25519 = 1
MAX_NOTE = 64 * 1024
PROOF_HEADER = "c2sp.org/tlog-proof@v1"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Verifier:
    """A key that notes are trusted by: its name and the 32 bytes of its Ed25519 public key."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """The key ID: the first four bytes of SHA-256(name ‖ newline ‖ 0x01 ‖ public key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes((ED25519,)) + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        """`name+hash+key`, the one-line form that other tools take (Go's sumdb/note, witnesses)."""
        return f"{self.name}+{self.id.hex()}+{_b64(bytes((ED25519,)) + self.public)}"

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """The verifier of `name+hash+key`. Raises Invalid(MALFORMED)."""
        name, _, rest = vkey.partition("+")
        stated, _, key = rest.partition("+")
        data = _unb64(key)
        if data is None or len(data) != 33 or data[0] != ED25519 or not _is_name(name):
            raise Invalid(Code.MALFORMED, "a log's key is name+hash+key with an Ed25519 key")
        verifier = cls(name, data[1:])
        if stated != verifier.id.hex():
            raise Invalid(Code.MALFORMED, "the key's hash does not match its name and bytes")
        return verifier

    @classmethod
    def of(cls, name: str, key: Key) -> Verifier:
        """The verifier of our `key` (EdDSA) under `name`. Raises Invalid(MALFORMED)."""
        if not _is_name(name):
            raise Invalid(Code.MALFORMED, "a key name has no spaces and no plus sign")
        return cls(name, key.ed25519_public())


def sign_note(text: str, name: str, key: Key) -> bytes:
    """`text` (ending in a newline) as a note signed by `key` (EdDSA) under `name`. Raises Invalid."""
    _check_text(text)
    signature = Verifier.of(name, key).id + key.sign_bytes(text.encode())
    return f"{text}\n— {name} {_b64(signature)}\n".encode()


def open_note(note: bytes, verifiers: Iterable[Verifier]) -> tuple[str, tuple[str, ...]]:
    """The text of `note` and the names of the `verifiers` whose signatures it carries, at least one.

    Raises Invalid(INVALID_SIGNATURE).
    """
    try:
        whole = note[: MAX_NOTE + 1].decode()
    except UnicodeError:
        raise _bad("not UTF-8") from None
    text, blank, signatures = whole.rpartition("\n\n")
    text += "\n"
    if len(note) > MAX_NOTE or not blank or not signatures.endswith("\n"):
        raise _bad("not a signed note")
    _check_text(text)
    known = {(v.name, v.id): v for v in verifiers}
    signed: list[str] = []
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        signature = _unb64(encoded)
        if dash != "—" or not _is_name(name) or signature is None or len(signature) < 5:
            raise _bad("a signature line is malformed")
        verifier = known.get((name, signature[:4]))
        if verifier is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(verifier.public).verify(signature[4:], text.encode())
        except (InvalidSignature, ValueError):
            raise _bad("a known key's signature is wrong") from None
        if name not in signed:
            signed.append(name)
    if not signed:
        raise _bad("no known key signed it")
    return text, tuple(signed)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a tree: whose (`origin`), how many leaves, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\n"

    def sign(self, key: Key) -> bytes:
        """The checkpoint as a note signed by the log's `key` (EdDSA) under its origin."""
        return sign_note(self.text(), self.origin, key)

    @classmethod
    def open(cls, note: bytes, verifiers: Sequence[Verifier], origin: str | None = None) -> Checkpoint:
        """The checkpoint in `note`, signed by one of `verifiers` that bears the origin's name; `origin`,
        where given, must be its own. Raises Invalid(INVALID_SIGNATURE)."""
        text, signed = open_note(note, verifiers)
        checkpoint = cls.parse(text)
        if origin is not None and checkpoint.origin != origin:
            raise _bad("the checkpoint is another log's")
        if checkpoint.origin not in signed:
            raise _bad("the log itself did not sign it")
        return checkpoint

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The checkpoint of a note's text; further lines are allowed and passed over. Raises Invalid."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise _bad("a checkpoint has an origin, a size and a root")
        origin, size, root = lines[0], lines[1], _unb64(lines[2])
        if not _NUMBER.fullmatch(size) or root is None or len(root) != HASH:
            raise _bad("a checkpoint has an origin, a size and a root")
        return cls(origin, int(size), root)


@dataclass(frozen=True, slots=True)
class Proof:
    """A `.tlog-proof`: that an entry is leaf `index` of the tree whose signed checkpoint is `note`."""

    index: int
    path: tuple[bytes, ...]
    note: bytes
    extra: bytes = b""
    """Context for whoever reads it (the event and its salt); not covered by the proof."""

    def encode(self) -> bytes:
        """The file, as tlog-proof v1 spells it."""
        extra = [f"extra {_b64(self.extra)}"] if self.extra else []
        lines = [PROOF_HEADER, *extra, f"index {self.index}", *map(_b64, self.path), "", ""]
        return "\n".join(lines).encode() + self.note

    @classmethod
    def decode(cls, data: bytes) -> Proof:
        """The proof in `data`. Raises Invalid(INVALID_PROOF)."""
        head, blank, note = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeError:
            lines = []
        if len(data) > 2 * MAX_NOTE or not blank or len(lines) < 2 or lines[0] != PROOF_HEADER:
            raise _unproven("not a .tlog-proof")
        rest = lines[1:]
        extra: bytes | None = b""
        if rest[0].startswith("extra "):
            extra = _unb64(rest.pop(0)[6:])
        word, _, index = rest[0].partition(" ") if rest else ("", "", "")
        path = [_unb64(line) for line in rest[1:]]
        if extra is None or (lines[1].startswith("extra ") and not extra):
            raise _unproven("its extra data are not base64")
        if word != "index" or not _NUMBER.fullmatch(index):
            raise _unproven("it has no index")
        steps = tuple(step for step in path if step is not None and len(step) == HASH)
        if len(steps) != len(path) or len(path) > 64:
            raise _unproven("a step is no hash")
        return cls(int(index), steps, note, extra)

    def verify(self, entry: bytes, verifiers: Sequence[Verifier], origin: str | None = None) -> Checkpoint:
        """The checkpoint in which `entry` (a leaf's bytes) is proven to stand.

        Raises Invalid: INVALID_SIGNATURE for the checkpoint, INVALID_PROOF for the path.
        """
        checkpoint = Checkpoint.open(self.note, verifiers, origin)
        if not verify_inclusion(entry, self.index, checkpoint.size, self.path, checkpoint.root):
            raise _unproven("the path does not lead to the checkpoint's root")
        return checkpoint


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(c < " " and c != "\n" for c in text):
        raise _bad("a note's text ends in a newline and has no control characters")


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() or c < " " for c in name)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: str) -> bytes | None:
    """Strict base64 with padding (RFC 4648 §4), None for any other text."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if _b64(data) == text else None


def _bad(detail: str) -> Invalid:
    return Invalid(Code.INVALID_SIGNATURE, f"note refused: {detail}")


def _unproven(detail: str) -> Invalid:
    return Invalid(Code.INVALID_PROOF, f"proof refused: {detail}")
