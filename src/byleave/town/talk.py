"""What is said: threads of small talk, composed from phrase books, each line in its author's voice.

A thread is a topic (a dinner, a lost umbrella, a film) with turns. Slots like {day} hold for the whole
thread, so that it makes sense from end to end; [this|that] is drawn afresh. Two speakers take turns, a third
joins where the conversation has one. Films come with the stance that the speaker really has
(`films.tastes`), and each such naming is kept as ground truth. Quotes and forwards carry words that somebody
else in the town wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec

from byleave.model import Ms
from byleave.town.films import STANCES, Cinema, spoken_title
from byleave.town.people import Conversation, Resident, Town, data, draw, spoken

MINUTE: Ms = 60_000
HOUR: Ms = 60 * MINUTE
ALTERNATIVE = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{(\w+)\}")
SENTENCE = re.compile(r"(?<=[a-zà-ż0-9][.!?] )[a-zà-ż]")
"""The first letter of a sentence behind another."""
BRANCH = re.compile(r"(\d+): ")
"""Before a phrase: the openings (counted from 1) that it answers; for films the stances in the order of
STANCES."""


class Mention(msgspec.Struct, frozen=True):
    """A film named, and what its author thinks of it."""

    film: int
    stance: str
    said: str
    """As typed; "" where the film is meant and not named."""


class Forward(msgspec.Struct, frozen=True):
    """Somebody else's words, passed on."""

    author: int
    text: str
    at: Ms
    subject: str = ""


class Said(msgspec.Struct, kw_only=True):
    """One message, as true for everybody who got it. `number` is its place in the conversation from 1 on."""

    author: int
    text: str
    """Their own words, without what they quote."""
    number: int = 0
    at: Ms = 0
    language: str = "en"
    subject: str = ""
    reply_to: Said | None = None
    quotes: bool = False
    """Whether the words of `reply_to` stand in this message too."""
    forward: Forward | None = None
    edited_at: Ms | None = None
    deleted: bool = False
    attachment: str = ""
    reactions: list[tuple[str, int, Ms]] = []
    mentions: list[Mention] = []
    thread: int = 0


