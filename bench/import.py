"""The way in: messages a second and peak memory, by source; the readers alone beside plain readers of the same
formats in the same run.

`python bench/import.py [--quick] [--only telegram …] [--people N]` makes the inboxes with `byleave.town.plain`,
measures each step in a process of its own (so that one's memory is not another's) and prints one table. Chats
have a million messages in one file (`--quick`: 20,000), mail has 100 MB (`--quick`: 2,000 mails). Bars: readers
≥ 50,000/s for chats and ≥ 1,000/s for mail; whole import ≥ 3,000/s and ≥ 200/s (aims 6,000 and 500); ≤ 300 MB. `by cpu` is
the whole import by the processor's own clock, workers and all: on a machine that others use too, that one is to be
read. `peak MB` is the importing process's, `workers` what its workers take beside it, at most.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FULL = {"telegram": 1_000_000, "whatsapp": 1_000_000, "messenger": 1_000_000, "mbox": 36_000}
QUICK = {"telegram": 20_000, "whatsapp": 20_000, "messenger": 20_000, "mbox": 2_000}
BARS = {"read": {"chat": 50_000, "mail": 1_000}, "whole": {"chat": 3_000, "mail": 200}}
MEMORY_MB = 300


# ── one measurement, in a process of its own ────────────────────────────────────────────────────────────────
def measure(step: str, form: str, path: Path, me: str, workers: int) -> dict[str, float]:
    """{messages, seconds, mb}: one step over one export."""
    before, cpu = time.perf_counter(), time.process_time()
    if step == "plain":
        count = sum(1 for _ in plain(form, path))
    elif step == "read":
        count = sum(1 for _ in records(path))
    else:
        return whole(path, me, workers)
    seconds = time.perf_counter() - before
    return {"messages": count, "seconds": seconds, "cpu": time.process_time() - cpu, "mb": peak_mb()}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def plain(form: str, path: Path) -> Iterator[object]:
    """The least that reads this format: what a script would do."""
    if form == "telegram":
        import ijson

        with path.open("rb") as file:
            yield from ijson.items(file, "chats.list.item.messages.item")
    elif form == "whatsapp":
        head = re.compile(r"(\d\d/\d\d/\d{4}, \d\d:\d\d) - ([^:]*): (.*)")
        with path.open(encoding="utf-8") as file:
            for line in file:
                if found := head.match(line):
                    yield found.groups()
    elif form == "messenger":
        for page in sorted(path.rglob("message_*.json")):
            for message in json.loads(page.read_bytes())["messages"]:
                yield {
                    k: v.encode("latin-1").decode() if isinstance(v, str) else v for k, v in message.items()
                }
    else:
        import mailbox

        for mail in mailbox.mbox(path, create=False):
            body = mail.get_payload(decode=True)
            yield mail["from"], mail["date"], mail["subject"], body


def records(path: Path) -> Iterator[Any]:
    from byleave.model import Record
    from byleave.sources import Options, recognise
    from byleave.sources.archive import Export

    export = Export(path)
    for item in recognise(export).read(export, Options(date_order="dmy")):
        if isinstance(item, Record):
            yield item


def whole(path: Path, me: str, workers: int) -> dict[str, float]:
    """A store made, the export imported and the owner's rows filled: what `byleave import` does."""
    from byleave.cli.importing import bring_in
    from byleave.consent import identity
    from byleave.ingest.gather import gather
    from byleave.ingest.workers import Workers
    from byleave.installation import create
    from byleave.model import Mode
    from byleave.sources import Options, recognise
    from byleave.sources.archive import Export

    quiet = lambda step, done: None  # noqa: E731
    with tempfile.TemporaryDirectory() as folder:
        installation = create(Path(folder) / "byleave.db", Mode.PERSONAL, int(time.time() * 1000))
        export = Export(path)
        importer, options = recognise(export), Options(date_order="dmy")
        start, cpu = time.perf_counter(), time.process_time()
        with Workers(workers) as crew:
            found = gather(lambda: importer.read(export, options), quiet, crew.start)
            first = time.perf_counter() - start
            own = [identity.parse(me)]
            bring_in(installation, importer, export, options, found, None, own, quiet, workers=crew)
        more = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu + more.ru_utime + more.ru_stime
        size = sum(p.stat().st_size for p in Path(folder).iterdir() if p.is_file())
        installation.store.close()
    return {
        "messages": found.records,
        "seconds": seconds,
        "cpu": cpu,
        "mb": peak_mb(),
        "crew_mb": workers * more.ru_maxrss / 1024,
        "first": first,
        "stored_mb": size / 1e6,
    }


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────
def inbox(folder: Path, form: str, count: int, people: int) -> tuple[Path, str]:
    """(path of the export, the owner's handle)."""
    from byleave.town import plain as town
    from byleave.town.world import Plan

    out = folder / f"{form}-{count}-{people}"
    if not out.exists():
        town.build(Plan(people=people, seed=7), out, count, form)
    known = next(iter(json.loads((out / "world.json").read_text())["inboxes"].values()))
    return out / known["exports"][0]["path"], known["me"][0]


def run(step: str, form: str, path: Path, me: str, workers: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--measure", step, form, str(path), me, str(workers)],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    from byleave.ingest.workers import usual

    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--quick", action="store_true")
    ask.add_argument("--only", nargs="*", default=list(FULL), choices=list(FULL))
    ask.add_argument("--count", type=int, help="messages instead of the usual number")
    ask.add_argument("--people", type=int, default=300)
    ask.add_argument("--workers", type=int, default=usual(), help="as of `byleave import`")
    ask.add_argument("--keep", type=Path, help="a folder to keep the inboxes in")
    ask.add_argument("--measure", nargs=5, help=argparse.SUPPRESS)
    args = ask.parse_args()
    if args.measure:
        step, form, path, me, workers = args.measure
        print(json.dumps(measure(step, form, Path(path), me, int(workers))))
        return 0
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        print(
            f"{'source':<10} {'messages':>9} {'MB':>6} {'plain/s':>9} {'read/s':>9} {'ratio':>6} {'whole/s':>8} {'by cpu':>7} {'peak MB':>8} {'workers':>8} {'store MB':>9}"
        )
        for form in args.only:
            count = args.count or (QUICK if args.quick else FULL)[form]
            path, me = inbox(args.keep or Path(temporary), form, count, args.people)
            size = sum(p.stat().st_size for p in ([path] if path.is_file() else path.rglob("*.json"))) / 1e6
            steps = {step: run(step, form, path, me, args.workers) for step in ("plain", "read", "whole")}
            rate = {step: found["messages"] / found["seconds"] for step, found in steps.items()}
            kind = "mail" if form == "mbox" else "chat"
            below = [f"{s} {rate[s]:,.0f}/s < {BARS[s][kind]:,}/s" for s in BARS if rate[s] < BARS[s][kind]]
            if steps["whole"]["mb"] > MEMORY_MB:
                below.append(f"peak {steps['whole']['mb']:.0f} MB > {MEMORY_MB} MB")
            failed = failed or bool(below)
            print(
                f"{form:<10} {count:>9,} {size:>6.0f} {rate['plain']:>9,.0f} {rate['read']:>9,.0f} "
                f"{rate['read'] / rate['plain']:>6.2f} {rate['whole']:>8,.0f} {steps['whole']['messages'] / steps['whole']['cpu']:>7,.0f} {steps['whole']['mb']:>8.0f} {steps['whole']['crew_mb']:>8.0f} "
                f"{steps['whole']['stored_mb']:>9.0f}" + (f"   below: {'; '.join(below)}" if below else ""),
                flush=True,
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
