"""Quote splitting over many generated mails: foreign characters shown, own characters lost, mails per second.

`python bench/quotes.py [MAILS]` (100,000 by default) prints a table by client and by spoiling. The bar is 0
foreign characters in any part that names an author.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "words"))

from mailgen import Mail, mail

from byleave.words.quotes import split


def main(count: int, first: int = 0) -> int:
    """Runs `count` mails from seed `first` on; the exit code is 1 if a character leaked."""
    table: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    seconds, characters, known = 0.0, 0, 0
    for seed in range(first, first + count):
        made = mail(seed)
        began = time.perf_counter()
        parts = split(made.text, author=made.author, subject=made.subject, reply=made.reply)
        seconds += time.perf_counter() - began
        assert "".join(p.text for p in parts) == made.text
        spans = [(p.author, p.start, p.end) for p in parts]
        leaked, (lost, mine) = made.leaks(spans), made.lost(spans)
        known += sum(p.end - p.start for p in parts if p.author not in (None, made.author))
        characters += len(made.text)
        if leaked and "-v" in sys.argv:
            _show(seed, made, leaked)
        client, _, spoil = made.style.split("/")
        for key in (f"client  {client}", f"spoilt  {spoil}", "all"):
            row = table[key]
            row[0], row[1], row[2], row[3] = row[0] + 1, row[1] + leaked, row[2] + lost, row[3] + mine
    print(f"{'':24} {'mails':>8} {'foreign shown':>14} {'own lost':>9}")
    for key in sorted(table, key=lambda k: (k == "all", k)):
        mails, leaked, lost, mine = table[key]
        print(f"{key:24} {mails:8,} {leaked:14,} {100 * lost / max(1, mine):8.2f}%")
    print(f"{count / seconds:,.0f} mails/s, {characters / seconds / 1e6:.2f} M characters/s, "
          f"{100 * known / characters:.1f}% of the characters go to a quoted author")  # fmt: skip
    return 1 if table["all"][1] else 0


def _show(seed: int, made: Mail, leaked: int) -> None:
    print(f"seed {seed}: {made.style}: {leaked} characters", file=sys.stderr)


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:] if a.isdigit()]
    sys.exit(main(*(numbers or [100_000])))