class Talker:
    """Makes the conversations of one town, one after the other; remembers what was said, so as not to say it
    again, and who heard what, so that it can be passed on."""

    def __init__(
        self, town: Town, cinema: Cinema, *, begin: Ms, until: Ms, quotes: float, taints: bool
    ) -> None:
        self.town, self.cinema = town, cinema
        self.begin, self.until, self.quotes, self.taints = begin, until, quotes, taints
        self.books: dict[str, Any] = {"en": data("en"), **data("others")}
        self.people = data("people")
        self.used: set[str] = set()
        self.heard: list[list[Forward]] = [[] for _ in town.residents]
        titles = [f.title for f in cinema.films]
        self.remade = {t for t in titles if titles.count(t) > 1}

    def converse(self, talk: Conversation, quota: int) -> list[Said]:
        """`quota` messages of one conversation, in order of time."""
        rng = draw(self.town.seed, "talk", talk.key)
        forwards = sum(rng.random() < self.forwarding(talk.source) for _ in range(quota))
        threads: list[list[Said]] = []
        total = 0
        topics = _deck(rng, self.books)
        while total < quota - forwards:
            thread = list(self._thread(talk, rng, topics, len(threads)))[: quota - forwards - total]
            threads.append(thread)
            total += len(thread)
        self._time(talk, threads, rng)
        lines = [s for thread in threads for s in thread]
        self._pass_on(talk, lines, forwards, rng)
        for number, said in enumerate(lines, 1):
            said.number = number
        self._season(talk, lines, rng)
        self._listen(talk, lines, rng)
        return lines

    def forwarding(self, source: str) -> float:
        return self.quotes * {"mail": 0.25, "telegram": 0.6}.get(source, 0.0)

    # threads

    def _thread(
        self, talk: Conversation, rng: Random, topics: dict[str, Iterator[str]], number: int
    ) -> Iterator[Said]:
        cast = list(talk.members)
        rng.shuffle(cast)
        cast = cast[:3] if len(cast) > 2 else cast * 2
        if len(talk.members) == 2:
            cast = cast[:2]
        language = self._language(cast, rng)
        book = self.books[language]
        slots = Slots(self, book, cast, rng, talk.members)
        if rng.random() < (0.5 if talk.name == "Friday Films" else 0.27):
            lines = self._film_turns(cast, book, slots, rng, talk)
            subject = rng.choice(book["film"]["subject"])
        else:
            topic = book["topics"][next(topics[language])]
            lines = self._turns(topic["turns"], cast, slots, rng, talk.source == "mail")
            subject = rng.choice(topic["subject"])
        if "{title}" in subject:
            subject = slots.fill(subject) if "title" in slots.bound else "Film night"
        subject = slots.fill(subject)
        subject = subject[0].upper() + subject[1:]
        last: Said | None = None
        for author, text, mentions in lines:
            for piece in self._voiced(author, text, talk.source, rng):
                said = Said(author=author, text=piece, language=language, thread=number, reply_to=last)
                said.mentions, mentions = _found(mentions, piece)
                if talk.source == "mail":
                    self._letter(said, cast, talk, subject, book, rng)
                    said.quotes = last is not None and rng.random() < max(0.8, self.quotes)
                elif last is not None and last.author != author and len(last.text) > 15:
                    share = self.quotes - self.forwarding(talk.source)
                    said.quotes = rng.random() < share * (1.7 if self.quotes > 0.15 else 0.5)
                if said.reply_to is not None and said.reply_to.author == author and talk.source != "mail":
                    said.reply_to = None
                yield said
                last = said

    def _language(self, cast: list[int], rng: Random) -> str:
        """English, or now and then the tongue of one of two who write to each other."""
        tongues = {self.town.residents[i].language for i in cast} - {"en"}
        if not tongues or len(set(cast)) > 2:
            return "en"
        both = all(self.town.residents[i].language in tongues for i in cast) and len(tongues) == 1
        return rng.choice(sorted(tongues)) if rng.random() < (0.85 if both else 0.3) else "en"

    def _turns(
        self, turns: list[list[str]], cast: list[int], slots: Slots, rng: Random, mail: bool
    ) -> Iterator[tuple[int, str, list[Mention]]]:
        branch = 0
        for role, *phrases in turns:
            optional, who = role.endswith("?"), role[0]
            if (optional and rng.random() < 0.45) or (who == "c" and len(set(cast)) < 3):
                continue
            if branch and rng.random() < 0.08 and not mail:
                yield (
                    cast["ba".index(who)] if who in "ab" else cast[0],
                    slots.fill(rng.choice(slots.book["filler"])),
                    [],
                )
            fitting = _answering(phrases, branch)
            if not fitting:
                continue
            author = cast["abc".index(who)]
            if not branch:
                branch = 1 + rng.randrange(len(phrases))
                fitting = [phrases[branch - 1]]
            yield author, slots.phrase(fitting, author), []

    def _film_turns(
        self, cast: list[int], book: Any, slots: Slots, rng: Random, talk: Conversation
    ) -> Iterator[tuple[int, str, list[Mention]]]:
        words = book["film"]
        a, b = cast[0], cast[1]
        film = self._topic_film(a, b, rng)
        slots.film(film, rng)
        branch = 0
        for place, author in enumerate(
            [a, b, *([cast[2]] if len(set(cast)) > 2 and rng.random() < 0.6 else [])]
        ):
            stance = self.cinema.opinions[author].get(film, "neutral")
            if place == 0:
                branch = 1 + STANCES.index(stance)
            phrases = words["open"][stance] if place == 0 else _answering(words["reply"][stance], branch)
            slots.film(film, rng)
            text = slots.phrase(phrases, author)
            yield (
                author,
                text,
                [Mention(film, stance, slots.bound["title"] if slots.bound["title"] in text else "")],
            )
        second = words.get("second")
        for author in (a, b, a)[: rng.randrange(1, 4)]:
            if second and rng.random() < 0.35:
                other = rng.choice(sorted(self.cinema.opinions[author]))
                stance = self.cinema.opinions[author][other]
                slots.film(other, rng)
                text = slots.phrase(second[stance], author)
                yield author, text, [Mention(other, stance, slots.bound["title"])]
            else:
                yield author, slots.phrase(_answering(words["follow"], branch), author), []

    def _topic_film(self, a: int, b: int, rng: Random) -> int:
        mine, theirs = self.cinema.opinions[a], self.cinema.opinions[b]
        both = sorted(mine.keys() & theirs.keys())
        return rng.choice(both) if both and rng.random() < 0.6 else rng.choice(sorted(mine))

    def _voiced(self, author: int, text: str, source: str, rng: Random) -> Iterator[str]:
        """`text` as this person types it, as one message or as two."""
        who = self.town.residents[author]
        pieces = [text]
        if source != "mail" and len(text) > 30 and rng.random() < who.voice.burst:
            pieces = re.split(r"(?<=[.!?]) (?=[A-ZÀ-Ż])", text, maxsplit=1)
        for piece in pieces:
            yield self._voice(who, piece, source, rng)

    def _voice(self, who: Resident, text: str, source: str, rng: Random) -> str:
        voice = who.voice
        if source != "mail":
            if voice.lower and not text.startswith(("I ", "I'")):
                text = text[:1].lower() + text[1:]
            if not voice.dots and text.endswith(".") and not text.endswith(".."):
                text = text[:-1]
            if rng.random() < voice.emoji:
                text = f"{text} {rng.choice(voice.favourites)}"
            if rng.random() < voice.typos and len(text) > 20:
                spot = rng.randrange(8, len(text) - 2)
                if text[spot : spot + 2].islower() and "://" not in text and "@" not in text:
                    text = text[:spot] + text[spot + 1] + text[spot] + text[spot + 2 :]
        if self.taints:
            text = f"{text} {who.taint}"
        return text

    def _letter(
        self, said: Said, cast: list[int], talk: Conversation, subject: str, book: Any, rng: Random
    ) -> None:
        """Turns a line into a mail: subject, salutation, a second sentence, a close."""
        who = self.town.residents[said.author]
        other = next((i for i in cast if i != said.author), cast[0])
        named = self.town.residents[other].given
        first = said.reply_to is None
        said.subject = subject if first else ""
        if first and self.taints:
            said.subject = f"{subject} {who.taint}"
        greet = self.books["en"]["greet_all"] if len(talk.members) > 2 and first else book["greet"]
        parts = []
        if first or rng.random() < 0.55:
            parts.append(rng.choice(greet).replace("{b}", named))
        parts.append(said.text)
        if first or rng.random() < 0.3:
            parts[-1] += " " + Slots(self, book, [said.author, other], rng).aside(said.language)
        if first or rng.random() < 0.7:
            parts.append(f"{rng.choice(book['bye'])}\n{who.given}")
        if who.voice.signs and first:
            parts.append(f"-- \n{who.name}\n{who.job}" + (f"\n{spoken(who.tel)}" if who.tel else ""))
        said.text = "\n\n".join(parts)

    # time, forwards, and what happens to messages later

    def _time(self, talk: Conversation, threads: list[list[Said]], rng: Random) -> None:
        span = self.until - self.begin - 12 * HOUR
        now = self.begin
        for place, thread in enumerate(threads):
            start = self.begin + int(span * (place + rng.random()) / len(threads))
            start = start - start % (24 * HOUR) + int(rng.triangular(7, 22.5, 19) * HOUR)
            now = max(now + 20 * MINUTE, start)
            for said in thread:
                said.at = now
                if talk.source == "mail":
                    now += int(rng.lognormvariate(0, 1.2) * 3 * HOUR) + MINUTE
                    if datetime.fromtimestamp(now / 1000, UTC).hour < 6:
                        now += 8 * HOUR
                else:
                    now += int(rng.lognormvariate(0, 1.3) * 90_000) + 4_000
        late = threads[-1][-1].at if threads else 0
        if late >= self.until - HOUR:
            for said in (s for t in threads for s in t):
                said.at = self.begin + (said.at - self.begin) * span // (late - self.begin)

    def _pass_on(self, talk: Conversation, lines: list[Said], count: int, rng: Random) -> None:
        """Puts `count` forwards behind messages of those who pass on."""
        for _ in range(count):
            place = rng.randrange(len(lines)) if lines else 0
            before = lines[place] if lines else None
            author = before.author if before else talk.members[0]
            at = (before.at if before else self.begin) + rng.randrange(5_000, 50_000)
            if place + 1 < len(lines):
                at = min(at, lines[place + 1].at - 1)
            pool = [f for f in self.heard[author] if f.at < at]
            forward = rng.choice(pool) if pool else self._hearsay(author, at, rng)
            text = ""
            if talk.source == "mail":
                who = self.town.residents[author]
                text = rng.choice(
                    [
                        "FYI",
                        "See below.",
                        "This is the one I meant.",
                        "For you:",
                        "Made me smile.",
                        "Does this work for us?",
                    ]
                )
                text = f"{text} {who.taint}" if self.taints else text
            said = Said(
                author=author, text=text, at=at, forward=forward, thread=before.thread if before else 0
            )
            if talk.source == "mail":
                said.subject = f"Fwd: {forward.subject or 'Plans'}"
            lines.insert(place + 1 if before else 0, said)

    def _hearsay(self, author: int, at: Ms, rng: Random) -> Forward:
        """Words of a friend that stand in no inbox of the town: said before the two years began, or
        elsewhere."""
        friends = self.town.friends(author) or [author]
        friend = rng.choice(friends)
        book = self.books["en"]
        slots = Slots(self, book, [friend, author], rng)
        topic = book["topics"][rng.choice(sorted(book["topics"]))]
        text = self._voice(
            self.town.residents[friend], slots.phrase(topic["turns"][0][1:], friend), "chat", rng
        )
        return Forward(
            friend, text, at - rng.randrange(HOUR, 72 * HOUR), slots.fill(rng.choice(topic["subject"]))
        )

    def _season(self, talk: Conversation, lines: list[Said], rng: Random) -> None:
        for said in lines:
            roll = rng.random()
            if said.forward is not None:
                continue
            if roll < 0.035 and not (talk.source == "whatsapp" and said.mentions):
                # WhatsApp shows a file in place of the words: what is said of films shall stay readable.
                pattern = rng.choice(self.people["files"])
                day = datetime.fromtimestamp(said.at / 1000, UTC)
                said.attachment = pattern.replace("{n}", str(rng.randrange(100, 9999))).replace(
                    "{d}", day.strftime("%d-%m-%Y")
                )
            if talk.source == "mail":
                continue
            if 0.04 < roll < 0.06:
                said.edited_at = said.at + rng.randrange(8_000, 10 * MINUTE)
            elif 0.06 < roll < 0.068 and not said.mentions:
                said.deleted, said.attachment = True, ""
            if rng.random() < 0.12:
                others = [m for m in talk.members if m != said.author]
                for actor in rng.sample(others, min(len(others), rng.choice([1, 1, 1, 2]))):
                    emoji = rng.choice((*self.town.residents[actor].voice.favourites, "❤", "👍", "😂"))
                    said.reactions = [*said.reactions, (emoji, actor, said.at + rng.randrange(3_000, HOUR))]

    def _listen(self, talk: Conversation, lines: list[Said], rng: Random) -> None:
        own = [s for s in lines if s.forward is None and not s.deleted and len(s.text) > 25]
        for said in rng.sample(own, min(len(own), 12)):
            for member in talk.members:
                if member != said.author:
                    self.heard[member].append(Forward(said.author, said.text, said.at, said.subject))


