"""Invariant 9: refuse, do not guess. Every odd export is refused in one line that names the file and the place and
tells nothing of its words, or it is read for what it is; either way a refusal leaves the store as it was."""

from __future__ import annotations

import io
import json
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from byleave.store import Store, bodies, prepare, tables
from tests.cli.terminal import CHAT, Terminal

SECRET = "zanzibar"
"""Stands in every odd file's words, names and addresses; no refusal may repeat it."""


def telegram(messages: list[Any], **more: Any) -> bytes:
    return json.dumps(
        {"name": SECRET, "type": "personal_chat", "id": 7, "messages": messages, **more}
    ).encode()


def message(**more: Any) -> dict[str, Any]:
    return {
        "id": 1, "type": "message", "date": "2024-03-01T10:00:00", "date_unixtime": "1709287200", "from": SECRET,
        "from_id": "user77", "text": f"{SECRET} one", **more,
    }  # fmt: skip


def zipped(files: dict[str, bytes], **options: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **options) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return out.getvalue()


def messenger(messages: list[Any]) -> dict[str, bytes]:
    page = {
        "participants": [{"name": SECRET}],
        "messages": messages,
        "title": SECRET,
        "thread_path": "inbox/x_1",
    }
    return {"your_facebook_activity/messages/inbox/x_1/message_1.json": json.dumps(page).encode()}


ANDROID = "".join(f"0{d}/05/2024, 10:0{d} - {SECRET}: hello {d}\n" for d in range(1, 6))
REFUSED: dict[str, tuple[str, bytes]] = {
    "nothing": ("empty.txt", b""),
    "white space": ("blank.json", b" \n\n"),
    "some other text": ("diary.txt", f"Dear diary, {SECRET} said hello.\nAnd more.\n".encode()),
    "binary": ("image.bin", bytes(range(256)) * 8),
    "ambiguous dates": ("WhatsApp Chat with X.txt", ANDROID.encode()),
    "two date orders": (
        "WhatsApp Chat with X.txt",
        f"13/01/2024, 10:00 - {SECRET}: a\n01/13/2024, 10:00 - {SECRET}: b\n".encode(),
    ),
    "cut in the middle of a chat": ("result.json", telegram([message(), message(id=2)])[:-30]),
    "cut in the first message": ("result.json", telegram([message()])[:90]),
    "rubbish behind the end": ("result.json", telegram([message()]) + b"{}"),
    "a message id that is a list": ("result.json", telegram([message(id=[1])])),
    "messages that are none": ("result.json", telegram([message(), 7])),
    "a time that is none": ("result.json", telegram([message(date_unixtime="soon", date="later")])),
    "a time out of this world": (
        "result.json",
        telegram([message(date_unixtime="9" * 30, date="99999-01-01T00:00:00")]),
    ),
    "deep nesting": (
        "result.json",
        b'{"name":"x","type":"personal_chat","id":1,"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ),
    "NaN": ("result.json", telegram([message(id=float("nan"))])),
    "a torn archive": ("export.zip", zipped(messenger([]))[:60]),
    "an archive that climbs out": ("export.zip", zipped({"../../result.json": telegram([message()])})),
    "an archive of nothing known": ("export.zip", zipped({"a.txt": b"hello"})),
    "two formats in one archive": (
        "export.zip",
        zipped({**messenger([]), "result.json": telegram([message()])}),
    ),
    "a mailbox that begins in the middle": ("mail.mbox", f"Subject: {SECRET}\n\nhello\n".encode() * 3),
    "a signal chat as text": (
        "signal.txt",
        f"From: {SECRET} (+15550101)\nType: incoming\nSent: yesterday\n\nhello\n".encode(),
    ),
}


@pytest.fixture
def byleave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, monkeypatch)
    assert terminal("import", "chat.json", "--me", "telegram:user1000").status == 0
    yield terminal


def content(path: Path) -> dict[str, list[str]]:
    store = Store.open(path)
    try:
        with store.read() as snapshot:
            return {
                t.name: sorted(map(repr, snapshot.all(prepare(select(t)))))
                for part in (tables.metadata, bodies.metadata)
                for t in part.sorted_tables
            }
    finally:
        store.close()


def clean(line: str) -> bool:
    """No control or direction characters, nothing of the words."""
    return not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in line) and SECRET not in line.lower()


@pytest.mark.parametrize("trap", REFUSED)
def test_a_refusal_is_one_line_and_changes_nothing(byleave: Terminal, trap: str) -> None:
    name, data = REFUSED[trap]
    (byleave.folder / name).write_bytes(data)
    before = content(byleave.folder / "inbox.db")
    line = byleave("import", name).refusal
    assert clean(line), line
    assert name in line and line.count(": ") >= 1
    assert content(byleave.folder / "inbox.db") == before


def test_a_refusal_makes_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(tmp_path, monkeypatch)
    name, data = REFUSED["cut in the middle of a chat"]
    (terminal.folder / name).write_bytes(data)
    assert terminal("import", name).refusal
    assert not [f for f in terminal.files() if f.startswith("inbox")]


def test_the_ambiguous_is_read_once_it_is_said(byleave: Terminal) -> None:
    name, data = REFUSED["ambiguous dates"]
    (byleave.folder / name).write_bytes(data)
    assert "date-order" in byleave("import", name).refusal
    assert byleave.json("import", name, "--date-order", "dmy")["messages"]["added"] == 5


ODD: dict[str, Callable[[], bytes]] = {
    "half a character": lambda: telegram([message(text="a \ud83d b", **{"from": "n\udc00"})]),
    "controls": lambda: telegram([message(text="\x00\x01A00000001\x02\x1f\u202e")]),
    "text as a list of odd things": lambda: telegram(
        [message(text=["a", {"type": "link", "text": "b"}, {"type": "bold", "text": ""}])]
    ),
    "an empty text": lambda: telegram([message(text="")]),
    "a long text": lambda: telegram([message(text="word " * 100_000)]),
    "an old time": lambda: telegram([message(date_unixtime="1", date="1970-01-01T00:00:01")]),
    "nobody": lambda: telegram([message(**{"from": None, "from_id": None})]),
}


@pytest.mark.parametrize("odd", ODD)
def test_what_is_odd_is_read_or_refused_but_never_breaks(byleave: Terminal, odd: str) -> None:
    (byleave.folder / "result.json").write_bytes(ODD[odd]())
    before = content(byleave.folder / "inbox.db")
    said = byleave("import", "result.json", "--json")
    if said.status:
        assert clean(said.refusal)
        assert content(byleave.folder / "inbox.db") == before
    else:
        assert said.json["messages"]["added"] == 1
        assert len(byleave("export").out.splitlines()) == len(CHAT["messages"]) + 1


EXPORT = telegram([message(id=n, text=f"{SECRET} {n}") for n in range(1, 5)])


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    cut=st.integers(0, len(EXPORT) - 1),
    flips=st.lists(st.tuples(st.integers(0, len(EXPORT) - 1), st.integers(0, 255)), max_size=3),
)
def test_a_damaged_export_is_whole_or_refused(
    byleave: Terminal, cut: int, flips: list[tuple[int, int]]
) -> None:
    """Cut anywhere, or bytes changed: a line or all of it, never a trace, never a part of it."""
    data = bytearray(EXPORT if flips else EXPORT[:cut])
    for at, value in flips:
        data[at] = value
    (byleave.folder / "result.json").write_bytes(bytes(data))
    said = byleave("import", "result.json", "--dry-run")
    if said.status:
        assert clean(said.refusal)
    elif not flips:
        raise AssertionError("half an export was taken for a whole one")
