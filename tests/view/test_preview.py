"""The dry run shows what the grant then sees: the same messages, the same words, but for the tokens of
people."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.worlds import DAY, NOW, World, chat, mail

from byleave.consent.grant import Grant
from byleave.model import Level
from byleave.view import Picker, Query, open_view
from byleave.view.preview import preview

PEOPLE = ("telegram:user1", "telegram:user2", "mail:ann@example.test", None)
ME = "telegram:user9"
WORDS = (
    "call me on +1 555 0134",
    "user1 wrote to user2",
    "see ann@example.test",
    "plain words",
    "https://x.example/?t=s3cret",
)


def proposed(owner: bytes, **values: object) -> Grant:
    usual = {
        "owner_id": owner,
        "grant_id": b"\x07" * 16,
        "purpose": "tailoring",
        "level": Level.MASKED,
        "agreement_id": "streamflix-deal",
        "partner": "streamflix",
        "client_id": "c",
        "conversations": '{"mode":"all","of":[]}',
        "period_from": None,
        "period_to": None,
        "unanswered": Level.NONE,
        "created_at": NOW,
        "expires_at": NOW + DAY,
        "revoked_at": None,
        "seq": 0,
        "applied": 0,
        "filled_policy": 0,
    }
    return Grant(**{**usual, **values})  # type: ignore[arg-type]


def plain(text: str) -> str:
    """Words without the tokens, which are each grant's own."""
    return re.sub(r"\b(person |p)[a-z2-7]{8}\b", r"\1x", text)


messages = st.lists(
    st.tuples(
        st.sampled_from((*PEOPLE, ME)),
        st.sampled_from(WORDS),
        st.integers(0, 40),
        st.sampled_from(("c1", "c2")),
    ),
    min_size=1,
    max_size=12,
)
choices = st.lists(
    st.tuples(
        st.sampled_from([p for p in PEOPLE if p]),
        st.sampled_from([Level.NONE, Level.SIGNALS, Level.MASKED, Level.TEXT]),
        st.sampled_from(["own-agent", "tailoring"]),
    ),
    max_size=5,
)
scopes = st.sampled_from(
    [("all", []), ("listed", ["telegram/c1"]), ("all-but", ["telegram/c2"]), ("listed", [])]
)


@settings(derandomize=True, max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages, choices, scopes, st.sampled_from(["tailoring", "own-agent"]), st.booleans())
def test_a_dry_run_is_what_the_grant_then_sees(
    said: list[tuple[str | None, str, int, str]],
    chosen: list[tuple[str, Level, str]],
    scope: tuple[str, list[str]],
    purpose: str,
    period: bool,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        owner = world.owner()
        world.put(
            owner,
            [
                (
                    mail(words, who, at=NOW - n * DAY)
                    if who and who.startswith("mail:")
                    else chat(words, who, at=NOW - n * DAY, place=place)
                )
                for who, words, n, place in said
            ],
            own=[ME],
        )
        agreement = world.agree()
        for handle, level, about in chosen:
            world.choose(handle, min(level, Level.MASKED) if about == "tailoring" else level, about)
        wanted = {"mode": scope[0], "of": scope[1]}
        level = Level.MASKED if purpose == "tailoring" else Level.TEXT
        start = NOW - 20 * DAY if period else None
        partner = (
            {"agreement_id": agreement, "partner": "streamflix"}
            if purpose == "tailoring"
            else {"agreement_id": None, "partner": None}
        )
        asked = proposed(
            owner,
            purpose=purpose,
            level=level,
            conversations=json.dumps(wanted),
            period_from=start,
            **partner,
        )
        with world.store.read() as snapshot:
            dry = preview(snapshot, asked, world.installation.ids, world.now, limit=100)
        made = world.allow(owner, purpose, level, scope=wanted, start=start, **partner)
        with world.store.read() as snapshot:
            view = open_view(snapshot, made, world.installation.ids, world.now)
            assert view is not None
            found = view.query(Query(calculate_total=True))
            emails = view.emails(
                found.borns, Picker(["subject", "bodyValues"], body_values=True, max_body_bytes=0)
            )
        seen = [orjson.loads(body) for body in emails.values() if body is not None]
        assert len(seen) == found.total == dry.total
        shown = sorted((plain(m.subject or ""), plain(m.body)) for m in dry.newest)
        assert shown == sorted(
            (plain(e["subject"] or ""), "".join(plain(v["value"]) for v in e["bodyValues"].values()))
            for e in seen
        )


def test_it_is_the_owners_own_reading_and_keeps_no_grant(tmp_path: Path) -> None:
    world = World(tmp_path)
    owner = world.owner()
    world.put(owner, [chat("mine", ME), chat("theirs", "telegram:user1")], own=[ME])
    world.agree()
    with world.store.read() as snapshot:
        dry = preview(snapshot, proposed(owner), world.installation.ids, world.now)
        assert (
            dry.reading.for_owner and len(dry.reading.borns) == dry.total == dry.own == 1 and dry.people == 0
        )
        assert dry.reading.grant_id != b"\x07" * 16


@pytest.mark.parametrize(
    "values", [{"level": Level.SIGNALS}, {"agreement_id": "nothing"}, {"purpose": "nothing"}]
)
def test_at_signals_or_without_an_agreement_no_message_is_shown(
    tmp_path: Path, values: dict[str, object]
) -> None:
    world = World(tmp_path)
    owner = world.owner()
    world.put(owner, [chat("mine", ME)], own=[ME])
    world.agree()
    with world.store.read() as snapshot:
        assert preview(snapshot, proposed(owner, **values), world.installation.ids, world.now).total == 0
