"""The table of redaction.md, measured: leaks, over-masking, film titles, recall by type, messages a second,
by tier.

    python bench/mask.py [--catalogue FILE.csv] [--lines 4000] [--seed 1] [--tier rules,plain,full] [--show N]

Chat lines come out of `mask_lines.py` (a generator of our own, seven languages) and from four sets written
by hand in tests/words/data/mask/. Each was looked at once before rules were mended on it: those figures stand in
docs/redaction.md, and what this prints of them flatters. A *leak* is a character of personal data that no span covers; letters and
digits count, the separators between them do not. Film titles are put into frames of talk that hold no
personal data: a title is hit when a span touches it; once without a catalogue and once with it. Times are
CPU seconds of this process.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from byleave.model import Person
from byleave.words.mask import People, Text, Titles, mask, mask_all
from mask_lines import FRAMES, TITLES, lines

DATA = Path(__file__).parent.parent / "tests" / "words" / "data" / "mask"
SETS = ("hand", "held", "fresh", "unseen")
BARS = {
    "rules": {
        "leaking messages": 0.40,
        "leaking characters": 0.23,
        "over-masked": 0.005,
        "titles": 0.01,
        "speed": 5000,
    },
    "plain": {
        "leaking messages": 0.25,
        "leaking characters": 0.14,
        "over-masked": 0.015,
        "titles": 0.20,
        "speed": 4000,
    },
    "full": {
        "leaking messages": 0.15,
        "leaking characters": 0.05,
        "over-masked": 0.03,
        "titles": 0.30,
        "speed": 150,
        "speed, together": 300,
    },
}
WITH_CATALOGUE = {"plain": 0.05, "full": 0.10}
RECALLS = {"PHONE": 0.93, "EMAIL": 0.99, "CARD": 0.99, "IBAN": 0.99, "DOB": 0.92}
Line = dict[str, Any]


def covered(text: str, start: int, end: int, spans: list[tuple[int, int]]) -> tuple[int, int]:
    """(characters that count in `start:end`, of these uncovered)."""
    counted = [i for i in range(start, end) if text[i].isalnum()]
    return len(counted), sum(not any(a <= i < b for a, b in spans) for i in counted)


def measure(data: list[Line], tier: str, titles: Titles, show: int = 0) -> dict[str, float]:
    books: dict[tuple[str, ...], People] = {}
    for line in data:
        key = tuple(line.get("contacts", ()))
        if key not in books:
            books[key] = People(Person(f"name:{name}", name) for name in key)
    began = time.process_time()
    results = [
        mask(
            line["text"],
            books[tuple(line.get("contacts", ()))],
            titles,
            tier=tier,
            previous=line.get("previous", ""),
        )
        for line in data
    ]
    seconds = time.process_time() - began
    seen: Counter[str] = Counter()
    for line, found in zip(data, results, strict=True):
        text, spans = line["text"], [(span.start, span.end) for span in found]
        if not line["spans"]:
            letters = len(text)
            hidden = sum(end - start for start, end in spans)
            seen.update({"clean": letters, "over": hidden, "clean lines": 1, "over lines": bool(spans)})
            if spans and show > 0:
                show -= 1
                sys.stdout.write(f"  over {line['id']}: {[text[a:b] for a, b in spans]} in {text}\n")
            continue
        leaked = 0
        for span in line["spans"]:
            size, open_ = covered(text, span["start"], span["end"], spans)
            leaked += open_
            seen.update(
                {"chars": size, "open": open_, "n " + span["type"]: 1, "ok " + span["type"]: not open_}
            )
            if open_ and show > 0:
                show -= 1
                sys.stdout.write(
                    f"  leak {line['id']} {span['type']}: {text[span['start'] : span['end']]} in {text}\n"
                )
        seen.update({"personal": 1, "leaking": bool(leaked)})
    out = {
        "leaking messages": seen["leaking"] / max(1, seen["personal"]),
        "leaking characters": seen["open"] / max(1, seen["chars"]),
        "over-masked": seen["over"] / max(1, seen["clean"]),
        "clean lines touched": seen["over lines"] / max(1, seen["clean lines"]),
        "speed": len(data) / seconds,
    }
    if tier == "full":
        out["speed, together"] = together(data, books, titles)
    for kind in ("PHONE", "EMAIL", "CARD", "IBAN", "DOB", "LINK", "ADDRESS", "PERSON", "LOCATION"):
        if seen["n " + kind]:
            out[kind] = seen["ok " + kind] / seen["n " + kind]
    return out


def together(data: list[Line], books: dict[tuple[str, ...], People], titles: Titles) -> float:
    """Messages a second where the model reads 64 at a time."""
    texts = [
        Text(line["text"], books[tuple(line.get("contacts", ()))], line.get("previous", "")) for line in data
    ]
    began = time.process_time()
    for at in range(0, len(texts), 64):
        mask_all(texts[at : at + 64], titles, tier="full")
    return len(data) / (time.process_time() - began)


def hit(names: list[str], tier: str, titles: Titles, seed: int, show: int = 0) -> float:
    """Share of film titles that a span touches, each in one frame of talk."""
    rng = random.Random(seed)
    nobody = People(())
    hits = 0
    for name in names:
        frame = rng.choice(FRAMES)
        text = frame.replace("{}", name if rng.random() < 0.8 else name.lower())
        start = frame.index("{}")
        touched = [
            s for s in mask(text, nobody, titles, tier=tier) if s.start < start + len(name) and s.end > start
        ]
        hits += bool(touched)
        if touched and show > 0:
            show -= 1
            sys.stdout.write(f"  title hit: {[text[s.start : s.end] for s in touched]} in {text}\n")
    return hits / max(1, len(names))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--catalogue", type=Path)
    options.add_argument("--lines", type=int, default=4000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--tier", default="rules,plain,full")
    options.add_argument("--show", type=int, default=0)
    given = options.parse_args()
    names = list(TITLES)
    if given.catalogue:
        with given.catalogue.open(encoding="utf-8", newline="") as file:
            names = [row["title"] for row in csv.DictReader(file)]
        names = random.Random(given.seed).sample(names, min(len(names), 3000))
    generated = list(lines(given.seed, given.lines))
    by_hand = {
        name: [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in SETS
    }
    empty, full = Titles(), Titles(names)
    for tier in given.tier.split(","):
        mask("warm up Anna 07700 900123 at 12 High Street Qoolmax", People(()), empty, tier=tier)
        columns = {"generated": measure(generated, tier, empty, given.show)}
        columns |= {name: measure(data, tier, empty, given.show) for name, data in by_hand.items()}
        columns["generated"]["titles"] = hit(names, tier, empty, given.seed, given.show)
        columns["generated"]["titles, catalogue"] = hit(names, tier, full, given.seed)
        heads = "".join(f"{name:>12}" for name in columns)
        sys.stdout.write(f"\n{tier:<22}{heads}{'bar':>12}\n")
        for row in columns["generated"]:
            bar: float | str = BARS[tier].get(row, RECALLS.get(row, ""))
            if row == "titles, catalogue":
                bar = WITH_CATALOGUE.get(tier, "")
            cells = "".join(
                f"{column.get(row, float('nan')):>12,.0f}"
                if row.startswith("speed")
                else f"{column.get(row, float('nan')):>12.3f}"
                for column in columns.values()
            )
            name = {"speed": "messages/s a core", "speed, together": "  64 together"}.get(row, row)
            sys.stdout.write(f"{name:<22}{cells}{bar:>12}\n")


if __name__ == "__main__":
    main()
