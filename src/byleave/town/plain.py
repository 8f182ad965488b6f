"""One huge inbox for the benches: a pool of lines from the phrase books, written as fast as a disk takes
them.

Nothing here is true of anybody: no opinions, no choices but the usual fifth. The forms are those of the rich
town (its importers must read both); text is drawn from a pool, so a bench measures reading, not the variety
of talk. Written in chunks: memory does not grow with the number of messages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from byleave.errors import Code, Refused
from byleave.model import Ms
from byleave.town import choices
from byleave.town.chats import mojibake
from byleave.town.films import Cinema, catalogue, tastes
from byleave.town.people import Resident, Town, draw, settle
from byleave.town.talk import Talker
from byleave.town.world import TWO_YEARS, Built, Plan, checked

CHUNK = 5_000
POOL = 4_000
FORMATS = ("telegram", "whatsapp", "messenger", "mbox")


def build(
    plan: Plan,
    out: Path,
    count: int,
    form: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Built:
    """`count` messages between resident 0 and the rest, as one export in `form`. Raises Refused."""
    until = checked(plan, out)
    if form not in FORMATS:
        raise Refused(
            Code.INVALID_ARGUMENTS,
            "town",
            "--inbox-format",
            "there is no such form",
            "choose " + ", ".join(FORMATS),
        )
    if not 1 <= count <= 20_000_000:
        raise Refused(
            Code.INVALID_ARGUMENTS,
            "town",
            "--inbox-messages",
            "this many cannot be made",
            "choose 1 to 20000000",
        )
    town = settle(plan.people, plan.seed)
    owner = town.residents[0]
    folder = out / owner.id
    folder.mkdir(parents=True)
    pool = _pool(town, plan, until)
    writer = {"telegram": _telegram, "whatsapp": _whatsapp, "messenger": _messenger, "mbox": _mbox}[form]
    flow = _flow(town, plan, pool, count, until, backwards=form == "messenger")
    path = writer(folder, town.residents, pool, _watched(flow, count, progress))
    me = {
        "telegram": f"telegram:user{owner.telegram}",
        "whatsapp": f"whatsapp:The Town/{owner.name}",
        "messenger": f"messenger:thetown_1/{owner.name}",
        "mbox": f"mail:{owner.address}",
    }[form]
    source = "mail" if form == "mbox" else form
    people = [
        {
            "id": r.id,
            "name": r.name,
            "handles": [
                {
                    "telegram": f"telegram:user{r.telegram}",
                    "whatsapp": f"whatsapp:The Town/{r.name} {r.index}",
                    "messenger": f"messenger:thetown_1/{r.name} {r.index}",
                    "mbox": f"mail:{r.address}",
                }[form]
                if r.index
                else me
            ],
        }
        for r in town.residents
    ]
    acts = [
        {
            "at": choices.moment(c.at),
            "person": town.residents[c.resident].id,
            "level": c.level.word,
            "purpose": c.purpose,
            "partner": c.partner,
            "conversation": c.conversation,
            "handles": people[c.resident]["handles"],
        }
        for c in choices.choose(town, until)
    ]
    document = {
        "town": {"people": plan.people, "seed": plan.seed, "until": plan.until, "owner": owner.id},
        "people": people,
        "choices": acts,
        "inboxes": {
            owner.id: {
                "me": [me],
                "messages": count,
                "exports": [
                    {
                        "path": path.relative_to(out).as_posix(),
                        "source": source,
                        "messages": count,
                        "conversations": 1,
                    }
                ],
            }
        },
    }
    (out / "world.json").write_text(
        json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8", newline="\n"
    )
    return Built(people=plan.people, inboxes=1, messages=count, files=2)


def _pool(town: Town, plan: Plan, until: Ms) -> list[str]:
    """Some thousand lines out of the town's own group chats."""
    films = catalogue(plan.seed)
    talker = Talker(
        town,
        Cinema(films=films, opinions=tastes(town, films)),
        begin=until - TWO_YEARS,
        until=until,
        quotes=0.0,
        taints=False,
    )
    lines: list[str] = []
    for talk in town.conversations:
        if talk.source != "mail":
            lines += [s.text for s in talker.converse(talk, 400) if not s.deleted]
        if len(lines) >= POOL:
            break
    return lines[:POOL] or ["Hello."]


