"""Telegram Desktop's `result.json`: one chat, or the whole account (`chats.list`, `left_chats.list`).

Rules of this file:

1. Only chats are read. Contacts, sessions, IP addresses and the profile of an account export are passed over
   without being built.
2. A sender is `telegram:<from_id>` and nothing else. Without `from_id` (older and loosened exports) the
   sender is unknown; a display name never makes a handle. A deleted account (`from: null`) keeps its id.
3. `date_unixtime` (a string) is the time. Exports without it have local times only: read in the zone given,
   `local-guess`.
4. Ids are unique only in a chat, and chats' ids only in their space: the key is `user:`, `chat:` or
   `channel:<id>`. A chat without an id is known by how it begins (chat.py, rule 3).
5. `\\xNN`, which the writer emits for control characters, is repaired (jsonstream.py, rule 4).
6. Every message of a chat has an id, or none has (an export that somebody loosened: chat.py, rule 2).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from byleave.errors import Code, Refused
from byleave.model import Attachment, Conversation, Handle, Kind, Ms, Person, Quality, Reaction, Record
from byleave.sources import Claim, Options
from byleave.sources.archive import Export
from byleave.sources.chat import LAST_MS, Beginning, Ordinals, clean, clean_name, phone, zone_named
from byleave.sources.jsonstream import JsonStream

_HEAD_LIMIT = 8 << 20
_SPACES = {
    "personal_chat": "user", "bot_chat": "user", "saved_messages": "user", "replies": "user",
    "verification_codes": "user", "private_group": "chat",
    "private_supergroup": "channel", "public_supergroup": "channel",
    "private_channel": "channel", "public_channel": "channel",
}  # fmt: skip
_CALLS = frozenset(
    {"phone_call", "group_call", "group_call_scheduled", "invite_to_group_call", "conference_call"}
)
_MEMBERS = frozenset({
    "create_group", "create_channel", "invite_members", "remove_members", "join_group_by_link",
    "join_group_by_request", "migrate_from_group", "migrate_to_supergroup", "edit_group_title",
    "edit_group_photo",
    "delete_group_photo", "joined_telegram",
})  # fmt: skip
_NEVER = 86_400_000
"""Old exports write the epoch, in their own zone, for what was never edited."""
_NOT_INCLUDED = "(File "
_LISTS = ("chats", "left_chats")


class TelegramImporter:
    name = "telegram"
    options: dict[str, str] = {  # noqa: RUF012
        "zone": "the zone that local times are read in (exports before 2021 tell no zone)"
    }
    fields: dict[str, str] = {  # noqa: RUF012
        "id": "the message's id",
        "sender": "from_id (actor_id of notices)",
        "sender_name": "from (actor)",
        "sent_at": "date_unixtime, else date",
        "text": "text_entities, else text; question and options of a poll",
        "reply_to": "reply_to_message_id, if in the same chat",
        "edited_at": "edited_unixtime, else edited",
        "reactions": "reactions: who reacted where told, else one for each emoji",
        "attachments": "the name of file, photo or sticker; location; contact.vcf",
        "forwarded_from": "forwarded_from, else saved_from",
        "shared_text": "a shared contact, a venue's name",
        "kind": "text, attachment, call, member, unsupported",
    }
    refusals: tuple[str, ...] = (
        "HTML export (remedy: export as JSON)",
        "broken or cut JSON, by byte",
        "a message that is no object, lacks the id that the others have or has an impossible time, by number",
    )

    def sniff(self, export: Export) -> Claim | None:
        found = _files(export)
        return Claim(self.name, "messages with date, from and text, in " + found[0]) if found else None

    def read(self, export: Export, options: Options) -> Iterator[Conversation | Record]:
        zone = zone_named(options.zone, export.name)
        for name in _files(export):
            yield from _File(export, name, zone).read()


def _files(export: Export) -> list[str]:
    return [
        n
        for n in export.names
        if (n.lower().endswith(".json") or len(export.names) == 1) and _is_telegram(export, n)
    ]


def _is_telegram(export: Export, name: str) -> bool:
    with export.open(name) as stream:
        json = JsonStream(stream, export.name, repair_x=True, limit=_HEAD_LIMIT)
        try:
            if json.peek() != "{":
                return False
            head: dict[str, Any] = {}
            for key in json.members():
                if key == "messages" and json.peek() == "[":
                    for message in json.values():
                        return _looks_right(message)
                    return head.get("type") in _SPACES
                if key in _LISTS and json.peek() == "{":
                    return True
                if json.peek() in "{[":
                    json.skip()
                else:
                    head[key] = json.value()
        except Refused:
            return False
    return False


def _looks_right(message: Any) -> bool:
    return (isinstance(message, dict) and ("date_unixtime" in message or "date" in message)
            and "timestamp" not in message and ("text" in message or "action" in message))  # fmt: skip


class _Outline:
    """What a chat says of itself beside its messages, wherever in the object it stands."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.name = ""
        self.type = ""
        self.beginning = Beginning()
        self.messages_first = False

    def take(self, key: str, value: Any) -> None:
        if key == "id" and isinstance(value, int | str) and not isinstance(value, bool):
            self.id = clean_name(str(value))
        elif key == "name" and isinstance(value, str):
            self.name = clean_name(value)
        elif key == "type" and isinstance(value, str):
            self.type = clean_name(value)

    @property
    def key(self) -> str:
        if self.id is None:
            return self.beginning.key()
        return f"{_SPACES.get(self.type) or self.type or 'chat'}:{self.id}"


