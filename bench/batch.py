"""Titles in many messages: `tailoring.batch` by a local pool and by Ray, with the same checksum.

    python bench/batch.py [--messages 1000000] [--titles 100000] [--parts 8] [--workers 2] [--runners local,ray]

Messages are the town's small talk with titles of an invented catalogue put in (one in twenty), a hundred a
conversation. Prints wall time, and processor time and resident memory of all child processes.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from byleave.tailoring import batch

SYLLABLES = [
    "ba",
    "re",
    "li",
    "no",
    "ka",
    "tu",
    "mo",
    "si",
    "ve",
    "da",
    "ro",
    "pe",
    "la",
    "mi",
    "zu",
    "fo",
    "ga",
    "ne",
    "ti",
    "so",
]
LINES = [
    "are you coming on friday", "i left the keys at the harbour", "we watched {} last night", "have you seen {} yet?",
    "{} was brilliant", "the bus is late again", "thanks for the soup!", "let's meet at eight", "my sister loved {}",
    "no idea what to cook", "it rained all day here", "good morning", "ok see you there", "haha yes", "that is too far",
]  # fmt: skip


def catalogue(path: Path, n: int) -> list[str]:
    rng = random.Random(1)
    titles: dict[str, None] = {}
    while len(titles) < n:
        words = [
            "".join(rng.choices(SYLLABLES, k=rng.randint(2, 4))).capitalize()
            for _ in range(rng.randint(1, 4))
        ]
        titles[" ".join(words)] = None
    rows = "".join(f"t{i},{title},{1950 + i % 75}\n" for i, title in enumerate(titles))
    path.write_text("title_id,title,year\n" + rows, encoding="utf-8")
    return list(titles)


def parts(folder: Path, titles: list[str], messages: int, n: int) -> None:
    rng = random.Random(2)
    folder.mkdir()
    for k in range(n):
        size = messages // n
        rows: dict[str, list[Any]] = {c: [] for c in batch.COLUMNS}
        for i in range(size):
            line = (
                rng.choice(LINES) if rng.random() < 0.07 else rng.choice([x for x in LINES if "{}" not in x])
            )
            rows["owner_id"].append((k << 20 | i // 5_000).to_bytes(16, "big"))
            rows["conversation"].append(f"c{i // 100:09}")
            rows["sender"].append(f"s{i % 100 // 34}")
            rows["id"].append((k << 40 | i).to_bytes(16, "big"))
            rows["text"].append(line.format(rng.choice(titles)))
        pq.write_table(pa.table(rows), folder / f"part-{k:03}.parquet", row_group_size=20_000)


class Watch:
    """Processor time and memory of this process's descendants, looked at twice a second: a pool's children and Ray's
    daemons alike."""

    def __init__(self) -> None:
        self._cpu: dict[int, float] = {}
        self._largest = self._together = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> tuple[float, int, int]:
        """(seconds of processor time, bytes of the largest process, most bytes of all together)."""
        self._over.set()
        self._thread.join()
        return sum(self._cpu.values()), self._largest, self._together

    def _look(self) -> None:
        tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        while not self._over.wait(0.5):
            seen: dict[int, tuple[int, float, int]] = {}
            for path in Path("/proc").glob("[0-9]*/stat"):
                try:
                    fields = path.read_text().rsplit(")", 1)[1].split()
                except OSError:
                    continue
                cpu = (int(fields[11]) + int(fields[12])) / tick
                seen[int(path.parent.name)] = (int(fields[1]), cpu, int(fields[21]) * page)
            mine = {os.getpid()}
            while more := {pid for pid, (parent, _, _) in seen.items() if parent in mine} - mine:
                mine |= more
            for pid in mine - {os.getpid()}:
                self._cpu[pid] = seen[pid][1]
            sizes = [seen[pid][2] for pid in mine - {os.getpid()}]
            self._largest = max(self._largest, max(sizes, default=0))
            self._together = max(self._together, sum(sizes))


def main() -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    take = argparse.ArgumentParser()
    for name, usual in (("messages", 1_000_000), ("titles", 100_000), ("parts", 8), ("workers", 2)):
        take.add_argument(f"--{name}", type=int, default=usual)
    take.add_argument("--runners", default="local,ray")
    asked = take.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        titles = catalogue(folder / "titles.csv", asked.titles)
        parts(folder / "in", titles, asked.messages, asked.parts)
        print(
            f"{asked.messages} messages, {asked.titles} titles, {asked.parts} parts, {asked.workers} workers"
        )
        for runner in asked.runners.split(","):
            watch, start = Watch(), time.perf_counter()
            done = batch.run(
                folder / "in", folder / runner, folder / "titles.csv", runner=runner, workers=asked.workers,
                progress=lambda d: print(f"  {d.part}: {d.mentions}", file=sys.stderr),
            )  # fmt: skip
            wall = time.perf_counter() - start
            cpu, largest, total = watch.end()
            print(
                f"{runner:6} {wall:7.1f} s wall  {cpu:7.1f} s CPU  {largest >> 20} MB largest process, "
                f"{total >> 20} MB together  {sum(d.mentions for d in done)} mentions  "
                f"{sum(d.messages for d in done) / wall:.0f}/s  {batch.checksum(done)[:16]}"
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
