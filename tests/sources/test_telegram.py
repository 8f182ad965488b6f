"""Telegram: what an account export must not give, odd shapes, hostile messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.errors import Refused
from byleave.model import Conversation, Record
from byleave.sources import Options, recognise
from byleave.sources.archive import Export


def read(path: Path) -> list[Conversation | Record]:
    export = Export(path)
    return list(recognise(export).read(export, Options()))


def message(**more: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "type": "message",
        "date_unixtime": "1700000000",
        "from": "Ann",
        "from_id": "user1",
        "text": "hi",
        **more,
    }


def chat(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"name": "Ann", "type": "personal_chat", "id": 7, "messages": list(messages), **more}


def test_contacts_sessions_and_addresses_never_come_out(tmp_path: Path) -> None:
    account = {
        "personal_information": {"phone_number": "SECRET", "bio": "SECRET"},
        "contacts": {"list": [{"first_name": "SECRET"}]},
        "frequent_contacts": {"list": [{"name": "SECRET"}]},
        "sessions": {"list": [{"last_ip": "SECRET"}]},
        "web_sessions": {"list": [{"last_ip": "SECRET"}]},
        "other_data": {"messages": ["SECRET"], "chats": {"list": ["SECRET"]}},
        "ips": ["SECRET"],
        "chats": {"about": "SECRET", "list": [chat(message())]},
    }
    path = tmp_path / "result.json"
    path.write_text(json.dumps(account))
    found = read(path)
    assert "SECRET" not in repr(found) and [r.id for r in found if isinstance(r, Record)] == ["1"]


def test_no_handle_out_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(
        json.dumps(chat(message(from_id=None), message(**{"from": None}), message(forwarded_from=None)))
    )
    first, second, third = (r for r in read(path) if isinstance(r, Record))
    assert (first.sender, first.sender_name) == (None, "Ann")
    assert (second.sender, second.sender_name) == ("telegram:user1", "")
    assert third.forwarded_from is not None and third.forwarded_from.handle is None


def test_equal_chats_without_ids_are_known_again_and_others_are_not(tmp_path: Path) -> None:
    def loose(*messages: dict[str, Any]) -> str:
        path = tmp_path / "result.json"
        path.write_text(json.dumps({"messages": messages}))
        found = read(path)
        assert isinstance(found[0], Conversation)
        ids = [r.id for r in found if isinstance(r, Record)]
        assert len(set(ids)) == len(messages)
        return found[0].key

    one = {"date_unixtime": "1700000000", "from": "Ann", "text": "a"}
    two = {"date_unixtime": "1700000060", "from": "Bob", "text": "b"}
    key = loose(one, two)
    assert loose(dict(one, text="edited"), two, two, dict(two, **{"from": "Cleo"})) == key
    assert loose(dict(one, **{"from": "Cleo"}), two) != key


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "type", "id", "from"]), inner)
    ),
    max_leaves=5,
)
FIELDS = [
    "id",
    "type",
    "date",
    "date_unixtime",
    "edited",
    "edited_unixtime",
    "from",
    "from_id",
    "actor",
    "actor_id",
    "action",
    "reply_to_message_id",
    "forwarded_from",
    "text",
    "text_entities",
    "file",
    "photo",
    "file_name",
    "contact_information",
    "location_information",
    "poll",
    "reactions",
    "sticker_emoji",
]


@given(st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=5))
@settings(max_examples=250, derandomize=True, deadline=None)
def test_any_field_of_any_shape_refuses_or_reads(
    tmp_path_factory: pytest.TempPathFactory, odd: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("tg") / "result.json"
    path.write_text(json.dumps(chat(message(), dict(message(), **odd))))
    try:
        for record in read(path):
            json.dumps(repr(record))
            if isinstance(record, Record):
                assert isinstance(record.text, str) and isinstance(record.sender_name, str)
                record.text.encode()
    except Refused as refused:
        assert "message 2" in str(refused)
