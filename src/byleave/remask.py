"""What the inbox already held, masked anew when its address book learned a name.

A mask knows the people that the inbox knew when it was made. When an import brings new names, the records in
which one of their words stands (found by the owner's own postings) are masked again with the whole book; where
the result differs, a new version of the record replaces the old one, as an edit would: destroyed and created in
every view that showed it (redaction.md: by version, stricter results replace).
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from typing import Any

from sqlalchemy import bindparam, select

from byleave.ingest import publish
from byleave.ingest.encode import Task
from byleave.ingest.gather import Gathered, own_text
from byleave.ingest.kept import record_id, unpack, with_raw
from byleave.ingest.run import Ingest, Rows, no_rows, part_rows
from byleave.model import Handle, Ms, Record
from byleave.store import Store, among, prepare
from byleave.store.bodies import fragment as fragment_table
from byleave.store.bodies import part as part_table
from byleave.store.bodies import raw as raw_table
from byleave.store.bodies import record as record_table
from byleave.store.tables import grant as grant_table
from byleave.store.tables import link, message, view_row, view_term
from byleave.words.language import Verdict, Voice
from byleave.words.mask import Titles, remembered
from byleave.words.terms import terms

BATCH = 500
VOICE = 300
"""Records of an author in a conversation that their voice is judged by again."""

_OWN_GRANT = prepare(
    select(grant_table.c.grant_id).where(
        grant_table.c.owner_id == bindparam("owner_id"), grant_table.c.purpose == "owner"
    )
)
_POSTINGS = prepare(
    select(view_term.c.chunk, view_term.c.borns).where(
        view_term.c.owner_id == bindparam("owner_id"), view_term.c.grant_id == bindparam("grant_id"),
        view_term.c.term == bindparam("term"),
    )
)  # fmt: skip
_COLUMNS = tuple(message.c[n] for n in message.c.keys())  # noqa: SIM118 (a Core collection)
_RECORDS = prepare(
    select(*_COLUMNS, record_table.c.body, fragment_table.c.masked)
    .join(view_row, (view_row.c.owner_id == message.c.owner_id) & (view_row.c.sender == message.c.sender) & (view_row.c.received_at == message.c.received_at) & (view_row.c.id == message.c.id))
    .join(record_table, (record_table.c.owner_id == message.c.owner_id) & (record_table.c.id == message.c.id))
    .join(fragment_table, (fragment_table.c.owner_id == message.c.owner_id) & (fragment_table.c.sender == message.c.sender) & (fragment_table.c.received_at == message.c.received_at) & (fragment_table.c.id == message.c.id))
    .where(message.c.owner_id == bindparam("owner_id"), view_row.c.grant_id == bindparam("grant_id"), among(view_row.c.born, "borns"))
)  # fmt: skip
_VOICE = prepare(
    select(record_table.c.body)
    .join(message, (record_table.c.owner_id == message.c.owner_id) & (record_table.c.id == message.c.id))
    .where(
        message.c.owner_id == bindparam("owner_id"), message.c.sender == bindparam("sender"),
        message.c.conversation == bindparam("conversation"), message.c.replaced_at.is_(None),
    )
    .order_by(message.c.received_at.desc())
    .limit(VOICE)
)  # fmt: skip
_BEFORE = prepare(
    select(record_table.c.body)
    .join(message, (record_table.c.owner_id == message.c.owner_id) & (record_table.c.id == message.c.id))
    .where(
        message.c.owner_id == bindparam("owner_id"), message.c.sender == bindparam("sender"),
        message.c.conversation == bindparam("conversation"), message.c.received_at <= bindparam("received_at"),
        message.c.id != bindparam("id"), message.c.replaced_at.is_(None),
    )
    .order_by(message.c.received_at.desc(), message.c.id.desc())
    .limit(1)
)  # fmt: skip
_PARTS = prepare(
    select(part_table.c.n, part_table.c.author, part_table.c.may, part_table.c.body)
    .where(part_table.c.owner_id == bindparam("owner_id"), part_table.c.id == bindparam("id"))
    .order_by(part_table.c.n)
)
_LINKS = prepare(
    select(link.c.msgid, link.c.own, link.c.place).where(
        link.c.owner_id == bindparam("owner_id"), link.c.id == bindparam("id")
    )
)

_RAW = prepare(
    select(raw_table.c.bytes).where(
        raw_table.c.owner_id == bindparam("owner_id"), raw_table.c.id == bindparam("id")
    )
)


def remask(
    store: Store, secret: bytes, owner_id: bytes, import_id: bytes, names: Iterable[str], titles: Titles, now: Ms,
    tier: str = "plain",
) -> int:  # fmt: skip
    """Masks again what holds a word of `names`; answers how many records changed. They are published, and the
    views' tasks left, as by any import."""
    again = _Again(
        store,
        secret,
        owner_id,
        import_id,
        Gathered(),
        own=(),
        titles=titles,
        now=now,
        file_time=now,
        tier=tier,
    )
    return again.over(sorted({t for name in names for t in terms(name) if len(t) > 1}))


