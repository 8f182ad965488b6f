"""The traps of sources.md, one line a case: what a file holds, and what comes of it.

`SAYS` is "refused: <part of the line>" or what each record tells: `sender|text|more`, where `more` is the kind unless
it is text, the names of files, `?` for a missing time and `~` for a guessed one.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from byleave.errors import Refused
from byleave.model import Kind, Quality, Record
from byleave.sources import Options, recognise
from byleave.sources.archive import Export

AT = 1_704_164_645
_DROP: Any = ...


def _without(found: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in found.items() if v is not ...}


# ── Telegram ────────────────────────────────────────────────────────────────────────────────────────────────
def t(text: Any = "hi", **more: Any) -> dict[str, Any]:
    plain = [{"type": "plain", "text": text}] if isinstance(text, str) else []
    base = {
        "id": 1, "type": "message", "date": "2024-01-02T03:04:05", "date_unixtime": str(AT), "from": "Ann",
        "from_id": "user1", "text": text, "text_entities": plain,
    }  # fmt: skip
    return _without({**base, **more})


def tg(*messages: Any, **more: Any) -> str:
    chat = {"name": "Ann", "type": "personal_chat", "id": 7, "messages": list(messages), **more}
    return json.dumps(chat, ensure_ascii=False)


TELEGRAM: dict[str, tuple[str | bytes, str]] = {
    "control characters as \\xNN": (tg(t("aQb")).replace("Q", "\\x0b"), "telegram:user1|a\x0bb"),
    "text as list, entities missing": (
        tg(t(["a ", {"type": "bold", "text": "b"}], text_entities=_DROP)), "telegram:user1|a b"),
    "text as list of entities": (
        tg(t("", text_entities=[{"type": "plain", "text": "a "}, {"type": "link", "text": "x.example"}])),
        "telegram:user1|a x.example"),
    "an entity without text": (tg(t(text_entities=[{"type": "plain"}])), "refused: message 1"),
    "unix time as a number": (tg(t(date_unixtime=AT)), "telegram:user1|hi"),
    "local time only": (tg(t(date_unixtime=_DROP)), "telegram:user1|hi|~"),
    "no time": (tg(t(), t("yo", id=2, date=_DROP, date_unixtime=_DROP)), "telegram:user1|hi telegram:user1|yo|?"),
    "impossible time": (tg(t(date_unixtime="soon")), "refused: message 1"),
    "time before 1970": (tg(t(date_unixtime="-5")), "refused: message 1"),
    "a deleted account": (tg(t(**{"from": None})), "telegram:user1|hi"),
    "a name, but no id of a sender": (tg(t(from_id=_DROP)), "-|hi"),
    "ids as strings": (tg(t(id="17")), "telegram:user1|hi"),
    "an id that is no number": (tg(t(id="x")), "refused: message 1"),
    "an id that is a fraction": (tg(t(id=1.5)), "refused: message 1"),
    "one message without the id that others have": (tg(t(), t(id=_DROP)), "refused: message 2"),
    "one message with an id that others lack": (tg(t(id=_DROP), t()), "refused: message 2"),
    "no message has an id": (tg(t(id=_DROP), t("b", id=_DROP)), "telegram:user1|hi telegram:user1|b"),
    "a message that is no object": (tg(t(), 3), "refused: message 2"),
    "a service message": (
        tg(t("", type="service", actor="Bob", actor_id="user2", action="invite_members", from_id=_DROP)),
        "telegram:user2||member"),
    "an unknown service message": (
        tg(t("", type="service", actor_id="user2", action="new_thing", from_id=_DROP)), "telegram:user2||unsupported"),
    "a file that was not included": (
        tg(t("", file="(File not included. Change data exporting settings to download.)", media_type="voice_message")),
        "telegram:user1||attachment voice_message"),
    "a contact": (
        tg(t("", contact_information={"first_name": "Zed", "phone_number": "+1 555 0100"})),
        "telegram:user1||attachment contact.vcf"),
    "a poll": (tg(t("", poll={"question": "Q?", "answers": [{"text": "a"}]})), "telegram:user1|Q?\n- a"),
    "a lone surrogate": (tg(t()).replace("hi", "\\ud800x"), "telegram:user1|�x"),
    "BOM": (b"\xef\xbb\xbf" + tg(t()).encode(), "telegram:user1|hi"),
    "UTF-16": (tg(t()).encode("utf-16"), "refused: is UTF-16; save it as UTF-8"),
    "latin-1": (tg(t("é")).encode("latin-1"), "refused: is not UTF-8"),
    "cut": (tg(t(), t(id=2))[:-25], "refused: ends in the middle"),
    "cut in a number": (tg(t(), t(id=2))[:-3] + ', "x": 1.5e', "refused: "),
    "goes on behind its end": (tg(t()) + "{}", "refused: goes on after its end"),
    "NaN": (tg(t())[:-1] + ', "x": NaN}', "refused: is no JSON here"),
    "messages that are no list": (tg().replace("[]", "{}"), "refused: JSON of no source"),
    "an account export": (
        json.dumps({"contacts": {"list": [{"first_name": "Z"}]}, "sessions": {"list": [{"ip": "::1"}]},
                    "chats": {"list": [json.loads(tg(t())), json.loads(tg(t("b"), id=8))]}}),
        "telegram:user1|hi telegram:user1|b"),
}  # fmt: skip

# ── WhatsApp ────────────────────────────────────────────────────────────────────────────────────────────────
A = "WhatsApp Chat with Ann.txt"
ANN = "whatsapp:Ann/Ann"


def wa(*texts: str) -> str:
    return "".join(f"20/01/2024, 10:{n:02} - Ann: {text}\n" for n, text in enumerate(texts))


OMITTED = (
    "Media omitted", "Medien ausgeschlossen", "Multimedia omitido", "Médias omis", "Media omessi", "Mídia oculta",
    "Media weggelaten", "pominięto multimedia", "Medya dahil edilmedi", "Без медиафайлов", "Média vynechána",
    "Média kihagyva", "Fără media", "Εξαιρέθηκαν τα πολυμέσα", "Медіафайли пропущено", "Media utelämnades",
    "Mediefil udeladt", "Media jätettiin pois", "تم استبعاد الوسائط", "המדיה לא נכללה", "省略多媒体文件", "미디어 파일 제외됨",
)  # fmt: skip
WHATSAPP: dict[str, tuple[str | bytes, str]] = {
    "left out, in many languages": (wa(*[f"<{o}>" for o in OMITTED]), " ".join([f"{ANN}||attachment ~"] * len(OMITTED))),
    "an attachment with words": (wa("IMG-1.jpg (file attached)\nlook"), f"{ANN}|look|IMG-1.jpg ~"),
    "edited": (wa("hi <This message was edited>"), f"{ANN}|hi|~"),
    "edited, in Spanish": (wa("hola <Se editó este mensaje.>"), f"{ANN}|hola|~"),
    "deleted": (wa("This message was deleted"), f"{ANN}||deleted ~"),
    "direction marks": ("\u200e" + wa("\u200fhi\u200e"), f"{ANN}|hi|~"),
    "a body of several lines": (wa("one\ntwo\n\nthree"), f"{ANN}|one\ntwo\n\nthree|~"),
    "a number": ("20/01/2024, 10:00 - +44 7700 900123: hi\n", "tel:+447700900123|hi|~"),
    "a name with emoji": ("20/01/2024, 10:00 - Ann 🌸: hi\n", "whatsapp:Ann/Ann 🌸|hi|~"),
    "a notice": (wa("hi") + "20/01/2024, 11:00 - You added Bob\n", f"{ANN}|hi|~ -|You added Bob|member ~"),
    "a notice with a colon": (
        wa("hi") + '20/01/2024, 11:00 - Bob created group "A: B"\n', f'{ANN}|hi|~ -|Bob created group "A: B"|member ~'),
    "no date tells": ("01/02/2024, 10:00 - Ann: hi\n", "refused: line 1: no date tells day from month; say it: --date-order"),
    "a narrow space before PM": ("1/20/24, 10:11\u202fPM - Ann: hi\n", f"{ANN}|hi|~"),
    "Arabic digits": ("٢٠‏/١‏/٢٠٢٤، ١٠:١١ م - Ann: hi\n", f"{ANN}|hi|~"),
    "Bulgarian": ("20.01.24 г., 10:11 ч. - Ann: hi\n", f"{ANN}|hi|~"),
    "Finnish": ("20.1.2024 klo 10.11 - Ann: hi\n", f"{ANN}|hi|~"),
    "Hungarian": ("2024. 01. 20. 10:11 - Ann: hi\n", f"{ANN}|hi|~"),
    "Croatian": ("20. 01. 2024. 10:11 - Ann: hi\n", f"{ANN}|hi|~"),
    "Chinese": ("2024/1/20 下午10:11 - Ann: hi\n", f"{ANN}|hi|~"),
    "the Buddhist era": ("20/1/2567 10:11 - Ann: hi\n", f"{ANN}|hi|~"),
    "BOM and CRLF": (("\ufeff" + wa("hi")).replace("\n", "\r\n"), f"{ANN}|hi|~"),
    "CR alone": (wa("hi", "yo").replace("\n", "\r"), "refused: line 1: lines end in CR alone"),
    "UTF-16": (wa("hi").encode("utf-16"), "refused: is UTF-16; save it as UTF-8"),
    "UTF-16 without a mark": (wa("hi").encode("utf-16-le"), "refused: is UTF-16; save it as UTF-8"),
    "latin-1": (wa("hi", "é").encode("latin-1"), "refused: line 2: is not UTF-8"),
    "cut in a letter": (wa("hi", "é").encode()[:-2], "refused: line 2: is not UTF-8"),
    "a huge line": (wa("x" * 1_100_000), "refused: line 1: is over a million characters"),
}  # fmt: skip


# ── Messenger, Instagram ────────────────────────────────────────────────────────────────────────────────────
def fb(text: str) -> str:
    """UTF-8 bytes as Meta writes them."""
    return text.encode().decode("latin-1")


def d(content: Any = "hi", **more: Any) -> dict[str, Any]:
    base = {
        "sender_name": fb("Ann Ö"),
        "timestamp_ms": AT * 1000,
        "content": fb(content) if isinstance(content, str) else content,
    }
    return _without({**base, **more})


def dyi(*messages: Any, people: tuple[str, ...] = ("Ann Ö", "Bob"), path: str = "inbox/a_1") -> str:
    return json.dumps({
        "participants": [{"name": fb(p)} for p in people], "messages": list(messages), "title": "x", "thread_path": path,
    })  # fmt: skip


def e2ee(**more: Any) -> dict[str, Any]:
    return {
        "senderName": "Ann",
        "text": "früh",
        "timestamp": AT * 1000,
        "type": "text",
        "media": [],
        "reactions": [],
        **more,
    }


ANN_O = "messenger:a_1/Ann Ö"
MESSENGER: dict[str, tuple[str | bytes, str]] = {
    "bytes as letters": (dyi(d("früh ❤")), f"{ANN_O}|früh ❤"),
    "right as it stands": (dyi(d() | {"content": "früh — ok"}), f"{ANN_O}|früh — ok"),
    "a name listed twice": (dyi(d(sender_name="Bob"), people=("Bob", "Bob")), "-|hi"),
    "a deleted account": (dyi(d(sender_name="Facebook user")), "-|hi"),
    "somebody who left": (dyi(d(sender_name="Cleo")), "messenger:a_1/Cleo|hi"),
    "unsent": (dyi(d("gone", is_unsent=True)), f"{ANN_O}||deleted"),
    "a reaction as a message": (dyi(d("Reacted 👍 to your message ")), f"{ANN_O}|Reacted 👍 to your message |reaction"),
    "a link": (dyi(d(_DROP, share={"link": "https://x.example/"})), f"{ANN_O}|https://x.example/|share"),
    "a picture": (dyi(d(_DROP, photos=[{"uri": "a/b/1.jpg", "creation_timestamp": AT}])), f"{ANN_O}||attachment 1.jpg"),
    "a call": (dyi(d("Ann called you.", call_duration=20)), f"{ANN_O}|Ann called you.|call"),
    "no time": (dyi(d(), d("b", timestamp_ms=_DROP)), f"{ANN_O}|hi {ANN_O}|b|?"),
    "a time in seconds": (dyi(d(timestamp_ms=AT)), "refused: message 1"),
    "a time as text": (dyi(d(), d(timestamp_ms="x")), "refused: message 2"),
    "no sender": (dyi(d(), d(sender_name=_DROP)), "refused: message 2"),
    "no object": (dyi(d(), 3), "refused: message 2"),
    "BOM": (b"\xef\xbb\xbf" + dyi(d()).encode(), f"{ANN_O}|hi"),
    "cut": (dyi(d(), d())[:-70], "refused: ends in the middle"),
    "end-to-end: not repaired": (
        json.dumps({"participants": ["Ann", "Bob"], "threadName": "Ann_1", "messages": [e2ee()]}), "messenger:CHAT/Ann|früh"),
    "end-to-end: unsent": (
        json.dumps({"participants": ["Ann"], "threadName": "Ann_1", "messages": [e2ee(text="User unsent a message", type="placeholder")]}),
        "messenger:CHAT/Ann||deleted"),
}  # fmt: skip

# ── mail ────────────────────────────────────────────────────────────────────────────────────────────────────
LINE = b"From ann@x.example Tue Jan  2 03:04:05 2024\n"
HEAD = "From: Ann <ann@x.example>\nTo: bob@y.example\nDate: Tue, 02 Jan 2024 03:04:05 +0000\nMessage-ID: <a{}@x.example>\n"
M = "mail:ann@x.example"


def mb(*mails: str) -> bytes:
    return b"".join(LINE + (HEAD.format(n) + text).encode() + b"\n\n" for n, text in enumerate(mails))


def one(more: str = "", body: str = "hi", **changed: str) -> str:
    text = HEAD.format(0) + more
    for old, new in changed.items():
        text = text.replace(
            {"sender": "Ann <ann@x.example>", "date": "Date: Tue, 02 Jan 2024 03:04:05 +0000\n"}[old], new
        )
    return text + "\n" + body


MBOX: dict[str, tuple[str | bytes, str]] = {
    "From in a body": (mb("\nhi\n\nFrom here on", "\nyo"), f"{M}|hi\n\nFrom here on {M}|yo"),
    "a From_ line in a body": (mb("\nhi\n\n" + LINE.decode() + "so it said", "\nyo"), f"{M}|hi\n\n{LINE.decode()}so it said {M}|yo"),
    "quoted once and twice": (mb("\n>From a\n>>From b"), f"{M}|From a\n>From b"),
    "Content-Length is not trusted": (mb("Content-Length: 999\n\nhi", "\nyo"), f"{M}|hi {M}|yo"),
    "CRLF": (mb("\nhi").replace(b"\n", b"\r\n"), f"{M}|hi"),
    "BOM": (b"\xef\xbb\xbf" + mb("\nhi"), f"{M}|hi"),
    "one mail twice": (mb("\nhi") + mb("\nhi"), f"{M}|hi"),
    "two mails under one Message-ID": (mb("\nhi") + mb("\nyo"), f"{M}|hi {M}|yo"),
    "no mail": (b"nothing of a mail", "refused: line 1: no From_ line"),
    "nothing": (b"", "refused: no mail in it"),
    "no header": (LINE, "refused: byte 0: a From_ line, but no mail header behind it"),
}  # fmt: skip
EML: dict[str, tuple[str | bytes, str]] = {
    "no date": (one(date=""), f"{M}|hi|?"),
    "a date in words": (one(date="Date: yesterday\n"), f"{M}|hi|?"),
    "8-bit header": (one(sender="Zoë <ann@x.example>").encode("latin-1"), f"{M}|hi"),
    "an unknown charset": (one("Content-Type: text/plain; charset=X-UNKNOWN\n").encode() + b"\xe9", f"{M}|hié"),
    "a group without members": (one("Cc: undisclosed-recipients:;\n"), f"{M}|hi"),
    "`at` is no address": (one(sender="ann at x.example (Ann)"), "-|hi"),
    "two From fields": (one("From: eve@z.example\n"), "-|hi"),
    "capitals in an address": (one(sender="ANN@X.Example"), f"{M}|hi"),
    "no end of parts": (one("Content-Type: multipart/mixed; boundary=x\n", "--x\n\nhi"), f"{M}|hi"),
    "no boundary": (one("Content-Type: multipart/mixed\n"), f"{M}|hi"),
    "only HTML": (one("Content-Type: text/html\n", "<p>a <b>b</b></p><script>c</script>"), f"{M}|a b"),
    "broken base64": (one("Content-Transfer-Encoding: base64\n", "aGk=!!\n="), f"{M}|hi"),
    "broken quoted-printable": (one("Content-Transfer-Encoding: quoted-printable\n", "h=69 =ZZ"), f"{M}|hi =ZZ"),
    "three thousand levels": (
        one("".join(f"Content-Type: multipart/mixed; boundary=b{i}\n\n--b{i}\n" for i in range(3000))), f"{M}||attachment"),
    "no mail": ("nothing of a mail", "refused: no mail in it"),
    "too large": (one("", "x\n" * 34_000_000), "refused: more than 64 MiB"),
}  # fmt: skip
CASES = [
    pytest.param(name, content, says, id=f"{kind}: {what}")
    for kind, name, table in (
        ("telegram", "result.json", TELEGRAM), ("whatsapp", A, WHATSAPP), ("messenger", "message_1.json", MESSENGER),
        ("mbox", "mail.mbox", MBOX), ("eml", "mail.eml", EML),
    )
    for what, (content, says) in table.items()
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "says"), CASES)
def test_a_trap(tmp_path: Path, name: str, content: str | bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    assert outcome(path, says)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"m/message_1.json": dyi(d("c"), d("b")), "m/message_2.json": dyi(d("a"))}, f"{ANN_O}|c {ANN_O}|b {ANN_O}|a"),
        ({"m/message_1.json": dyi(d()), "n/message_1.json": dyi(d())[:60]}, "refused: n/message_1.json"),
        ({"_chat.txt": wa("hi"), "1.jpg": "x"}, "whatsapp:CHAT/Ann|hi|~"),
        ({"mail.zip": "PK\x03\x04xxxxxxxx"}, "refused: mail.zip: is a zip inside the export"),
        ({"cur/1:2,S": one(), "new/2": one().replace("a0@", "a1@"), "tmp/3": one().replace("a0@", "a2@")}, f"{M}|hi {M}|hi"),
        ({"a.eml": one(), "b/c.eml": one().replace("a0@", "a1@"), "b/p.jpg": "x"}, f"{M}|hi {M}|hi"),
    ],
    ids=["pages of one thread", "one of two threads is cut", "whatsapp", "zip in zip", "maildir", "eml folder"],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_a_trap_of_several_files(tmp_path: Path, members: dict[str, str], says: str, packed: bool) -> None:
    path = tmp_path / ("export.zip" if packed else "export")
    if packed:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        path.write_bytes(made.getvalue())
    else:
        for name, content in members.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(content)
    assert outcome(path, says)


def outcome(path: Path, says: str) -> bool:
    try:
        export = Export(path)
        records = [r for r in recognise(export).read(export, Options()) if isinstance(r, Record)]
    except Refused as refused:
        line = str(refused)
        assert line.startswith(path.name) and line.isprintable(), line
        assert says.startswith("refused: ") and says.removeprefix("refused: ") in line, line
        return True
    told = " ".join(map(_told, records))
    for record in records:  # keys that are made of how a chat begins
        if "chat-" in record.conversation:
            told = told.replace(record.conversation, "CHAT")
    assert told == says
    return True


def _told(record: Record) -> str:
    more = [
        *([record.kind.value] if record.kind is not Kind.TEXT else []),
        *(a.name for a in record.attachments if a.name),
        *(
            {Quality.MISSING: "?", Quality.LOCAL_GUESS: "~"}[q]
            for q in [record.quality]
            if q is not Quality.EXACT
        ),
    ]
    shown = f"{record.sender or '-'}|{record.text}"
    return f"{shown}|{' '.join(more)}" if more else shown
