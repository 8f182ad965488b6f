"""The batch: the same answers as one by one, however it is run; refusals; going on where it stopped."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from typing import Any

import pytest

from byleave.errors import Refused
from byleave.tailoring import batch
from byleave.tailoring.catalogue import read_catalogue
from byleave.words.gazetteer import Gazetteer
from byleave.words.mentions import MentionModel, mentions

pa = pytest.importorskip("pyarrow")
import pyarrow.parquet as pq  # noqa: E402

NAMES = [
    "Amber Fox",
    "Salt Harbour",
    "Quiet Moon Rising",
    "Iron Meadow",
    "Paper Sailor",
    "Glass Kingdom",
    "The Velvet Tide",
]
Row = dict[str, Any]


def rows(seed: int) -> list[Row]:
    rng = random.Random(seed)
    found = []
    for i in range(120):
        text = rng.choice(
            ["We saw {} yesterday, what a film!", "the soup is ready", "I loved the movie {}", "ok"]
        )
        found.append(
            {
                "owner_id": bytes([seed, i // 60]), "conversation": f"c{i // 20}", "sender": f"s{i % 20 // 10}",
                "id": bytes([seed, i]), "text": text.format(rng.choice(NAMES)),
            }
        )  # fmt: skip
    return found


@pytest.fixture
def town(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for seed in (1, 2, 3):
        pq.write_table(
            pa.Table.from_pylist(rows(seed)), tmp_path / "in" / f"{seed}.parquet", row_group_size=7
        )
    lines = "".join(f"t{i},{name},{2000 + i}\n" for i, name in enumerate(NAMES))
    (tmp_path / "titles.csv").write_text("title_id,title,year\n" + lines, encoding="utf-8")
    return tmp_path


def run(town: Path, out: str, **options: Any) -> list[batch.Done]:
    return batch.run(town / "in", town / out, town / "titles.csv", **options)


def test_a_part_answers_as_each_author_alone(town: Path) -> None:
    done = run(town, "out", workers=1)
    gazetteer = Gazetteer(read_catalogue(town / "titles.csv", fewest=1).titles)
    judge = MentionModel.load()
    expected = []
    for seed in (1, 2, 3):
        authors: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows(seed):
            authors.setdefault((row["owner_id"], row["conversation"], row["sender"]), []).append(row)
        for own in authors.values():
            for row, found in zip(own, mentions([r["text"] for r in own], gazetteer, judge), strict=True):
                expected += [(row["id"], m.start, m.title_id) for m in found]
    got = [
        (r["id"], r["start"], r["title_id"])
        for d in done
        for r in pq.read_table(town / "out" / d.part).to_pylist()
    ]
    assert got == expected and len(got) > 50
    assert sum(d.messages for d in done) == 360 and sum(d.mentions for d in done) == len(got)


def test_a_pool_answers_the_same_bytes(town: Path) -> None:
    one, two = run(town, "one", workers=1), run(town, "two", workers=2)
    assert one == two and batch.checksum(one) == batch.checksum(reversed(two))
    for d in one:
        assert (town / "one" / d.part).read_bytes() == (town / "two" / d.part).read_bytes()


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is not None, reason="Ray is there; bench/batch.py compares it"
)
def test_ray_that_is_not_there_is_said_in_one_line(town: Path) -> None:
    with pytest.raises(Exception, match=r"byleave\[ray\]"):
        run(town, "out", runner="ray")


def test_what_is_done_is_not_done_again_and_what_is_half_done_is(town: Path) -> None:
    assert len(run(town, "out", workers=1)) == 3
    whole = (town / "out" / "2.parquet").read_bytes()
    (town / "out" / "2.parquet").unlink()
    (town / "out" / ".2.parquet.99").write_bytes(b"half")
    assert [d.part for d in run(town, "out", workers=1)] == ["2.parquet"]
    assert (town / "out" / "2.parquet").read_bytes() == whole


@pytest.mark.parametrize("what", ["unsorted", "column", "rubbish", "none"])
def test_bad_parts_are_refused_by_name(town: Path, what: str) -> None:
    found = rows(4)
    if what == "unsorted":
        found.reverse()
    for old in (town / "in").iterdir():
        old.unlink()
    if what == "column":
        found = [{k: v for k, v in row.items() if k != "text"} for row in found]
    if what == "rubbish":
        (town / "in" / "4.parquet").write_bytes(b"PAR1 no")
    elif what != "none":
        pq.write_table(pa.Table.from_pylist(found), town / "in" / "4.parquet")
    with pytest.raises(Refused, match="in:" if what == "none" else r"4\.parquet"):
        run(town, "out", workers=1)
    assert not list((town / "out").glob("*")) if (town / "out").exists() else True