class _Again(Ingest):
    """An import whose records are already there."""

    def over(self, words: list[str]) -> int:
        with self.store.read() as snapshot:
            grant_id = snapshot.value(_OWN_GRANT, owner_id=self.owner_id)
            if grant_id is None or not words:
                return 0
            at = {"owner_id": self.owner_id, "grant_id": grant_id}
            borns: set[int] = set()
            for word in words:
                for term in (word, "s:" + word):
                    for chunk, offsets in snapshot.all(_POSTINGS, **at, term=term):
                        borns.update(chunk * 4096 + offset for offset in array("H", offsets))
        if not borns:
            return 0
        with self.store.read() as snapshot:
            self._number(snapshot)
        self.store.write(publish.start, self.owner_id, self.import_id, "remask", self.now)
        changed, ordered = 0, sorted(borns)
        try:
            for i in range(0, len(ordered), BATCH):
                rows = self._changed(at, ordered[i : i + BATCH])
                changed += len(rows["message"])
                if rows["message"]:
                    self.store.write(publish.write, self.owner_id, self.import_id, rows)
            if changed:
                self.store.write(publish.publish, self.owner_id, self.import_id, self.now, self.fresh, [])
            else:
                self.store.write(publish.discard, self.owner_id, self.import_id)
        except BaseException:
            self.store.write(publish.discard, self.owner_id, self.import_id)
            raise
        return changed

    def _changed(self, at: dict[str, Any], borns: list[int]) -> Rows:
        rows = no_rows()
        with self.store.read() as snapshot:
            for *values, body, old_masked in snapshot.all(_RECORDS, **at, borns=borns):
                old = dict(zip((c.name for c in _COLUMNS), values, strict=True))
                record = unpack(body)
                self._judge(snapshot, record, old["sender"], old["conversation"])
                before = snapshot.value(
                    _BEFORE,
                    **{n: old[n] for n in ("owner_id", "sender", "conversation", "received_at", "id")},
                )
                raw: bytes | None = snapshot.value(_RAW, owner_id=self.owner_id, id=old["id"])
                whole = record if raw is None else with_raw(record, raw)
                task = Task(
                    whole,
                    old["sender"],
                    old["conversation"],
                    old["received_at"],
                    self.verdicts[record.source, record.conversation, record.sender],
                    remembered(own_text(unpack(before))) if before else "",
                )
                made = self.encoder.encode(task)
                before_parts = snapshot.all(_PARTS, owner_id=self.owner_id, id=old["id"])
                same_parts = made.parts == list(map(tuple, before_parts))
                if made.masked == old_masked and int(made.may) == old["masked"] and same_parts:
                    continue
                version = hashlib.blake2b(
                    old["digest"] + (made.masked or b"") + self.import_id, digest_size=16
                ).digest()
                id = record_id(self.secret, self.owner_id, record, old["received_at"], version, old["id"])
                key = {"owner_id": self.owner_id, "id": id}
                place = {**key, "sender": old["sender"], "received_at": old["received_at"]}
                rows["message"].append(
                    {
                        **old,
                        **key,
                        "masked": int(made.may),
                        "parts": int(bool(made.parts)),
                        "import_id": self.import_id,
                        "replaces": old["id"],
                        "replaced_at": None,
                    }
                )
                rows["fragment"].append(
                    {**place, "written": made.written, "text": made.text, "masked": made.masked}
                )
                rows["part"].extend(part_rows(key, made))
                rows["record"].append({**key, "body": body})
                if raw is not None:
                    rows["raw"].append({**key, "bytes": raw})
                links = snapshot.all(_LINKS, owner_id=self.owner_id, id=old["id"])
                rows["link"].extend({**key, "msgid": m, "own": own, "place": n} for m, own, n in links)
        return rows

    def _judge(self, snapshot: Any, record: Record, sender: int, conversation: int) -> None:
        """The author's voice in that conversation, from what the inbox holds of it."""
        key: tuple[str, str, Handle | None] = (record.source, record.conversation, record.sender)
        if key in self.verdicts:
            return
        voice = Voice()
        for (body,) in snapshot.all(_VOICE, owner_id=self.owner_id, sender=sender, conversation=conversation):
            voice.add(own_text(unpack(body)))
        verdict: Verdict = voice.judge()
        self.verdicts[key] = verdict
