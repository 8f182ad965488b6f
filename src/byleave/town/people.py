"""Who lives in the town, in which circles, and under which handle each is seen by each.

Rules of this file:

1. Every draw comes from `draw(seed, *key)`, a Random of its own per thing: what one resident is does not move
   when the town grows by another kind of thing.
2. Nothing here can reach a real person: telephone numbers come from ranges that the numbering authorities
   keep for fiction (NANP 555-01XX, Ofcom 07700 900XXX, Bundesnetzagentur 030 23125 XXX, ARCEP 06 39 98 XX
   XX), mail addresses end in .example or .test (RFC 2606).
3. Resident 0 is the owner that the demo shows: in the first circle of each source, and in exactly one
   WhatsApp conversation, since a WhatsApp export is one file a conversation.
4. From eleven residents on two of them share one name, and one Messenger group.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from random import Random
from typing import Any

import msgspec
from msgspec.structs import replace

from byleave.model import Handle, Ms

SOURCES = ("whatsapp", "telegram", "messenger", "mail")
FOREIGN = ("de", "fr", "es", "it", "pt", "pl")
MAX_PEOPLE = 100_000


def draw(seed: int, *key: object) -> Random:
    """The source of randomness for one thing of one town: the same key gives the same draws for ever."""
    return Random(":".join(map(str, (seed, *key))))


def data(name: str) -> Any:
    """One of the town's phrase books, `data/<name>.json`."""
    return json.loads((files("byleave.town") / "data" / f"{name}.json").read_text("utf-8"))


class Voice(msgspec.Struct, frozen=True):
    """How somebody types."""

    lower: bool
    dots: bool
    emoji: float
    favourites: tuple[str, ...]
    burst: float
    """Chance that two sentences become two messages."""
    typos: float
    signs: bool
    """Whether mails end in a signature with job and telephone number."""