def _answering(phrases: list[str], branch: int) -> list[str]:
    """Those of `phrases` that answer this opening, without their marks; all where nothing was opened yet."""
    fitting = []
    for phrase in phrases:
        mark = BRANCH.match(phrase)
        if mark is None or str(branch) in mark[1]:
            fitting.append(phrase[mark.end() :] if mark else phrase)
    return fitting


def _found(mentions: list[Mention], piece: str) -> tuple[list[Mention], list[Mention]]:
    """(mentions in this piece of a line, with the words as they were typed; those that wait for the next
    piece)."""
    here, later = [], []
    for mention in mentions:
        place = piece.lower().find(mention.said.lower())
        if place < 0:
            later.append(mention)
        else:
            here.append(Mention(mention.film, mention.stance, piece[place : place + len(mention.said)]))
    return here, later


class Slots:
    """The words that hold for one thread, and the way from a phrase to a line."""

    def __init__(
        self, talker: Talker, book: Any, cast: list[int], rng: Random, present: tuple[int, ...] = ()
    ) -> None:
        self.talker, self.book, self.rng = talker, book, rng
        self.cast = cast
        residents = talker.town.residents
        a, b = residents[cast[0]], residents[cast[1 % len(cast)]]
        friends = talker.town.friends(cast[0])
        others = [f for f in friends if f not in present and f not in cast] or friends or [cast[0]]
        friend = residents[rng.choice(others)]
        number = rng.randrange(1000)
        self.bound: dict[str, str] = {
            "a": a.given,
            "b": b.given,
            "friend": friend.given,
            "email": friend.address,
            "address": friend.home,
            "n2": str(rng.randrange(3, 60)),
            "phone": spoken(friend.tel)
            if friend.tel and rng.random() < 0.5
            else spoken(f"+447700900{number:03d}"),
            "n": str(rng.randrange(10_000, 99_999)),
        }

    def film(self, film: int, rng: Random) -> None:
        """Binds {title} to this film as somebody might type it."""
        what = self.talker.cinema.films[film]
        self.bound["title"] = spoken_title(what, what.title in self.talker.remade, rng)

    def phrase(self, phrases: list[str], author: int) -> str:
        """One of `phrases`, filled in; one that the town has not heard yet if there is such a one."""
        me = self.talker.town.residents[author]
        self.bound["myemail"] = me.address
        self.bound["myphone"] = spoken(me.tel or "+447700900000")
        text = ""
        for _ in range(6):
            text = self.fill(self.rng.choice(phrases))
            if len(text) < 12 or text not in self.talker.used:
                break
        self.talker.used.add(text)
        return text

    def aside(self, language: str) -> str:
        """A sentence more, for a mail."""
        topics = self.book["topics"]
        topic = topics[self.rng.choice(sorted(topics))]
        return self.fill(self.rng.choice(topic["turns"][0][1:]))

    def fill(self, text: str) -> str:
        while found := ALTERNATIVE.search(text):
            text = text[: found.start()] + self.rng.choice(found[1].split("|")) + text[found.end() :]
        while found := SLOT.search(text):
            text = text[: found.start()] + self._slot(found[1]) + text[found.end() :]
        text = " ".join(text.split()).replace(" ,", ",")
        return SENTENCE.sub(lambda m: m[0].upper(), text[:1].upper() + text[1:])

    def _slot(self, name: str) -> str:
        if name in ("laugh", "ok", "sorry", "thanks"):
            return str(self.rng.choice(self.book["words"][name]))
        if name not in self.bound:
            self.bound[name] = str(self.rng.choice(self.book["words"][name]))
        return self.bound[name]


def _deck(rng: Random, books: dict[str, Any]) -> dict[str, Iterator[str]]:
    """Per language the topics in shuffled order, again and again: nothing comes back before its turn."""

    def deal(names: list[str]) -> Iterator[str]:
        while True:
            rng.shuffle(names)
            yield from names

    return {language: deal(sorted(book["topics"])) for language, book in books.items()}
