"""`byleave models`: the account, a total, and the consent that it rests on, as an operator meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def store(tmp_path: Path) -> Path:
    run(tmp_path, "init", "--mode", "sandbox", "--store", "b.db")
    rows = "".join(f"t{i},Film {i},{2000 + i}\n" for i in range(25))
    (tmp_path / "titles.csv").write_text("title_id,title,year\n" + rows, encoding="utf-8")
    return tmp_path


def run(folder: Path, *words: str, fails: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from byleave.cli import main; main()", *words],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "BYLEAVE_STORE": str(folder / "b.db")},
    )  # fmt: skip
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr if fails else done.stdout


def test_a_total_is_made_once_and_the_account_says_so(store: Path) -> None:
    words = (
        "models",
        "release",
        "popularity",
        "f1",
        "--catalogue",
        "titles.csv",
        "--at",
        "2026-02-02T00:00:00Z",
        "--json",
    )
    first, again = run(store, *words), run(store, *words)
    assert first == again and len(json.loads(first)["cells"]) == 25
    account = json.loads(run(store, "models", "account", "--at", "2026-02-02T00:00:00Z", "--json"))
    assert account["rho_spent"] == 0.01 and account["rho_left"] == 0.475 and account["learning_yes"] == 0
    assert [r["period"] for r in json.loads(run(store, "models", "releases", "--json"))] == ["f1"]
    assert json.loads(run(store, "ledger", "verify", "--json"))["ok"]


def test_refusals_are_one_line(store: Path) -> None:
    early = run(
        store,
        "models",
        "release",
        "popularity",
        "f1",
        "--catalogue",
        "titles.csv",
        "--at",
        "2026-01-10T00:00:00Z",
        fails=True,
    )
    assert early == "the period ends on 2026-01-18, and not all its days are closed yet\n"
    form = run(store, "models", "release", "pairs", "f1", "--catalogue", "titles.csv", fails=True)
    assert form.count("\n") == 1 and "2026-q2" in form
    assert "--owner O or --person" in run(store, "models", "learning", "--yes", fails=True)


def test_the_consent_is_apart_and_comes_with_what_it_means(store: Path) -> None:
    said = run(store, "models", "learning", "--person", "mail:ann@ann.example", "--yes")
    assert "only totals" in " ".join(said.lower().split())
    assert json.loads(run(store, "models", "learning", "--person", "mail:ann@ann.example", "--yes", "--json")) == {
        "learning": True, "changed": False,
    }  # fmt: skip
    assert json.loads(run(store, "models", "account", "--json"))["learning_yes"] == 1
    run(store, "models", "learning", "--person", "mail:ann@ann.example", "--no")
    assert json.loads(run(store, "models", "account", "--json"))["learning_yes"] == 0
