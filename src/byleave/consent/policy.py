"""The four-way minimum, in one file: a Python predicate and a Core expression that must agree.

The level of a record in a view is min(agreement, purpose, grant if conversation and time are in scope, choice
of its author). `compile` works a grant's leave into `Compiled`: `level(...)` decides one record in memory and
`at_least(level)` is the same decision as a WHERE clause over `message`, its lists bound by `parameters()`.
`tests/oracle.py` is the third, slow form; random worlds hold the three equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, false, not_, or_, select

from byleave.consent import choice, grant
from byleave.consent.grant import Grant
from byleave.consent.identity import UNKNOWN
from byleave.consent.purpose import PURPOSES, Who
from byleave.model import Handle, Kind, Level, Ms
from byleave.store import Snapshot, among, prepare
from byleave.store.tables import choice as choice_table
from byleave.store.tables import conversation, handle, message

ELSEWHERE = 1 << 32
"""sender · 2³² + conversation is one number: a pair that `among` can be asked for."""

TOLD = (Kind.TEXT, Kind.SHARE, Kind.ATTACHMENT, Kind.CALL)
"""Kinds that somebody other than the owner may see: notices name others, deleted words are gone."""

_HANDLES = prepare(
    select(handle.c.handle, handle.c.value, handle.c.own, handle.c.person).where(
        handle.c.owner_id == bindparam("owner_id")
    )
)
_CONVERSATIONS = prepare(
    select(conversation.c.conversation, conversation.c.source, conversation.c.key).where(
        conversation.c.owner_id == bindparam("owner_id")
    )
)
_PLACE = prepare(
    select(conversation.c.source, conversation.c.key).where(
        conversation.c.owner_id == bindparam("owner_id"),
        conversation.c.conversation == bindparam("conversation"),
    )
)
_PEOPLE_WHO_CHOSE = prepare(select(choice_table.c.handle).distinct())


class Compiled:
    """One grant's leave over one inbox, as it stands in one snapshot."""

    def __init__(
        self,
        found: Grant,
        ceiling: Level,
        own: frozenset[int],
        conversations: dict[int, str],
        histories: dict[int, list[choice.Choice]],
    ) -> None:
        self.grant = found
        self.ceiling = ceiling
        self.own = own
        self.conversations = conversations
        self.histories = histories
        self._scope = found.scope
        self._decided: dict[int, Level] = {}

    def level(self, sender: int, conversation: int, received_at: Ms, kind: str) -> Level:
        """What this grant may see of one record (its sender and conversation as numbers in the inbox)."""
        if self.grant.for_owner:
            return self.ceiling
        start, end = self.grant.period_from, self.grant.period_to
        if (
            kind not in TOLD
            or (start is not None and received_at < start)
            or (end is not None and received_at >= end)
        ):
            return Level.NONE
        return self.of_person(sender, conversation)

    def of_person(self, sender: int, conversation: int) -> Level:
        """What this grant may see of one person's words in one conversation, at any time in its period."""
        pair = sender * ELSEWHERE + conversation
        level = self._decided.get(pair)
        if level is None:
            level = self._decided[pair] = self._decide(sender, conversation)
        return level

    def place(self, snapshot: Snapshot, conversation: int) -> None:
        """Learns the name of one conversation (see `compile`)."""
        if conversation not in self.conversations:
            row = snapshot.one(_PLACE, owner_id=self.grant.owner_id, conversation=conversation)
            if row is not None:
                self.conversations[conversation] = f"{row[0]}/{row[1]}"

    def _decide(self, sender: int, conversation: int) -> Level:
        if self.grant.for_owner:
            return self.ceiling
        name = self.conversations.get(conversation)
        if sender == UNKNOWN or name is None or not self._scope.holds(name):
            return Level.NONE
        return self._by_choice(sender, name)

    def _by_choice(self, sender: int, name: str) -> Level:
        """What a person's choices come to in the conversation of that name; "" is one that no choice names."""
        if sender in self.own:
            return self.ceiling
        answer = choice.decide(
            self.histories.get(sender, ()),
            purpose=self.grant.purpose,
            partner=self.grant.partner,
            conversation=name,
            owner_id=self.grant.owner_id,
        )
        return min(self.ceiling, self.grant.unanswered if answer is None else answer)

    def at_least(self, level: Level) -> ColumnElement[bool]:
        """`level(...) >= level` over `message`; its parameters come from `parameters(level)`."""
        if self.ceiling < level:
            return false()
        if self.grant.for_owner:
            return message.c.owner_id == bindparam("owner_id")
        pair = message.c.sender * ELSEWHERE + message.c.conversation
        clauses = [
            message.c.owner_id == bindparam("owner_id"),
            among(message.c.kind, "kinds"),
            among(message.c.sender, "anyone"),
            or_(
                and_(among(message.c.sender, "senders"), not_(among(pair, "but"))),
                among(pair, "pairs"),
            ),
        ]
        if self._scope.mode == "listed":
            clauses.append(among(message.c.conversation, "places"))
        elif self._scope.mode == "all-but":
            clauses.append(not_(among(message.c.conversation, "places")))
        elif self._scope.mode != "all":
            return false()
        if self.grant.period_from is not None:
            clauses.append(message.c.received_at >= bindparam("period_from"))
        if self.grant.period_to is not None:
            clauses.append(message.c.received_at < bindparam("period_to"))
        return and_(*clauses)

    @property
    def shape(self) -> tuple[Any, ...]:
        """What of `at_least` is not a parameter."""
        found = self.grant
        return found.for_owner, self._scope.mode, found.period_from is None, found.period_to is None

    def parameters(self, level: Level) -> dict[str, Any]:
        """The lists behind `at_least(level)`: senders seen wherever nothing says otherwise, and the single places
        where something does. Work grows with the people and their choices, not with the conversations."""
        if self.grant.for_owner:
            return {"owner_id": self.grant.owner_id}
        numbers = {name: c for c, name in self.conversations.items()}
        senders: list[int] = []
        pairs: list[int] = []
        but: list[int] = []
        anyone: list[int] = []
        for sender in self.candidates():
            everywhere = self._by_choice(sender, "") >= level
            odd = {c.conversation for c in self.histories.get(sender, ()) if sender not in self.own}
            places = [numbers[name] for name in odd if name in numbers]
            other = [
                c
                for c in places
                if (self._by_choice(sender, self.conversations[c]) >= level) is not everywhere
            ]
            (but if everywhere else pairs).extend(sorted(sender * ELSEWHERE + c for c in other))
            if everywhere:
                senders.append(sender)
            if everywhere or other:
                anyone.append(sender)
        return {
            "owner_id": self.grant.owner_id,
            "kinds": [str(k) for k in TOLD],
            "anyone": anyone,
            "senders": senders,
            "but": but,
            "pairs": pairs,
            "places": sorted(numbers[name] for name in set(self._scope.of) if name in numbers),
            "period_from": self.grant.period_from,
            "period_to": self.grant.period_to,
        }

    def candidates(self) -> Iterable[int]:
        """Senders that could be visible at all."""
        if self.grant.unanswered > Level.NONE:
            return sorted(self.own | self._all)
        return sorted(self.own | self.histories.keys())

    _all: frozenset[int] = frozenset()