def _flow(
    town: Town, plan: Plan, pool: list[str], count: int, until: Ms, backwards: bool
) -> Iterator[list[tuple[int, int, Ms]]]:
    """Chunks of (author, line in the pool, time), spread evenly over the two years."""
    rng: Random = draw(plan.seed, "plain")
    people, size = len(town.residents), len(pool)
    step = (TWO_YEARS - choices.DAY) / count
    begin = until - TWO_YEARS
    random = rng.random
    for start in range(0, count, CHUNK):
        numbers = range(start, min(start + CHUNK, count))
        # Few write much, as in real inboxes: the square makes low indices likelier.
        yield [
            (
                int(random() ** 2 * people),
                int(random() * size),
                begin + int((count - 1 - n if backwards else n) * step) // 1000 * 1000,
            )
            for n in numbers
        ]


def _watched(
    flow: Iterator[list[tuple[int, int, Ms]]], count: int, progress: Callable[[int, int], None]
) -> Iterator[list[tuple[int, int, Ms]]]:
    done = 0
    for chunk in flow:
        yield chunk
        done += len(chunk)
        progress(done, count)


def _names(residents: list[Resident]) -> list[str]:
    """One name each: a huge conversation cannot do with two people of one name."""
    return [r.name if r.index == 0 else f"{r.name} {r.index}" for r in residents]


def _telegram(
    folder: Path, residents: list[Resident], pool: list[str], flow: Iterator[list[tuple[int, int, Ms]]]
) -> Path:
    path = folder / "result.json"
    dump = json.dumps
    texts = [
        f'      "text": {dump(t, ensure_ascii=False)},\n      "text_entities": [\n       {{\n'
        f'        "type": "plain",'
        f'\n        "text": {dump(t, ensure_ascii=False)}\n       }}\n      ]\n     }}'
        for t in pool
    ]
    people = [
        f'      "from": {dump(r.name, ensure_ascii=False)},\n      "from_id": "user{r.telegram}",\n'
        for r in residents
    ]
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.write(
            '{\n "about": "Here is the data you requested.",\n "chats": {\n'
            '  "about": "This page lists all chats from this export.",\n'
            '  "list": [\n   {\n    "name": "The Town",\n'
            '    "type": "private_supergroup",\n'
            '    "id": 1000000001,\n    "messages": [\n'
        )
        number = 0
        clock = _Clock("%Y-%m-%dT%H:%M:%S")
        for chunk in flow:
            rows = []
            for author, line, at in chunk:
                number += 1
                rows.append(
                    f'     {{\n      "id": {number},\n      "type": "message",\n'
                    f'      "date": "{clock.at(at)}",\n'
                    f'      "date_unixtime": "{at // 1000}",\n{people[author]}{texts[line]}'
                )
            out.write((",\n" if number > len(chunk) else "") + ",\n".join(rows))
        out.write("\n    ]\n   }\n  ]\n }\n}\n")
    return path


def _whatsapp(
    folder: Path, residents: list[Resident], pool: list[str], flow: Iterator[list[tuple[int, int, Ms]]]
) -> Path:
    path = folder / "WhatsApp Chat with The Town.txt"
    names = _names(residents)
    clock = _Clock("%d/%m/%Y, %H:%M")
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for chunk in flow:
            out.write(
                "".join([f"{clock.at(at)} - {names[author]}: {pool[line]}\n" for author, line, at in chunk])
            )
    return path


