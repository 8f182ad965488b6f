"""Titles named in all inboxes at once: one plain function for each Parquet part, and two ways to run it.

Rules of this file (DESIGN.md, "Scale"; store.md, "Choices"):

1. The work is `mentions_of_part`: a file in, a file out, nothing shared. On one machine a pool of processes runs it,
   beyond one Ray tasks (an optional extra); the function does not know which, and the answers are the same bytes.
2. A part holds whole inboxes: all words that one author wrote in one conversation stand in one part, since they are
   judged together (`words.mentions`). A part that breaks this cannot be seen from here; who writes parts sorts them.
3. A part is done when its file has its name: it is written beside and moved. What is done is not done again, so that a
   run that was killed goes on where it stopped.
4. In memory: one row group. A part's rows must be sorted by owner, conversation and sender.

Columns in: owner_id (binary), conversation, sender, id (binary), text (strings). Out: owner_id, id, start, end (code
points), title_id, p. Parts are as private as the store: they never leave the provider's machines.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import msgspec

from byleave.errors import Code, Invalid, Refused
from byleave.tailoring.catalogue import read_catalogue
from byleave.words.gazetteer import Gazetteer
from byleave.words.mentions import MentionModel, mentions_of

Runner = Literal["local", "ray"]
COLUMNS = ("owner_id", "conversation", "sender", "id", "text")
ROWS = 20_000
"""Rows read at a time; authors are judged in batches of about as many messages."""


class Done(msgspec.Struct, frozen=True):
    """What became of one part. `digest` is over the answers, in order, whatever the file's encoding."""

    part: str
    messages: int
    mentions: int
    digest: str


@lru_cache(maxsize=2)
def _tools(catalogue: str, model: str) -> tuple[Gazetteer, MentionModel]:
    """Built once a process: at 100,000 titles it takes seconds."""
    return Gazetteer(read_catalogue(Path(catalogue), fewest=1).titles), MentionModel.load(model)


def mentions_of_part(part: str, out: str, catalogue: str, model: str = "mentions.json") -> Done:
    """The whole job for one part. Raises Refused where it is no such file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    gazetteer, judge = _tools(catalogue, model)
    binary, text = pa.binary(), pa.string()
    schema = pa.schema(
        {
            "owner_id": binary,
            "id": binary,
            "start": pa.int32(),
            "end": pa.int32(),
            "title_id": text,
            "p": pa.float32(),
        }
    )
    digest, messages, found = hashlib.sha256(), 0, 0
    making = Path(out).with_name(f".{Path(out).name}.{os.getpid()}")
    try:
        with pq.ParquetWriter(making, schema) as writer:
            for batch in _batches(_authors(part)):
                texts = [[row["text"] for row in rows] for rows in batch]
                answers = mentions_of(texts, gazetteer, judge)
                lines = [
                    (row["owner_id"], row["id"], m.start, m.end, m.title_id, m.p)
                    for rows, per in zip(batch, answers, strict=True)
                    for row, mine in zip(rows, per, strict=True)
                    for m in mine
                ]
                for line in lines:
                    digest.update(msgspec.json.encode(line) + b"\n")
                messages += sum(map(len, batch))
                found += len(lines)
                columns = zip(*lines, strict=True) if lines else ((),) * len(schema)
                writer.write_table(
                    pa.table(
                        [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
                    )
                )
        making.replace(out)
    finally:
        making.unlink(missing_ok=True)
    return Done(Path(part).name, messages, found, digest.hexdigest())


def _authors(part: str) -> Iterator[list[dict[str, Any]]]:
    """The rows of each author in each conversation, one list a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = Path(part).name
    try:
        file = pq.ParquetFile(part)
        missing = [c for c in COLUMNS if c not in file.schema_arrow.names]
        if missing:
            raise Refused(
                Code.MALFORMED, name, f"column {missing[0]}", "is not there", f"give {', '.join(COLUMNS)}"
            )
        rows = (
            row
            for group in file.iter_batches(batch_size=ROWS, columns=list(COLUMNS))
            for row in group.to_pylist()
        )
        before: tuple[Any, ...] | None = None
        for key, own in groupby(rows, key=lambda r: (r["owner_id"], r["conversation"], r["sender"])):
            if any(value is None for value in key) or (before is not None and key < before):
                raise Refused(
                    Code.MALFORMED,
                    name,
                    "",
                    "rows are not sorted by owner_id, conversation, sender",
                    "sort them",
                )
            before = key
            yield list(own)
    except (pa.ArrowInvalid, OSError):
        raise Refused(
            Code.MALFORMED, name, "", "is not a Parquet file that can be read", "write it again"
        ) from None


