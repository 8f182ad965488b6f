"""The way in: importing twice is importing once, newer adds and edits, older never undoes, and a refusal — at
the last record, in either pass — leaves every table as it was."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from byleave.errors import Code, Conflict, Refused
from byleave.ingest import kept, publish, run
from byleave.ingest.gather import gather
from byleave.ingest.run import Ingest
from byleave.installation import open_installation
from byleave.model import Attachment, Conversation, Kind, Level, Person, Reaction, Record
from byleave.store import bodies, planner, prepare, tables
from byleave.view import Picker, Query, View, open_view, rows
from byleave.view.export import owner_view
from byleave.words import fragment
from byleave.words.mask import Titles
from tests.worlds import DAY, NOW, World, chat, mail

ME = "telegram:me"
QUIET = lambda step, n: None  # noqa: E731


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def content(world: World) -> dict[str, list[Any]]:
    """Every row of every table."""
    with world.store.read() as snapshot:
        return {
            t.name: sorted(map(repr, snapshot.all(prepare(select(t)))))
            for part in (tables.metadata, bodies.metadata)
            for t in part.sorted_tables
        }


def seen(world: World, owner_id: bytes) -> dict[str, tuple[str, int]]:
    """text → (Email id, born) as the owner sees it."""
    with world.store.read() as snapshot:
        view = owner_view(snapshot, owner_id, world.installation.ids, NOW)
        borns = view.query(Query(limit=5000)).borns
        shown = view.emails(borns, Picker(["id", "preview"], body_values=False, max_body_bytes=0))
        return {(o := orjson.loads(shown[b] or b"{}"))["preview"]: (o["id"], b) for b in borns}


def changes(world: World, owner_id: bytes, since: int) -> tuple[set[int], set[int], int]:
    with world.store.read() as snapshot:
        view = owner_view(snapshot, owner_id, world.installation.ids, NOW)
        found = view.email_changes(since, 5000)
        return set(found.created), set(found.destroyed), found.seq


def export(n: int, start: int = 0, **more: Any) -> list[Record]:
    return [
        chat(
            f"the harbour was quiet today {i}",
            f"telegram:user{i % 3}",
            id=f"n{i}",
            at=NOW - 10 * DAY + i,
            **more,
        )
        for i in range(start, start + n)
    ]


def test_importing_twice_is_importing_once(world: World) -> None:
    owner_id = world.owner()
    items = [
        *export(30),
        mail("hello there, see you on Monday", id="a@x.example"),
        mail("yes", id="b@x.example", references=["a@x.example"]),
    ]
    first = world.put(owner_id, items, own=[ME])
    before = content(world)
    again = world.put(owner_id, items, own=[ME])
    after = content(world)
    assert (first.added, first.unchanged) == (32, 0)
    assert (again.added, again.updated, again.unchanged) == (0, 0, 32)
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"import", "grant"}  # the record of the import itself, nothing else


def test_ids_do_not_depend_on_what_else_the_inbox_holds(tmp_path: Path) -> None:
    worlds = [World(tmp_path / "a"), World(tmp_path / "b")]
    ids = []
    for n, w in enumerate(worlds):
        owner_id = w.owner()
        if n:
            w.put(owner_id, export(20, start=100))
        w.put(owner_id, export(5))
        with w.store.read() as snapshot:
            ids.append(
                {
                    r
                    for r in snapshot.all(prepare(select(tables.message.c.native, tables.message.c.id)))
                    if int(r[0][1:]) < 50
                }
            )
        w.store.close()
    assert ids[0] == ids[1]


def test_a_newer_export_adds_and_edits_and_an_older_one_never_undoes(world: World) -> None:
    owner_id = world.owner()
    old = export(5)
    new = [
        *old[:2],
        chat("edited words", "telegram:user2", id="n2", at=old[2].sent_at, edited_at=NOW - DAY),
        *old[3:],
        *export(2, start=5),
    ]
    world.put(owner_id, old)
    ids, seq = seen(world, owner_id), changes(world, owner_id, 0)[2]
    result = world.put(owner_id, new)
    assert (result.added, result.updated, result.unchanged) == (2, 1, 4)
    now = seen(world, owner_id)
    assert set(now) == {*(r.text for r in old if r.id != "n2"), "edited words", new[5].text, new[6].text}
    created, destroyed, seq = changes(world, owner_id, seq)
    assert destroyed == {ids[old[2].text][1]}  # an edit is destroy and create
    assert now["edited words"][0] != ids[old[2].text][0]
    assert created == {now["edited words"][1], now[new[5].text][1], now[new[6].text][1]}
    before = content(world)["message"]
    result = world.put(owner_id, old)
    assert (result.added, result.updated, result.unchanged) == (0, 0, 5)
    assert content(world)["message"] == before and changes(world, owner_id, seq)[:2] == (set(), set())


def test_without_an_edit_time_the_later_export_counts(world: World) -> None:
    owner_id = world.owner()

    def at(text: str, as_of: int) -> list[Any]:
        place = Conversation(source="telegram", key="c1", as_of=as_of)
        return [place, chat(text, id="n1", at=NOW - 10 * DAY), place]

    world.put(owner_id, at("second thoughts", NOW - 2 * DAY))
    world.put(owner_id, at("first thoughts", NOW - 5 * DAY))
    assert set(seen(world, owner_id)) == {"second thoughts"}
    world.put(owner_id, at("third thoughts", NOW - DAY))
    assert set(seen(world, owner_id)) == {"third thoughts"}


def test_a_lower_revision_never_replaces_a_higher_one(world: World) -> None:
    owner_id = world.owner()
    world.put(owner_id, [chat("edited", id="n1", revision=1)])
    world.put(owner_id, [chat("as sent", id="n1", revision=0)])
    assert set(seen(world, owner_id)) == {"edited"}


def test_deleted_stays_deleted(world: World) -> None:
    owner_id = world.owner()
    world.agree()
    granted = world.allow(owner_id, agreement_id="streamflix-deal", partner="streamflix")
    world.choose("telegram:user1", Level.MASKED)
    world.work()
    world.put(owner_id, [chat("gone soon, a long enough sentence in plain English words here", id="n1")])
    world.put(owner_id, [chat("", id="n1", kind=Kind.DELETED)])
    world.put(owner_id, [chat("gone soon, a long enough sentence in plain English words here", id="n1")])
    assert set(seen(world, owner_id)) == {""}
    with world.store.read() as snapshot:
        from byleave.consent import grant

        view = open_view(
            snapshot, grant.find(snapshot, owner_id, granted.grant_id), world.installation.ids, NOW
        )
        assert view is not None and view.query(Query()).borns == []


def test_a_change_taken_back_is_a_record_of_its_own(world: World) -> None:
    owner_id = world.owner()
    plain = chat("good", id="n1")
    liked = chat("good", id="n1", reactions=(Reaction("👍", "telegram:user2"),))
    for record in (plain, liked, plain, liked):
        assert world.put(owner_id, [record]).added + world.put(owner_id, [record]).unchanged >= 1
    assert len(seen(world, owner_id)) == 1
    assert len(content(world)["message"]) == 4


def test_two_edits_before_the_first_fill_leave_one_row(world: World) -> None:
    """Fills may lag: what an edit replaced goes even where the edit itself was replaced meanwhile."""
    owner_id = world.owner()
    world.put(owner_id, [chat("one", id="n1")])
    world.work, work = lambda: None, world.work  # type: ignore[method-assign]
    world.put(owner_id, [chat("two", id="n1", edited_at=NOW - 3)])
    world.put(owner_id, [chat("three", id="n1", edited_at=NOW - 2)])
    work()
    assert set(seen(world, owner_id)) == {"three"}


def test_two_mails_under_one_message_id_both_stand(world: World) -> None:
    owner_id = world.owner()
    world.put(owner_id, [mail("the first", id="x@y.example")])
    for _ in range(2):
        world.put(owner_id, [mail("another", "mail:mallory@example.test", id="x@y.example")])
    assert set(seen(world, owner_id)) == {"the first", "another"}


def test_the_same_id_twice_in_one_export_counts_once(world: World) -> None:
    owner_id = world.owner()
    result = world.put(owner_id, [chat("one", id="n1"), chat("one", id="n1"), chat("other", id="n1")])
    assert result.added == 1 and result.skipped == {"duplicate id": 1}
    far = [chat("one", id="n1", place="c2"), *export(run.BATCH + 1), chat("one", id="n1", place="c2")]
    assert world.put(owner_id, far).added == 1 + run.BATCH  # n1 of c1 was there


def _refusing(items: list[Any], at: int) -> Callable[[], Iterator[Any]]:
    """An export that is whole the first time and broken at the end from the `at`-th reading on."""
    readings = itertools.count(1)

    def read() -> Iterator[Any]:
        number = next(readings)
        yield from items
        if number >= at:
            raise Refused(Code.MALFORMED, "chat.txt", "line 9", "cut off", "export it again")

    return read


@pytest.mark.parametrize("reading", [1, 2])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_refusal_at_the_last_record_leaves_every_table_as_it_was(
    world: World, reading: int, fresh: bool
) -> None:
    owner_id = world.owner()
    if not fresh:
        world.put(owner_id, [*export(20), mail("hi", id="a@x.example", folder="Work")])
    world.work()
    before = content(world)
    items = [
        Conversation(source="telegram", key="new", name="New", members=(Person("telegram:stranger", "Sam Stranger"),)),
        *export(run.BATCH + 50, start=10), chat("new words", "telegram:user1", id="n3", edited_at=NOW),
        mail("hello", "mail:new@example.test", id="z@x.example", folder="Other"), chat("hey", None, place="new", id="loose"),
    ]  # fmt: skip
    read = _refusing(items, reading)
    with pytest.raises(Refused):
        found = gather(read, QUIET)
        second = Ingest(
            world.store, world.installation.people, owner_id, world.id(), found, own=["telegram:user0"], titles=Titles(()),
            now=NOW, file_time=NOW, tier="rules",
        )  # fmt: skip
        second.run(read, "test", QUIET)
    assert content(world) == before
    world.work()
    assert content(world) == before


def test_what_a_dead_import_left_goes_with_the_next(world: World) -> None:
    owner_id = world.owner()
    items = export(30)
    found = gather(lambda: iter(items), QUIET)
    dead = Ingest(
        world.store,
        world.installation.people,
        owner_id,
        world.id(),
        found,
        own=(),
        titles=Titles(()),
        now=NOW,
        file_time=NOW,
        tier="rules",
    )
    with world.store.read() as snapshot:
        dead._number(snapshot)
    world.store.write(publish.start, owner_id, dead.import_id, "test", NOW)
    world.store.write(publish.write, owner_id, dead.import_id, dead._rows(dead._begin(items[:20])))
    assert seen(world, owner_id) == {}
    assert world.put(owner_id, items).added == 30
    assert len(seen(world, owner_id)) == 30
    with pytest.raises(Conflict):  # and where it was not dead, but slow, it is now
        world.store.write(publish.write, owner_id, dead.import_id, dead._rows(dead._begin(items[20:])))
    with pytest.raises(Conflict):
        world.store.write(publish.publish, owner_id, dead.import_id, NOW, dead.fresh, [])


def test_a_handle_claimed_later_makes_the_words_the_owners_own(world: World) -> None:
    owner_id = world.owner()
    world.agree()
    granted = world.allow(owner_id, agreement_id="streamflix-deal", partner="streamflix")
    text = "the harbour was quiet and bright this morning and we walked there"
    world.put(owner_id, [chat(text, "telegram:user1", id="n1")])
    assert len(_partner(world, granted)) == 0
    world.put(owner_id, [chat(text, "telegram:user1", id="n2")], own=["telegram:user1"])
    assert len(_partner(world, granted)) == 2


def _partner(world: World, granted: Any) -> list[int]:
    from byleave.consent import grant

    with world.store.read() as snapshot:
        view = open_view(
            snapshot, grant.find(snapshot, granted.owner_id, granted.grant_id), world.installation.ids, NOW
        )
        assert isinstance(view, View)
        return view.query(Query(limit=5000)).borns


TEXTS = st.text(
    st.one_of(st.characters(exclude_categories=("Cs",)), st.sampled_from('\n\r\t \x00\x01\x1f\x02é😀"\\')),
    max_size=400,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    text=TEXTS,
    subject=st.none() | TEXTS,
    people=st.integers(0, 3),
    points=st.lists(st.integers(0, 400), max_size=6, unique=True),
    when=st.none() | st.integers(0, 4_000_000_000_000),
)
def test_sizes_told_at_ingest_are_those_of_the_blob(
    text: str, subject: str | None, people: int, points: list[int], when: int | None
) -> None:
    """Arithmetic over slots equals the rendered blob with tokens in them."""
    marks = sorted(p for p in points if p <= len(text))
    cuts = [
        (a, b, fragment.slot("P", a) if a % 2 else b"[phone]")
        for a, b in zip(marks[::2], marks[1::2], strict=False)
    ]
    slots = [fragment.slot("A", n) for n in range(people)]
    head = {
        "from": b"[" + fragment.slot("A", 1) + b"]", "to": b"[" + b",".join(slots) + b"]" if slots else b"null",
        "subject": orjson.dumps(subject), "sentAt": orjson.dumps(fragment.rfc3339(when)) if when is not None else b"null",
    }  # fmt: skip
    made = fragment.decode(
        fragment.fill(
            fragment.with_body(head, text, cuts), lambda k, n: k if k == b"B" else fragment.wide(k, n)
        )
    )
    segments = dict(zip(fragment.SEGMENTS, made, strict=True))
    email = {n: orjson.loads(segments[n]) for n in ("from", "to", "subject", "sentAt") if segments[n]}
    body = orjson.loads(segments["body"])
    assert orjson.loads(segments["size"]) == len(fragment.blob(email, body, fragment.WIDE_ID, []))
    assert int(segments["part"]) == len(body.replace("\n", "\r\n").encode())


def test_nothing_in_a_text_can_look_like_a_slot(world: World) -> None:
    owner_id = world.owner()
    world.put(
        owner_id,
        [chat("\x01A00000001\x02\x1f\x1f", id="n1"), chat("", id="n2", attachments=(Attachment("a\x1fb"),))],
    )
    with world.store.read() as snapshot:
        view = owner_view(snapshot, owner_id, world.installation.ids, NOW)
        shown = view.emails(
            view.query(Query()).borns,
            Picker(["id", "preview", "textBody"], body_values=False, max_body_bytes=0),
        )
        assert len(shown) == 2 and all(orjson.loads(s or b"") for s in shown.values())


def test_another_process_sees_the_published_store(world: World) -> None:
    owner_id = world.owner()
    world.put(owner_id, export(3))
    other = open_installation(world.path)
    with other.store.read() as snapshot:
        assert len(owner_view(snapshot, owner_id, other.ids, NOW).query(Query()).borns) == 3
    other.store.close()


def test_plans_of_the_way_in_use_the_keys_that_are_there(world: World) -> None:
    """No statement of ingest or rows walks an inbox to find a record; and figures are planted for every key."""
    walks = []
    with world.store.read() as snapshot:
        for module in (run, publish, kept, rows):
            for name, found in vars(module).items():
                if isinstance(found, type(run._KNOWN)) and name not in WALKS:
                    sql, names, _ = found.text("sqlite")
                    plan = snapshot._connection.execute(
                        "EXPLAIN QUERY PLAN " + sql, [None] * len(names)
                    ).fetchall()
                    steps = [step[3] for step in plan]
                    walks += [
                        (name, s) for s in steps if s.startswith("SEARCH") and s.endswith("(owner_id=?)")
                    ]
        for figure in planner.figures():
            listed = {r[1] for r in snapshot._connection.execute(f"PRAGMA index_list('{figure['tbl']}')")}
            assert figure["idx"] == figure["tbl"] or figure["idx"] in listed, figure
    assert walks == []


WALKS = {"_HANDLES", "_SEEN", "_NAMES", "_CONVERSATIONS", "_MEMBERS", "_FOLDERS", "_PUBLISHED"}
"""Statements that mean to read all that an inbox has of something small."""


def test_a_claim_edits_nothing_that_somebody_vouches_for(tmp_path: Path) -> None:
    import msgspec

    from byleave.model import Authentication

    world = World(tmp_path)
    owner = world.owner()
    first = chat("I said this, and my server says so too.", "telegram:user1", id="1")
    world.put(owner, [msgspec.structs.replace(first, authentication=Authentication.SOURCE)])
    again = world.put(owner, [msgspec.structs.replace(first, text="I never said that.", edited_at=NOW)])
    assert (again.updated, again.skipped) == (0, {"vouched for otherwise": 1})
    own = msgspec.structs.replace(
        first, text="I said that.", edited_at=NOW, authentication=Authentication.SOURCE
    )
    assert world.put(owner, [own]).updated == 1