class _File:
    """One result.json."""

    def __init__(self, export: Export, name: str, zone: ZoneInfo) -> None:
        self._export, self._name, self._zone = export, name, zone
        self._member = name if len(export.names) > 1 or export.is_zip else ""

    def read(self) -> Iterator[Conversation | Record]:
        outlines: list[_Outline] | None = None
        for number, (json, outline) in enumerate(self._chats()):
            if outline.id is None or not outline.type:
                # The head stands behind the messages, or there is none: one pass over the file for all heads.
                outlines = outlines or self._outlines()
                outline = outlines[number]
            yield from self._chat(json, outline)

    def _chat(self, json: JsonStream, outline: _Outline) -> Iterator[Conversation | Record]:
        conversation = Conversation(source="telegram", key=outline.key, name=outline.name)
        yield conversation
        message = _Messages(conversation.key, self._zone)
        number, newest = 0, -1
        for value in json.values():
            number += 1
            try:
                record = message.record(value, number)
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError):
                raise self._refused(number) from None
            if record.sent_at is not None and record.sent_at > newest:
                newest = record.sent_at
            yield record
        if number:
            yield Conversation(source="telegram", key=conversation.key, name=conversation.name,
                               as_of=newest if newest >= 0 else None)  # fmt: skip

    def _refused(self, number: int) -> Refused:
        return self._export.refused(Code.MALFORMED, self._name, "is not what Telegram writes",
                                    "export it again as JSON", f"message {number}")  # fmt: skip

    def _outlines(self) -> list[_Outline]:
        outlines = []
        for json, outline in self._chats(follow=True):
            for message in json.values():
                if isinstance(message, dict):
                    try:
                        at, _ = _time(message, "date", self._zone)
                    except (ValueError, TypeError, OverflowError, OSError):
                        continue
                    outline.beginning.add(at, str(message.get("from_id") or message.get("from") or ""))
            outlines.append(outline)
        return outlines

    def _chats(self, follow: bool = False) -> Iterator[tuple[JsonStream, _Outline]]:
        """Each `messages` array with what was told of its chat so far; the caller must step through it. With
        `follow` the outline is complete once the next one is asked for."""
        with self._export.open(self._name) as stream:
            json = JsonStream(stream, self._export.name, self._member, repair_x=True)
            single = _Outline()
            for key in json.members():
                if key in _LISTS and json.peek() == "{":
                    yield from self._list(json)
                elif key == "messages" and json.peek() == "[":
                    yield json, single
                elif json.peek() in "{[":
                    json.skip()
                else:
                    single.take(key, json.value())
            json.end()

    def _list(self, json: JsonStream) -> Iterator[tuple[JsonStream, _Outline]]:
        for key in json.members():
            if key != "list" or json.peek() != "[":
                json.skip()
                continue
            for _ in json.items():
                outline = _Outline()
                for inner in json.members():
                    if inner == "messages" and json.peek() == "[":
                        yield json, outline
                    elif json.peek() in "{[":
                        json.skip()
                    else:
                        outline.take(inner, json.value())


