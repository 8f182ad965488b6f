"""A sender's yes or no: its history and what it comes to.

The rules, all of them (consent.md, "Agreement, grant, choice"):

1. A yes names a purpose; a no may be about everything. A scope is (purpose, partner, conversation), each one
   value or all.
2. A no ends every earlier yes inside its scope, for good: `withdraw` of the no does not bring it back. Only a
   later yes, inside the no's scope or equal to it, opens that much again.
3. Of the yeses that stand, the narrower place wins, then the partner, then the purpose; ties: the lower.
4. Nothing that stands is *unanswered*, which a purpose maps to a level (`none` but for the owner's
   assistant).
5. What an owner typed for somebody else counts for that owner's assistant only, up to `masked`, and only
   where the person has said nothing.

`decide` is pure. `choose` and `withdraw` are procedures: one transaction with the history row, the numbered
consent change and the ledger entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import bindparam, insert, select, update

from byleave.consent import identity
from byleave.consent.purpose import PURPOSES
from byleave.errors import Absent, Code, Invalid
from byleave.ledger import log
from byleave.model import Handle, Level, Mode, Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.tables import choice, consent_change, version

OWN_AGENT = "own-agent"


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One act of a person. `level` NONE is a no; None in a scope field means all."""

    choice_id: bytes
    handle: Handle
    level: Level
    purpose: str | None
    partner: str | None
    conversation: str | None
    at: Ms
    by: str
    by_owner: bytes | None
    version: int
    withdrawn_at: Ms | None

    def covers(self, purpose: str, partner: str | None, conversation: str) -> bool:
        """Is the point (purpose, partner, conversation) in this choice's scope? `partner` None: nobody's."""
        return (
            self.purpose in (None, purpose)
            and (self.partner is None or self.partner == partner)
            and self.conversation in (None, conversation)
        )

    def inside(self, other: Choice) -> bool:
        """Is this scope inside the other's, or equal to it?"""
        return (
            other.purpose in (None, self.purpose)
            and other.partner in (None, self.partner)
            and other.conversation in (None, self.conversation)
        )


def decide(
    history: Iterable[Choice],
    *,
    purpose: str,
    partner: str | None,
    conversation: str,
    owner_id: bytes | None = None,
) -> Level | None:
    """What one person's history comes to at one point; None is unanswered.

    `history` is of one handle, in any order; `owner_id` is the inbox's owner, whose typing may count (rule
    5).
    """
    acts = sorted(history, key=lambda c: c.version)
    answer = _decide([c for c in acts if c.by == "self"], purpose, partner, conversation)
    if answer is not None or purpose != OWN_AGENT:
        return answer
    typed = _decide(
        [c for c in acts if c.by == "owner" and c.by_owner == owner_id], purpose, partner, conversation
    )
    return None if typed is None else min(typed, Level.MASKED)


def _decide(acts: list[Choice], purpose: str, partner: str | None, conversation: str) -> Level | None:
    noes = [c for c in acts if c.level is Level.NONE]
    here = [c for c in acts if c.covers(purpose, partner, conversation)]
    standing = [
        y
        for y in here
        if y.level > Level.NONE
        and y.withdrawn_at is None
        and not any(n.version > y.version and y.inside(n) for n in noes)
    ]
    for no in here:
        reopened = any(y.version > no.version and y.inside(no) for y in standing)
        if no.level is Level.NONE and no.withdrawn_at is None and not reopened:
            return Level.NONE
    if not standing:
        return None
    rank = max(_narrowness(y) for y in standing)
    return min(y.level for y in standing if _narrowness(y) == rank)


def _narrowness(c: Choice) -> tuple[bool, bool, bool]:
    return (c.conversation is not None, c.partner is not None, c.purpose is not None)


# ── the history ─────────────────────────────────────────────────────────────────────────────────────────────
_OF_HANDLE = prepare(
    select(*(choice.c[n] for n in Choice.__struct_fields__)).where(
        choice.c.owner_id == bindparam("person"), choice.c.handle == bindparam("handle")
    )
)
_CHANGED = prepare(
    select(
        consent_change.c.number, consent_change.c.handle, consent_change.c.purpose, consent_change.c.partner
    )
    .where(consent_change.c.number > bindparam("after"))
    .order_by(consent_change.c.number)
)
_VERSION = prepare(select(version.c.number).where(version.c.name == "consent"))
_BUMP = prepare(update(version).values(number=bindparam("to")).where(version.c.name == "consent"))
_CHANGE = prepare(insert(consent_change))
_INSERT = prepare(insert(choice))
_WITHDRAW = prepare(
    update(choice)
    .values(withdrawn_at=bindparam("now"))
    .where(choice.c.owner_id == bindparam("person"), choice.c.choice_id == bindparam("choice_id"))
)


