"""Records as the store keeps them: their ids, their versions, their bytes."""

from __future__ import annotations

import hashlib
import hmac
import zlib

import msgspec

from byleave.model import Authentication, Ms, Record

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


def record_id(
    secret: bytes, owner_id: bytes, record: Record, received_at: Ms, digest: bytes, replaces: bytes
) -> bytes:
    """16 bytes in the form of a UUIDv7 (RFC 9562 §5.7): 48 bits of time, the rest keyed by the record and by the
    one that it replaces, so that an edit taken back is a record of its own. Of two records with one time the same one
    stays the first, however often they are edited."""
    key = "\0".join((record.source, record.conversation, record.id)).encode()
    tail = hmac.digest(secret, owner_id + digest + key + replaces, "sha256")[:10]
    time = received_at.to_bytes(6, "big")
    if replaces[:6] == time:
        return replaces[:11] + tail[:5]
    return time + bytes((0x70 | tail[0] & 15, tail[1], 0x80 | tail[2] & 63)) + tail[3:]


def digest_of(record: Record) -> bytes:
    """What makes a record this version of itself: all but where it stood, when a folder got it and the owner's own
    marks."""
    if record.mail is not None:
        mail = msgspec.structs.replace(record.mail, folder="", keywords=(), received_at=None)
        claimed = Authentication.CLAIMED  # who vouches for it is no part of what it says
        record = msgspec.structs.replace(record, raw=b"", place="", mail=mail, authentication=claimed)
    elif record.place or record.raw:
        record = msgspec.structs.replace(record, raw=b"", place="")
    return hashlib.blake2b(_encode(record), digest_size=16).digest()


def copy_id(id: str, digest: bytes) -> str:
    """The id of another mail under the same Message-ID."""
    return f"{id} {digest.hex()[:16]}"


def msgid_number(message_id: str) -> int:
    return int.from_bytes(hashlib.sha256(message_id.encode(errors="replace")).digest()[:8], "big") >> 1


def pack(record: Record) -> bytes:
    plain: bytes = _encode(record)
    small = zlib.compress(plain, 1) if len(plain) > 600 else plain
    return b"z" + small if len(small) < len(plain) else b"p" + plain


def unpack(body: bytes) -> Record:
    return _decode(zlib.decompress(body[1:]) if body[:1] == b"z" else body[1:])


def kept_raw(raw: bytes) -> bytes:
    return zlib.compress(raw, 1)


def with_raw(record: Record, kept: bytes) -> Record:
    return msgspec.structs.replace(record, raw=zlib.decompress(kept))
