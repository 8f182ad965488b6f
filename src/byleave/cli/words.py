"""`byleave words`: try on any text what a partner would see of it. Nothing is stored."""

from __future__ import annotations

import base64
import csv
import hashlib
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec
import typer

from byleave.errors import Code, Refused
from byleave.words import quotes
from byleave.words.mask import Tier

if TYPE_CHECKING:
    from byleave.words.mentions import Mention

app = typer.Typer(help="Try what becomes of any text: masks, parts, title mentions.", no_args_is_help=True)


class MaskLine(msgspec.Struct, frozen=True):
    id: str | int
    text: str
    contacts: list[str] = []


@app.command("mask")
def mask_lines(
    tier: Annotated[
        Tier, typer.Option(help="rules; plain: names and towns too; full: with the extra ner.")
    ] = Tier.plain,
    catalogue: Annotated[
        Path | None, typer.Option(help="Titles to protect: CSV with a column title, or one title a line.")
    ] = None,
) -> None:
    """Mask JSON Lines {id, text, contacts?: [name]} from stdin.

    Writes {id, masked, spans: [{start, end, type}]} for each, offsets in code points. Stops at the first bad
    line with its number on stderr and exit code 2; the lines before it are out by then."""
    from byleave.model import Person
    from byleave.words.mask import People, Span, Text, Titles, mask_all, rendered

    if tier is Tier.full:
        from byleave.words import ner

        try:
            ner.reader()
        except Refused as refused:
            _stop(f"--{refused}")
    titles = Titles(_titles(catalogue) if catalogue else ())
    books: dict[tuple[str, ...], People] = {}
    salt = secrets.token_bytes(16)
    waiting: list[tuple[MaskLine, People]] = []

    def answer() -> None:
        found = mask_all([Text(line.text, people) for line, people in waiting], titles, tier=tier.value)
        for (line, _), spans in zip(waiting, found, strict=True):

            def slot(span: Span, text: str = line.text) -> str:
                if span.type != "PERSON":
                    return f"[{span.type.lower()}]"
                name = span.person or "name:" + _plain(text[span.start : span.end])
                return f"[person {_token(name, salt)}]"

            shown = [{"start": span.start, "end": span.end, "type": span.type} for span in spans]
            masked = {"id": line.id, "masked": rendered(line.text, spans, slot), "spans": shown}
            sys.stdout.write(msgspec.json.encode(masked).decode() + "\n")
        waiting.clear()

    together = _TOGETHER if tier is Tier.full else 1
    for number, raw in enumerate(sys.stdin.buffer, 1):
        if not raw.strip():
            continue
        try:
            line = _MASK_LINE.decode(raw)
            line.text.encode("utf-8")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            answer()
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
        waiting.append((line, people))
        if len(waiting) >= together:
            answer()
    answer()
    sys.stdout.flush()


_MASK_LINE = msgspec.json.Decoder(MaskLine)
_TOGETHER = 64
"""Lines that the model of the tier `full` reads together; the other tiers answer line by line."""


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
            columns = [column.strip().strip('"').lower() for column in head.split(",")]
            if len(columns) > 1 and "title" in columns:
                at = columns.index("title")
                return [row[at] for row in list(csv.reader(file))[1:] if len(row) > at]
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


class MentionLine(msgspec.Struct, frozen=True):
    """One message for `words mentions`. Without a conv it is a conversation of its own."""

    id: str | int
    text: str
    conv: str | int | None = None
    speaker: str | int | None = None


_MOST_MESSAGES = 5_000_000
_BATCH = 2_000


@app.command("mentions")
def mentions_lines(
    catalogue: Annotated[
        Path, typer.Option(help="Titles: CSV (title_id,title,year), JSON Lines or IMDb title.basics TSV.")
    ],
    stance_out: Annotated[
        Path | None, typer.Option(help="Also write {conv, person, title_id, stance} here, as JSON Lines.")
    ] = None,
    model: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Titles named in JSON Lines {id, conv, speaker, text} from stdin.

    Writes {id, mentions: [{start, end, title_id, p}]} in the order read, offsets in code points. A person's
    words are judged by their own words in that conversation alone; the lines need not be grouped. Stops
    at the first bad line, before anything is written, with its number on stderr and exit code 2."""
    from byleave.tailoring.catalogue import read_catalogue
    from byleave.words.mentions import Gazetteer, MentionModel, mentions_of

    try:
        gazetteer = Gazetteer(read_catalogue(catalogue, fewest=1).titles)
    except Refused as refused:
        _stop(str(refused))
    lines = _mention_lines()
    judge = MentionModel.load(f"{model}mentions.json")
    authors: dict[tuple[object, object], list[int]] = {}
    for number, line in enumerate(lines):
        conv = ("conv", line.conv) if line.conv is not None else ("line", number)
        authors.setdefault((conv, line.speaker), []).append(number)
    found: list[tuple[Mention, ...]] = [()] * len(lines)
    for batch in _batches(list(authors.values())):
        texts = [[lines[number].text for number in numbers] for numbers in batch]
        for numbers, answers in zip(batch, mentions_of(texts, gazetteer, judge), strict=True):
            for number, answer in zip(numbers, answers, strict=True):
                found[number] = answer
    for line, answer in zip(lines, found, strict=True):
        sys.stdout.write(msgspec.json.encode({"id": line.id, "mentions": answer}).decode() + "\n")
    sys.stdout.flush()
    if stance_out is not None:
        _write_stances(stance_out, lines, found, model)


def _batches(authors: list[list[int]]) -> list[list[list[int]]]:
    """Authors in batches of about `_BATCH` messages, none cut in two."""
    out: list[list[list[int]]] = [[]]
    held = 0
    for numbers in authors:
        if held and held + len(numbers) > _BATCH:
            out.append([])
            held = 0
        out[-1].append(numbers)
        held += len(numbers)
    return out


def _mention_lines() -> list[MentionLine]:
    lines: list[MentionLine] = []
    decoder = msgspec.json.Decoder(MentionLine)
    for number, raw in enumerate(sys.stdin.buffer, 1):
        if not raw.strip():
            continue
        if len(lines) == _MOST_MESSAGES:
            _stop(f"stdin: line {number}: more than {_MOST_MESSAGES} messages; give them in several runs")
        try:
            lines.append(decoder.decode(raw))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            _stop(
                f"stdin: line {number}: not a JSON object {{id, conv, speaker, text}}; "
                "mend or leave out the line"
            )
    return lines


def _write_stances(
    path: Path, lines: list[MentionLine], found: list[tuple[Mention, ...]], model: str
) -> None:
    from byleave.words.stance import Said, StanceModel, stances

    judge = StanceModel.load(f"{model}stance.json")
    talks: dict[str | int, list[int]] = {}
    for number, line in enumerate(lines):
        if line.conv is not None and line.speaker is not None:
            talks.setdefault(line.conv, []).append(number)
    try:
        with path.open("w", encoding="utf-8") as out:
            for conv, numbers in talks.items():
                names = {str(lines[n].speaker): lines[n].speaker for n in numbers}
                said = [Said(str(lines[n].speaker), lines[n].text, found[n]) for n in numbers]
                for answer in stances(said, judge):
                    row = {
                        "conv": conv,
                        "person": names[answer.person],
                        "title_id": answer.title_id,
                        "stance": answer.stance,
                    }
                    out.write(msgspec.json.encode(row).decode() + "\n")
    except OSError as error:
        _stop(f"{path.name}: cannot be written ({error.strerror})")


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="words")
