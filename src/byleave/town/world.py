"""The whole town from one seed: exports in every inbox, and the world file that says what is true.

`build` writes `out/<owner>/…`, `out/world.json` and `out/catalogue.csv`. The same arguments give the same
bytes. Beside the exports stands only what a test or a demo needs to act: who is who under which handle, who
chose what and when, what they really think of which film.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from byleave.errors import Code, Refused
from byleave.model import Ms
from byleave.town import chats, choices, mail
from byleave.town.films import Cinema, catalogue, tastes
from byleave.town.people import (
    MAX_PEOPLE,
    Conversation,
    Resident,
    Town,
    draw,
    handle,
    settle,
    slug,
    title_for,
    zone,
)
from byleave.town.talk import Said, Talker

OWNER_MESSAGES = 1_500
TWO_YEARS: Ms = 730 * choices.DAY
UNTIL = "2026-11-01"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What town is wanted."""

    people: int
    seed: int
    messages: int | None = None
    """Messages in all inboxes together; None: about 1,500 for the demo's owner, fewer for the others."""
    quotes: float = 0.1
    """Least share of messages that carry somebody else's words as a quote or a forward."""
    taints: bool = False
    until: str = UNTIL
    """Day (ISO 8601) before which everything was said."""


class Built(msgspec.Struct, frozen=True):
    """What `byleave town` answers; `files` counts files on disk, `messages` is the sum over inboxes."""

    people: int
    inboxes: int
    messages: int
    files: int


