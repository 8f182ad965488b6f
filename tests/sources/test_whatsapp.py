"""WhatsApp: dates, headers, names and keys. Whole files stand in data/whatsapp."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.errors import Code, Refused
from byleave.model import Conversation, Kind, Record
from byleave.sources import Options, recognise
from byleave.sources.archive import Export
from byleave.sources.whatsapp import WhatsAppImporter
from byleave.sources.whatsapp_layout import shape_of

START = datetime(2023, 1, 1, tzinfo=UTC)


def read(path: Path, **options: str) -> tuple[str, list[Record]]:
    """(key of the one conversation, its records)."""
    found = list(recognise(Export(path)).read(Export(path), Options(**options)))
    keys = {item.key for item in found if isinstance(item, Conversation)}
    assert len(keys) == 1
    return keys.pop(), [item for item in found if isinstance(item, Record)]


def written(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


FORMS = {
    "dmy": (
        "{0:%d/%m/%Y, %H:%M} - ",
        "{0:%d.%m.%y, %H:%M} - ",
        "[{0:%d/%m/%Y, %H:%M:%S}] ",
        "{0:%d-%m-%Y %H:%M} - ",
    ),
    "mdy": ("{0:%m/%d/%y, %I:%M %p} - ", "[{0:%m/%d/%y, %I:%M:%S\u202f%p}] ", "{0:%m/%d/%Y, %I:%M %p} - "),
    "ymd": ("{0:%Y/%m/%d, %H:%M} - ", "[{0:%Y-%m-%d %H:%M:%S}] ", "{0:%Y. %m. %d. %H:%M} - "),
}
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp")), min_size=1, max_size=20
)


@given(
    st.lists(
        st.tuples(st.integers(0, 3000), st.sampled_from(["Ann", "Bob"]), texts), min_size=1, max_size=25
    ),
    st.sampled_from([(order, form) for order in FORMS for form in FORMS[order]]),
)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_every_form_reads_back(
    tmp_path_factory: pytest.TempPathFactory, chat: list[tuple[int, str, str]], form: tuple[str, str]
) -> None:
    order, header = form
    now, lines, expected = START, [], []
    for minutes, sender, text in chat:
        now += timedelta(minutes=minutes)
        text = "words " + text.strip()
        lines.append(header.format(now) + f"{sender}: {text}")
        expected.append((int(now.timestamp() * 1000), sender, text))
    path = written(tmp_path_factory.mktemp("wa") / "chat.txt", *lines)
    _, records = read(path, date_order=order)
    assert [(r.sent_at, r.sender_name, r.text) for r in records] == expected
    assert len({r.id for r in records}) == len(records)
    try:
        _, undecided = read(path)
    except Refused as refused:
        assert refused.code is Code.AMBIGUOUS and "--date-order" in str(refused) and order != "ymd"
        assert all(datetime.fromtimestamp(at / 1000, UTC).day <= 12 for at, _, _ in expected)
    else:
        assert undecided == records


def test_a_newer_export_adds_and_edits(tmp_path: Path) -> None:
    old = written(
        tmp_path / "old" / "_chat.txt",
        "25/01/2024, 10:00 - Ann: hi",
        "25/01/2024, 10:01 - Bob: a",
        "25/01/2024, 10:01 - Bob: a",
        "25/01/2024, 10:02 - Bob: oops",
    )
    new = written(
        tmp_path / "new" / "_chat.txt",
        "25/01/2024, 10:00 - Ann: hi there <This message was edited>",
        "25/01/2024, 10:01 - Bob: a",
        "25/01/2024, 10:01 - Bob: a",
        "25/01/2024, 10:02 - Bob: This message was deleted",
        "26/01/2024, 10:02 - Cleo: more",
    )
    (old_key, before), (new_key, after) = read(old), read(new)
    assert old_key == new_key
    assert [r.id for r in after[:4]] == [r.id for r in before]
    assert [r.revision for r in after] == [1, 0, 0, 2, 0] and [r.revision for r in before] == [0, 0, 0, 0]
    assert after[3].kind is Kind.DELETED and after[0].text == "hi there"


def test_two_chats_do_not_meet(tmp_path: Path) -> None:
    ann = written(tmp_path / "_chat.txt", "25/01/2024, 10:00 - Me: hi", "25/01/2024, 10:01 - Ann: hi")
    bob = written(tmp_path / "b" / "_chat.txt", "25/01/2024, 10:00 - Me: hi", "25/01/2024, 10:01 - Bob: hi")
    assert read(ann)[0] != read(bob)[0]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("WhatsApp Chat with Ann Lee.txt", "Ann Lee"),
        ("WhatsApp Chat mit Ann.txt", "Ann"),
        ("Chat de WhatsApp con Ann.txt", "Ann"),
        ("Discussion WhatsApp avec Ann.txt", "Ann"),
        ("Chat WhatsApp con Ann.txt", "Ann"),
        ("Conversa do WhatsApp com Ann.txt", "Ann"),
        ("WhatsApp-chat met Ann.txt", "Ann"),
        ("Ann ile WhatsApp Sohbeti.txt", "Ann"),
        ("WhatsApp Chat - Film night 🎬.txt", "Film night 🎬"),
    ],
)
def test_the_files_name_tells_the_chats(tmp_path: Path, name: str, title: str) -> None:
    path = written(tmp_path / name, "25/01/2024, 10:00 - Ann: hi")
    key, records = read(path)
    assert key == title and records[0].sender == f"whatsapp:{title}/Ann"


def test_zip_and_folder_name_the_chat_and_texts_in_it_are_attachments(tmp_path: Path) -> None:
    folder = tmp_path / "WhatsApp Chat - Ann"
    written(folder / "_chat.txt", "[25/01/2024, 10:00:00] Ann: hi")
    written(folder / "00000002-WhatsApp Chat with Bob.txt", "25/01/2024, 10:00 - Bob: not of this chat")
    written(folder / "WhatsApp Chat with Bob.txt", "25/01/2024, 10:00 - Bob: not of this chat")
    zipped = tmp_path / "WhatsApp Chat - Ann.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    for path in (folder, zipped):
        key, records = read(path)
        assert key == "Ann" and [r.text for r in records] == ["hi"]


def test_a_folder_of_chats_is_several_conversations(tmp_path: Path) -> None:
    for name in ("Ann", "Bob"):
        written(tmp_path / f"WhatsApp Chat with {name}.txt", f"25/01/2024, 10:00 - {name}: hi")
    found = WhatsAppImporter().read(Export(tmp_path), Options())
    assert {r.conversation for r in found if isinstance(r, Record)} == {"Ann", "Bob"}


def test_a_pasted_line_from_the_future_does_not_swallow_the_chat(tmp_path: Path) -> None:
    lines = [f"{day:02}/01/2024, 10:00 - Bob: day {day}" for day in range(1, 20)]
    lines.insert(5, "31/12/2049, 10:00 - Cleo: agreed")
    lines.insert(9, "01/02/2016, 10:00 - Cleo: agreed")
    _, records = read(written(tmp_path / "c.txt", *lines))
    assert len(records) == 19 and {r.sender_name for r in records} == {"Bob"}
    assert records[4].text.endswith("Cleo: agreed")


def test_one_pasted_date_does_not_overrule_the_file_but_two_of_four_do(tmp_path: Path) -> None:
    lines = [f"{day}/01/2024, 10:00 - Bob: x" for day in range(13, 28)] * 5
    lines.sort()
    _, records = read(written(tmp_path / "a.txt", *lines, "01/31/2024, 10:00 - Ann: pasted"))
    assert len(records) == len(lines) and records[-1].text.endswith("Ann: pasted")
    with pytest.raises(Refused, match="lines 1 and 2"):
        read(written(tmp_path / "b.txt", "13/01/2024, 10:00 - Bob: x", "01/14/2024, 10:00 - Bob: x"))


def test_late_by_hours_is_a_header(tmp_path: Path) -> None:
    path = written(
        tmp_path / "c.txt",
        "25/01/2024, 20:00 - Ann: one",
        "25/01/2024, 09:00 - Bob: sent on a plane",
        "25/01/2024, 20:05 - Ann: two",
    )
    assert [r.sender_name for r in read(path)[1]] == ["Ann", "Bob", "Ann"]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "2024-01-25 10:00:00 - INFO: x",
        "[x] Ann: y",
        "12/1 - Ann: y",
        "1/1/1/1, 10:00 - a: b",
        "From a@b.example",
    ],
)
def test_what_is_no_header(line: str) -> None:
    assert shape_of(line) is None


def test_bad_options(tmp_path: Path) -> None:
    path = written(tmp_path / "c.txt", "25/01/2024, 10:00 - Ann: hi")
    for options in (
        {"date_order": "dym"},
        {"date_order": "ymd"},
        {"zone": "Mars/Olympus"},
        {"zone": "../etc"},
    ):
        with pytest.raises(Refused):
            read(path, **options)


@given(st.binary(max_size=300), st.sampled_from(["25/01/2024, 10:00 - A: x", "[1/2/24, 1:00:00 PM] A: y"]))
@settings(max_examples=80, derandomize=True, deadline=None)
def test_any_bytes_refuse_or_read(tmp_path_factory: pytest.TempPathFactory, tail: bytes, head: str) -> None:
    path = tmp_path_factory.mktemp("any") / "c.txt"
    path.write_bytes(head.encode() + b"\n" + tail)
    try:
        read(path, date_order="dmy")
    except Refused as refused:
        assert str(refused).isprintable()


@given(
    st.lists(
        st.sampled_from(
            [
                "25/01/2024, 10:00 - Ann: hi",
                "24/01/2012, 10:00 - Bob: x: y",
                "26/01/2024, 23:59 - left",
                "body",
                "",
                "26/01/2024, 10:00 - Ann: <Media omitted>",
                "25/01/2099, 10:00 - :",
                "99/99/2024, 10:00 - C: z",
            ]
        ),
        max_size=12,
    )
)
@settings(max_examples=80, derandomize=True, deadline=None)
def test_no_line_is_lost_and_ids_are_unique(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    path = written(tmp_path_factory.mktemp("any") / "c.txt", "25/01/2024, 09:00 - Ann: first", *lines)
    _, records = read(path)
    assert len({r.id for r in records}) == len(records)
    words = "\n".join(r.text + r.sender_name for r in records)
    assert words.count("body") == lines.count("body")
