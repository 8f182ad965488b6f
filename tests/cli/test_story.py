"""`byleave demo --once --json`: the documented shape, and a story in which every no is a no."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import CHAT

REFUSALS = {
    "an id it was shown before the no": "notFound for",
    "an id that never was": "notFound for 1 of 1",
    "who has the number +44 7700 900123?": "0 results",
    "is ann@example.test known here?": "unknownMethod",
    "its token with a second key": "401",
    "reading after the grant ended": "401",
}


def demo(folder: Path, *words: str) -> Any:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "TMPDIR": str(folder),
    }
    line = [sys.executable, "-c", "from byleave.cli import main; main()", "demo", "--once", "--json", *words]
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("demo")
    answer = demo(folder)
    assert list(folder.iterdir()) == [], "the demo leaves nothing behind"
    return answer


def test_shape(told: Any) -> None:
    assert set(told) == {"imported", "steps", "refused", "readings", "ledger", "seconds"}
    assert set(told["imported"]) == {"mail", "whatsapp", "telegram", "messenger"}
    assert all(set(counts) == {"conversations", "messages"} for counts in told["imported"].values())
    assert all(set(step) == {"step", "visible"} for step in told["steps"])
    assert all(set(one) == {"tried", "answer"} for one in told["refused"])
    assert set(told["ledger"]) == {"size", "root", "verified"}
    assert told["readings"] > 0 and told["seconds"] > 0


def test_who_says_yes_is_seen_and_who_says_no_is_not(told: Any) -> None:
    own, agreed, one_no, ended = (step["visible"] for step in told["steps"])
    assert 0 < own < one_no < agreed
    assert ended == 0
    assert agreed < sum(counts["messages"] for counts in told["imported"].values())


def test_what_it_tried_was_refused(told: Any) -> None:
    assert [one["tried"] for one in told["refused"]] == list(REFUSALS)
    for one in told["refused"]:
        assert REFUSALS[one["tried"]] in one["answer"], one
    of, all_ = told["refused"][0]["answer"].removeprefix("notFound for ").split(" of ")
    assert of == all_ != "0"


def test_the_ledger_verifies(told: Any) -> None:
    assert told["ledger"]["verified"] is True
    assert told["ledger"]["size"] >= told["readings"]


def test_ones_own_file_is_imported_and_read_by_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "chat.json").write_text(json.dumps(CHAT))
    told = demo(tmp_path, "--inbox", "chat.json", "--me", "telegram:user1000")
    assert told["imported"] == {"telegram": {"conversations": 1, "messages": 3}}
    assert told["steps"][-1]["visible"] == 0 and told["ledger"]["verified"]
    assert [path.name for path in tmp_path.iterdir()] == ["chat.json"]