def history(snapshot: Snapshot, person: bytes, handle: Handle) -> list[Choice]:
    """Every act that `person` (identity.person_of) took for `handle`, oldest first."""
    rows = snapshot.all(_OF_HANDLE, person=person, handle=handle)
    found = [msgspec.convert(dict(zip(Choice.__struct_fields__, r, strict=True)), Choice) for r in rows]
    return sorted(found, key=lambda c: c.version)


def consent_version(snapshot: Snapshot) -> int:
    """The highest number of a consent change: every answer carries the one it was read at."""
    return int(snapshot.value(_VERSION) or 0)


def changes_after(snapshot: Snapshot, number: int) -> list[tuple[int, Handle, str | None, str | None]]:
    """(number, handle, purpose, partner) of each change above `number`, in order."""
    return [(r[0], r[1], r[2], r[3]) for r in snapshot.all(_CHANGED, after=number)]


# ── acts ────────────────────────────────────────────────────────────────────────────────────────────────────
def check(level: Level, purpose_id: str | None, mode: Mode, by: str) -> None:
    """Raises Invalid for a choice that cannot be made: a yes without a purpose, or above what it carries."""
    if purpose_id is None and level is Level.NONE:
        return
    if purpose_id is None:
        raise Invalid(Code.INVALID_ARGUMENTS, "a yes names its purpose; only a no may be about everything")
    known = PURPOSES.get(purpose_id)
    if known is None or not known.choices_apply:
        asked = ", ".join(name for name, p in PURPOSES.items() if p.choices_apply)
        raise Invalid(Code.INVALID_ARGUMENTS, f"no purpose that senders choose about; known: {asked}")
    if level > known.highest:
        raise Invalid(
            Code.INVALID_ARGUMENTS, f"purpose {known.name} goes up to {known.highest.word}, not {level.word}"
        )
    if mode is Mode.PERSONAL and by == "owner" and (purpose_id != OWN_AGENT or level > Level.MASKED):
        raise Invalid(
            Code.WRONG_MODE,
            "in a personal store what you type for somebody else counts for your own assistant only, "
            "up to masked",
        )


def choose(
    tx: Transaction,
    secret: bytes,
    choice_id: bytes,
    handle: Handle,
    level: int,
    purpose_id: str | None,
    partner: str | None,
    conversation: str | None,
    now: Ms,
    by: str,
    by_owner: bytes | None,
    salt: bytes,
) -> int:
    """Records a choice; answers its number. Binds the next request of every worker."""
    number = _number(tx, now, handle, purpose_id, partner, conversation)
    person = identity.person_of(secret, handle)
    tx.run(
        _INSERT,
        owner_id=person,
        choice_id=choice_id,
        handle=handle,
        level=level,
        purpose=purpose_id,
        partner=partner,
        conversation=conversation,
        at=now,
        by=by,
        by_owner=by_owner,
        version=number,
        withdrawn_at=None,
    )
    event = {
        "choice": choice_id.hex(),
        "handle": handle,
        "level": Level(level).word,
        "purpose": purpose_id,
        "partner": partner,
        "conversation": conversation,
        "by": by,
        "version": number,
    }
    log.append(tx, person, choice_id, "choice", now, event, salt)
    return number


def withdraw(
    tx: Transaction, secret: bytes, handle: Handle, choice_id: bytes, now: Ms, entry_id: bytes, salt: bytes
) -> int:
    """Returns a choice to unanswered; answers the number of the change. Withdrawing twice changes nothing.

    Raises Absent where `handle` made no such choice.
    """
    person = identity.person_of(secret, handle)
    found = next((c for c in history(tx, person, handle) if c.choice_id == choice_id), None)
    if found is None:
        raise Absent(Code.ABSENT, "no such choice")
    if found.withdrawn_at is not None:
        return found.version
    number = _number(tx, now, handle, found.purpose, found.partner, found.conversation)
    tx.run(_WITHDRAW, person=person, choice_id=choice_id, now=now)
    log.append(tx, person, entry_id, "withdrawal", now, {"choice": choice_id.hex(), "version": number}, salt)
    return number


def _number(tx: Transaction, now: Ms, handle: Handle, *scope: str | None) -> int:
    number = consent_version(tx) + 1
    tx.run(_BUMP, to=number)
    values: dict[str, Any] = dict(zip(("purpose", "partner", "conversation"), scope, strict=True))
    tx.run(_CHANGE, number=number, at=now, handle=handle, **values)
    return number
