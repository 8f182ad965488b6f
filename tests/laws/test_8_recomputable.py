"""Law 8. Every count that a person is shown can be recomputed from the ledger, and equals the bytes that left.

Random pages are read; for each answer the messages in its bytes are the messages of its entry, and what owner and
sender are told adds up to the entries.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from byleave.ledger import entry as entries
from byleave.ledger import sequence
from byleave.store import prepare
from byleave.store.shelf import view_signal_of
from byleave.store.tables import entry, read_of, view_row
from byleave.view import told
from tests.laws.twins import ANN, ANN_MAIL, Twin

_ENTRIES = prepare(select(entry.c.event).where(entry.c.kind == "reading").order_by(entry.c.entry_id))
_SENT_BY = prepare(select(view_row.c.born, view_row.c.sender, view_row.c.grant_id))
_BEHIND = prepare(select(view_signal_of.c.born, view_signal_of.c.handle, view_signal_of.c.grant_id))
_TOLD = prepare(select(read_of.c.handle, read_of.c.messages))


def readings(twin: Twin) -> list[entries.Reading]:
    with twin.world.store.read() as snapshot:
        return [
            e for (raw,) in snapshot.all(_ENTRIES) if isinstance(e := entries.decode(raw), entries.Reading)
        ]


def test_bytes_ledger_and_pages_agree(tmp_path: Path) -> None:
    twin = Twin(tmp_path / "one", True)
    account = json.loads(twin.ask("GET", "/jmap/session", "partner")[0].partition(b"\n\n")[2])["accounts"]
    [account_id] = account

    @settings(max_examples=25)
    @given(
        position=st.integers(0, 6),
        limit=st.integers(0, 7),
        collapse=st.booleans(),
        word=st.sampled_from(["", "film"]),
    )
    def page(position: int, limit: int, collapse: bool, word: str) -> None:
        before = len(readings(twin))
        query: dict[str, Any] = {
            "accountId": account_id,
            "position": position,
            "limit": limit,
            "collapseThreads": collapse,
        }
        if word:
            query["filter"] = {"text": word}
        reference = {"resultOf": "q", "name": "Email/query", "path": "/ids"}
        body, _ = twin.jmap(
            [["Email/query", query, "q"], ["Email/get", {"accountId": account_id, "#ids": reference, "properties": ["preview"]}, "g"]]
        )  # fmt: skip
        sent = body.partition(b"\n\n")[2]
        responses = json.loads(sent)["methodResponses"]
        shown = set(responses[0][1]["ids"]) | {e["id"] for e in responses[1][1]["list"]}
        found = readings(twin)
        assert len(found) == before + 1
        assert len(found[-1].messages()) == len(shown) and found[-1].length == len(sent)

    page()
    twin.tool("search_messages", {"query": "film"})
    twin.jmap([["TitleSignal/get", {"accountId": account_id, "ids": None}, "s"]])
    twin.ask("GET", "/me/inbox", "owner")  # of which nobody is told
    while twin.world.store.write(told.tell, twin.world.now):
        pass
    every = readings(twin)
    with twin.world.store.read() as snapshot:
        senders: dict[tuple[str, int], set[int]] = {}
        for born, sender, grant in [
            *snapshot.all(_SENT_BY),
            *snapshot.all(_BEHIND),
        ]:  # a signal has words behind it
            senders.setdefault((grant.hex(), born), set()).add(sender)
        assert any("TitleSignal/get" in r.endpoint and r.messages() for r in every)
        expected: dict[int, int] = {}
        for reading in every:
            for born in reading.messages():
                for who in senders[reading.grant, born]:
                    expected[who] = expected.get(who, 0) + (reading.purpose != "owner")
        stated: dict[int, int] = {}
        for handle, n in snapshot.all(_TOLD):
            stated[handle] = stated.get(handle, 0) + n
        assert stated == {who: n for who, n in expected.items() if n}
        by_owner = told.of_owner(snapshot, twin.owner_id)
        assert sum(t.messages for t in by_owner) == sum(len(r.messages()) for r in every)
        partners = [r for r in every if r.partner is not None]
        for handle in (ANN, ANN_MAIL):
            of_hers = told.of_person(snapshot, handle)
            assert sum(t.messages for t in of_hers) == sum(
                1
                for r in partners
                for b in r.messages()
                for s in senders[r.grant, b]
                if _value(snapshot, s) == handle
            )
    assert sequence  # the tree over these entries: tests/ledger
    twin.close()


def _value(snapshot: Any, number: int) -> str:
    from byleave.store.tables import handle

    statement = prepare(select(handle.c.value).where(handle.c.handle == number))
    return str(snapshot.value(statement))