class Resident(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    id: str
    given: str
    family: str
    language: str
    address: str
    tel: str | None
    """E.164, e.g. +447700900123; None when the ranges for fiction are used up."""
    telegram: int
    client: str
    """gmail, apple, thunderbird or outlook: decides how mails quote."""
    phone: str
    """android or ios: decides the form of the WhatsApp export."""
    voice: Voice
    job: str
    home: str
    namesake: bool = False
    """Whether somebody else in the town has the same name."""
    taint: str
    """A pronounceable word that stands nowhere else in the town."""

    @property
    def name(self) -> str:
        return f"{self.given} {self.family}"


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A place where some residents talk. `members` are indices; a pair has no name."""

    key: str
    source: str
    members: tuple[int, ...]
    name: str = ""
    circle: int
    number: int
    """The id that the platform gave it."""


class Circle(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    name: str
    source: str
    members: tuple[int, ...]


class Town(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    residents: list[Resident]
    circles: list[Circle]
    conversations: list[Conversation]

    def friends(self, index: int) -> list[int]:
        """Everybody who shares a circle with resident `index`, ascending."""
        mates = {m for c in self.circles if index in c.members for m in c.members}
        return sorted(mates - {index})


def settle(people: int, seed: int) -> Town:
    """The town of `people` residents: names, circles of about six, pairs of friends who write to each
    other."""
    book = data("people")
    count = max(1, min(4, people // 3), people // 6)
    residents: list[Resident] = []
    taken: set[str] = set()
    for index in range(people):
        twin = residents[2 + count] if people >= 11 and count >= 3 and index == 2 + 2 * count else None
        residents.append(_resident(index, seed, book, taken, twin, odd=index % count % 2 == 1))
    names = Counter(r.name for r in residents)
    residents = [replace(r, namesake=True) if names[r.name] > 1 else r for r in residents]
    circles = _circles(people, count, seed, book)
    return Town(seed=seed, residents=residents, circles=circles, conversations=_conversations(circles, seed))


def _resident(
    index: int, seed: int, book: Any, taken: set[str], twin: Resident | None, odd: bool
) -> Resident:
    rng = draw(seed, "resident", index)
    if index < 12:
        language = FOREIGN[index // 2 % 6] if odd else "en"
    else:
        language = rng.choice(FOREIGN) if rng.random() < 0.3 else "en"
    names = book["names"][language]
    given, family = rng.choice(names["given"]), rng.choice(names["family"])
    for _ in range(20):
        if slug(f"{given} {family}") not in taken:
            break
        given, family = rng.choice(names["given"]), rng.choice(names["family"])
    if twin:
        language, given, family = twin.language, twin.given, twin.family
    plain = slug(f"{given} {family}")
    unique = plain if plain not in taken else f"{plain}-{index}"
    taken.update((plain, unique))
    local = rng.choice(
        [
            unique.replace("-", "."),
            unique.replace("-", "_"),
            f"{slug(given)}{index + 1}" if index else slug(given),
        ]
    )
    if plain != unique:
        local = unique.replace("-", ".")
    voice = Voice(
        lower=rng.random() < 0.3,
        dots=rng.random() < 0.65,
        emoji=rng.choice([0.0, 0.04, 0.1, 0.25]),
        favourites=tuple(rng.sample(book["emoji"], 3)),
        burst=rng.choice([0.1, 0.3, 0.6]),
        typos=rng.choice([0.0, 0.0, 0.02, 0.05]),
        signs=rng.random() < 0.5,
    )
    return Resident(
        index=index,
        id=unique,
        given=given,
        family=family,
        language=language,
        address=f"{local}@{rng.choice(book['mail_domains'])}"
        if index < 500 or plain != unique
        else f"{local}.{index}@{rng.choice(book['mail_domains'])}",
        tel=_telephone(index, language),
        telegram=700_000_000 + index * 7919 + rng.randrange(7919),
        client=rng.choice(("gmail", "gmail", "apple", "thunderbird", "outlook")),
        phone="android" if index == 0 or rng.random() < 0.6 else "ios",
        voice=voice,
        job=rng.choice(book["jobs"]),
        home=f"{rng.randrange(1, 90)} {rng.choice(book['streets'])}, {rng.choice(book['towns'])}",
        taint=_taint(index, seed),
    )


def _telephone(index: int, language: str) -> str | None:
    if language == "de" and index < 1000:
        return f"+493023125{index:03d}"
    if language == "fr" and index < 10000:
        return f"+3363998{index:04d}"
    if language != "en" or index % 3 == 1:
        area = (202, 312, 415, 503, 617, 704, 808, 907)
        block = index // 100
        return f"+1{area[block]}55501{index % 100:02d}" if block < len(area) else None
    return f"+447700900{index:03d}" if index < 1000 else None


def spoken(tel: str) -> str:
    """A number as people and telephones write it: +44 7700 900123."""
    if tel.startswith("+44"):
        return f"+44 {tel[3:7]} {tel[7:]}"
    if tel.startswith("+49"):
        return f"+49 {tel[3:5]} {tel[5:]}"
    if tel.startswith("+33"):
        return f"+33 {tel[3]} " + " ".join(tel[i : i + 2] for i in range(4, 12, 2))
    return f"+1 ({tel[2:5]}) {tel[5:8]}-{tel[8:]}"


def _taint(index: int, seed: int) -> str:
    """Ten letters, consonant and vowel in turn; the index is in it in a mixed base, so two never meet. All
    have one length, so none stands inside another; `zy` begins no word of the phrase books."""
    consonants, vowels = "bdfgklmnprstv", "aeiou"
    number = (index * 48_271 + seed * 7 + 11) % (65**4)
    letters = ""
    for _ in range(4):
        number, rest = divmod(number, 65)
        letters += consonants[rest // 5] + vowels[rest % 5]
    return "zy" + letters


def slug(text: str) -> str:
    """`text` as a lower-case ASCII word with hyphens: Łucja Świerkoń → lucja-swierkon."""
    text = text.replace("ł", "l").replace("Ł", "L").replace("ß", "ss")
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "-".join("".join(c if c.isalnum() else " " for c in plain.lower()).split())


def _circles(people: int, count: int, seed: int, book: Any) -> list[Circle]:
    members: list[set[int]] = [set() for _ in range(count)]
    for index in range(people):
        members[index % count].add(index)
    for index in range(1, people):
        rng = draw(seed, "second circle", index)
        if count > 1 and rng.random() < 0.35:
            members[rng.randrange(count)].add(index)
    for extra in range(1, min(4, count)):
        members[extra].add(0)
    for far in range(4, count):
        members[far].discard(0)
    names = book["circles"]
    return [
        Circle(
            id=c,
            name=names[c % len(names)] + (f" {c // len(names) + 1}" if c >= len(names) else ""),
            source=SOURCES[c % 4],
            members=tuple(sorted(m)),
        )
        for c, m in enumerate(members)
    ]


def _conversations(circles: list[Circle], seed: int) -> list[Conversation]:
    made: list[Conversation] = []

    def add(source: str, members: tuple[int, ...], circle: int, name: str = "") -> None:
        rng = draw(seed, "conversation", len(made))
        number = rng.randrange(1_000_000_000, 9_999_999_999)
        made.append(
            Conversation(
                key=f"c{len(made)}", source=source, members=members, name=name, circle=circle, number=number
            )
        )

    for circle in circles:
        if len(circle.members) > 1:
            add(circle.source, circle.members, circle.id, circle.name)
    met: set[tuple[int, int]] = set()
    for circle in circles:
        pairs = [(a, b) for i, a in enumerate(circle.members) for b in circle.members[i + 1 :]]
        for place, (a, b) in enumerate(pairs):
            rng = draw(seed, "pair", a, b)
            if (a, b) in met or (a != 0 and rng.random() > 0.45):
                continue
            met.add((a, b))
            if a == 0:
                choices = ["telegram", "mail", "messenger"]
                sources = [choices[(place + circle.id) % 3]]
                if rng.random() < 0.4:
                    sources.append(choices[(place + circle.id + 1) % 3])
            else:
                sources = rng.sample(
                    ["whatsapp", "telegram", "messenger", "mail", "instagram"], 1 if rng.random() < 0.7 else 2
                )
            for source in sources:
                add(source, (a, b), circle.id)
    return made


def seen_as(town: Town, viewer: int, other: int) -> str:
    """The name under which `viewer`'s telephone has saved `other`; the number itself where it has not."""
    them = town.residents[other]
    if viewer == other:
        return them.name
    rng = draw(town.seed, "contact", viewer, other)
    roll = rng.random()
    if roll < 0.12 and them.tel:
        return spoken(them.tel)
    if them.namesake:
        return f"{them.name} ({rng.choice(['choir', 'work', 'canal', 'old flat'])} {other})"
    if roll < 0.3:
        return (
            f"{them.given} {rng.choice(['(work)', '🌻', 'Neighbour', them.family[0] + '.', '(new number)'])}"
        )
    return them.name


def title_for(town: Town, talk: Conversation, viewer: int) -> str:
    """What the conversation is called in `viewer`'s export."""
    if talk.name:
        return talk.name
    other = next(m for m in talk.members if m != viewer)
    return seen_as(town, viewer, other) if talk.source == "whatsapp" else town.residents[other].name


def thread_slug(town: Town, talk: Conversation, viewer: int) -> str:
    """Meta's folder of a conversation: the name squeezed to letters, and an id."""
    squeezed = slug(title_for(town, talk, viewer)).replace("-", "")
    return f"{squeezed}_{talk.number}"


def handle(town: Town, talk: Conversation, viewer: int, member: int) -> Handle | None:
    """The handle of `member` in `viewer`'s export of `talk` (consent.md, "Identity"); None where one name
    stands for two people."""
    them = town.residents[member]
    if talk.source == "mail":
        return f"mail:{them.address}"
    if talk.source == "telegram":
        return f"telegram:user{them.telegram}"
    if talk.source == "whatsapp":
        name = seen_as(town, viewer, member)
        return (
            f"tel:{them.tel}" if name.startswith("+") else f"whatsapp:{title_for(town, talk, viewer)}/{name}"
        )
    if sum(town.residents[m].name == them.name for m in talk.members) > 1:
        return None
    return f"{talk.source}:{thread_slug(town, talk, viewer)}/{them.name}"


def local(resident: Resident, at: Ms) -> datetime:
    """`at` on the clock of `resident`: London for those who write English, else Berlin time, with the summer
    time rule of the European Union (last Sundays of March and October, 01:00 UTC)."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    hours = (0 if resident.language in ("en", "pt") else 1) + _summer(moment)
    return moment + timedelta(hours=hours)


def offset(resident: Resident, at: Ms) -> timedelta:
    """Distance of `local` from UTC."""
    return local(resident, at) - datetime.fromtimestamp(at / 1000, UTC)


def zone(resident: Resident) -> str:
    """IANA name of the clock that `local` keeps."""
    return (
        "Europe/London"
        if resident.language == "en"
        else ("Europe/Lisbon" if resident.language == "pt" else "Europe/Berlin")
    )


def _summer(moment: datetime) -> int:
    def last_sunday(month: int) -> datetime:
        end = datetime(moment.year, month, 31, 1, tzinfo=UTC)
        return end - timedelta(days=(end.weekday() + 1) % 7)

    return int(last_sunday(3) <= moment < last_sunday(10))
