"""Rows out of a stranger's Parquet file, read in a process of its own under a limit of memory and time.

Rules of this file:

1. The footer is judged first: rows, sizes, columns and their types. A file that claims too much is refused
   before a page of it is opened.
2. A footer may lie, and a dictionary page of one long text can stand for gigabytes. So the pages are opened
   in a child process that may not grow by more than `GROWTH` bytes nor run longer than `CPU_S` seconds;
   whatever kills it is "not readable", never the end of the caller.
3. Nothing is converted: the child hands out days since 1970, texts (cut, so that one is seen to be too long)
   and integers; the rules for their values are `forms`'.

The child is this very file, run by path with `-I`: it must import nothing of Byleave. pyarrow is the optional
extra `byleave[parquet]` (60 MB, needed by those who use Parquet alone), so it is imported inside functions.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

GROWTH = 512 * 1024 * 1024
CPU_S = 20
WALL_S = 120
SEEN = 41
"""Characters of a text that the child hands out: one more than a code may have."""

Problem = tuple[str | None, str]
"""A column, or None for the whole file, and what is wrong with it."""


def installed() -> bool:
    """Whether the extra `byleave[parquet]` is there."""
    return importlib.util.find_spec("pyarrow") is not None


def read(
    data: bytes, columns: Sequence[str], max_rows: int, max_bytes: int
) -> tuple[list[Problem], list[Any]]:
    """The problems of the file `data`, and its rows as lists of day number, three texts and three integers.

    `columns` are the expected names: the first is a date32, the next three texts, the rest integers. With any
    problem there are no rows.
    """
    task = json.dumps({"columns": list(columns), "max_rows": max_rows, "max_bytes": max_bytes})
    quiet = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    try:
        child = subprocess.run(
            [sys.executable, "-I", __file__, task],
            input=data,
            capture_output=True,
            timeout=WALL_S,
            env={**os.environ, **quiet},
            check=False,
        )
        answer = json.loads(child.stdout) if child.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError, BrokenPipeError):
        answer = None
    if answer is None:
        return [(None, "not readable as Parquet within the memory and time that a report may need")], []
    return [(column, text) for column, text in answer["problems"]], answer["rows"]


def _child(task: dict[str, Any], data: bytes) -> dict[str, Any]:
    # Optional extra and in the child alone: see the module's docstring.
    import pyarrow as pa
    import pyarrow.parquet as pq

    _limit()
    columns: list[str] = task["columns"]
    texts = columns[1:4]
    try:
        footer = pq.ParquetFile(io.BytesIO(data), read_dictionary=texts, pre_buffer=False)
        problems = list(_judge_footer(footer, columns, task["max_rows"], task["max_bytes"]))
        if problems:
            return {"problems": problems, "rows": []}
        table = footer.read(columns=columns, use_threads=False)
        if table.num_rows != footer.metadata.num_rows:
            return {"problems": [(None, "holds another number of rows than its footer says")], "rows": []}
        values = [
            _texts(table[name])
            if name in texts
            else table[name].cast(pa.int32()).to_pylist()
            if name == columns[0]
            else table[name].to_pylist()
            for name in columns
        ]
    except MemoryError:
        return {"problems": [(None, "its pages unpack to more memory than a report may need")], "rows": []}
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):
        return {"problems": [(None, "not readable as Parquet")], "rows": []}
    return {"problems": [], "rows": list(zip(*values, strict=True))}


def _judge_footer(footer: Any, columns: list[str], max_rows: int, max_bytes: int) -> Iterator[Problem]:
    meta = footer.metadata
    claimed = 0
    for g in range(meta.num_row_groups):
        group = meta.row_group(g)
        claimed += max(0, group.total_byte_size)
        claimed += sum(max(0, group.column(c).total_uncompressed_size) for c in range(group.num_columns))
    if meta.num_rows > max_rows:
        yield None, f"the footer claims {meta.num_rows} rows; a report has at most {max_rows}"
    if claimed > 2 * max_bytes:
        yield None, f"the footer claims {claimed // 2} bytes of pages; a report has at most {max_bytes}"
    if meta.num_row_groups > max(1, meta.num_rows):
        yield None, "has empty row groups"
    schema = footer.schema
    named = [schema.column(i) for i in range(len(schema))]
    if [column.path for column in named] != columns:
        yield None, f"the columns must be exactly {', '.join(columns)}, in this order"
        return
    for i, column in enumerate(named):
        kind, logical = column.physical_type, column.logical_type
        if column.max_repetition_level or column.max_definition_level > 1:
            yield column.path, "must be a flat column"
        elif i == 0 and not (kind == "INT32" and logical.type == "DATE"):
            yield column.path, "must be a date32"
        elif 0 < i < 4 and not (kind == "BYTE_ARRAY" and logical.type == "STRING"):
            yield column.path, "must be text (BYTE_ARRAY, STRING)"
        elif i >= 4 and not (kind in ("INT32", "INT64") and logical.type in ("NONE", "INT")):
            yield column.path, "must be an integer of any width"


def _texts(column: Any) -> list[str | None]:
    """Texts of a column, each distinct one unpacked once and cut: 20,000 rows may share one long text."""
    found: list[str | None] = []
    for chunk in column.chunks:
        if hasattr(chunk, "dictionary"):
            distinct = [value.as_py()[:SEEN] for value in chunk.dictionary]
            found += [None if i is None else distinct[i] for i in chunk.indices.to_pylist()]
        else:
            found += [None if not value.is_valid else value.as_py()[:SEEN] for value in chunk]
    return found


def _limit() -> None:
    """Hold this process to what it has now plus GROWTH. Where the system cannot, the footer's judgement and
    the time limit remain."""
    try:
        import resource  # absent on Windows

        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123  (no pathlib in the child)
            now = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + GROWTH, now + GROWTH))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_child(json.loads(sys.argv[1]), sys.stdin.buffer.read())))
