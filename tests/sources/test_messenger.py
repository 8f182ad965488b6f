"""Messenger and Instagram: repair, sources, keys, hostile messages. Whole exports stand in data/messenger."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.errors import Code, Refused
from byleave.model import Conversation, Kind, Record
from byleave.sources import Options, recognise
from byleave.sources.archive import Export

T = 1_700_000_000_000


def read(path: Path) -> list[Conversation | Record]:
    export = Export(path)
    return list(recognise(export).read(export, Options()))


def records(path: Path) -> list[Record]:
    return [item for item in read(path) if isinstance(item, Record)]


def dyi(**more: Any) -> dict[str, Any]:
    return {"sender_name": "Ann", "timestamp_ms": T, "content": "hi", **more}


def e2ee(**more: Any) -> dict[str, Any]:
    return {
        "senderName": "Ann",
        "timestamp": T,
        "text": "hi",
        "type": "text",
        "isUnsent": False,
        "media": [],
        "reactions": [],
        **more,
    }


def put(path: Path, *messages: Any, **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"participants": [{"name": "Ann"}, {"name": "Me"}], "messages": messages, **more})
    )
    return path


@given(st.text(max_size=12))
@settings(max_examples=80, derandomize=True, deadline=None)
def test_every_text_survives_the_exporters_spelling(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    text = "".join(c for c in text if c not in "\r" and not "\ud800" <= c <= "\udfff" and c.isprintable())
    spelt = text.encode().decode("latin-1")
    folder = tmp_path_factory.mktemp("dyi")
    [record] = records(put(folder / "message_1.json", dyi(content="say " + spelt), thread_path="inbox/a_1"))
    assert record.text == "say " + text


def test_right_strings_stay_and_e2ee_is_never_touched(tmp_path: Path) -> None:
    [record] = records(put(tmp_path / "a.json", dyi(content="déjà vu"), thread_path="inbox/a_1"))
    assert record.text == "déjà vu"
    path = tmp_path / "Ann_1.json"
    path.write_text(
        json.dumps({"participants": ["Ann"], "threadName": "Ann_1", "messages": [e2ee(text="Ã©")]})
    )
    assert records(path)[0].text == "Ã©"


def test_folder_zip_and_single_file_agree(tmp_path: Path) -> None:
    inner = "your_facebook_activity/messages/inbox/ann_5/message_1.json"
    single = put(tmp_path / "x" / inner, dyi(), dyi(), thread_path="inbox/ann_5")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        zipped.write(single, "facebook-ann/" + inner)
    ids = [
        {(r.source, r.conversation, r.id, r.sender) for r in records(p)}
        for p in (single, tmp_path / "x", tmp_path / "x.zip")
    ]
    assert ids[0] == ids[1] == ids[2] and len(ids[0]) == 2


def test_a_thread_that_moved_is_the_same(tmp_path: Path) -> None:
    one = put(tmp_path / "a" / "messages/inbox/ann_5/message_1.json", dyi(), thread_path="inbox/ann_5")
    two = put(
        tmp_path / "b" / "messages/archived_threads/ann_5/message_1.json",
        dyi(),
        thread_path="archived_threads/ann_5",
    )
    assert records(one.parents[3])[0].conversation == records(two.parents[3])[0].conversation == "ann_5"


def test_files_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for n in range(1, 12):
        put(tmp_path / "messages/inbox/ann_5" / f"message_{n}.json", dyi(content=str(n), timestamp_ms=T - n))
    assert [r.text for r in records(tmp_path)] == [str(n) for n in range(1, 12)]


def test_unsent_later_is_the_same_record(tmp_path: Path) -> None:
    [before] = records(put(tmp_path / "a.json", dyi(), thread_path="inbox/ann_5"))
    [after] = records(put(tmp_path / "a.json", dyi(content=None, is_unsent=True), thread_path="inbox/ann_5"))
    assert before.id == after.id and (after.kind, after.revision, after.text) == (Kind.DELETED, 2, "")


def test_instagram_and_messenger_by_their_folders(tmp_path: Path) -> None:
    for folder, source in (("your_instagram_activity", "instagram"), ("your_facebook_activity", "messenger")):
        put(tmp_path / source / folder / "messages/inbox/a_1/message_1.json", dyi())
        put(tmp_path / source / folder / "messages/inbox/b_2/message_1.json", dyi())
        assert {r.source for r in records(tmp_path / source)} == {source}


def test_several_formats_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "messages/inbox/a_1/message_1.json", dyi())
    (tmp_path / "_chat.txt").write_text("25/01/2024, 10:00 - Ann: hi\n")
    with pytest.raises(Refused) as caught:
        read(tmp_path)
    assert caught.value.code is Code.SEVERAL_FORMATS


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["uri", "link", "reaction", "actor", "timestamp"]), inner)
    ),
    max_leaves=5,
)
FIELDS = {
    "dyi": [
        "sender_name",
        "timestamp_ms",
        "content",
        "reactions",
        "share",
        "photos",
        "files",
        "sticker",
        "call_duration",
        "is_unsent",
        "type",
        "users",
    ],
    "e2ee": ["senderName", "timestamp", "text", "type", "isUnsent", "media", "reactions"],
}


@given(st.data(), st.sampled_from(["dyi", "e2ee"]))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_any_field_of_any_shape_refuses_or_reads(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, schema: str
) -> None:
    odd = data.draw(st.dictionaries(st.sampled_from(FIELDS[schema]), values, max_size=4))
    good = dyi() if schema == "dyi" else e2ee()
    path = put(tmp_path_factory.mktemp("meta") / "a.json", good, {**good, **odd})
    try:
        for record in records(path):
            (record.text + record.sender_name + record.shared_text).encode()
    except Refused as refused:
        assert "message 2" in str(refused)


def test_a_broken_conversation_is_not_left_out(tmp_path: Path) -> None:
    put(tmp_path / "messages/inbox/a_1/message_1.json", dyi())
    broken = put(tmp_path / "messages/inbox/b_2/message_1.json", dyi())
    broken.write_bytes(broken.read_bytes()[:30])
    with pytest.raises(Refused, match=r"b_2/message_1.json, byte 27: ends in the middle"):
        read(tmp_path)
