"""`byleave catalogue`: keys of its JSON, and one line where it refuses."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.terminal import Terminal
from tests.test_titles import FILMS


def test_the_verbs(byleave: Terminal) -> None:
    byleave.json("init", "--mode", "sandbox")
    rows = "\n".join(f"{f.id},{f.title},{f.year}" for f in FILMS)
    Path("films.csv").write_text(f"title_id,title,year\n{rows}\nc,My Cancer Diary,2001\n")
    answer = byleave.json("catalogue", "import", "films.csv")
    assert answer == {
        "catalogue": "own", "format": "csv", "titles": 31, "skipped": 0, "sensitive": 1, "changed": True, "messages_read": 0,
    }  # fmt: skip
    assert byleave.json("catalogue", "import", "films.csv")["changed"] is False
    assert byleave.json("catalogue", "show")["titles"] == 31
    assert byleave.json("catalogue", "flag", "t1", "health", "--by", "a", "--by", "b")["on"] is True
    assert byleave.json("catalogue", "show")["sensitive"] == 2
    Path("bad.csv").write_text(f"title_id,title,year\n{rows}\nx,,2001\ny,Fine,20x1\n")
    refused = byleave("catalogue", "import", "bad.csv")
    assert (
        refused.status != 0
        and "row 32" in refused.err
        and "row 33" in refused.err
        and refused.err.count("\n") == 1
    )
    Path("few.csv").write_text("title_id,title\n1,Fine\n")
    assert "fewer than 20" in byleave("catalogue", "import", "few.csv").err
    Path("theirs.jsonl").write_text(
        "\n".join(json.dumps({"title_id": f"x{f.id}", "title": f.title}) for f in FILMS)
    )
    assert (
        byleave.json("catalogue", "import", "theirs.jsonl", "--partner", "streamflix")["catalogue"]
        == "streamflix"
    )