def _batches(authors: Iterable[list[dict[str, Any]]]) -> Iterator[list[list[dict[str, Any]]]]:
    held: list[list[dict[str, Any]]] = []
    size = 0
    for rows in authors:
        held.append(rows)
        size += len(rows)
        if size >= ROWS:
            yield held
            held, size = [], 0
    if held:
        yield held


def run(
    parts: Path, out: Path, catalogue: Path, *, runner: Runner = "local", workers: int = 2,
    cluster: str | None = None, model: str = "mentions.json", progress: Callable[[Done], None] = lambda done: None,
) -> list[Done]:  # fmt: skip
    """Every `*.parquet` of the folder `parts` that `out` has not yet, in order of name; answers what was done now.

    Raises Refused where there is none, or a part is bad: the others that are done stay done."""
    todo = [p for p in sorted(parts.glob("*.parquet")) if not (out / p.name).exists()]
    if not todo and not any(parts.glob("*.parquet")):
        raise Refused(Code.EMPTY, parts.name, "", "no *.parquet in it", "give the folder of parts")
    read_catalogue(catalogue, fewest=1)
    out.mkdir(parents=True, exist_ok=True)
    jobs = [(str(p), str(out / p.name), str(catalogue), model) for p in todo]
    done = []
    for one in _by_ray(jobs, workers, cluster) if runner == "ray" else _by_pool(jobs, workers):
        progress(one)
        done.append(one)
    return sorted(done, key=lambda d: d.part)


def checksum(done: Iterable[Done]) -> str:
    """One digest over all parts' answers, the same however they were run."""
    return hashlib.sha256(
        "".join(f"{d.part} {d.digest}\n" for d in sorted(done, key=lambda d: d.part)).encode()
    ).hexdigest()


def _by_pool(jobs: list[tuple[str, str, str, str]], workers: int) -> Iterator[Done]:
    if workers <= 1:
        yield from (mentions_of_part(*job) for job in jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(mentions_of_part, *zip(*jobs, strict=True)) if jobs else ()


def _by_ray(jobs: list[tuple[str, str, str, str]], workers: int, cluster: str | None) -> Iterator[Done]:
    """Ray tasks on `cluster`, else on this machine. Ray tells its makers of its use unless RAY_USAGE_STATS_ENABLED is 0:
    whoever starts the process sets that (`cli`, the bench)."""
    try:
        import ray as found
    except ImportError:
        raise Invalid(Code.UNAVAILABLE, "--runner ray needs Ray: pip install 'byleave[ray]'") from None

    ray: Any = found  # an optional extra: its types may not be there to check against
    mine = not ray.is_initialized()
    if mine:
        here = {} if cluster else {"num_cpus": workers, "_node_ip_address": "127.0.0.1"}
        ray.init(address=cluster, include_dashboard=False, log_to_driver=False, **here)
    try:
        task = ray.remote(mentions_of_part)
        waiting = [task.remote(*job) for job in jobs]
        while waiting:
            ready, waiting = ray.wait(waiting)
            yield from ray.get(ready)
    finally:
        if mine:
            ray.shutdown()
