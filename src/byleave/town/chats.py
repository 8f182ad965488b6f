"""Conversations as chat exports: WhatsApp text, Telegram's result.json, Meta's folders for Messenger and
Instagram.

Each writer shows what that exporter really writes, marks and all: WhatsApp's direction marks and local
minutes without a zone, Telegram's entities and string times, Meta's UTF-8 bytes spelt as \\u00XX and newest
first.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from byleave.town.people import Conversation, Resident, Town, local, seen_as, spoken, thread_slug, title_for
from byleave.town.talk import Said

ENTITY = re.compile(r"(?P<link>https?://\S+)|(?P<email>[\w.+-]+@[\w.-]+\.\w+)|(?P<phone>\+\d[\d ()-]{7,}\d)")
META_PAGE = 10_000
"""Messages a file of a Meta thread."""


def pasted(town: Town, said: Said) -> str:
    """The words of a chat message: own words, below the quoted ones where it quotes."""
    if said.reply_to is None or not said.quotes:
        return said.text
    first = "\n".join(f"> {line}" for line in said.reply_to.text.split("\n"))
    return f"{first}\n{said.text}"


def whatsapp(town: Town, talk: Conversation, lines: list[Said], viewer: Resident, folder: Path) -> Path:
    """`WhatsApp Chat with X.txt` (Android) or `WhatsApp Chat - X.zip` with `_chat.txt` (iOS)."""
    title = title_for(town, talk, viewer.index)
    title = title.replace("/", "_")
    stamps = [local(viewer, s.at) for s in lines]
    ordered = any(t.day > 12 for t in stamps)
    apple = viewer.phone == "ios"
    names = {m: _called(town, viewer, m, apple) for m in talk.members}

    def stamp(said: Said) -> str:
        when = local(viewer, said.at)
        if apple:
            date = f"{when:%d/%m/%Y}" if ordered else f"{when:%Y-%m-%d}"
            return f"[{date}, {when:%H:%M:%S}] "
        if not ordered:
            return f"{when:%Y-%m-%d, %H:%M} - "
        return f"{when:%d.%m.%y, %H:%M} - " if viewer.language == "de" else f"{when:%d/%m/%Y, %H:%M} - "

    def render() -> Iterator[str]:
        if lines:
            head = stamp(lines[0])
            notice = (
                "Messages and calls are end-to-end encrypted. Only people in this chat can read, listen to, "
                "or share them."
            )
            mark = "\u200e" if apple else ""
            yield f"{head}{title + ': ' if apple else ''}{mark}{notice}\n"
            if talk.name and not apple:
                maker = "You" if talk.members[0] == viewer.index else names[talk.members[0]]
                yield f'{head}{maker} created group "{talk.name}"\n'
        for said in lines:
            yield f"{stamp(said)}{names[said.author]}: {_whatsapp_body(town, said, viewer, apple)}\n"

    folder.mkdir(parents=True, exist_ok=True)
    if not apple:
        path = folder / f"WhatsApp Chat with {title}.txt"
        with path.open("w", encoding="utf-8", newline="\n") as out:
            out.writelines(render())
        return path
    path = folder / f"WhatsApp Chat - {title}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
        member = zipfile.ZipInfo("_chat.txt", (2026, 1, 1, 0, 0, 0))
        member.compress_type = zipfile.ZIP_DEFLATED
        # iOS ends a message with CRLF and a line inside it with LF.
        pack.writestr(member, "".join(line.removesuffix("\n") + "\r\n" for line in render()))
    return path


def _called(town: Town, viewer: Resident, member: int, apple: bool) -> str:
    name = seen_as(town, viewer.index, member)
    return f"\u202a{name}\u202c" if apple and name.startswith("+") else name


def _whatsapp_body(town: Town, said: Said, viewer: Resident, apple: bool) -> str:
    mark = "\u200e" if apple else ""
    if said.deleted:
        return (
            mark
            + ("You deleted this message" if said.author == viewer.index else "This message was deleted")
            + ("." if apple else "")
        )
    body = pasted(town, said)
    if said.attachment:
        when = local(viewer, said.at)
        kind = (
            "PHOTO"
            if said.attachment.endswith((".jpg", ".png"))
            else "AUDIO"
            if said.attachment.endswith(".opus")
            else "DOC"
        )
        if apple:
            suffix = said.attachment.rsplit(".", 1)[1]
            body = f"\u200e<attached: {said.number:08d}-{kind}-{when:%Y-%m-%d-%H-%M-%S}.{suffix}>"
        elif said.number % 2:
            body = "<Media omitted>"
        else:
            short = {"PHOTO": "IMG", "AUDIO": "PTT", "DOC": "DOC"}[kind]
            suffix = said.attachment.rsplit(".", 1)[1]
            body = f"\u200e{short}-{when:%Y%m%d}-WA{said.number % 10000:04d}.{suffix} (file attached)\n{body}"
    if said.edited_at:
        body += f" {mark}<This message was edited>"
    return body


def telegram(town: Town, talks: list[tuple[Conversation, list[Said]]], viewer: Resident, path: Path) -> None:
    """The whole account's `result.json`, written chat by chat with the exporter's one-space indent."""
    own = {
        "user_id": viewer.telegram,
        "first_name": viewer.given,
        "last_name": viewer.family,
        **({"phone_number": spoken(viewer.tel)} if viewer.tel else {}),
        "bio": "",
    }
    head = {
        "about": "Here is the data you requested. Remember: Telegram is ad free, it doesn't use your data "
        "for ad targeting and doesn't sell it to others.",
        "personal_information": own,
    }
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.write(json.dumps(head, ensure_ascii=False, indent=1)[:-2])
        out.write(',\n "chats": {\n  "about": "This page lists all chats from this export.",\n  "list": [\n')
        for place, (talk, lines) in enumerate(talks):
            group = bool(talk.name)
            other = next(m for m in talk.members if group or m != viewer.index)
            chat = {
                "name": talk.name or town.residents[other].name,
                "type": "private_supergroup" if group else "personal_chat",
                "id": talk.number if group else town.residents[other].telegram,
            }
            out.write("   " + json.dumps(chat, ensure_ascii=False, indent=1).replace("\n", "\n   ")[:-5])
            out.write(',\n    "messages": [')
            base = 1 if group else count
            for written, message in enumerate(_telegram_messages(town, talk, lines, viewer, base)):
                out.write(",\n" if written else "\n")
                out.write(
                    "     " + json.dumps(message, ensure_ascii=False, indent=1).replace("\n", "\n     ")
                )
            count += len(lines)
            out.write("\n    ]\n   }" + (",\n" if place + 1 < len(talks) else "\n"))
        out.write("  ]\n }\n}\n")


def _telegram_messages(
    town: Town, talk: Conversation, lines: list[Said], viewer: Resident, base: int
) -> Iterator[dict[str, Any]]:
    if talk.name and lines:
        maker = town.residents[talk.members[0]]
        when = lines[0].at - 60_000
        yield {
            "id": base,
            "type": "service",
            "date": f"{local(viewer, when):%Y-%m-%dT%H:%M:%S}",
            "date_unixtime": str(when // 1000),
            "actor": maker.name,
            "actor_id": f"user{maker.telegram}",
            "action": "create_group",
            "title": talk.name,
            "members": [town.residents[m].name for m in talk.members],
            "text": "",
            "text_entities": [],
        }
    for said in lines:
        if said.deleted:
            continue
        author = town.residents[said.author]
        message: dict[str, Any] = {
            "id": base + said.number,
            "type": "message",
            "date": f"{local(viewer, said.at):%Y-%m-%dT%H:%M:%S}",
            "date_unixtime": str(said.at // 1000),
        }
        if said.edited_at:
            message["edited"] = f"{local(viewer, said.edited_at):%Y-%m-%dT%H:%M:%S}"
            message["edited_unixtime"] = str(said.edited_at // 1000)
        message |= {"from": author.name, "from_id": f"user{author.telegram}"}
        text = pasted(town, said)
        if said.forward is not None:
            text = said.forward.text
            origin = town.residents[said.forward.author]
            message |= {"forwarded_from": origin.name, "forwarded_from_id": f"user{origin.telegram}"}
        elif (
            said.reply_to is not None
            and not said.quotes
            and not said.reply_to.deleted
            and said.number % 5 == 0
        ):
            message["reply_to_message_id"] = base + said.reply_to.number
        if said.attachment:
            message |= _telegram_file(said)
        entities = _entities(text)
        message["text"] = (
            text
            if all(e["type"] == "plain" for e in entities)
            else [e["text"] if e["type"] == "plain" else e for e in entities]
        )
        message["text_entities"] = entities
        if said.reactions:
            message["reactions"] = _telegram_reactions(town, said, viewer)
        yield message


def _telegram_file(said: Said) -> dict[str, Any]:
    missing = "(File not included. Change data exporting settings to download.)"
    if said.attachment.endswith((".jpg", ".png")):
        return {"photo": missing, "photo_file_size": 80_000 + said.number, "width": 1280, "height": 960}
    kind = (
        {"media_type": "voice_message", "duration_seconds": said.number % 50 + 3}
        if said.attachment.endswith(".opus")
        else {}
    )
    return {"file": missing, "file_name": said.attachment, "file_size": 40_000 + said.number, **kind}


def _telegram_reactions(town: Town, said: Said, viewer: Resident) -> list[dict[str, Any]]:
    made: dict[str, dict[str, Any]] = {}
    for emoji, actor, at in said.reactions:
        entry = made.setdefault(emoji, {"type": "emoji", "count": 0, "emoji": emoji, "recent": []})
        entry["count"] += 1
        entry["recent"].append(
            {
                "from": town.residents[actor].name,
                "from_id": f"user{town.residents[actor].telegram}",
                "date": f"{local(viewer, at):%Y-%m-%dT%H:%M:%S}",
            }
        )
    return list(made.values())


def _entities(text: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    place = 0
    for match in ENTITY.finditer(text):
        if match.start() > place:
            found.append({"type": "plain", "text": text[place : match.start()]})
        found.append({"type": match.lastgroup or "plain", "text": match[0]})
        place = match.end()
    if place < len(text):
        found.append({"type": "plain", "text": text[place:]})
    return found


def meta(town: Town, talk: Conversation, lines: list[Said], viewer: Resident, root: Path) -> int:
    """One thread folder of a download from Meta, under `root` (the folder that was unzipped). Returns the
    number of files."""
    activity = "your_facebook_activity" if talk.source == "messenger" else "your_instagram_activity"
    thread = thread_slug(town, talk, viewer.index)
    folder = root / activity / "messages" / "inbox" / thread
    folder.mkdir(parents=True)
    members = [town.residents[m].name for m in talk.members if m != viewer.index] + [viewer.name]
    newest = lines[::-1]
    pages = [newest[i : i + META_PAGE] for i in range(0, len(newest), META_PAGE)] or [[]]
    for number, page in enumerate(pages, 1):
        document = {
            "participants": [{"name": mojibake(name)} for name in members],
            "messages": [_meta_message(town, said, activity, thread) for said in page],
            "title": mojibake(title_for(town, talk, viewer.index)),
            "is_still_participant": True,
            "thread_path": f"inbox/{thread}",
            "magic_words": [],
            **({"joinable_mode": {"mode": 1, "link": ""}} if talk.name else {}),
        }
        (folder / f"message_{number}.json").write_text(
            json.dumps(document, indent=2), encoding="ascii", newline="\n"
        )
    return len(pages)


def _meta_message(town: Town, said: Said, activity: str, thread: str) -> dict[str, Any]:
    message: dict[str, Any] = {
        "sender_name": mojibake(town.residents[said.author].name),
        "timestamp_ms": said.at,
    }
    if said.deleted:
        return message | {"is_unsent": True, "is_geoblocked_for_viewer": False}
    text = pasted(town, said)
    message["content"] = mojibake(text)
    link = re.search(r"https?://\S+", text)
    if link:
        message["share"] = {"link": mojibake(link[0])}
    if said.attachment:
        where = (
            "photos"
            if said.attachment.endswith((".jpg", ".png"))
            else "audio_files"
            if said.attachment.endswith(".opus")
            else "files"
        )
        name = said.attachment.replace(" ", "_")
        message[where] = [
            {
                "uri": f"{activity}/messages/inbox/{thread}/{where}/{name}",
                "creation_timestamp": said.at // 1000,
            }
        ]
    if said.reactions:
        message["reactions"] = [
            {"reaction": mojibake(emoji), "actor": mojibake(town.residents[actor].name)}
            for emoji, actor, _ in said.reactions
        ]
    message["is_geoblocked_for_viewer"] = False
    return message


def mojibake(text: str) -> str:
    """As Meta writes it: each byte of the UTF-8 as one character."""
    return text.encode().decode("latin-1")
