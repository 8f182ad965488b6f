"""The command line in this process: what a verb printed and how it ended, as a shell would see it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest

from byleave.cli import main

# Two conversations, all invented: who is `me` is claimed with --me telegram:user1000.
CHAT = {
    "name": "Ann",
    "type": "personal_chat",
    "id": 1001,
    "messages": [
        {
            "id": number,
            "type": "message",
            "date": "2024-03-01T10:00:00",
            "date_unixtime": str(1709287200 + 60 * number),
            "from": name,
            "from_id": handle,
            "text": text,
        }
        for number, (name, handle, text) in enumerate(
            [
                ("Ann", "user1001", "Hello, shall we see the film about the lighthouse tonight?"),
                ("Me", "user1000", "Yes, with great pleasure, I will be there at nine."),
                ("Ann", "user1001", "Then I will bring my umbrella, because it is going to rain."),
            ],
            1,
        )
    ],
}


class Said(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        assert len(self.out.splitlines()) == 1, self.out
        return json.loads(self.out)

    @property
    def refusal(self) -> str:
        """The one line of a verb that refused."""
        assert self.status != 0, self.out
        assert self.out == ""
        assert self.err.endswith("\n") and len(self.err.splitlines()) == 1, self.err
        assert "Traceback" not in self.err and "defect" not in self.err, self.err
        return self.err.strip()


class Terminal:
    """`byleave` in a folder of its own. `store` is given to every verb that does not name one."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, store: str = "inbox.db") -> None:
        self.folder = folder
        patch.chdir(folder)
        patch.setenv("BYLEAVE_STORE", store)
        patch.delenv("TZ", raising=False)
        (folder / "chat.json").write_text(json.dumps(CHAT))

    def __call__(self, *words: str, stdin: bytes = b"") -> Said:
        out, err, given = io.BytesIO(), io.StringIO(), io.TextIOWrapper(io.BytesIO(stdin))
        printed = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
        status = 0
        with (
            mock.patch.object(sys, "argv", ["byleave", *words]),
            mock.patch.object(sys, "stdout", printed),
            mock.patch.object(sys, "stderr", err),
            mock.patch.object(sys, "stdin", given),
        ):
            try:
                main()
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else 1
            printed.flush()
        return Said(status, out.getvalue().decode(), err.getvalue())

    def json(self, *words: str, stdin: bytes = b"") -> Any:
        return self(*words, "--json", stdin=stdin).json

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}
