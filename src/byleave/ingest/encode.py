"""What one record becomes: its JSON as each level shows it, masked and with slots for people.

Pure: the same bytes from the same arguments, in whatever process. Whose words a piece is, the record itself tells
(`gather.parts_of`); what a mask knows beside the piece is the inbox's address book, the title catalogue and what
the same author wrote just before in that conversation.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec
import orjson

from byleave.ingest.gather import is_own, parts_of
from byleave.ingest.kept import kept_raw, pack
from byleave.model import Handle, Kind, Ms, Part, Person, Record
from byleave.sources.parts import Message, bodies, has_attachment
from byleave.words import fragment, quotes
from byleave.words.fragment import CHAT, PREVIEW, REACTIONS, Cuts, chat, rfc3339, slot, text_json, with_body
from byleave.words.language import Verdict, Voice, shown
from byleave.words.mask import Span, Titles, mask
from byleave.words.people import People

_encode = msgspec.msgpack.Encoder().encode
_EMOJI = 64
"""Characters of a reaction at the most; what is longer is no emoji, and is left out."""


class Task(msgspec.Struct, frozen=True, array_like=True):
    """A record to encode: `sender` and `number` (of its conversation) as the inbox counts them, the verdict on the
    sender's voice in it, and what of the sender's words before may matter (`mask.remembered`). `written` stands in
    for the bytes of a mail too large to be handed around: its owner's fragment, made beforehand."""

    record: Record
    sender: int
    number: int
    received_at: Ms
    verdict: Verdict
    previous: str = ""
    written: bytes | None = None


class Encoded(msgspec.Struct, frozen=True, array_like=True):
    """What a record became: as the owner sees it, its own words, its own words masked (None: as the one before),
    whether it may be shown masked at all; its parts as (n, author, may, body); the record and its raw bytes as
    they are kept."""

    written: bytes
    text: bytes | None
    masked: bytes | None
    may: bool
    parts: list[tuple[int, int, int, bytes]]
    body: bytes
    raw: bytes | None


