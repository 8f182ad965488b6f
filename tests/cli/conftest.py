from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.terminal import Terminal


@pytest.fixture
def byleave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal in an empty folder (but for `chat.json`), without a store."""
    return Terminal(tmp_path, monkeypatch)


@pytest.fixture
def sandbox(byleave: Terminal) -> Terminal:
    """The same, with a sandbox store that has the chat in it."""
    byleave.json("init", "--mode", "sandbox")
    byleave.json("import", "chat.json", "--me", "telegram:user1000")
    return byleave
