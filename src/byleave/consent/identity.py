"""Handles and persons.

A handle is an address as a source shows it, written `kind:value` (consent.md, "Identity"). It joins a person
by proof only; until then each handle is a person of its own, whose id is drawn from the handle by the store's
secret, so that the same handle is one person in every inbox without a table that could be asked "do you know
this number?". Handles that an owner claimed are the owner's person in that inbox, and nowhere else.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from sqlalchemy import bindparam, select, update

from byleave.errors import Code, Refused
from byleave.model import Handle
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.tables import handle as handle_table
from byleave.store.tables import version

KINDS = (
    "mail",
    "tel",
    "telegram",
    "matrix",
    "whatsapp",
    "messenger",
    "instagram",
    "slack",
    "discord",
    "google-chat",
    "signal",
)
_MAIL = re.compile(r"[^\s@<>\"(),:;\\]+@[^\s@<>\"(),:;\\]+")
_SPACING = re.compile(r"[\s().-]")
_TEL = re.compile(r"\+[0-9]{5,15}")

UNKNOWN = 0
"""The handle number of a sender that cannot be resolved: `none` for everyone but the owner."""


def parse(text: str) -> Handle:
    """`text` as a handle: the kind checked, mail in lower case, numbers without spacing, a bare mail
    address or number given its kind.

    Raises Refused for anything else.
    """
    text = text.strip()
    kind, colon, value = text.partition(":")
    if not colon and _MAIL.fullmatch(text):
        kind, value = "mail", text
    elif not colon and _TEL.fullmatch(_SPACING.sub("", text)):
        kind, value = "tel", text
    kind = kind.lower()
    if kind == "mail":
        value = value.strip().lower()
    elif kind == "tel":
        value = _SPACING.sub("", value)
    wrong = (
        kind not in KINDS
        or not value
        or not value.isprintable()
        or (kind == "mail" and not _MAIL.fullmatch(value))
        or (kind == "tel" and not _TEL.fullmatch(value))
    )
    if wrong:
        raise Refused(
            Code.MALFORMED,
            "handle",
            "",
            "this is no handle",
            "write kind:value, for example mail:ann@example.test, tel:+15550100 or telegram:user42",
        )
    return f"{kind}:{value}"


def person_of(secret: bytes, handle: Handle) -> bytes:
    """16 bytes that stand for whoever holds `handle`; keyed, so that they cannot be guessed from outside."""
    return hmac.new(secret, b"person\0" + handle.encode(), hashlib.sha256).digest()[:16]


_NUMBER = prepare(
    select(handle_table.c.handle, handle_table.c.own).where(
        handle_table.c.owner_id == bindparam("owner_id"), handle_table.c.value == bindparam("value")
    )
)


def number_in(snapshot: Snapshot, owner_id: bytes, handle: Handle) -> tuple[int, bool] | None:
    """(number, is the owner's own) of `handle` in one inbox, or None where that inbox never held it."""
    row = snapshot.one(_NUMBER, owner_id=owner_id, value=handle)
    return None if row is None else (row[0], bool(row[1]))


_CLAIMS = prepare(select(version.c.number).where(version.c.name == "claims"))
_CLAIMED = prepare(update(version).values(number=version.c.number + 1).where(version.c.name == "claims"))


def claims(snapshot: Snapshot) -> int:
    """How often a handle has become another person's in this store: what is kept by handle holds until then."""
    return int(snapshot.value(_CLAIMS) or 0)


def claimed(tx: Transaction) -> None:
    """Tells that handles have become another person's."""
    tx.run(_CLAIMED)
