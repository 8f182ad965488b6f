"""Every export in data/ comes out as the file beside it says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def beside(name: str) -> ModuleType:
    """A module of this folder; tests are no package."""
    spec = importlib.util.spec_from_file_location(f"sources_{name}", Path(__file__).parent / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


source_cases, docs = beside("cases"), beside("docs")


@pytest.mark.parametrize("case", list(source_cases.cases()), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_case(case: Path) -> None:
    ending, text = source_cases.outcome(case)
    expected = case.parent / (source_cases.name_of(case) + ending)
    assert expected.exists(), f"came out as {ending}: {text[:300]}"
    assert text == expected.read_text(encoding="utf-8")
    if ending == ".refused.txt":
        assert text.count("\n") == 1 and text.rstrip("\n").isprintable()


def test_docs_are_fresh() -> None:
    assert docs.PAGE.read_text(encoding="utf-8") == docs.page(), "python -m tests.sources docs"