class _Messages:
    """Turns message objects of one chat into records."""

    def __init__(self, conversation: str, zone: ZoneInfo) -> None:
        self._conversation, self._zone = conversation, zone
        self._ordinals = Ordinals()
        self._have_ids: bool | None = None
        self._handles: dict[str | int, Handle] = {}

    def record(self, m: dict[str, Any], number: int) -> Record:
        """Raises ValueError, TypeError, KeyError or AttributeError where `m` is no message."""
        at, quality = _time(m, "date", self._zone)
        sort = m.get("type", "message")
        service = sort == "service"
        who, name = (m.get("actor_id"), m.get("actor")) if service else (m.get("from_id"), m.get("from"))
        if service and who is None:
            who, name = m.get("from_id"), name or m.get("from")
        text = "" if service else _text(m)
        attachments, shared = _attachments(m)
        if service:
            action = m.get("action")
            kind = Kind.CALL if action in _CALLS else Kind.MEMBER if action in _MEMBERS else Kind.UNSUPPORTED
        elif text:
            kind = Kind.TEXT
        elif attachments:
            kind = Kind.ATTACHMENT
        else:
            kind = Kind.UNSUPPORTED
        reply = m.get("reply_to_message_id")
        edited = _time(m, "edited", self._zone)[0] if "edited" in m or "edited_unixtime" in m else None
        if edited is not None and edited < _NEVER:
            edited = None
        name = clean_name(name) if name else ""
        return Record(
            source="telegram",
            conversation=self._conversation,
            id=self._id(m.get("id"), at, str(who or name)),
            sender=None if who is None else self._handle(who),
            sender_name=name,
            sent_at=at,
            quality=quality,
            kind=kind,
            text=text,
            reply_to=None if reply is None or "reply_to_peer_id" in m else str(_whole(reply)),
            edited_at=edited,
            reactions=self._reactions(m["reactions"]) if m.get("reactions") else (),
            attachments=attachments,
            forwarded_from=self._forwarded(m),
            shared_text=shared,
            shared_of=_card_of(m),
            place=f"message {number}",
        )

    def _id(self, native: Any, at: Ms | None, who: str) -> str:
        """Rule 6: Telegram gives every message an id. Where a whole chat has none, somebody took them out; where one
        message has none, it is not what Telegram wrote."""
        if self._have_ids is None:
            self._have_ids = native is not None
        if self._have_ids:
            return str(_whole(native))
        if native is not None:
            raise ValueError
        return self._ordinals.key(at, who)

    def _handle(self, who: Any) -> Handle:
        handle: Handle | None = self._handles.get(who)
        if handle is None:
            if isinstance(who, bool) or not isinstance(who, int | str):
                raise TypeError
            handle = f"telegram:{clean_name(str(who))}"
            if len(self._handles) < 10_000:
                self._handles[who] = handle
        return handle

    def _forwarded(self, m: dict[str, Any]) -> Person | None:
        for key in ("forwarded_from", "saved_from"):
            if key in m:
                who = m.get(key + "_id")
                return Person(None if who is None else self._handle(who), clean_name(m[key] or ""))
        return None

    def _reactions(self, listed: list[dict[str, Any]]) -> tuple[Reaction, ...]:
        """One for each person told, and one without an actor where more reacted than are told."""
        reactions = []
        for reaction in listed:
            emoji = clean(str(reaction.get("emoji") or {"paid": "⭐"}.get(reaction.get("type", ""), "")))
            recent = reaction.get("recent") or []
            for one in recent:
                who = one.get("from_id")
                handle = None if who is None else self._handle(who)
                reactions.append(Reaction(emoji, handle, clean_name(one.get("from") or "")))
            if _whole(reaction.get("count", 0)) > len(recent):
                reactions.append(Reaction(emoji))
        return tuple(reactions)


