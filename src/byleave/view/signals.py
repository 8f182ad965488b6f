"""What a grant knows of titles: one signal a person, title and sitting, made from what the grant may see.

Rules of this file (tailoring.md, "Stance" and "Signals level"):

1. A sitting's signals are a function of the words in it that this grant may see at `signals` or more, of the titles
   found in them and of the model. A word that may not be seen is not an argument; so what it would have told is
   not told either.
2. A signal is (person, title, stance, confidence, day). No text, no message, no finer time leaves.
3. `claimed` words (every uploaded file) make signals of nobody but the inbox's owner (consent.md): a file is a claim
   about who wrote what. The owner's own assistant answers the owner alone, who holds the file. In a sandbox there is
   nobody but invented people, and a file stands for its source.
4. A no is at once: `at_once` drops what was made of the sittings that a person had a voice in, by what is visible
   alone, so that its work tells nothing. A yes, an import, other titles, and what is left after a no: `owe`, and
   `work` does it.
5. Numbers come from the grant's own sequence. A signal never changes: another stance is another signal.
6. What a person says of their own signals (`signal_correction`) stands in every view, whoever's inbox it is: a reader
   leaves out what says otherwise (`known`), until the sitting is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import msgspec
import orjson
from sqlalchemy import bindparam, delete, exists, func, insert, select

from byleave.consent import policy
from byleave.consent.grant import Grant
from byleave.consent.purpose import PURPOSES, Output
from byleave.model import Authentication, Level, Mode, Ms
from byleave.store import Snapshot, Transaction, among, prepare
from byleave.store.bodies import fragment, mention
from byleave.store.shelf import (
    signal_correction,
    signal_due,
    view_signal,
    view_signal_gone,
    view_signal_of,
    view_signal_voice,
)
from byleave.store.tables import handle as handle_table
from byleave.store.tables import importing, message, setting
from byleave.words.fragment import INDEX, decode
from byleave.words.mentions import Mention, without
from byleave.words.stance import CLASSES, REPLIES, Said, StanceModel, Subject, subjects

DAY_MS = 86_400_000
CHATS = 4
MAIL = -1
"""The sitting of a mail conversation: it is one whole."""
RUN = 120
"""Messages of a sitting that are judged together: a crowd's day is cut into runs."""
STEP = 200
"""Sittings that one act makes."""
CONFIDENCE = ((0.8, "high"), (0.55, "medium"), (0.0, "low"))
REMOVED = ""
STANCES = ("liked", "disliked", "wants", "seen", "neutral")

_MINE = (view_signal.c.owner_id == bindparam("owner_id"), view_signal.c.grant_id == bindparam("grant_id"))
_SIGNAL = (
    view_signal.c.born, view_signal.c.conversation, view_signal.c.sitting, view_signal.c.handle,
    view_signal.c.title_id, view_signal.c.stance, view_signal.c.confidence, view_signal.c.day,
)  # fmt: skip
ALL = prepare(select(*_SIGNAL).where(*_MINE).order_by(view_signal.c.day.desc(), view_signal.c.born.desc()))
BORN = prepare(select(*_SIGNAL).where(*_MINE, among(view_signal.c.born, "borns")))
BEHIND = prepare(
    select(view_signal_of.c.born, view_signal_of.c.id, view_signal_of.c.handle).where(
        view_signal_of.c.owner_id == bindparam("owner_id"), view_signal_of.c.grant_id == bindparam("grant_id"),
        among(view_signal_of.c.born, "borns"),
    )
)  # fmt: skip
_OF_SITTING = prepare(
    select(*_SIGNAL).where(
        *_MINE, view_signal.c.conversation == bindparam("conversation"), view_signal.c.sitting == bindparam("sitting")
    )
)  # fmt: skip
_SITTINGS = prepare(select(view_signal.c.conversation, view_signal.c.sitting).where(*_MINE).distinct())
_ADD = prepare(insert(view_signal))
_ADD_OF = prepare(insert(view_signal_of))
_GONE = prepare(insert(view_signal_gone))
_REMOVE = prepare(
    delete(view_signal).where(
        view_signal.c.owner_id == bindparam("of_owner"), view_signal.c.grant_id == bindparam("of_grant"),
        view_signal.c.born == bindparam("of_born"),
    )
)  # fmt: skip
_VOICES_OF = prepare(
    select(view_signal_voice.c.conversation, view_signal_voice.c.sitting).where(
        view_signal_voice.c.owner_id == bindparam("owner_id"), view_signal_voice.c.grant_id == bindparam("grant_id"),
        view_signal_voice.c.handle == bindparam("handle"),
    )
)  # fmt: skip
_ADD_VOICE = prepare(insert(view_signal_voice))
_SILENCE = prepare(
    delete(view_signal_voice).where(
        view_signal_voice.c.owner_id == bindparam("of_owner"), view_signal_voice.c.grant_id == bindparam("of_grant"),
        view_signal_voice.c.conversation == bindparam("of_talk"), view_signal_voice.c.sitting == bindparam("of_sitting"),
    )
)  # fmt: skip
_ASKED: list[Any] = [bindparam(n) for n in ("owner_id", "grant_id", "conversation", "sitting")]
_OWE = prepare(
    insert(signal_due).from_select(
        ["owner_id", "grant_id", "conversation", "sitting"],
        select(*_ASKED).where(
            ~exists().where(
                *(
                    column == value
                    for column, value in zip(signal_due.primary_key.columns, _ASKED, strict=True)
                )
            )
        ),
    )
)
_DUE = prepare(
    select(signal_due.c.conversation, signal_due.c.sitting)
    .where(signal_due.c.owner_id == bindparam("owner_id"), signal_due.c.grant_id == bindparam("grant_id"))
    .order_by(signal_due.c.conversation, signal_due.c.sitting)
    .limit(bindparam("n"))
)
_PAID = prepare(
    delete(signal_due).where(
        signal_due.c.owner_id == bindparam("of_owner"), signal_due.c.grant_id == bindparam("of_grant"),
        signal_due.c.conversation == bindparam("of_talk"), signal_due.c.sitting == bindparam("of_sitting"),
    )
)  # fmt: skip
ANY_DUE = prepare(select(signal_due.c.owner_id, signal_due.c.grant_id).limit(1))

