"""`byleave words …`: try on any text what a partner would see (spec/cli.md). Prints JSON Lines."""

from __future__ import annotations

import email
import email.policy
import email.utils
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from byleave.errors import Code, Refused
from byleave.model import Handle
from byleave.words import quotes

app: Final = typer.Typer(no_args_is_help=True, help="Masks, parts and title mentions of any text.")


@app.callback()
def words() -> None:
    """Masks, parts and title mentions of any text."""


@app.command()
def parts(
    file: Annotated[Path, typer.Argument(metavar="FILE.eml", help="One mail as RFC 5322 bytes.")],
    json: Annotated[bool, typer.Option("--json", help="JSON Lines; they are the only form.")] = True,
) -> None:
    """Who wrote what in one mail: {part, author, how, start, end, text} a line, covering the text."""
    try:
        lines = parts_of(file.read_bytes(), file.name)
    except OSError as error:
        typer.echo(f"{file.name}: cannot be read ({error.strerror})", err=True)
        raise typer.Exit(1) from None
    except Refused as refused:
        typer.echo(str(refused), err=True)
        raise typer.Exit(1) from None
    for line in lines:
        typer.echo(line)


def parts_of(raw: bytes, name: str) -> list[str]:
    """The mail's parts as lines of JSON. Raises Refused where there is no text to split."""
    if not raw.strip():
        raise Refused(Code.EMPTY, name, "byte 0", "nothing in it", "give one mail as an .eml file")
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    text = _text(message)
    if text is None:
        raise Refused(Code.UNKNOWN_FORMAT, name, "", "no text part in it", "give a mail that has a text part")
    subject = message.get("Subject")
    found = quotes.split(
        text,
        author=_author(message),
        subject=str(subject) if subject is not None else None,
        reply="In-Reply-To" in message or "References" in message,
    )
    return [
        msgspec.json.encode(
            {"part": n, "author": p.author, "how": p.how, "start": p.start, "end": p.end, "text": p.text}
        ).decode()
        for n, p in enumerate(found)
    ]


def _author(message: email.message.Message) -> Handle | None:
    """The one From address as a handle; None where there is none or several."""
    found = email.utils.getaddresses([str(v) for v in message.get_all("From", [])])
    addresses = {address.lower() for _, address in found if "@" in address}
    return f"mail:{addresses.pop()}" if len(addresses) == 1 else None


def _text(message: email.message.Message) -> str | None:
    """The first text/plain part, decoded, with `\\n` line ends."""
    for part in message.walk():
        if part.get_content_type() != "text/plain" or part.get_content_disposition() == "attachment":
            continue
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            continue
        charset = part.get_content_charset("utf-8") or "utf-8"
        try:
            text = payload.decode(charset, "replace")
        except LookupError:
            text = payload.decode("utf-8", "replace")
        return text.replace("\r\n", "\n").replace("\r", "\n")
    return None