def _time(m: dict[str, Any], key: str, zone: ZoneInfo) -> tuple[Ms | None, Quality]:
    unix = m.get(key + "_unixtime")
    if unix is not None:
        at = int(unix) * 1000
        if not 0 <= at <= LAST_MS:
            raise ValueError
        return at, Quality.EXACT
    local = m.get(key)
    if not local:
        return None, Quality.MISSING
    # A time that the clocks skipped or showed twice is read as before the change (fold 0).
    moment = datetime.fromisoformat(local)
    if moment.tzinfo is None:
        at = int(moment.replace(tzinfo=zone).timestamp()) * 1000
        return max(at, 0), Quality.LOCAL_GUESS
    return max(int(moment.timestamp() * 1000), 0), Quality.EXACT


def _text(m: dict[str, Any]) -> str:
    entities = m.get("text_entities")
    if entities:
        text = entities[0]["text"] if len(entities) == 1 else "".join([e["text"] for e in entities])
    else:
        text = _joined(m.get("text", ""))
    if "poll" in m:
        text = "\n".join([text, *_poll(m["poll"])] if text else _poll(m["poll"]))
    return clean(text) if text else ""


def _joined(text: Any) -> str:
    if isinstance(text, str):
        return text
    if isinstance(text, dict):
        return str(text["text"])
    return "".join([t if isinstance(t, str) else t["text"] for t in text or ()])


def _poll(poll: dict[str, Any]) -> list[str]:
    return [_joined(poll.get("question", ""))] + ["- " + _joined(a["text"]) for a in poll.get("answers", ())]


def _attachments(m: dict[str, Any]) -> tuple[tuple[Attachment, ...], str]:
    """(attachments, words that the sender passed on but did not write)."""
    found, shared = [], ""
    for key in ("file", "photo"):
        if key in m:
            found.append(_file(m, key))
    if "contact_information" in m:
        contact = m["contact_information"]
        found.append(Attachment("contact.vcf", "text/vcard"))
        parts = (contact.get("first_name"), contact.get("last_name"), contact.get("phone_number"))
        shared = clean_name(" ".join(str(p) for p in parts if p))
    if "location_information" in m:
        found.append(Attachment("location"))
        shared = clean("\n".join(str(m[k]) for k in ("place_name", "address") if m.get(k)))
    return tuple(found), shared


def _card_of(m: dict[str, Any]) -> Handle | None:
    """Whose contact card it is: told by an international number, and by nothing else."""
    card = m.get("contact_information")
    number = str(card.get("phone_number") or "") if isinstance(card, dict) else ""
    return (
        phone(number)
        if number.startswith("+")
        else phone("+" + number[2:])
        if number.startswith("00")
        else None
    )


def _file(m: dict[str, Any], key: str) -> Attachment:
    path = m[key] or ""
    name = m.get("file_name") or ("" if path.startswith(_NOT_INCLUDED) else path)
    if not name:
        emoji = m.get("sticker_emoji")
        name = f"{emoji} sticker" if emoji else str(m.get("media_type") or key)
    size = m.get(key + "_file_size", m.get("file_size") if key == "file" else None)
    return Attachment(clean_name(name.replace("\\", "/").rsplit("/", 1)[-1]),
                      clean_name(str(m.get("mime_type") or ("image/jpeg" if key == "photo" else ""))),
                      size if isinstance(size, int) else None)  # fmt: skip


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError
    return int(value)
