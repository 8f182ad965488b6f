"""Law 10. Empty means none: whatever is missing, empty, unknown or broken shows nothing, and no switch turns a
check off."""

from __future__ import annotations

import ast
import contextlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import bindparam, update

import byleave
from byleave.consent import choice, grant
from byleave.consent.grant import Scope
from byleave.errors import ByleaveError
from byleave.model import Level
from byleave.store import prepare
from byleave.store.tables import agreement as agreement_table
from byleave.store.tables import grant as grant_table
from byleave.view import Lagging, Query, open_view, rows
from tests.worlds import NOW, World, chat

ANN = "telegram:user1"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.owner_id = made.owner()  # type: ignore[attr-defined]
    made.put(made.owner_id, [chat("words of ann", ANN), chat("mine", "telegram:me")], own=["telegram:me"])  # type: ignore[attr-defined]
    made.choose(ANN, Level.FULL, "tailoring")
    made.deal = made.agree()  # type: ignore[attr-defined]
    return made


def seen(world: World, found: grant.Grant) -> int:
    for _ in range(20):
        try:
            with world.store.read() as snapshot:
                again = grant.find(snapshot, found.owner_id, found.grant_id)
                view = open_view(snapshot, again, world.installation.ids, world.now)
                return 0 if view is None else len(view.query(Query(limit=50)).borns)
        except Lagging:
            world.store.write(rows.apply, found.owner_id, found.grant_id, world.now)
    return 0


def corrupt(world: World, found: grant.Grant, **values: Any) -> None:
    """Writes into the grant's row what no procedure would write."""
    named = {f"to_{k}": v for k, v in values.items()}
    statement = prepare(
        update(grant_table)
        .values(**{k: bindparam(f"to_{k}") for k in values})
        .where(grant_table.c.grant_id == bindparam("of_grant"))
    )
    world.store.write(lambda tx: tx.run(statement, of_grant=found.grant_id, **named))


def allowed(world: World, **options: Any) -> grant.Grant:
    return world.allow(world.owner_id, agreement_id=world.deal, partner="streamflix", **options)  # type: ignore[attr-defined]


def test_the_control(world: World) -> None:
    assert seen(world, allowed(world)) == 2


@pytest.mark.parametrize("purpose", ["", "nonsense", "Tailoring", "tailoring "])
def test_an_unknown_purpose(world: World, purpose: str) -> None:
    with pytest.raises(ByleaveError):
        allowed(world, purpose=purpose)
    found = allowed(world)
    corrupt(world, found, purpose=purpose)
    assert seen(world, found) == 0


@pytest.mark.parametrize(
    "scope",
    [{"mode": "listed", "of": []}, {"mode": "", "of": []}, {"mode": "ALL", "of": []}, {"mode": "some"}],
)
def test_an_empty_list_and_an_unknown_mode(world: World, scope: dict[str, Any]) -> None:
    assert seen(world, allowed(world, scope=scope)) == 0


@given(
    st.text(max_size=12).filter(lambda m: m not in ("all", "all-but")),
    st.lists(st.text(max_size=6), max_size=3),
)
def test_scope(mode: str, of: list[str]) -> None:
    scope = msgspec.json.decode(json.dumps({"mode": mode, "of": of}), type=Scope)
    assert not scope.holds("telegram/c1") or (mode == "listed" and "telegram/c1" in of)


@pytest.mark.parametrize(
    "values",
    [
        {"level": 0},
        {"agreement_id": None},
        {"agreement_id": ""},
        {"agreement_id": "another"},
        {"expires_at": 0},
    ],
)
def test_a_missing_piece(world: World, values: dict[str, Any]) -> None:
    found = allowed(world)
    corrupt(world, found, **values)
    assert seen(world, found) == 0


@pytest.mark.parametrize(
    "column,value", [("status", ""), ("status", "broken"), ("document", "{}"), ("document", "")]
)
def test_a_broken_agreement(world: World, column: str, value: str) -> None:
    """A policy that fails to load yields nothing: an error or no view, never rows."""
    found = allowed(world)
    statement = prepare(update(agreement_table).values(**{column: bindparam("to")}))
    world.store.write(lambda tx: tx.run(statement, to=value))
    with contextlib.suppress(ByleaveError):
        assert seen(world, found) == 0


def test_no_choice(world: World) -> None:
    world.put(world.owner_id, [chat("words of bob", "telegram:user2"), chat("of nobody", None)])  # type: ignore[attr-defined]
    assert seen(world, allowed(world)) == 2


@settings(max_examples=60)
@given(st.sampled_from(["tailoring", "", "nonsense", "own-agent"]), st.sampled_from([None, "", "streamflix"]))
def test_an_empty_history(purpose: str, partner: str | None) -> None:
    assert (
        choice.decide((), purpose=purpose, partner=partner, conversation="telegram/c1", owner_id=b"o") is None
    )


def test_no_switch_turns_checks_off() -> None:
    """No setting, argument or variable named so; the environment is read in cli alone."""
    odd = (
        "skip_permission",
        "skip_check",
        "no_check",
        "bypass",
        "disable_",
        "unsafe_skip",
        "insecure",
        "debug",
    )
    for path in Path(byleave.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            name = getattr(node, "id", None) or getattr(node, "arg", None) or getattr(node, "attr", None)
            assert not isinstance(name, str) or not any(o in name.lower() for o in odd), (
                f"{path.name}: {name}"
            )
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
                # parquet hands its child process the environment it has, and reads nothing of it
                assert path.parent.name == "cli" or path.name == "parquet.py", path
    assert NOW
