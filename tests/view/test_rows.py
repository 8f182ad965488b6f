"""Rows under arbitrary acts: threads are the connected components of visible mail, postings are what a search over
the shown text would find, and a client that follows the changes in small steps ends where a query begins."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select
from tests.worlds import DAY, NOW, World, chat, mail

from byleave.consent import grant
from byleave.model import Level
from byleave.store import prepare
from byleave.store.tables import message, view_term
from byleave.view import Lagging, Picker, Query, View, open_view, rows
from byleave.words.terms import terms

ME = "mail:me@example.test"
SENDERS = [*(f"mail:{n}@example.test" for n in ("ann", "bob", "cem")), ME]
MAILS = [f"m{n}@example.test" for n in range(9)]
WORDS = ["harbour", "bright", "morning", "walked", "quiet", "élan", "there"]
_NATIVES = prepare(select(message.c.id, message.c.native))
_TERMS = prepare(select(view_term.c.grant_id, view_term.c.term))


class Rows(RuleBasedStateMachine):
    """Mails arrive in any order and refer to anything; people say yes and no; edits come; fills lag."""

    @initialize()
    def found(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name))
        self.owner_id = self.world.owner()
        self.world.agree([("tailoring", "masked"), ("portability", "full")])
        own = {"agreement_id": "streamflix-deal", "partner": "streamflix"}
        self.grants = [
            self.world.allow(self.owner_id, "tailoring", Level.MASKED, **own),
            self.world.allow(self.owner_id, "portability", Level.FULL, **own),
            self.world.allow(self.owner_id, "own-agent", Level.TEXT, unanswered=Level.MASKED),
        ]
        self.mails: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.chats: dict[int, int] = {}
        self.clients: dict[bytes, tuple[str, set[str]]] = {}
        """grant → (state, ids) of a client that follows the changes."""
        self.boxes: dict[bytes, tuple[str, dict[str, tuple[int, int]]]] = {}
        """grant → (state, counts by mailbox) of the same."""
        self.threads: dict[tuple[bytes, str], str] = {}
        """(grant, Email id) → Thread id ever seen."""
        self.clock = 0

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.store.close()
            self.folder.cleanup()

    @rule(
        arrivals=st.lists(
            st.tuples(
                st.sampled_from(MAILS), st.sampled_from(SENDERS), st.lists(st.sampled_from(MAILS), max_size=3, unique=True),
                st.integers(1, 40), st.lists(st.sampled_from(WORDS), min_size=1, max_size=3),
            ),
            min_size=1, max_size=4,
        ),
        work=st.booleans(),
    )  # fmt: skip
    def mails_arrive(self, arrivals: list[tuple[str, str, list[str], int, list[str]]], work: bool) -> None:
        records = []
        for id, sender, names, day, words in arrivals:
            if id in self.mails:
                continue
            names = [n for n in names if n != id]
            self.mails[id] = (sender, tuple(names))
            text = f"we were down at the old pier and it was {' '.join(words)} all day long"
            records.append(
                mail(text, sender, at=NOW - day * DAY, id=id, references=names, subject="Hello there")
            )
        self._put(records, work)

    @rule(n=st.integers(0, 3), word=st.sampled_from(WORDS), work=st.booleans())
    def a_chat_comes_or_is_edited(self, n: int, word: str, work: bool) -> None:
        self.clock += 1
        edits = self.chats.get(n)
        self.chats[n] = 0 if edits is None else edits + 1
        sender = f"telegram:user{n % 2}"
        text = f"so we were down at the old pier and it was {word} for the whole day"
        edited = None if edits is None else NOW - DAY + self.clock
        self._put([chat(text, sender, id=f"c{n}", at=NOW - 9 * DAY + n, edited_at=edited)], work)

    @rule(
        sender=st.sampled_from([*SENDERS, "telegram:user0"]), level=st.sampled_from([Level.NONE, Level.MASKED, Level.FULL]),
        purpose=st.sampled_from(["tailoring", "portability", "own-agent"]), work=st.booleans(),
    )  # fmt: skip
    def choose(self, sender: str, level: Level, purpose: str, work: bool) -> None:
        highest = {"tailoring": Level.MASKED, "portability": Level.FULL, "own-agent": Level.TEXT}[purpose]
        self.world.choose(sender, min(level, highest), purpose)
        if work:
            self.world.work()

    @rule(index=st.integers(0, 2))
    def one_task(self, index: int) -> None:
        """A fill that runs while a no waits must not carry the grant past it."""
        self.world.store.write(rows.work, self.owner_id, self.grants[index].grant_id, NOW)

    def _put(self, records: list[Any], work: bool) -> None:
        if not records:
            return
        real = self.world.work
        if not work:
            self.world.work = lambda: None  # type: ignore[method-assign]
        self.world.put(self.owner_id, records, own=[ME])
        self.world.work = real  # type: ignore[method-assign]

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "world"):
            return
        self._follow_all()
        self.world.work()
        self._follow_all()
        with self.world.store.read() as snapshot:
            natives = dict(snapshot.all(_NATIVES))
            for found in [*grant.of_owner(snapshot, self.owner_id)]:
                view = self._open(snapshot, found)
                borns = view.query(Query(limit=500)).borns
                self._counts(view, borns)
                self._threads_are_components(view, borns, natives)
                self._search_finds_what_is_shown(view, borns)

    def _open(self, snapshot: Any, found: grant.Grant) -> View:
        view = open_view(snapshot, found, self.world.installation.ids, NOW)
        assert view is not None
        return view

    def _follow_all(self) -> None:
        for known in (*self.grants, self._own_grant()):
            with self.world.store.read() as snapshot:
                try:
                    self._open(snapshot, grant.find(snapshot, known.owner_id, known.grant_id))
                    lags = False
                except Lagging:
                    lags = True
            if lags:
                self.world.store.write(rows.apply, known.owner_id, known.grant_id, NOW)
            with self.world.store.read() as snapshot:
                self._follow(self._open(snapshot, grant.find(snapshot, known.owner_id, known.grant_id)))

    def _own_grant(self) -> grant.Grant:
        with self.world.store.read() as snapshot:
            return next(g for g in grant.of_owner(snapshot, self.owner_id) if g.for_owner)

    def _follow(self, view: View) -> None:
        """A client that takes two changes at a time (RFC 8620 §5.2)."""
        state, ids = self.clients.get(view.grant.grant_id, (view.state_at(0), set()))
        gone: set[str] = set()
        for _ in range(1000):
            since = view.seq_of(state)
            assert since is not None
            found = view.email_changes(since, 2)
            created, destroyed = set(view.email_ids(found.created)), set(view.email_ids(found.destroyed))
            assert len(created) + len(destroyed) <= 2 and not created & destroyed
            assert not created & gone, "created after it was destroyed"
            gone |= destroyed
            ids = (ids - destroyed) | created
            state = view.state_at(found.seq)
            if not found.more:
                break
        assert state == view.state
        assert ids == set(view.email_ids(view.query(Query(limit=500)).borns))
        self.clients[view.grant.grant_id] = state, ids

    def _counts(self, view: View, borns: list[int]) -> None:
        """Mailboxes count what stands in them, and a client that follows their changes knows of every one."""
        shown = view.emails(borns, Picker(["threadId", "mailboxIds"], body_values=False, max_body_bytes=0))
        emails = [orjson.loads(shown[born] or b"") for born in borns]
        counted = {}
        for id in {id for e in emails for id in e["mailboxIds"]}:
            inside = [e["threadId"] for e in emails if id in e["mailboxIds"]]
            counted[id] = (len(inside), len(set(inside)))
        found = {box.id: (box.total_emails, box.total_threads) for box in view.mailboxes()}
        assert found == counted
        state, before = self.boxes.get(view.grant.grant_id, (view.state_at(0), {}))
        since = view.seq_of(state)
        assert since is not None
        created, updated, destroyed = map(set, view.mailbox_changes(since))
        assert created == found.keys() - before.keys() and destroyed == before.keys() - found.keys()
        assert {id for id in found.keys() & before.keys() if found[id] != before[id]} <= updated
        self.boxes[view.grant.grant_id] = view.state, found

    def _threads_are_components(self, view: View, borns: list[int], natives: dict[bytes, str]) -> None:
        shown = view.emails(borns, Picker(["id", "threadId"], body_values=False, max_body_bytes=0))
        thread_of: dict[str, str] = {}
        for born in borns:
            email = orjson.loads(shown[born] or b"")
            native = natives[view._fetch([born])[born][2]]
            key = (view.grant.grant_id, email["id"])
            assert self.threads.setdefault(key, email["threadId"]) == email["threadId"], "a thread id changed"
            if native in self.mails:
                thread_of[native] = email["threadId"]
        groups: dict[str, set[str]] = {}
        for native, thread in thread_of.items():
            groups.setdefault(thread, set()).add(native)
        assert sorted(map(sorted, groups.values())) == sorted(map(sorted, self._components(set(thread_of))))
        for id, members in view.threads(list(groups)).items():
            assert len(members) == len(groups[id])

    def _components(self, visible: set[str]) -> list[set[str]]:
        """The slow and obvious way: grow each group until nothing joins it."""
        left, found = set(visible), []
        while left:
            group = {left.pop()}
            while more := {m for m in left for n in group if n in self.mails[m][1] or m in self.mails[n][1]}:
                group |= more
                left -= more
            found.append(group)
        return found

    def _search_finds_what_is_shown(self, view: View, borns: list[int]) -> None:
        picker = Picker(["id", "subject", "bodyValues"], body_values=True, max_body_bytes=0)
        texts: dict[int, set[str]] = {}
        for born, email in view.emails(borns, picker).items():
            value = orjson.loads(email or b"")
            texts[born] = set(terms(value["bodyValues"]["1"]["value"]))
        for word in WORDS:
            found = set(view.query(Query(filter={"body": word}, limit=500)).borns)
            assert found == {b for b, words in texts.items() if terms(word)[0] in words}, word
        kept = {t for g, t in view.snapshot.all(_TERMS) if g == view.grant.grant_id and t.isalnum()}
        assert kept <= set().union(*texts.values()), "a posting of something that is not shown"


TestRows = Rows.TestCase
TestRows.settings = settings(
    max_examples=25,
    stateful_step_count=14,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def world(tmp_path: Path) -> Any:
    made = World(tmp_path)
    yield made
    made.store.close()


def test_a_fill_does_not_carry_a_grant_past_a_no(world: World) -> None:
    """The task of an import runs before the no is applied: the no still bites, in rows and in search."""
    owner_id = world.owner()
    world.agree()
    found = world.allow(owner_id, agreement_id="streamflix-deal", partner="streamflix")
    text = "the harbour was quiet and bright this morning and we walked there"
    world.choose("telegram:user1", Level.MASKED)
    world.put(owner_id, [chat(text, "telegram:user1", id="n1")])
    world.choose("telegram:user1", Level.NONE, None)
    world.work, work = lambda: None, world.work  # type: ignore[method-assign]
    world.put(owner_id, [chat(text, "telegram:user2", id="n2")])
    world.store.write(rows.work, owner_id, found.grant_id, NOW)
    with world.store.read() as snapshot:
        view = open_view(
            snapshot, grant.find(snapshot, owner_id, found.grant_id), world.installation.ids, NOW
        )
        assert view is not None and view.query(Query()).borns == []
        assert view.query(Query(filter={"text": "harbour"})).borns == []
    work()


def test_a_mail_that_joins_a_thread_in_the_act_that_breaks_it(world: World) -> None:
    """b held a and c together; b goes and d joins only c, in one act: a stays alone."""
    owner_id = world.owner()
    found = world.allow(owner_id, "own-agent", Level.TEXT, unanswered=Level.MASKED)
    text = "the harbour was quiet and bright this morning and we walked there"
    names = {"a": (), "b": ("a", "c"), "c": (), "d": ("c",)}
    made = {
        n: mail(
            text,
            f"mail:{n}@example.test",
            id=f"{n}@x.example",
            references=[f"{r}@x.example" for r in refs],
            at=NOW - 9 * DAY,
        )
        for n, refs in names.items()
    }
    world.put(owner_id, [made[n] for n in "abc"])
    world.choose("mail:b@example.test", Level.NONE, "own-agent")
    world.work, work = lambda: None, world.work  # type: ignore[method-assign]
    world.put(owner_id, [made["d"]])
    work()
    with world.store.read() as snapshot:
        view = open_view(
            snapshot, grant.find(snapshot, owner_id, found.grant_id), world.installation.ids, NOW
        )
        assert view is not None
        borns = view.query(Query()).borns
        shown = view.emails(borns, Picker(["threadId"], body_values=False, max_body_bytes=0))
        sizes = sorted(
            len(m)
            for m in view.threads(list({orjson.loads(s or b"")["threadId"] for s in shown.values()})).values()
        )
        assert sizes == [1, 2]
