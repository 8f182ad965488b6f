"""`byleave words`: try on any text what a partner would see of it. Nothing is stored."""

from __future__ import annotations

import base64
import csv
import hashlib
import secrets
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from byleave.errors import Code, Refused
from byleave.words import quotes

app = typer.Typer(help="Try what becomes of any text: masks, parts, title mentions.", no_args_is_help=True)


class Tier(StrEnum):
    """How much of redaction runs (redaction.md)."""

    rules = "rules"
    plain = "plain"
    full = "full"


class MaskLine(msgspec.Struct, frozen=True):
    id: str | int
    text: str
    contacts: list[str] = []


@app.command("mask")
def mask_lines(
    tier: Annotated[
        Tier, typer.Option(help="rules; plain: names and towns too; full: with byleave[ner].")
    ] = Tier.plain,
    catalogue: Annotated[
        Path | None, typer.Option(help="Titles to protect: CSV with a column title, or one title a line.")
    ] = None,
) -> None:
    """Mask JSON Lines {id, text, contacts?: [name]} from stdin.

    Writes {id, masked, spans: [{start, end, type}]} for each, offsets in code points. Stops at the first bad
    line with its number on stderr and exit code 2; the lines before it are out by then."""
    from byleave.model import Person
    from byleave.words.mask import People, Span, Titles, mask, rendered

    if tier is Tier.full:
        _stop("--tier full needs the extra byleave[ner], which is not installed; use --tier plain")
    titles = Titles(_titles(catalogue) if catalogue else ())
    books: dict[tuple[str, ...], People] = {}
    salt = secrets.token_bytes(16)
    decoder = msgspec.json.Decoder(MaskLine)
    for number, raw in enumerate(sys.stdin.buffer, 1):
        if not raw.strip():
            continue
        try:
            line = decoder.decode(raw)
            text = line.text.encode("utf-8").decode("utf-8")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            sys.stdout.flush()
            _stop(
                f"stdin: line {number}: not a JSON object {{id, text, contacts?: [name]}}; mend or leave "
                f"out the line"
            )
        contacts = tuple(line.contacts)
        people = books.get(contacts)
        if people is None:
            if len(books) > 64:
                books.clear()
            people = books[contacts] = People(Person(f"name:{_plain(name)}", name) for name in contacts)

        def slot(span: Span, text: str = text) -> str:
            if span.type != "PERSON":
                return f"[{span.type.lower()}]"
            return f"[person {_token(span.person or 'name:' + _plain(text[span.start : span.end]), salt)}]"

        spans = mask(text, people, titles, tier=tier.value)
        shown = [{"start": span.start, "end": span.end, "type": span.type} for span in spans]
        answer = {"id": line.id, "masked": rendered(text, spans, slot), "spans": shown}
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    sys.stdout.flush()


def _plain(name: str) -> str:
    from byleave.words.folding import WORD, fold, folded

    return " ".join(fold(word) for word in WORD.findall(folded(name).text))


def _token(name: str, salt: bytes) -> str:
    """Eight characters that stand for one name within this run, and tell nothing about it outside."""
    return base64.b32encode(hashlib.blake2b(name.encode(), key=salt, digest_size=5).digest()).decode().lower()


def _titles(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            if head.strip().lower().split(",")[:2] == ["title_id", "title"]:
                return [row["title"] or "" for row in csv.DictReader(file)]
            return [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeError, csv.Error):
        _stop(f"{path.name}: cannot be read as UTF-8 CSV (title_id,title,year) or one title a line")


def _stop(line: str) -> NoReturn:
    typer.echo(line, err=True)
    raise typer.Exit(2)


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
    from byleave.sources.header import Head
    from byleave.sources.mime import record

    if not raw.strip():
        raise Refused(Code.EMPTY, name, "byte 0", "nothing in it", "give one mail as an .eml file")
    mail = record(raw, Head(raw), "mail")
    if not mail.text:
        raise Refused(
            Code.UNKNOWN_FORMAT, name, "", "no readable text in it", "give a mail that has a text part"
        )
    found = quotes.split(
        mail.text,
        author=mail.sender,
        subject=mail.mail.subject if mail.mail else None,
        reply=mail.reply_to is not None,
    )
    return [
        msgspec.json.encode(
            {"part": n, "author": p.author, "how": p.how, "start": p.start, "end": p.end, "text": p.text}
        ).decode()
        for n, p in enumerate(found)
    ]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="words")
