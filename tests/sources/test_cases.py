"""Every export in data/ comes out as the file beside it says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("source_cases", Path(__file__).parent / "cases.py")
assert _spec is not None and _spec.loader is not None
source_cases = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(source_cases)


@pytest.mark.parametrize("case", list(source_cases.cases()), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_case(case: Path) -> None:
    ending, text = source_cases.outcome(case)
    expected = case.parent / (source_cases.name_of(case) + ending)
    assert expected.exists(), f"came out as {ending}: {text[:300]}"
    assert text == expected.read_text(encoding="utf-8")
    if ending == ".refused.txt":
        assert text.count("\n") == 1 and text.rstrip("\n").isprintable()