class Encoder:
    """Masks and encodes the records of one inbox. `handles`: the number of every handle of it."""

    def __init__(
        self, secret: bytes, owner_id: bytes, handles: dict[Handle, int], people: People, titles: Titles, tier: str
    ) -> None:  # fmt: skip
        self.secret = secret
        self.owner_id = owner_id
        self.handles = handles
        self.people = people
        self.titles = titles
        self.tier = tier

    def encode(self, task: Task) -> Encoded:
        record, sender, number = task.record, task.sender, task.number
        parts = parts_of(record)
        if record.shared_of is not None and record.shared_text:  # behind the text: a part that is not in it
            end, card = len(record.text), ("\n" if record.text else "") + record.shared_text
            parts += (Part(author=record.shared_of, how="contact", start=end, end=end, text=card),)
        own = "".join(p.text for p in parts if is_own(p, record)).strip("\n")
        subject = self._own_subject(record)
        head = self._head(record, sender, subject, task.received_at)
        text = with_body(head, own, [])
        written = task.written
        if written is None and record.mail is not None:
            written = self.written_mail(record, task.received_at)
        elif written is None:
            written = self._written_chat(record, head, own, text, number)
        spans = mask(own, self.people, self.titles, tier=self.tier, previous=task.previous)
        subject_spans = mask(subject, self.people, self.titles, tier=self.tier) if subject else ()
        may = (not own or shown(own, task.verdict, spans)) and (
            not subject or shown(subject, task.verdict, subject_spans)
        )
        masked = None
        if may and (spans or subject_spans):
            if subject_spans:
                head = {**head, "subject": text_json(subject, self._cuts(subject, subject_spans))}
            masked = with_body(head, own, self._cuts(own, spans))
        pieces = self._pieces(record, parts, self._cuts(own, spans))
        return Encoded(
            written,
            None if text == written else text,
            masked,
            may,
            pieces,
            pack(msgspec.structs.replace(record, raw=b"") if record.raw else record),
            kept_raw(record.raw) if record.raw else None,
        )

    def _pieces(
        self, record: Record, parts: tuple[Part, ...], cuts: Cuts
    ) -> list[tuple[int, int, int, bytes]]:
        """Rows of `part`: own pieces and those of others whom the record names and the inbox knows, in order; none
        where there is nobody else to show. `cuts` mask the own pieces, joined and stripped of blank lines."""
        others = {
            p.author: self.handles.get(p.author or "", 0)
            for p in parts
            if p.author is not None and not is_own(p, record)
        }
        reactions = [
            (REACTIONS + n, by, int(not any(c.isalnum() for c in r.emoji)), _encode([r.emoji, []]))
            for n, r in enumerate(record.reactions)
            if r.actor is not None and (by := self.handles.get(r.actor, 0)) and 0 < len(r.emoji) <= _EMOJI
        ]  # fmt: skip
        if not any(others.values()):
            return reactions
        rows: list[tuple[int, int, int, bytes]] = []
        whole = "".join(p.text for p in parts if is_own(p, record))
        at = whole.find(whole.strip("\n")) * -1
        for part in parts:
            if is_own(part, record):
                end = at + len(part.text)
                mine = [
                    (max(a, at) - at, min(b, end) - at, what) for a, b, what in cuts if a < end and b > at
                ]
                author, may, at = 0, True, end
            else:
                author = others.get(part.author or "", 0)
                if not author:
                    continue
                spans = mask(part.text, self.people, self.titles, tier=self.tier)
                mine, voice = self._cuts(part.text, spans), Voice()
                voice.add(part.text)
                may = shown(part.text, voice.judge(), spans)
            rows.append((len(rows), author, int(may), _encode([part.text, mine])))
        return rows + reactions

    def _head(self, record: Record, sender: int, subject: str, received_at: Ms) -> dict[str, bytes]:
        """What a view other than the owner's shows around the words: people as slots, own subject only."""
        head = {
            "from": b"[" + slot("A", sender) + b"]",
            "subject": orjson.dumps(subject) if subject else b"null",
            "sentAt": orjson.dumps(rfc3339(record.sent_at)) if record.sent_at is not None else b"null",
            "receivedAt": orjson.dumps(rfc3339(received_at)), "hasAttachment": b"false", "sender": b"null", "to": b"null", "cc": b"null", "bcc": b"null", "replyTo": b"null",
            CHAT: chat(record.edited_at, record.kind is Kind.CALL) if record.mail is None else b"null",
        }  # fmt: skip
        if record.mail is not None:
            for name, people in (("to", record.mail.to), ("cc", record.mail.cc)):
                slots = [slot("A", self.handles[p.handle]) for p in people if p.handle is not None]
                head[name] = b"[" + b",".join(slots) + b"]" if slots else b"null"
        return head

    def _own_subject(self, record: Record) -> str:
        """A subject that its sender wrote; one taken over from another's mail is that other's words."""
        subject = record.mail.subject if record.mail is not None else None
        if not subject or quotes.subject_part(subject, record.sender).author is None:
            return ""
        return subject

    def written_mail(self, record: Record, received_at: Ms) -> bytes:
        """The owner's mail as it is; body structure and HTML are read from the raw bytes when asked for."""
        mail = record.mail
        assert mail is not None

        def addresses(people: tuple[Person, ...]) -> bytes:
            if not people:
                return b"null"
            return orjson.dumps(
                [{"name": p.name or None, "email": (p.handle or "mail:").partition(":")[2]} for p in people]
            )

        segments = {
            "from": addresses(mail.from_), "sender": addresses(mail.sender), "to": addresses(mail.to),
            "cc": addresses(mail.cc), "bcc": addresses(mail.bcc), "replyTo": addresses(mail.reply_to),
            "subject": orjson.dumps(mail.subject), "receivedAt": orjson.dumps(rfc3339(received_at)),
            "sentAt": orjson.dumps(rfc3339(record.sent_at)) if record.sent_at is not None else b"null",
            "preview": text_json(" ".join(record.text[: 4 * PREVIEW].split()), [], PREVIEW),
            "size": str(len(record.raw)).encode(), "body": text_json(record.text, []),
            "messageId": orjson.dumps(list(mail.message_id) or None),
            "inReplyTo": orjson.dumps(list(mail.in_reply_to) or None),
            "references": orjson.dumps(list(mail.references) or None),
            "keywords": orjson.dumps(dict.fromkeys(mail.keywords, True)), CHAT: b"null",
        }  # fmt: skip
        message = Message(record.raw)
        if message.plain:
            part = fragment.slotted(message.described(message.root, fragment.PART))
            value = message.value(message.root, 0)
            if not value["isEncodingProblem"]:
                segments["body"] = text_json(value["value"], [])
                segments["part"] = part
        segments["hasAttachment"] = b"true" if has_attachment(bodies(message.root)[2]) else b"false"
        return fragment.encode(segments)

    def _written_chat(
        self, record: Record, head: dict[str, bytes], own: str, text: bytes, number: int
    ) -> bytes:
        """The owner's chat message: with the conversation's name, files, shared words and reactions where there are
        any."""
        whole = "\n".join(filter(None, (record.text, record.shared_text)))
        if whole == own and not record.attachments and not record.reactions:
            return text
        has = b"true" if record.attachments else b"false"
        by = [(r.emoji, self.handles.get(r.actor or "", 0)) for r in record.reactions]
        reactions = [(emoji, slot("A", who) if who else b"null") for emoji, who in by]
        around = chat(record.edited_at, record.kind is Kind.CALL, reactions)
        return with_body(
            {**head, "subject": slot("C", number), "hasAttachment": has, CHAT: around}, whole, []
        )

    def _cuts(self, text: str, spans: tuple[Span, ...]) -> list[tuple[int, int, bytes]]:
        cuts: list[tuple[int, int, bytes]] = []
        for span in spans:
            if span.type == "PERSON":
                known = self.handles.get(span.person or "")
                name = " ".join(text[span.start : span.end].casefold().split())
                what = slot("P", known) if known else slot("N", name_number(self.secret, self.owner_id, name))
            else:
                what = f"[{span.type.lower()}]".encode()
            cuts.append((span.start, span.end, what))
        return cuts


def name_number(secret: bytes, owner_id: bytes, name: str) -> int:
    """32 bits that stand for a name that is nobody's handle, in one inbox."""
    return int.from_bytes(hmac.new(secret, owner_id + name.encode(), hashlib.sha256).digest()[:4], "big")
