"""The chat readers alone: messages/s of CPU time and peak memory, beside a plain reader of the same format.

`python bench/chats.py [MESSAGES]` writes one file a format into a temporary folder and reads each in a
process of its own: the plain reader only splits (ijson's items; one regex a line), ours gives records.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

WORDS = "some words that stand for what people write é"


def write_telegram(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.write('{\n "name": "Bench",\n "type": "private_supergroup",\n "id": 4242,\n "messages": [\n')
        for i in range(count):
            text = f"Message {i} {WORDS}"
            message = {
                "id": i, "type": "message", "date": "2020-09-13T12:26:40",
                "date_unixtime": str(1_600_000_000 + i * 47),
                "from": f"Person {i % 7}", "from_id": f"user{i % 7}", "text": text,
                "text_entities": [{"type": "plain", "text": text}],
            }  # fmt: skip
            out.write(json.dumps(message, indent=1, ensure_ascii=False) + (",\n" if i < count - 1 else "\n"))
        out.write(" ]\n}\n")


def write_whatsapp(path: Path, count: int) -> None:
    now = datetime(2015, 1, 1, tzinfo=UTC)
    with path.open("w", encoding="utf-8") as out:
        for i in range(count):
            now += timedelta(seconds=73)
            out.write(f"{now:%d/%m/%Y, %H:%M} - Person {i % 7}: Message {i} {WORDS}\n")
            if i % 10 == 0:
                out.write("and a second line\n")


def write_messenger(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.write('{"participants": [{"name": "Ann"}, {"name": "Bob"}], "messages": [\n')
        for i in range(count):
            message = {
                "sender_name": ("Ann", "Bob")[i % 2], "timestamp_ms": 1_700_000_000_000 - i * 31_000,
                "content": f"Message {i} {WORDS}".encode().decode("latin-1"),
                "is_geoblocked_for_viewer": False,
            }  # fmt: skip
            out.write(json.dumps(message) + (",\n" if i < count - 1 else "\n"))
        out.write('], "title": "Bench", "thread_path": "inbox/bench_1"}\n')


def plain_json(path: Path) -> Iterator[object]:
    import ijson

    with path.open("rb") as stream:
        yield from ijson.items(stream, "messages.item")


def plain_lines(path: Path) -> Iterator[object]:
    header = re.compile(r"(\d\d/\d\d/\d{4}), (\d\d:\d\d) - ([^:]+): (.*)")
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if match := header.match(line):
                yield match.groups()


def ours(path: Path) -> Iterator[object]:
    from byleave.model import Record
    from byleave.sources import Options, recognise
    from byleave.sources.archive import Export

    export = Export(path)
    return (item for item in recognise(export).read(export, Options()) if isinstance(item, Record))


FORMATS: dict[str, tuple[Callable[[Path, int], None], Callable[[Path], Iterator[object]], str]] = {
    "telegram": (write_telegram, plain_json, "result.json"),
    "whatsapp": (write_whatsapp, plain_lines, "_chat.txt"),
    "messenger": (write_messenger, plain_json, "message_1.json"),
}


def measure(form: str, which: str, path: Path) -> None:
    reader = FORMATS[form][1] if which == "plain" else ours
    start = time.process_time()
    count = sum(1 for _ in reader(path))
    rate = count / (time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{form:<10} {which:<6} {count:>9,} messages {rate:>11,.0f}/s {peak:>5} MB", flush=True)


def main(words: list[str]) -> None:
    if len(words) == 3:
        return measure(words[0], words[1], Path(words[2]))
    count = int(words[0]) if words else 1_000_000
    for form, (write, _, name) in FORMATS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            write(path, count)
            for which in ("plain", "ours"):
                subprocess.run([sys.executable, __file__, form, which, str(path)], check=True)
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
