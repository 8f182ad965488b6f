"""A card in the three forms that carry it out of our pages: chat, mail, and oEmbed.

Rules of this file:

1. Pure: what stands in it comes in, and every word of people and partners is escaped for the place it stands in.
2. One link, the gateway's own (or the plain destination, for who is not counted), and in chat and mail the
   honeypot beside it, so that who fetches every link of a mail is known by that one.
3. Nothing is loaded from elsewhere, and no script runs. The picture of a card in a chat comes from our own origin;
   in a mail it lies inside, so that opening one tells nobody.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from typing import Any

import msgspec

from byleave.model import Ms


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What a card says to its recipient. Links are absolute."""

    id: str
    who: str
    title: str
    text: str
    partner: str
    link: str
    trap: str | None
    stop: str
    """Where "no more from this partner" is one click."""
    at: Ms
    picture: tuple[str, bytes, str] | None = None
    """(media type, bytes, address at our own origin)."""

    @property
    def why(self) -> str:
        return (
            f"{self.who} chose to send it to you through {self.partner}, and you take cards from them. "
            f"{self.partner} never learns from us who clicked; its own site sees a visitor arrive."
        )


def action(letter: Letter) -> dict[str, Any]:
    """schema.org RecommendAction; the recipient stands there without a name."""
    return {
        "@context": "https://schema.org", "@type": "RecommendAction",
        "agent": {"@type": "Person", "name": letter.who}, "recipient": {"@type": "Person"},
        "object": {"@type": "CreativeWork", "name": letter.title, "url": letter.link},
        "description": letter.text, "startTime": _moment(letter.at).isoformat(),
    }  # fmt: skip


def chat(letter: Letter) -> bytes:
    """A page with Open Graph and schema.org data, as chat clients read it."""
    said = {
        "og:type": "website", "og:title": letter.title, "og:site_name": letter.partner, "og:url": letter.link,
        "og:description": f"{letter.who} recommends: {letter.text}" if letter.text else f"{letter.who} recommends it",
    }  # fmt: skip
    metas = "\n".join(f'<meta property="{name}" content="{escape(value)}">' for name, value in said.items())
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(letter.title)}</title>\n{metas}\n{_data(letter)}'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{_body(letter, letter.picture[2] if letter.picture else "")}</body></html>\n'.encode()


def mail(letter: Letter, sender: str, recipient: str) -> bytes:
    """The card as a message (RFC 5322): multipart/alternative of text and HTML with JSON-LD. `sender` and
    `recipient` are mail addresses."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = f"{letter.who} recommends: {letter.title}".replace("\r", " ").replace("\n", " ")
    message["Date"] = format_datetime(_moment(letter.at))
    message["Message-ID"] = f"<card.{letter.id}@{sender.rpartition('@')[2].rstrip('>')}>"
    message["List-Unsubscribe"] = f"<{letter.stop}>"
    message["Auto-Submitted"] = "auto-generated"
    lines = [f"{letter.who} recommends: {letter.title}", letter.text, letter.link]
    why = [f"Why it is here. {letter.why}", f"No more from {letter.partner}: {letter.stop}"]
    message.set_content("\n\n".join(line for line in (*lines, *why) if line) + "\n")
    html = f'<!doctype html><html lang="en"><head><meta charset="utf-8">{_data(letter)}</head><body>{_body(letter, "cid:picture" if letter.picture else "")}</body></html>'
    message.add_alternative(html, subtype="html")
    if letter.picture is not None:
        media, data, _ = letter.picture
        rich = message.get_payload()[-1]  # type: ignore[index]
        rich.add_related(data, "image", media.partition("/")[2], cid="<picture>", disposition="inline")  # type: ignore[union-attr]
    return message.as_bytes()


def oembed(letter: Letter) -> dict[str, Any]:
    """The card as an oEmbed link (oembed.com, 2.3.4.4)."""
    return {"version": "1.0", "type": "link", "title": letter.title, "author_name": letter.who, "provider_name": letter.partner, "provider_url": letter.link}  # fmt: skip


def _body(letter: Letter, picture: str) -> str:
    seen = f'<p><img src="{escape(picture)}" alt="" width="300"></p>' if picture else ""
    text = f'<p dir="auto">{escape(letter.text)}</p>' if letter.text else ""
    trap = (
        ""
        if letter.trap is None
        else f'<a href="{escape(letter.trap)}" hidden aria-hidden="true" tabindex="-1" rel="nofollow">.</a>'
    )
    return (
        f'<p><strong dir="auto">{escape(letter.who)}</strong> recommends</p><h1 dir="auto">{escape(letter.title)}</h1>{seen}{text}'
        f'<p><a href="{escape(letter.link)}" rel="noreferrer nofollow">Open at {escape(letter.partner)}</a></p>{trap}'
        f'<p>Why it is here. {escape(letter.why)}</p><p><a href="{escape(letter.stop)}">No more from {escape(letter.partner)}</a></p>'
    )


def _data(letter: Letter) -> str:
    """A data block, which no browser runs; `<` and `&` are escaped so that nothing in it can end it."""
    said = json.dumps(action(letter), ensure_ascii=False)
    for plain, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        said = said.replace(plain, escaped)
    return f'<script type="application/ld+json">{said}</script>'


def _moment(at: Ms) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)
