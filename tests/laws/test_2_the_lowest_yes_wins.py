"""Invariant 2: rows, predicate and WHERE clause equal the oracle on random worlds, whatever order acts come
in."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from byleave.consent import grant, policy
from byleave.model import Kind, Level
from byleave.view import Lagging, Query, open_view, rows
from byleave.view.allowed import slow_path
from tests import oracle
from tests.worlds import DAY, NOW, World, chat, mail

SENDERS = ["telegram:user1", "telegram:user2", "telegram:user3", "mail:ann@example.test"]
PLACES = ["c1", "c2"]
PARTNERS = ["streamflix", "bookworm"]
LEVELS = [Level.NONE, Level.SIGNALS, Level.MASKED, Level.TEXT, Level.FULL]
OWN = "telegram:me"


class Consent(RuleBasedStateMachine):
    grants = Bundle("grants")

    @initialize()
    def found(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name))
        self.owner_id = self.world.owner()
        purposes = [("tailoring", "masked"), ("portability", "full"), ("support-case", "text")]
        self.agreements = {p: self.world.agree(purposes, partner=p) for p in PARTNERS}
        self.records: list[dict[str, Any]] = []
        self.choices: dict[str, list[dict[str, Any]]] = {s: [] for s in SENDERS}
        self.made: list[tuple[grant.Grant, dict[str, Any]]] = []
        for place in PLACES:
            for sender in [*SENDERS, OWN]:
                self.arrive(sender, place, 10, Kind.TEXT, 1)
        for purpose, level in (("tailoring", Level.MASKED), ("portability", Level.FULL)):
            self.allow(purpose, level, PARTNERS[0], "all", set(), False, False)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.store.close()
            self.folder.cleanup()

    @rule(
        sender=st.sampled_from([*SENDERS, OWN, None]),
        place=st.sampled_from(PLACES),
        day=st.integers(1, 30),
        kind=st.sampled_from([Kind.TEXT, Kind.TEXT, Kind.TEXT, Kind.MEMBER, Kind.DELETED]),
        n=st.integers(1, 3),
    )
    def arrive(self, sender: str | None, place: str, day: int, kind: Kind, n: int) -> None:
        made = []
        for i in range(n):
            at = NOW - day * DAY + i
            text = f"the harbour was quiet and bright this morning and we walked there {len(self.records)}"
            if sender is not None and sender.startswith("mail:"):
                record = mail(text, sender, at=at, id=f"r{len(self.records)}@example.test")
                kind = Kind.TEXT
            else:
                record = chat(text, sender, at=at, place=place, kind=kind, id=f"r{len(self.records)}")
            made.append(record)
            self.records.append(
                {
                    "id": record.id,
                    "sender": sender,
                    "place": f"{record.source}/{record.conversation}",
                    "at": at,
                    "kind": kind.value,
                }
            )
        self.world.put(self.owner_id, made, own=[OWN])

    @rule(
        target=grants,
        purpose=st.sampled_from(["tailoring", "portability", "own-agent"]),
        level=st.sampled_from(LEVELS[1:]),
        partner=st.sampled_from(PARTNERS),
        mode=st.sampled_from(["all", "all", "listed", "all-but"]),
        places=st.sets(st.sampled_from(PLACES)),
        period=st.booleans(),
        raised=st.booleans(),
    )
    def allow(
        self,
        purpose: str,
        level: Level,
        partner: str,
        mode: str,
        places: set[str],
        period: bool,
        raised: bool,
    ) -> int:
        level = min(level, Level.named(oracle.HIGHEST[purpose]))
        own_agent = purpose == "own-agent"
        names = sorted(f"telegram/{p}" for p in places)
        start, end = (NOW - 20 * DAY, NOW - 5 * DAY) if period else (None, None)
        found = self.world.allow(
            self.owner_id,
            purpose,
            level,
            agreement_id=None if own_agent else self.agreements[partner],
            partner=None if own_agent else partner,
            scope={"mode": mode, "of": names},
            start=start,
            end=end,
            unanswered=Level.MASKED if own_agent and raised else Level.NONE,
        )
        self.made.append(
            (
                found,
                {
                    "ended": False,
                    "purpose": purpose,
                    "level": level.word,
                    "scope": (mode, names),
                    "from": start,
                    "to": end,
                    "agreed": "full"
                    if own_agent
                    else {"tailoring": "masked", "portability": "full"}[purpose],
                    "partner": None if own_agent else partner,
                    "unanswered": "masked" if own_agent and raised else "none",
                },
            )
        )
        return len(self.made) - 1

    @rule(
        sender=st.sampled_from(SENDERS),
        purpose=st.sampled_from(["tailoring", "portability", "portability", "own-agent"]),
        level=st.sampled_from([Level.FULL, Level.MASKED, Level.TEXT, Level.NONE, Level.NONE, Level.SIGNALS]),
        partner=st.sampled_from([None, None, *PARTNERS]),
        place=st.sampled_from([None, None, "telegram/c1", "telegram/c2"]),
        everything=st.booleans(),
        work=st.booleans(),
    )
    def choose(
        self,
        sender: str,
        purpose: str,
        level: Level,
        partner: str | None,
        place: str | None,
        everything: bool,
        work: bool,
    ) -> None:
        level = min(level, Level.named(oracle.HIGHEST[purpose]))
        about = None if level is Level.NONE and everything else purpose
        id = self.world.choose(sender, level, about, partner, place)
        self.choices[sender].append(
            {
                "id": id,
                "level": level.word,
                "purpose": about,
                "partner": partner,
                "conversation": place,
                "withdrawn": False,
            }
        )
        if work:
            self.world.work()

    @rule(sender=st.sampled_from(SENDERS), which=st.integers(0, 5))
    def withdraw(self, sender: str, which: int) -> None:
        if which < len(self.choices[sender]):
            self.world.withdraw(sender, self.choices[sender][which]["id"])
            self.choices[sender][which]["withdrawn"] = True

    @rule(index=grants)
    def revoke(self, index: int) -> None:
        found, model = self.made[index]
        self.world.store.write(grant.revoke, found.owner_id, found.grant_id, NOW, self.world.id(), b"s" * 32)
        model["ended"] = True

    @invariant()
    def a_no_binds_the_next_answer(self) -> None:
        """Rows are never above the oracle; once the tasks are done they equal it."""
        if not hasattr(self, "world"):
            return
        for found, model in self.made:
            seen = self._seen(found)
            for record in self.records:
                allowed = self._level(record, model)
                assert Level.named(allowed) >= seen.get(record["id"], Level.NONE), (record, model, seen)
        self.world.work()
        for found, model in self.made:
            expected = {
                r["id"]: Level.named(level)
                for r in self.records
                if oracle.ORDER.index(level := self._level(r, model)) >= 2
            }
            assert self._seen(found) == expected
            self._check_forms(found, expected)

    def _level(self, record: dict[str, Any], model: dict[str, Any]) -> str:
        return oracle.level(record, model, self.choices.get(record["sender"], []), {OWN})

    def _seen(self, found: grant.Grant) -> dict[str, Level]:
        """What the view holds, by native id: through the one door, as a request would."""
        store, natives = self.world.store, self._natives()
        with store.read() as snapshot:
            current = grant.find(snapshot, found.owner_id, found.grant_id)
            try:
                view = open_view(snapshot, current, self.world.installation.ids, NOW)
            except Lagging:
                view = None
                lagging = True
            else:
                lagging = False
        if lagging:
            store.write(rows.apply, found.owner_id, found.grant_id, NOW)
        with store.read() as snapshot:
            current = grant.find(snapshot, found.owner_id, found.grant_id)
            view = open_view(snapshot, current, self.world.installation.ids, NOW)
            if view is None or view.level < Level.MASKED:
                return {}
            borns = view.query(Query(limit=500)).borns
            return {natives[view._fetch([b])[b][2]]: Level(view._fetch([b])[b][5]) for b in borns}

    def _natives(self) -> dict[bytes, str]:
        from sqlalchemy import select

        from byleave.store import prepare
        from byleave.store.tables import message

        with self.world.store.read() as snapshot:
            return dict(snapshot.all(prepare(select(message.c.id, message.c.native))))

    def _check_forms(self, found: grant.Grant, expected: dict[str, Level]) -> None:
        """The WHERE clause and the predicate agree with the rows."""
        natives = self._natives()
        with self.world.store.read() as snapshot:
            current = grant.find(snapshot, found.owner_id, found.grant_id)
            compiled = policy.compile(snapshot, current, NOW)
            slow = list(slow_path(snapshot, compiled))
            assert {natives[r[1]] for r in slow if r[7]} == set(expected)
            assert {natives[r[1]]: compiled.level(r[2], r[3], r[0], r[4]) for r in slow} == expected


TestConsent = Consent.TestCase
TestConsent.settings = settings(
    max_examples=30,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