def compile(snapshot: Snapshot, found: Grant, now: Ms, *, places: bool = True) -> Compiled:
    """The leave of one grant, from one snapshot. Without `places` it knows no conversation but those that are
    put to it by `place`: an answer's work must not depend on how many conversations are hidden."""
    handles = snapshot.all(_HANDLES, owner_id=found.owner_id)
    own = frozenset(n for n, _, mine, _ in handles if mine)
    listed = snapshot.all(_CONVERSATIONS, owner_id=found.owner_id) if places else []
    names: dict[int, str] = {c: f"{s}/{k}" for c, s, k in listed}
    histories: dict[int, list[choice.Choice]] = {}
    if not found.for_owner:
        chose: set[Handle] = {r[0] for r in snapshot.all(_PEOPLE_WHO_CHOSE)}
        for number, value, _, person in handles:
            if value in chose:
                histories[number] = choice.history(snapshot, person, value)
    compiled = Compiled(found, grant.ceiling(snapshot, found, now), own, names, histories)
    compiled._all = frozenset(n for n, _, _, _ in handles if n != UNKNOWN)
    return compiled


def explain(
    compiled: Compiled, agreement_level: Level, sender: int, conversation: int, received_at: Ms, kind: str
) -> list[str]:
    """The rules that made the level, for `byleave policy explain`. Names no person and no choice."""
    found, known = compiled.grant, PURPOSES[compiled.grant.purpose]
    name = compiled.conversations.get(conversation, "")
    lines = [f"purpose {known.name}: {known.highest.word}", f"grant: {found.level.word}"]
    if known.who is Who.PARTNER:
        lines.insert(0, f"agreement: {agreement_level.word}")
    if not found.for_owner:
        if kind not in TOLD:
            lines.append(f"kind {kind}: none")
        if not found.scope.holds(name):
            lines.append("conversation not in the grant: none")
        if (found.period_from or 0) > received_at or received_at >= (found.period_to or received_at + 1):
            lines.append("outside the grant's period: none")
        shown = compiled.of_person(sender, conversation) > Level.NONE
        lines.append(
            "the owner's own words"
            if sender in compiled.own
            else "sender: yes"
            if shown
            else "no yes from its sender"
        )
    return lines
