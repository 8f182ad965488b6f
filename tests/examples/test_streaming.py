"""The example partner runs, over real processes, and its report agrees with the provider's figures cell for cell."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2] / "examples" / "streaming"


def test_the_whole_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", ":".join(p for p in sys.path if p))
    monkeypatch.syspath_prepend(str(HERE))
    spec = importlib.util.spec_from_file_location("streaming_partner", HERE / "partner.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    told = module.main(tmp_path)
    assert told == {
        "totals": {"sends": 3, "recipient_clicks": 3, "clicks_total": 3}, "unlike": 0, "findings": [], "state": "accepted",
    }  # fmt: skip
    assert "0 of 168 cells differ, 0 findings" in capsys.readouterr().out
