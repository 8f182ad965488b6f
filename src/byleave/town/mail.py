"""Conversations as RFC 5322 mail: built once a message, delivered with a trace of its own to each inbox.

Replies quote as the author's program does (attribution line and `>`, an Outlook block, or nothing);
attribution lines come in the author's language; forwards carry their block. Bodies are text/plain, or
multipart/alternative with HTML, or mixed with an attachment of a few bytes. Nothing is random here:
Message-IDs, boundaries and dates follow from the conversation.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from byleave.model import Ms
from byleave.town.people import Conversation, Resident, Town, local, offset
from byleave.town.talk import Said

POLICY = SMTP.clone(linesep="\n", max_line_length=78)
FROM_LINE = re.compile(rb"(?m)^(>*From )")
DEPTH = 3
"""Quotes inside quotes beyond this are cut, as people do."""
MONTHS = {
    "en": ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    "de": ["Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."],
    "fr": ["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."],
    "es": ["ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic"],
    "it": ["gen", "feb", "mar", "apr", "mag", "giu", "lug", "ago", "set", "ott", "nov", "dic"],
    "pt": ["jan.", "fev.", "mar.", "abr.", "mai.", "jun.", "jul.", "ago.", "set.", "out.", "nov.", "dez."],
    "pl": ["sty", "lut", "mar", "kwi", "maj", "cze", "lip", "sie", "wrz", "paź", "lis", "gru"],
}
WEEKDAYS = {
    "en": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    "de": ["Mo.", "Di.", "Mi.", "Do.", "Fr.", "Sa.", "So."],
    "fr": ["lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."],
    "es": ["lun", "mar", "mié", "jue", "vie", "sáb", "dom"],
    "it": ["lun", "mar", "mer", "gio", "ven", "sab", "dom"],
    "pt": ["seg.", "ter.", "qua.", "qui.", "sex.", "sáb.", "dom."],
    "pl": ["pon.", "wt.", "śr.", "czw.", "pt.", "sob.", "niedz."],
}
ATTRIBUTIONS = {
    "en": "On {w}, {m} {d}, {y} at {h12} {name} <{mail}> wrote:",
    "de": "Am {w}, {d}. {m} {y} um {h} Uhr schrieb {name} <{mail}>:",
    "fr": "Le {w} {d} {m} {y} à {h}, {name} <{mail}> a écrit :",
    "es": "El {w}, {d} {m} {y} a las {h}, {name} (<{mail}>) escribió:",
    "it": "Il giorno {w} {d} {m} {y} alle ore {h} {name} <{mail}> ha scritto:",
    "pt": "Em {w}, {d} de {m} de {y} às {h}, {name} <{mail}> escreveu:",
    "pl": "{w}, {d} {m} {y} o {h} {name} <{mail}> napisał(a):",
}


class Post:
    """One conversation's mails. `copies(member)` yields what lands in that member's inbox."""

    def __init__(self, town: Town, talk: Conversation, lines: list[Said]) -> None:
        self.town, self.talk, self.lines = town, talk, lines
        self.subjects: dict[int, str] = {}
        self.built: dict[int, bytes] = {}

    def copies(self, member: int) -> Iterator[tuple[Ms, str, bytes]]:
        """(time, envelope sender, bytes with LF line ends) of each mail that `member` sent or got."""
        for said in self.lines:
            body = self.built.get(said.number)
            if body is None:
                body = self.built[said.number] = self._build(said)
            sender = self.town.residents[said.author]
            trace = b"" if said.author == member else self._trace(said, sender, self.town.residents[member])
            yield said.at, sender.address, trace + body

    def message_id(self, said: Said) -> str:
        domain = self.town.residents[said.author].address.split("@")[1]
        return f"<{self.talk.key}.{said.number}.{said.at:x}@{domain}>"

    def _trace(self, said: Said, sender: Resident, to: Resident) -> bytes:
        arrived = format_datetime(_zoned(to, said.at + 2000 + said.number % 9 * 1000))
        domain = sender.address.split("@")[1]
        return (
            f"Return-Path: <{sender.address}>\nDelivered-To: {to.address}\n"
            f"Received: from mx.{domain} (mx.{domain} [192.0.2.{said.number % 250 + 1}])\n"
            f"\tby in.{to.address.split('@')[1]} with ESMTPS id {self.talk.number:x}{said.number:x}\n"
            f"\tfor <{to.address}>; {arrived}\n"
        ).encode()

    def _build(self, said: Said) -> bytes:
        town, sender = self.town, self.town.residents[said.author]
        mail = EmailMessage(policy=POLICY)
        mail["Message-ID"] = self.message_id(said)
        mail["Date"] = _zoned(sender, said.at)
        mail["From"] = _address(sender)
        others = [town.residents[m] for m in self.talk.members if m != said.author]
        first = said.reply_to.author if said.reply_to else None
        to = [r for r in others if r.index == first] or others[:1]
        mail["To"] = [_address(r) for r in to]
        if rest := [r for r in others if r not in to]:
            mail["Cc"] = [_address(r) for r in rest]
        mail["Subject"] = self._subject(said, sender)
        chain: list[Said] = []
        above = said.reply_to
        while above is not None:
            chain.insert(0, above)
            above = above.reply_to
        if chain:
            mail["In-Reply-To"] = self.message_id(chain[-1])
            mail["References"] = " ".join(self.message_id(s) for s in chain[-10:])
        if sender.client == "apple":
            mail["X-Mailer"] = "Postcard (3.2)"
        elif sender.client == "thunderbird":
            mail["User-Agent"] = "Carrier Pigeon/128.0"
        text = self.text(said)
        encoding = (
            "quoted-printable" if not text.isascii() or max(map(len, text.split("\n"))) > 900 else "7bit"
        )
        mail.set_content(text + "\n", cte=encoding)
        boundary = f"=_{self.talk.key}_{said.number}"
        if sender.client in ("gmail", "outlook") or (sender.client == "apple" and said.number % 3 == 0):
            mail.add_alternative(self.html(said), subtype="html", cte="quoted-printable")
            mail.set_boundary(boundary + "_alt")
        if said.attachment:
            kind = "image/jpeg" if said.attachment.endswith((".jpg", ".png")) else "application/octet-stream"
            main, sub = kind.split("/")
            mail.add_attachment(
                f"(the town keeps no files: {self.talk.key}/{said.number})\n".encode(),
                main,
                sub,
                filename=said.attachment,
            )
            mail.set_boundary(boundary + "_mix")
        return mail.as_bytes()

    def _subject(self, said: Said, sender: Resident) -> str:
        if said.subject or said.reply_to is None:
            self.subjects[said.number] = said.subject or "(no subject)"
        else:
            above = self.subjects.get(said.reply_to.number, "")
            mark = "AW: " if sender.client == "outlook" and sender.language == "de" else "Re: "
            self.subjects[said.number] = above if above.startswith(("Re: ", "AW: ")) else mark + above
        return self.subjects[said.number]

    def text(self, said: Said, depth: int = 0) -> str:
        """The text/plain body, quotes and all."""
        sender = self.town.residents[said.author]
        if said.forward is not None:
            return f"{said.text}\n\n{self._forward_block(said, sender)}"
        own = wrapped(said.text) if sender.client in ("gmail", "thunderbird") else said.text
        above = said.reply_to
        if above is None or not said.quotes or depth >= DEPTH:
            return own
        quoted = self.text(above, depth + 1)
        if sender.client == "outlook":
            return f"{own}\n\n{self._outlook_block(above)}\n\n{quoted}"
        quoted = "\n".join(
            f">{line}" if line.startswith(">") else f"> {line}".rstrip() for line in quoted.split("\n")
        )
        if sender.client == "thunderbird":
            return f"{self.attribution(said, above)}\n{quoted}\n\n{own}"
        return f"{own}\n\n{self.attribution(said, above)}\n\n{quoted}"

    def attribution(self, said: Said, above: Said) -> str:
        """The line above a quote, in the language and form of who quotes; long ones wrap as programs wrap
        them."""
        me, them = self.town.residents[said.author], self.town.residents[above.author]
        when = local(me, above.at)
        if me.client == "apple" and me.language == "en":
            day = f"{when.day} {MONTHS['en'][when.month - 1]} {when.year}"
            return f"On {day}, at {when:%H:%M}, {them.name} <{them.address}> wrote:"
        if me.client == "thunderbird":
            form = {
                "de": "Am {0:%d.%m.%y} um {0:%H:%M} schrieb {1}:",
                "fr": "Le {0:%d/%m/%Y} à {0:%H:%M}, {1} a écrit :",
            }
            return form.get(me.language, "On {0:%d/%m/%Y} {0:%H:%M}, {1} wrote:").format(when, them.name)
        line = ATTRIBUTIONS[me.language].format(
            w=WEEKDAYS[me.language][when.weekday()],
            m=MONTHS[me.language][when.month - 1],
            d=when.day,
            y=when.year,
            h=f"{when:%H:%M}",
            h12=f"{when.hour % 12 or 12}:{when:%M} {'AM' if when.hour < 12 else 'PM'}",
            name=them.name,
            mail=them.address,
        )
        return line.replace(f" <{them.address}>", f" <\n{them.address}>") if len(line) > 78 else line

    def _outlook_block(self, above: Said) -> str:
        them = self.town.residents[above.author]
        to = "; ".join(self.town.residents[m].name for m in self.talk.members if m != above.author)
        sent = local(them, above.at)
        return (
            f"________________________________\nFrom: {them.name} <{them.address}>\n"
            f"Sent: {sent:%d} {MONTHS['en'][sent.month - 1]} {sent:%Y %H:%M}\nTo: {to}\n"
            f"Subject: {self.subjects.get(above.number, above.subject)}"
        )

    def _forward_block(self, said: Said, sender: Resident) -> str:
        forward = said.forward
        assert forward is not None
        them = self.town.residents[forward.author]
        when = local(them, forward.at)
        date = f"{when.day} {MONTHS['en'][when.month - 1]} {when:%Y at %H:%M}"
        subject = forward.subject or "Plans"
        if sender.client == "apple":
            head = (
                f"Begin forwarded message:\n\nFrom: {them.name} <{them.address}>\nSubject: {subject}\n"
                f"Date: {date}\nTo: {sender.name} <{sender.address}>"
            )
        elif sender.client == "outlook":
            head = (
                f"-----Original Message-----\nFrom: {them.name} <{them.address}>\nSent: {date}\n"
                f"To: {sender.name} <{sender.address}>\nSubject: {subject}"
            )
        else:
            head = (
                f"---------- Forwarded message ---------\nFrom: {them.name} <{them.address}>\nDate: {date}\n"
                f"Subject: {subject}\nTo: {sender.name} <{sender.address}>"
            )
        return f"{head}\n\n{forward.text}"

    def html(self, said: Said) -> str:
        """The same as HTML: each program has markup of its own around what it quotes."""
        return f'<html><head><meta charset="utf-8"></head><body>{self._html_body(said, 0)}</body></html>\n'

    def _html_body(self, said: Said, depth: int) -> str:
        sender = self.town.residents[said.author]
        own = "".join(f"<div>{html.escape(line) or '<br>'}</div>" for line in said.text.split("\n"))
        if said.forward is not None:
            block = html.escape(self._forward_block(said, sender)).replace("\n", "<br>\n")
            return f'{own}<br><div class="gmail_quote"><div dir="ltr">{block}</div></div>'
        above = said.reply_to
        if above is None or not said.quotes or depth >= DEPTH:
            return own
        inner = self._html_body(above, depth + 1)
        if sender.client == "outlook":
            head = html.escape(self._outlook_block(above)).split("\n", 1)[1].replace("\n", "<br>")
            return (
                f'{own}<hr style="display:inline-block;width:98%"><div id="divRplyFwdMsg">{head}</div>{inner}'
            )
        line = html.escape(self.attribution(said, above).replace("\n", ""))
        if sender.client == "gmail":
            return (
                f'{own}<br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">{line}<br></div>'
                f'<blockquote class="gmail_quote" style="margin:0 0 0 .8ex">{inner}</blockquote></div>'
            )
        return f'{own}<br><div>{line}</div><blockquote type="cite">{inner}</blockquote>'


def wrapped(text: str) -> str:
    """`text` with its lines broken at 74, as some programs break what they send."""
    return "\n".join(
        textwrap.fill(line, 74, break_long_words=False, break_on_hyphens=False) if len(line) > 74 else line
        for line in text.split("\n")
    )


def mbox(path: Path, mails: list[tuple[Ms, str, bytes]]) -> None:
    """mboxrd: `From ` lines inside get one `>` more (RFC 4155 and qmail's rule)."""
    with path.open("wb") as out:
        for at, sender, raw in mails:
            out.write(_from_line(at, sender))
            out.write(FROM_LINE.sub(rb">\1", raw))
            out.write(b"\n")


def maildir(path: Path, mails: list[tuple[Ms, str, bytes]]) -> int:
    """cur/new/tmp; names from time and place. Returns the number of files."""
    for room in ("cur", "new", "tmp"):
        (path / room).mkdir(parents=True)
    for place, (at, _, raw) in enumerate(mails):
        (path / "cur" / f"{at // 1000}.M{at % 1000}P{place}.town.example:2,S").write_bytes(raw)
    return len(mails)


def eml(path: Path, mails: list[tuple[Ms, str, bytes]]) -> int:
    """A folder of .eml files with CRLF line ends. Returns the number of files."""
    path.mkdir(parents=True)
    for place, (_, _, raw) in enumerate(mails, 1):
        (path / f"{place:05d}.eml").write_bytes(raw.replace(b"\n", b"\r\n"))
    return len(mails)


def _from_line(at: Ms, sender: str) -> bytes:
    when = datetime.fromtimestamp(at / 1000, UTC)
    day = f"{WEEKDAYS['en'][when.weekday()]} {MONTHS['en'][when.month - 1]} {when.day:2d}"
    return f"From {sender} {day} {when:%H:%M:%S %Y}\n".encode()


def _zoned(who: Resident, at: Ms) -> datetime:
    distance: timedelta = offset(who, at)
    return datetime.fromtimestamp(at // 1000, timezone(distance))


def _address(who: Resident) -> Address:
    return Address(who.name, addr_spec=who.address)
