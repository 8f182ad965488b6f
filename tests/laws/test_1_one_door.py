"""Law 1. No byte of a message reaches anyone but its owner except through a view.

Who can name the tables that hold words: two rooms (by import contract and again here). Who can make `Released`:
one class. Who opens a view releases its reading. What is written beside the body tables holds no words.
"""

from __future__ import annotations

import ast
import sqlite3
from pathlib import Path

import grimp
import pytest

import byleave
from byleave.store import bodies
from byleave.view import Released
from tests.laws.twins import Twin

SOURCE = Path(byleave.__file__).parent
OPENERS = {"open_view", "owner_view"}
RELEASERS = {"release", "release_now"}
# Files that open a view and release nothing, each with its reason.
NOT_RELEASED = {
    "view/export.py": "owner_view is what others open; `lines` releases page by page",
    "view/__init__.py": "defines open_view",
}


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def calls(tree: ast.AST) -> set[str]:
    """The last name of everything that is called in a tree."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            found.add(function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", ""))
    return found


def test_two_rooms_can_name_a_body() -> None:
    graph = grimp.build_graph("byleave", cache_dir=None)
    named = graph.find_modules_that_directly_import("byleave.store.bodies")
    rooms = {".".join(module.split(".")[:2]) for module in named if not module.startswith("byleave.store.")}
    assert rooms == {"byleave.view", "byleave.ingest", "byleave.remask", "byleave.mentioning"}


def test_no_way_round_the_import() -> None:
    """Nobody reaches the module or its tables by attribute, by name or by importlib."""
    tables = set(bodies.metadata.tables)
    for path in modules():
        place = path.relative_to(SOURCE).as_posix()
        if place.startswith(("view/", "store/", "ingest/")) or place in ("remask.py", "mentioning.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                assert not (node.attr == "bodies" and getattr(node.value, "id", "") == "store"), place
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert "store.bodies" not in node.value, place
                assert f"FROM {node.value}" not in tables
            if isinstance(node, ast.Import | ast.ImportFrom):
                by_name = "importlib" in [a.name for a in node.names]
                assert not by_name or place == "cli/__init__.py", place  # the verbs, by their own names


def test_only_a_reading_makes_released() -> None:
    with pytest.raises(TypeError):
        Released(b"words", object())
    for path in modules():
        if path != SOURCE / "view" / "reading.py":
            text = path.read_text()
            assert "Released(" not in text and "_MAKER" not in text, path


def test_who_opens_a_view_releases_its_reading() -> None:
    opened = 0
    for path in modules():
        place = path.relative_to(SOURCE).as_posix()
        tree = ast.parse(path.read_text())
        if place in NOT_RELEASED or not place.startswith("gateway/"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and OPENERS & calls(node):
                opened += 1
                done = calls(node)
                forms_only = {"new_token", "revoke_token"}  # they take the grant's id from it, no message
                dry_run = {"question", "_dry_run", "_seen", "_caught_up"}
                assert RELEASERS & done or node.name in forms_only | dry_run, f"{place}: {node.name}"
    assert opened >= 5


def test_words_stand_in_the_body_tables_alone(tmp_path: Path) -> None:
    """After imports, readings by everybody and follow-ups: hidden words are in no other table, nor in the log."""
    twin = Twin(tmp_path / "one", True)
    for caller in ("partner", "owner", "ann", "bob"):
        for path in ("/jmap/session", "/me/inbox", "/me/readings"):
            twin.ask("GET", path, caller)
    twin.tool("search_messages", {"query": "harbour"})
    twin.world.work()
    protected = set(bodies.metadata.tables)
    taken = sqlite3.connect(twin.world.path)
    names = [n for (n,) in taken.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert protected < set(names)
    for name in set(names) - protected - {"view_term"}:
        for row in taken.execute(f'SELECT * FROM "{name}"'):
            for value in row:
                held = value.encode() if isinstance(value, str) else value
                assert not isinstance(held, bytes) or b"ecret" not in held, name
    mine = taken.execute("SELECT grant_id FROM \"grant\" WHERE purpose = 'owner'").fetchone()[0]
    terms = taken.execute("SELECT term FROM view_term WHERE grant_id <> ?", (mine,)).fetchall()
    assert terms and not [t for (t,) in terms if "secret" in t]
    twin.close()
