"""Eight ways in which a partner's own figures go wrong, put into its files by a script that knows nothing of the house.

    python tests/exchange/faults.py FAULT SEED CELLS.json EVENTS.jsonl BEFORE.csv > AFTER.csv

It imports nothing of Byleave. EVENTS.jsonl is the partner's own log of one period, one object a line: {"kind": "send" |
"first" | "repeat" | "uncounted", "at": seconds since 1970, "day": "YYYY-MM-DD" as the other side told it, "cell":
"INTERFACE/SURFACE/VARIANT"}. CELLS.json names the period and the grid: {"start": "YYYY-MM-DD", "cells": [...]}. BEFORE.csv
is what was reported for the period before. FAULT "none" counts honestly.
"""

import csv
import io
import json
import math
import random
import sys
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

HEADER = ["day", "interface", "surface", "variant", "sends", "recipient_clicks", "clicks_total"]
FAULTS = [
    "five-percent-in-a-variant",
    "twenty-percent-in-a-cell",
    "variants-swapped",
    "last-period-copied",
    "zone-shift",
    "lost-day",
    "bots-counted",
    "small-cells-dropped",
]


def corrupted(fault, seed, grid, events, before):
    """Rows [day, cell, sends, recipient clicks, clicks] of the complete grid, sorted."""
    draw = random.Random(f"{fault}/{seed}")
    start = date.fromisoformat(grid["start"])
    days = [(start + timedelta(days=d)).isoformat() for d in range(14)]
    cells = sorted(grid["cells"])
    count = {(day, cell): [0, 0, 0] for day in days for cell in cells}
    zone = timezone(timedelta(hours=draw.choice((-8, 8))))
    bots = [e for e in events if e["kind"] == "uncounted"]
    clicks = sum(e["kind"] in ("first", "repeat") for e in events)
    taken = set(map(id, draw.sample(bots, min(len(bots), round(0.15 * clicks)))))
    for event in events:
        day, kind = event["day"], event["kind"]
        if fault == "zone-shift":  # its own clock's day, in its own zone
            day = datetime.fromtimestamp(event["at"], zone).date().isoformat()
        if fault == "bots-counted" and id(event) in taken:
            kind = "first"
        row = count.get((day, event["cell"]))
        if row is not None and kind != "uncounted":
            row[0] += kind == "send"
            row[1] += kind == "first"
            row[2] += kind in ("first", "repeat")
    total = {cell: sum(count[day, cell][0] for day in days) for cell in cells}

    def more(row, share):
        for i in range(2):
            extra = share * row[i]
            got = math.floor(extra) + (draw.random() < extra % 1)
            row[i] += got
            row[2] += got if i == 1 else 0

    if fault == "five-percent-in-a-variant":
        variant = draw.choice(sorted({cell.split("/")[2] for cell in cells}))
        for (_, cell), row in count.items():
            if cell.endswith("/" + variant):
                more(row, 0.05)
    elif fault == "twenty-percent-in-a-cell":
        chosen = draw.choice(sorted(cells, key=total.get)[len(cells) // 2 :])
        for day in days:
            more(count[day, chosen], 0.2)
    elif fault == "variants-swapped":
        variants = sorted({cell.split("/")[2] for cell in cells})
        turned = dict(zip(variants, variants[1:] + variants[:1], strict=True))
        other = {cell: "/".join((*cell.split("/")[:2], turned[cell.split("/")[2]])) for cell in cells}
        count = {(day, cell): count[day, other[cell]] for day, cell in count}
    elif fault == "last-period-copied":
        for row in csv.DictReader(io.StringIO(before)):
            moved = (date.fromisoformat(row["day"]) + timedelta(days=14)).isoformat()
            cell = "/".join(row[name] for name in HEADER[1:4])
            count[moved, cell] = [int(row[name]) for name in HEADER[4:]]
    elif fault == "lost-day":
        lost = draw.choice(days)
        for cell in cells:
            count[lost, cell] = [0, 0, 0]
    elif fault == "small-cells-dropped":
        for cell in sorted(cells, key=total.get)[: max(1, len(cells) // 4)]:
            for day in days:
                count[day, cell] = [0, 0, 0]
    return [(day, cell, *count[day, cell]) for day, cell in sorted(count)]


def written(rows):
    lines = [",".join(HEADER)]
    lines += [",".join((day, *cell.split("/"), *map(str, figures))) for day, cell, *figures in rows]
    return "".join(line + "\n" for line in lines)


def main():
    fault, seed, grid, events, before = sys.argv[1:]
    log = [json.loads(line) for line in Path(events).read_text().splitlines()]
    rows = corrupted(fault, seed, json.loads(Path(grid).read_text()), log, Path(before).read_text())
    sys.stdout.write(written(rows))


if __name__ == "__main__":
    main()
