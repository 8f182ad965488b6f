"""The registry of purposes: the shipped table as the spec has it, and what additions cannot do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from byleave.consent.purpose import HOUR_MS, PURPOSES, Output, Who, highest, with_additions
from byleave.errors import Refused
from byleave.model import Level

ADDED = {"name": "returns-desk", "who": "partner", "level": "masked", "output": ["emails"], "max_hours": 48}


def add(*purposes: Any, **top: Any) -> Any:
    return with_additions(json.dumps({"schema": "byleave.purposes/1", "purposes": purposes, **top}).encode())


def test_the_table_of_the_spec() -> None:
    table = {name: (p.who, p.highest, p.unanswered, p.raise_unanswered) for name, p in PURPOSES.items()}
    assert table == {
        "owner": (Who.OWNER, Level.FULL, Level.FULL, Level.NONE),
        "own-agent": (Who.AGENT, Level.TEXT, Level.NONE, Level.MASKED),
        "portability": (Who.PARTNER, Level.FULL, Level.NONE, Level.NONE),
        "tailoring": (Who.PARTNER, Level.MASKED, Level.NONE, Level.NONE),
        "ranking": (Who.PARTNER, Level.SIGNALS, Level.NONE, Level.NONE),
        "support-case": (Who.PARTNER, Level.TEXT, Level.NONE, Level.NONE),
    }
    support = PURPOSES["support-case"]
    assert support.longest_ms == 24 * HOUR_MS and support.one_conversation and support.case
    assert PURPOSES["tailoring"].usual is Level.SIGNALS
    assert [name for name, p in PURPOSES.items() if p.writes] == ["owner"]
    assert [name for name, p in PURPOSES.items() if not p.choices_apply] == ["owner"]


def test_output_follows_the_granted_level() -> None:
    tailoring = PURPOSES["tailoring"]
    assert tailoring.outputs(Level.NONE) == frozenset()
    assert tailoring.outputs(Level.SIGNALS) == {Output.SIGNALS, Output.SENDS}
    assert tailoring.outputs(Level.MASKED) == {Output.SIGNALS, Output.SENDS, Output.EMAILS}
    assert Output.EMAILS not in PURPOSES["ranking"].outputs(Level.FULL)


def test_unknown_is_none_and_the_table_is_closed() -> None:
    assert highest("resale") is Level.NONE is highest("")
    with pytest.raises(TypeError):
        PURPOSES["x"] = PURPOSES["owner"]  # type: ignore[index]


def test_addition() -> None:
    added = add(ADDED, {**ADDED, "name": "title-selection", "level": "signals", "output": ["signals"]})
    desk = added["returns-desk"]
    assert (desk.highest, desk.unanswered, desk.longest_ms) == (Level.MASKED, Level.NONE, 48 * HOUR_MS)
    assert highest("returns-desk", added) is Level.MASKED and highest("returns-desk") is Level.NONE
    assert set(PURPOSES) < set(added)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "owner"},
        {"name": "tailoring"},
        {"name": "Returns Desk"},
        {"name": "psychographic-segments"},
        {"name": "micro.political"},
        {"name": "credit_check"},
        {"name": "pre-employment"},
        {"name": "ad_target"},
        {"name": "adtarget"},
        {"who": "owner"},
        {"who": "everyone"},
        {"level": "full"},
        {"level": "none"},
        {"unanswered": "masked"},
        {"unanswered": "signals"},
        {"output": []},
        {"output": ["profile"]},
        {"output": ["political-score"]},
        {"output": ["pages"]},
        {"level": "signals"},
        {"max_hours": 0},
        {"max_hours": 2161},
        {"writes": True},
        {"choices_apply": False},
    ],
    ids=str,
)
def test_additions_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        add({**ADDED, **change})
    assert "purposes" in str(caught.value)


def test_one_bad_purpose_refuses_the_file() -> None:
    with pytest.raises(Refused):
        add(ADDED, {**ADDED, "name": "x", "level": "full"})
    with pytest.raises(Refused):
        add(ADDED, ADDED)
    with pytest.raises(Refused):
        add(ADDED, schema="byleave.purposes/2")
    for data in (b"", b"[]", b"{}", b"\xff", b'{"schema":"byleave.purposes/1","purposes":[],"purposes":[]}'):
        with pytest.raises(Refused):
            with_additions(data)