def _messenger(
    folder: Path, residents: list[Resident], pool: list[str], flow: Iterator[list[tuple[int, int, Ms]]]
) -> Path:
    root = folder / "messenger"
    inside = root / "your_facebook_activity" / "messages" / "inbox" / "thetown_1"
    inside.mkdir(parents=True)
    names = _names(residents)
    head = json.dumps({"participants": [{"name": mojibake(n)} for n in names]}, indent=2)[:-2]
    people = [
        f'    {{\n      "sender_name": {json.dumps(mojibake(n))},\n      "timestamp_ms": ' for n in names
    ]
    texts = [
        f',\n      "content": {json.dumps(mojibake(t))},\n      "is_geoblocked_for_viewer": false\n    }}'
        for t in pool
    ]
    page: list[str] = []
    number = 0

    def flush() -> None:
        nonlocal number, page
        number += 1
        tail = (
            '\n  ],\n  "title": "The Town",\n  "is_still_participant": true,\n'
            '  "thread_path": "inbox/thetown_1",\n'
            '  "magic_words": []\n}'
        )
        (inside / f"message_{number}.json").write_text(
            head + ',\n  "messages": [\n' + ",\n".join(page) + tail, encoding="ascii", newline="\n"
        )
        page = []

    for chunk in flow:
        page += [f"{people[author]}{at}{texts[line]}" for author, line, at in chunk]
        if len(page) >= 10_000:
            flush()
    if page:
        flush()
    return root


def _mbox(
    folder: Path, residents: list[Resident], pool: list[str], flow: Iterator[list[tuple[int, int, Ms]]]
) -> Path:
    """Single-part UTF-8 mails of 1 to 3 kB, a third of them replies that quote the line before."""
    path = folder / "mail.mbox"
    owner = residents[0]
    lines = [t.encode() for t in pool]
    heads = [
        f"From: {_encoded(r.name)} <{r.address}>\nTo: {_encoded(owner.name)} <{owner.address}>\n".encode()
        for r in residents
    ]
    domains = [r.address.split("@")[1] for r in residents]
    envelope, date = _Clock("%a %b %d %H:%M:%S %Y"), _Clock("%a, %d %b %Y %H:%M:%S +0000")
    number, last, last_id, last_at = 0, 0, "", 0
    with path.open("wb") as out:
        for chunk in flow:
            parts: list[bytes] = []
            for author, line, at in chunk:
                number += 1
                message_id = f"<plain.{number}@{domains[author]}>"
                parts.append(
                    f"From {residents[author].address} {envelope.at(at)}\nMessage-ID: {message_id}\n"
                    f"Date: {date.at(at)}\n".encode()
                )
                parts.append(heads[author])
                if number % 3 == 0:
                    parts.append(
                        f"Subject: Re: Letter {number - 1}\nIn-Reply-To: {last_id}\n"
                        f"References: {last_id}\n".encode()
                    )
                else:
                    parts.append(f"Subject: Letter {number}\n".encode())
                parts.append(
                    b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
                    b"Content-Transfer-Encoding: 8bit\n\n"
                )
                size = len(lines)
                parts += [lines[(line + k * 7) % size] + b"\n\n" for k in range(8 + line % 24)]
                if number % 3 == 0:
                    when = datetime.fromtimestamp(last_at / 1000, UTC)
                    parts.append(
                        f"On {when:%a, %b %d, %Y at %H:%M} someone wrote:\n> ".encode() + lines[last] + b"\n"
                    )
                parts.append(b"\n")
                last, last_id, last_at = line, message_id, at
            out.write(b"".join(parts))
    return path


def _encoded(name: str) -> str:
    from email.header import Header

    return name if name.isascii() else Header(name, "utf-8").encode()


class _Clock:
    """strftime in UTC that remembers its last answer: neighbours in a huge inbox often share a second."""

    def __init__(self, form: str) -> None:
        self.form, self.last, self.text = form, -1, ""

    def at(self, at: Ms) -> str:
        if at != self.last:
            self.last, self.text = at, datetime.fromtimestamp(at // 1000, UTC).strftime(self.form)
        return self.text
