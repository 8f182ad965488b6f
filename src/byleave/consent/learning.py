"""The learning consent: may a person's sends and clicks be counted into what the ranker learns from?

Rules of this file (spec tailoring.md, "Learning from sends and clicks"):

1. Off until the person says yes, apart from every other yes: reading, tailoring and cards do not imply it.
2. It is kept as a history. A no counts from the next release on; what was released before stays, and the
   noise in it bounds what it says of anybody. Whoever asks for the yes says so (`SAID`).
3. Who says it is the id under which the store knows them: an inbox's owner for what they send, a person
   (`identity.person_of`) for the clicks of their handle.
"""

from __future__ import annotations

from sqlalchemy import bindparam, insert, select

from byleave.ledger import log
from byleave.model import Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.tables import learning

SAID = (
    "What you recommend, and whether you open what is recommended to you, may be counted to learn which titles go "
    "well together. Only totals with random noise are ever taken from it, never a list, and nobody's share can be "
    "told. You can stop at any time: from then on you are in no further total. Totals made before stay as they are; "
    "their noise is what protects you in them."
)
"""What a person is told before they say yes."""

_l = learning.c
_NEWEST = prepare(
    select(_l.allows, _l.at).where(_l.owner_id == bindparam("who")).order_by(_l.number.desc()).limit(1)
)
_NUMBER = prepare(
    select(_l.number).where(_l.owner_id == bindparam("who")).order_by(_l.number.desc()).limit(1)
)
_SAY = prepare(insert(learning))
_ALL = prepare(select(_l.owner_id, _l.allows, _l.number).order_by(_l.owner_id, _l.number))


def say(tx: Transaction, who: bytes, allows: bool, now: Ms, entry_id: bytes, salt: bytes) -> bool:
    """Procedure: a yes or a no to learning. Answers whether it changed anything; saying it twice does not."""
    if allowed(tx, who) == allows:
        return False
    number = int(tx.value(_NUMBER, who=who) or 0) + 1
    tx.run(_SAY, owner_id=who, number=number, allows=int(allows), at=now)
    log.append(tx, who, entry_id, "choice" if allows else "withdrawal", now, {"learning": allows}, salt)
    return True


def allowed(snapshot: Snapshot, who: bytes) -> bool:
    """What this person last said; nothing said is no."""
    found = snapshot.one(_NEWEST, who=who)
    return bool(found and found[0])


def everyone(snapshot: Snapshot) -> frozenset[bytes]:
    """All whose last word is yes."""
    last: dict[bytes, int] = {}
    for who, allows, _ in snapshot.all(_ALL):
        last[who] = allows
    return frozenset(who for who, allows in last.items() if allows)