def build(plan: Plan, out: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> Built:
    """Makes the town under `out`. Raises Refused for a folder that holds something, a day that is none, or
    more people than there is room for."""
    until = checked(plan, out)
    town = settle(plan.people, plan.seed)
    cinema_films = catalogue(plan.seed)
    cinema = Cinema(films=cinema_films, opinions=tastes(town, cinema_films))
    talker = Talker(
        town, cinema, begin=until - TWO_YEARS, until=until, quotes=plan.quotes, taints=plan.taints
    )
    said: dict[str, list[Said]] = {}
    quotas = _quotas(town, plan)
    for done, talk in enumerate(town.conversations):
        said[talk.key] = talker.converse(talk, quotas[talk.key])
        progress(done, len(town.conversations) + plan.people)
    out.mkdir(parents=True, exist_ok=True)
    writer = _Writer(town, said, out)
    inboxes = {}
    for resident in town.residents:
        inboxes[resident.id] = writer.inbox(resident)
        progress(len(town.conversations) + resident.index, len(town.conversations) + plan.people)
    _catalogue(out / "catalogue.csv", cinema)
    world = _world(plan, town, cinema, said, inboxes, until)
    (out / "world.json").write_text(
        json.dumps(world, ensure_ascii=False, indent=1) + "\n", "utf-8", newline="\n"
    )
    return Built(
        people=plan.people,
        inboxes=len(inboxes),
        messages=sum(i["messages"] for i in inboxes.values()),
        files=writer.files + 2,
    )


def checked(plan: Plan, out: Path) -> Ms:
    """The end of the two years. Raises Refused where the plan cannot be kept."""
    if not 2 <= plan.people <= MAX_PEOPLE:
        raise Refused(
            Code.INVALID_ARGUMENTS,
            "town",
            "--people",
            f"{plan.people} people do not make a town",
            f"choose 2 to {MAX_PEOPLE}",
        )
    if not 0 <= plan.quotes <= 0.6:
        raise Refused(
            Code.INVALID_ARGUMENTS,
            "town",
            "--quotes",
            "this is no share that a town can keep",
            "choose 0 to 0.6",
        )
    if plan.messages is not None and not 1 <= plan.messages <= 20_000_000:
        raise Refused(
            Code.INVALID_ARGUMENTS, "town", "--messages", "this many cannot be made", "choose 1 to 20000000"
        )
    try:
        day = datetime.strptime(plan.until, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise Refused(
            Code.INVALID_ARGUMENTS, "town", "--until", "this is no day", "write it as 2026-11-01"
        ) from None
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Refused(
            Code.CONFLICT, out.name, "", "the folder holds something already", "name an empty or new one"
        )
    return int(day.timestamp() * 1000)


def _quotas(town: Town, plan: Plan) -> dict[str, int]:
    """Messages a conversation: groups talk three times as much; the owner's inbox comes to 1,500."""
    weights = {}
    for talk in town.conversations:
        rng = draw(town.seed, "quota", talk.key)
        weights[talk.key] = (
            (3.0 if talk.name else 1.0)
            * rng.uniform(0.6, 1.6)
            * ({"mail": 0.7, "whatsapp": 1.4}.get(talk.source, 1.0))
        )
    if plan.messages is not None:
        copies = sum(weights[t.key] * len(t.members) for t in town.conversations) or 1
        return {t.key: max(1, round(weights[t.key] * plan.messages / copies)) for t in town.conversations}
    mine = sum(weights[t.key] for t in town.conversations if 0 in t.members) or 1
    return {
        t.key: max(4, round(weights[t.key] * (OWNER_MESSAGES / mine if 0 in t.members else 30)))
        for t in town.conversations
    }


class _Writer:
    """Writes inboxes; mails of a conversation are built once and handed to every member."""

    def __init__(self, town: Town, said: dict[str, list[Said]], out: Path) -> None:
        self.town, self.said, self.out = town, said, out
        self.files = 0
        self.mine: list[list[Conversation]] = [[] for _ in town.residents]
        for talk in town.conversations:
            for member in talk.members:
                self.mine[member].append(talk)
        self.posts = {
            t.key: mail.Post(town, t, said[t.key]) for t in town.conversations if t.source == "mail"
        }

    def inbox(self, owner: Resident) -> dict[str, Any]:
        """Writes the owner's exports and says what is in them."""
        folder = self.out / owner.id
        folder.mkdir()
        talks = self.mine[owner.index]
        by_source = {s: [t for t in talks if t.source == s] for s in sorted({t.source for t in talks})}
        exports: list[dict[str, Any]] = []
        for source, some in by_source.items():
            if source == "whatsapp":
                for talk in some:
                    path = chats.whatsapp(self.town, talk, self.said[talk.key], owner, folder / "whatsapp")
                    self.files += 1
                    exports.append(self._export(path, source, [talk]))
                continue
            path = getattr(self, f"_{source}")(folder, owner, some)
            exports.append(self._export(path, source, some))
        me: set[str] = set()
        seen: dict[str, str] = {}
        for talk in talks:
            for member in talk.members:
                if found := handle(self.town, talk, owner.index, member):
                    seen[found] = self.town.residents[member].id
                    if member == owner.index:
                        me.add(found)
        return {
            "exports": exports,
            "me": sorted(me),
            "handles": dict(sorted(seen.items())),
            "zone": zone(owner),
            "messages": sum(e["messages"] for e in exports),
            "conversations": {t.key: title_for(self.town, t, owner.index) for t in talks},
        }

    def _export(self, path: Path, source: str, talks: list[Conversation]) -> dict[str, Any]:
        gone = source == "telegram"
        return {
            "path": path.relative_to(self.out).as_posix(),
            "source": source,
            "conversations": len(talks),
            "messages": sum(not (gone and s.deleted) for t in talks for s in self.said[t.key]),
        }

    def _mail(self, folder: Path, owner: Resident, talks: list[Conversation]) -> Path:
        mails = sorted((c for t in talks for c in self.posts[t.key].copies(owner.index)), key=lambda m: m[0])
        form = "mbox" if owner.index == 0 else ("mbox", "maildir", "eml")[owner.index % 3]
        if form == "mbox":
            path = folder / "mail.mbox"
            mail.mbox(path, mails)
            self.files += 1
        elif form == "maildir":
            path = folder / "Maildir"
            self.files += mail.maildir(path, mails)
        else:
            path = folder / "mail"
            self.files += mail.eml(path, mails)
        return path

    def _telegram(self, folder: Path, owner: Resident, talks: list[Conversation]) -> Path:
        path = folder / "result.json"
        chats.telegram(self.town, [(t, self.said[t.key]) for t in talks], owner, path)
        self.files += 1
        return path

    def _messenger(self, folder: Path, owner: Resident, talks: list[Conversation]) -> Path:
        root = folder / f"{talks[0].source}-{slug(owner.given)}"
        for talk in talks:
            self.files += chats.meta(self.town, talk, self.said[talk.key], owner, root)
        return root

    _instagram = _messenger


def _catalogue(path: Path, cinema: Cinema) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(["title_id", "title", "year", "sensitive", "popularity"])
        rows.writerows((f.title_id, f.title, f.year, int(f.sensitive), f.popularity) for f in cinema.films)


def _world(
    plan: Plan, town: Town, cinema: Cinema, said: dict[str, list[Said]], inboxes: dict[str, Any], until: Ms
) -> dict[str, Any]:
    ids = [r.id for r in town.residents]
    ranks = choices.leanings(town)
    handles: list[set[str]] = [
        {f"mail:{r.address}", f"telegram:user{r.telegram}"} | ({f"tel:{r.tel}"} if r.tel else set())
        for r in town.residents
    ]
    place = {name: i for i, name in enumerate(ids)}
    for inbox in inboxes.values():
        for found, who in inbox["handles"].items():
            handles[place[who]].add(found)
    people = [
        {
            "id": r.id,
            "name": r.name,
            "language": r.language,
            "handles": sorted(handles[r.index]),
            "circles": [c.id for c in town.circles if r.index in c.members],
            "leaning": round(ranks[r.index], 6),
            "opinions": {cinema.films[f].title_id: s for f, s in sorted(cinema.opinions[r.index].items())},
            **({"taint": r.taint} if plan.taints else {}),
        }
        for r in town.residents
    ]
    acts = [
        {
            "at": choices.moment(c.at),
            "person": ids[c.resident],
            "level": c.level.word,
            "purpose": c.purpose,
            "partner": c.partner,
            "conversation": c.conversation,
            "handles": sorted(handles[c.resident]),
        }
        for c in choices.choose(town, until)
    ]
    stances = [
        {
            "person": ids[s.author],
            "title_id": cinema.films[m.film].title_id,
            "stance": m.stance,
            "day": choices.moment(s.at)[:10],
            "message": f"{key}/{s.number}",
            "source": talk.source,
            "said": m.said,
        }
        for talk in town.conversations
        for key in (talk.key,)
        for s in said[key]
        if not s.deleted
        for m in s.mentions
    ]
    return {
        "town": {
            "people": plan.people,
            "seed": plan.seed,
            "messages": plan.messages,
            "quotes": plan.quotes,
            "taints": plan.taints,
            "until": plan.until,
            "owner": ids[0],
            "written": sum(map(len, said.values())),
        },
        "people": people,
        "circles": [
            {"id": c.id, "name": c.name, "source": c.source, "members": [ids[m] for m in c.members]}
            for c in town.circles
        ],
        "conversations": [
            {
                "key": t.key,
                "source": t.source,
                "name": t.name or None,
                "circle": t.circle,
                "members": [ids[m] for m in t.members],
                "messages": len(said[t.key]),
            }
            for t in town.conversations
        ],
        "inboxes": inboxes,
        "choices": acts,
        "grants": [
            {
                "at": choices.moment(until - 30 * choices.DAY),
                "owner": ids[i],
                "purpose": "tailoring",
                "level": "masked",
            }
            for i in choices.owners_grants(town)
        ],
        "stances": stances,
    }
