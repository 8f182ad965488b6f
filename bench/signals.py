"""What titles cost: reading an inbox's words for them, and making a grant's signals, in processor time a message.

    python bench/signals.py [MESSAGES [TITLES]]

Invented chat, one message in five about films, in conversations of two; titles are the invented ones and as many made-up
ones as asked. Prints milliseconds of processor time a message on one core, for each step beside the import itself.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tests.worlds import DAY, NOW, World, chat

from byleave.mentioning import Reader, catch_up
from byleave.model import Level
from byleave.tailoring import invented
from byleave.view import known, open_view, rows
from byleave.words.gazetteer import Gazetteer, Title


def talk(count: int, films: list[Title]) -> list[tuple[str, str, str]]:
    """(conversation, sender, text), `count` of them."""
    rng = np.random.default_rng(6)
    about = [list(said) for said in invented.films(films, 1 + count // 60, rng)]
    plain = [
        list(said) for said in invented.ordinary(Gazetteer(films), 1 + count // 12, rng, invented.ORDINARY)
    ]
    out: list[tuple[str, str, str]] = []
    for number, said in enumerate([*about, *plain]):
        out += [(f"c{number}", f"telegram:{line.speaker}{number % 40}", line.text) for line in said]
    return out[:count]


def main(count: int = 20_000, titles: int = 30_000) -> None:
    films = invented.catalogue()
    films += [
        Title(f"x{n}", f"Made Up Evening {n} of {n % 97}", 1950 + n % 75) for n in range(titles - len(films))
    ]
    said = talk(count, invented.catalogue())
    records = [
        chat(text, who, at=NOW - 300 * DAY + n * 60_000, place=place, id=f"m{n}")
        for n, (place, who, text) in enumerate(said)
    ]
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        owner_id = world.owner()
        start = time.process_time()
        world.put(owner_id, records, own=["telegram:p10"])
        imported = time.process_time() - start
        deal = world.agree()
        granted = world.allow(owner_id, level=Level.SIGNALS, agreement_id=deal, partner="streamflix")
        for who in sorted({who for _, who, _ in said}):
            world.choose(who, Level.SIGNALS)
        world.work()
        from byleave import titles as shelf

        start = time.process_time()
        shelf.put(world.store, films, "csv", NOW, world.id(), b"s" * 32)
        shelved = time.process_time() - start
        with world.store.read() as snapshot:
            start = time.process_time()
            Reader(shelf.shelf(snapshot))  # type: ignore[arg-type]
            compiled = time.process_time() - start
        start = time.process_time()
        read = catch_up(world.store, NOW)
        mentioned = time.process_time() - start
        start = time.process_time()
        while world.store.write(rows.work_any, NOW):
            pass
        made = time.process_time() - start
        with world.store.read() as snapshot:
            from byleave.consent import grant

            view = open_view(
                snapshot, grant.find(snapshot, owner_id, granted.grant_id), world.installation.ids, NOW
            )
            assert view is not None
            start = time.process_time()
            found = known.every(view, "bench")
            asked = time.process_time() - start
    print(f"{len(records)} messages, {len(films)} titles, {len(found)} signals")
    print(f"import                     {1000 * imported / len(records):8.3f} ms a message")
    print(f"titles into the store      {shelved:8.2f} s")
    print(
        f"mentions ({read:6} read)    {1000 * (mentioned - compiled) / len(records):8.3f} ms a message, and {compiled:.1f} s once a run"
    )
    print(f"signals of one grant       {1000 * made / len(records):8.3f} ms a message")
    print(f"TitleSignal/get, all       {1000 * asked:8.1f} ms")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