_NAMED = prepare(
    select(mention.c.conversation, mention.c.sitting)
    .where(mention.c.owner_id == bindparam("owner_id"))
    .distinct()
)
_MENTIONS = prepare(
    select(mention.c.id, mention.c.start, mention.c.end, mention.c.title_id, mention.c.sureness).where(
        mention.c.owner_id == bindparam("owner_id"), mention.c.conversation == bindparam("conversation"),
        mention.c.sitting == bindparam("sitting"),
    )
)  # fmt: skip
_SPOKEN_IN = prepare(
    select(message.c.conversation, message.c.mailbox, (message.c.received_at // DAY_MS).label("day"))
    .where(message.c.owner_id == bindparam("owner_id"), message.c.sender == bindparam("handle"))
    .distinct()
)
_IMPORTED_IN = prepare(
    select(message.c.conversation, message.c.mailbox, (message.c.received_at // DAY_MS).label("day"))
    .where(message.c.owner_id == bindparam("owner_id"), message.c.import_id == bindparam("import_id"))
    .distinct()
)
_WORDS = (
    select(
        message.c.received_at, message.c.id, message.c.sender, message.c.kind, message.c.authentication,
        func.coalesce(fragment.c.text, fragment.c.written),
    )
    .join(
        fragment,
        (fragment.c.owner_id == message.c.owner_id) & (fragment.c.sender == message.c.sender)
        & (fragment.c.received_at == message.c.received_at) & (fragment.c.id == message.c.id),
    )
    .join(
        importing,
        (importing.c.owner_id == message.c.owner_id) & (importing.c.import_id == message.c.import_id)
        & importing.c.published_at.is_not(None),
    )
    .where(
        message.c.owner_id == bindparam("owner_id"), message.c.conversation == bindparam("conversation"),
        message.c.replaced_at.is_(None),
    )
    .order_by(message.c.received_at, message.c.id)
)  # fmt: skip
_OF_DAY = prepare(
    _WORDS.where(
        among(message.c.sender, "senders"), message.c.received_at >= bindparam("start"),
        message.c.received_at < bindparam("end"), message.c.mailbox == CHATS,
    )
)  # fmt: skip
_OF_MAIL = prepare(_WORDS.where(message.c.mailbox != CHATS))
_PERSON = prepare(
    select(handle_table.c.person).where(
        handle_table.c.owner_id == bindparam("owner_id"), handle_table.c.handle == bindparam("handle")
    )
)
CORRECTIONS = prepare(
    select(signal_correction.c.title_id, signal_correction.c.stance).where(
        signal_correction.c.owner_id == bindparam("person")
    )
)
_MODE = prepare(select(setting.c.value).where(setting.c.name == "mode"))

Key = tuple[int, str]
"""(handle, title_id)."""


class Signal(msgspec.Struct, frozen=True):
    """A signal as it stands in the store; `day` counts UTC days since 1970."""

    born: int
    conversation: int
    sitting: int
    handle: int
    title_id: str
    stance: str
    confidence: str
    day: int


class _Line(msgspec.Struct, frozen=True):
    """One visible message of a sitting, what does not count taken out of its words."""

    at: Ms
    id: bytes
    sender: int
    claimed: bool
    said: Said


class _Made(msgspec.Struct, frozen=True):
    """A signal to be: `behind` are the messages it came from, with who wrote them."""

    stance: str
    confidence: str
    day: int
    behind: tuple[tuple[bytes, int], ...]


def gives(found: Grant) -> bool:
    """Does a grant of this purpose and level ever give out signals?"""
    known = PURPOSES.get(found.purpose)
    outputs = known.outputs(found.level) if known is not None else frozenset()
    return bool(outputs & {Output.SIGNALS, Output.FEATURES, Output.ANSWERS})


def owe(tx: Transaction, found: Grant, sittings: Iterable[tuple[int, int]]) -> None:
    """Notes sittings that a grant has to make anew."""
    tx.many(
        _OWE,
        [
            {"owner_id": found.owner_id, "grant_id": found.grant_id, "conversation": c, "sitting": s}
            for c, s in sorted(set(sittings))
        ],
    )


class Sittings:
    """One act on one grant's signals. `number` gives the next number of the grant's sequence."""

    def __init__(self, tx: Transaction, compiled: policy.Compiled, number: Callable[[], int]) -> None:
        self.tx = tx
        self.compiled = compiled
        self.grant = compiled.grant
        self.number = number
        self.mine = {"owner_id": self.grant.owner_id, "grant_id": self.grant.grant_id}
        self._gives = gives(self.grant)
        self._mode: Mode | None = None
        self._corrected: dict[int, dict[str, str]] = {}

    # what has to be made
    def owe_import(self, import_id: bytes) -> None:
        if self._gives:
            told = self._named() | self._standing()
            found = self.tx.all(_IMPORTED_IN, owner_id=self.grant.owner_id, import_id=import_id)
            owe(self.tx, self.grant, told & {_sitting(*row) for row in found})

    def owe_sender(self, handle: int) -> None:
        if self._gives:
            owe(self.tx, self.grant, (self._named() | self._standing()) & self._spoken_in(handle))

    def owe_all(self) -> None:
        if self._gives:
            owe(self.tx, self.grant, self._named() | self._standing())

    def at_once(self, handle: int) -> None:
        """What the words of `handle` had a part in is not told any more when this returns; what does not rest on them
        is owed and comes anew."""
        if not self._gives:
            return
        touched = [(c, s) for c, s in self.tx.all(_VOICES_OF, **self.mine, handle=handle)]
        for sitting in touched:
            for row in self._rows(sitting):
                self._remove(row.born)
        owe(self.tx, self.grant, touched)

    def work(self) -> bool:
        """Makes some of what is owed; answers whether there was any."""
        due = self.tx.all(_DUE, **self.mine, n=STEP)
        if due and self._gives:
            self._make([(c, s) for c, s in due])
        of = {"of_owner": self.grant.owner_id, "of_grant": self.grant.grant_id}
        self.tx.many(_PAID, [{**of, "of_talk": c, "of_sitting": s} for c, s in due])
        return bool(due)

    def _named(self) -> set[tuple[int, int]]:
        return {(c, s) for c, s in self.tx.all(_NAMED, owner_id=self.grant.owner_id)}

    def _standing(self) -> set[tuple[int, int]]:
        return {(c, s) for c, s in self.tx.all(_SITTINGS, **self.mine)}

    def _spoken_in(self, handle: int) -> set[tuple[int, int]]:
        found = self.tx.all(_SPOKEN_IN, owner_id=self.grant.owner_id, handle=handle)
        return {_sitting(*row) for row in found}

    # making
    def _make(self, sittings: Sequence[tuple[int, int]]) -> None:
        """Brings the signals of these sittings to what they should be. They are numbered by when the words were
        said: the order of the store's own numbers would tell of what is hidden."""
        runs: list[list[_Line]] = []
        found: dict[tuple[int, int], dict[Key, _Made]] = {}
        of = {"of_owner": self.grant.owner_id, "of_grant": self.grant.grant_id}
        self.tx.many(_SILENCE, [{**of, "of_talk": c, "of_sitting": s} for c, s in sittings])
        where: list[tuple[int, int]] = []
        for sitting in sittings:
            found[sitting] = {}
            for run in self._runs(sitting):
                runs.append(run)
                where.append(sitting)
            voices = sorted(
                {line.sender for run, at in zip(runs, where, strict=True) if at == sitting for line in run}
            )
            at = {**self.mine, "conversation": sitting[0], "sitting": sitting[1]}
            self.tx.many(_ADD_VOICE, [{**at, "handle": who} for who in voices])
        for sitting, made in zip(where, self._judged(runs), strict=True):
            found[sitting].update(made)
        fresh: list[tuple[Any, ...]] = []
        for sitting, wanted in found.items():
            kept: set[Key] = set()
            for row in self._rows(sitting):
                key = (row.handle, row.title_id)
                one = wanted.get(key)
                if one is not None and (one.stance, one.confidence, one.day) == (
                    row.stance,
                    row.confidence,
                    row.day,
                ):
                    kept.add(key)
                else:
                    self._remove(row.born)
            first = {k: min(i for i, _ in m.behind) for k, m in wanted.items() if k not in kept}
            fresh += [(first[k], k[1], k[0], sitting, wanted[k]) for k in first]
        for _, title_id, handle, (conversation, place), made in sorted(fresh, key=lambda f: f[:3]):
            born = self.number()
            self.tx.run(
                _ADD, **self.mine, born=born, conversation=conversation, sitting=place, handle=handle,
                title_id=title_id, stance=made.stance, confidence=made.confidence, day=made.day,
            )  # fmt: skip
            self.tx.many(
                _ADD_OF, [{**self.mine, "born": born, "id": id, "handle": who} for id, who in made.behind]
            )

    def _rows(self, sitting: tuple[int, int]) -> list[Signal]:
        rows = self.tx.all(_OF_SITTING, **self.mine, conversation=sitting[0], sitting=sitting[1])
        return [Signal(*row) for row in rows]

    def _remove(self, born: int) -> None:
        self.tx.run(_REMOVE, of_owner=self.grant.owner_id, of_grant=self.grant.grant_id, of_born=born)
        self.tx.run(_GONE, **self.mine, died=self.number(), born=born)

    def _runs(self, sitting: tuple[int, int]) -> list[list[_Line]]:
        """What may be seen of a sitting, in order, as runs that are judged together; none without a title in it."""
        conversation, place = sitting
        owner_id = self.grant.owner_id
        self.compiled.place(self.tx, conversation)
        found: dict[bytes, list[Mention]] = {}
        for id, start, end, title_id, sureness in self.tx.all(
            _MENTIONS, owner_id=owner_id, conversation=conversation, sitting=place
        ):
            found.setdefault(id, []).append(Mention(start, end, title_id, sureness / 1000))
        if not found or self.compiled.ceiling < Level.SIGNALS:
            return []
        at = {"owner_id": owner_id, "conversation": conversation}
        if place == MAIL:
            rows = self.tx.all(_OF_MAIL, **at)
        else:
            told = [s for s in self.compiled.candidates() if self._hears(s, conversation)]
            rows = self.tx.all(_OF_DAY, **at, senders=told, start=place * DAY_MS, end=(place + 1) * DAY_MS)
        lines: list[_Line] = []
        for received_at, id, sender, kind, authentication, body in rows:
            if self.compiled.level(sender, conversation, received_at, kind) < Level.SIGNALS:
                continue
            named = found.get(id, [])
            text = without(own_words(body), [(m.start, m.end) for m in named if not m.title_id])
            if text.strip():
                said = Said(str(sender), text, tuple(m for m in named if m.title_id))
                lines.append(_Line(received_at, id, sender, authentication == Authentication.CLAIMED, said))
        runs = [lines[i : i + RUN] for i in range(0, len(lines), RUN)]
        return [run for run in runs if any(line.said.mentions for line in run)]

    def _hears(self, sender: int, conversation: int) -> bool:
        return self.compiled.of_person(sender, conversation) >= Level.SIGNALS

    def _judged(self, runs: Sequence[list[_Line]]) -> list[dict[Key, _Made]]:
        """The signals of each run. Where claimed words count for the owner alone (rule 3), others are judged by
        what is not claimed, as if nothing else had been said."""
        parts: list[tuple[int, list[_Line], list[Subject]]] = []
        for n, run in enumerate(runs):
            everyone = self._anybody()
            whole = subjects([line.said for line in run])
            parts.append((n, run, [s for s in whole if everyone or int(s.person) in self.compiled.own]))
            if not everyone and not all(line.claimed for line in run):
                vouched = [line for line in run if not line.claimed]
                others = subjects([line.said for line in vouched])
                parts.append((n, vouched, [s for s in others if int(s.person) not in self.compiled.own]))
        asked = [s for _, _, found in parts for s in found]
        chances = iter(_model().probabilities(asked).tolist()) if asked else iter(())
        made: list[dict[Key, _Made]] = [{} for _ in runs]
        for n, run, found in parts:
            for subject in found:
                one = self._signal(subject, run, next(chances))
                if one is not None:
                    made[n][int(subject.person), subject.title_id] = one
        return made

    def _anybody(self) -> bool:
        """Do claimed words speak for whoever is said to have written them?"""
        if self._mode is None:
            self._mode = Mode(self.tx.value(_MODE) or Mode.PROVIDER)
        return self._mode is Mode.SANDBOX or self.grant.partner is None

    def _signal(self, subject: Subject, run: list[_Line], chances: list[float]) -> _Made | None:
        """The signal of one person on one title, or None where too little tells of it."""
        who, title_id = int(subject.person), subject.title_id
        named = [line for line in run if any(m.title_id == title_id for m in line.said.mentions)]
        own = [line for line in named if line.sender == who]
        theirs = [line for line in named if line.sender != who][:REPLIES]
        answers = [line for t in theirs for line in _behind(run, t, who)]
        best = max(range(len(CLASSES)), key=lambda k: chances[k])
        stance, confidence = CLASSES[best], next(word for least, word in CONFIDENCE if chances[best] >= least)
        if not own and (not answers or stance == "neutral" or confidence == "low"):
            return None
        corrected = self._corrections(who).get(title_id)
        if corrected == REMOVED:
            return None
        if corrected is not None:
            stance, confidence = corrected, "high"
        lines = {line.id: line.sender for line in [*own, *theirs, *answers]}
        day = max(line.at for line in own or answers) // DAY_MS
        return _Made(stance, confidence, day, tuple(sorted(lines.items())))

    def _corrections(self, handle: int) -> dict[str, str]:
        known = self._corrected.get(handle)
        if known is None:
            person = self.tx.value(_PERSON, owner_id=self.grant.owner_id, handle=handle)
            known = self._corrected[handle] = dict(self.tx.all(CORRECTIONS, person=person))
        return known


def _behind(run: list[_Line], line: _Line, who: int) -> list[_Line]:
    """The next messages of `who` after `line`, until one names a title itself: then the talk has moved on."""
    found: list[_Line] = []
    for later in run[run.index(line) + 1 :]:
        if later.sender == who:
            if later.said.mentions or len(found) == REPLIES:
                break
            found.append(later)
    return found


def _sitting(conversation: int, mailbox: int, day: int) -> tuple[int, int]:
    return conversation, day if mailbox == CHATS else MAIL


def own_words(body: bytes) -> str:
    """A message's own words out of its fragment: what offsets of mentions are offsets in."""
    segment = decode(bytes(body))[INDEX["body"]]
    return str(orjson.loads(segment)) if segment else ""


@cache
def _model() -> StanceModel:
    return StanceModel.load()


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────
_CAME = prepare(select(view_signal.c.born).where(*_MINE, view_signal.c.born > bindparam("since")))
_WENT = prepare(
    select(view_signal_gone.c.died, view_signal_gone.c.born).where(
        view_signal_gone.c.owner_id == bindparam("owner_id"), view_signal_gone.c.grant_id == bindparam("grant_id"),
        view_signal_gone.c.died > bindparam("since"),
    )
)  # fmt: skip


def changed(snapshot: Snapshot, mine: dict[str, Any], since: int) -> list[tuple[int, str, int]]:
    """(number, "came" or "went", born) of every signal after `since`, in order."""
    came = [(b, "came", b) for (b,) in snapshot.all(_CAME, **mine, since=since)]
    went = [(d, "went", b) for d, b in snapshot.all(_WENT, **mine, since=since)]
    return sorted(came + went)
