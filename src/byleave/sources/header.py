"""The header of a mail or of a part: fields, and the values in them.

Rules of this file:

1. Any bytes are read; what cannot be understood is left out, nothing raises.
2. Everything has a cap, and every loop is linear in the header.
3. An address becomes a handle only if nothing about it is odd; a name never becomes one.
4. No clock: years before 1970 and from 2100 on are called unreadable.
"""

from __future__ import annotations

import binascii
import codecs
import csv
import email.message
import email.utils
import hashlib
import re
import unicodedata
from datetime import UTC, tzinfo
from functools import lru_cache
from typing import Final

from byleave.model import Ms, Person, Quality

MAX_HEAD: Final = 1024 * 1024
"""Bytes of a header block that are read."""
MAX_PEOPLE: Final = 10_000
MAX_IDS: Final = 1000
MAX_ID: Final = 2000
MAX_WORD: Final = 64 * 1024
"""Bytes of one unstructured header value that are read."""

_FIELD: Final = re.compile(rb"([!-9;-~]+)[ \t]*:")
_BIDI: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

# --- header fields


class Head:
    """The header fields of a mail or a part: name (lower case) → values as bytes, still folded.

    `body` is the offset of the first byte behind the header block. As in the standard library a line that is
    no field ends the block; a From_ line (quoted or not) in it is passed over.
    """

    __slots__ = ("body", "data", "fields")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        end = len(data) if end is None else end
        if start == 0 and b"\n" not in data[:MAX_HEAD] and b"\r" in data[:MAX_HEAD]:
            data = data.replace(b"\r", b"\n")
        self.data = data
        stop, self.body = _blank_line(data, start, end)
        fields: list[tuple[str, list[bytes]]] = []
        at = start
        for line in data[start : min(stop, start + MAX_HEAD)].split(b"\n"):
            if line[:1] in (b" ", b"\t"):
                if fields:
                    fields[-1][1].append(line)
            elif found := _FIELD.match(line):
                fields.append((found[1].decode("ascii").lower(), [line[found.end() :]]))
            elif line.strip() and not line.startswith((b"From ", b">From ")):
                self.body = at
                break
            at += len(line) + 1
        self.fields: dict[str, list[bytes]] = {}
        for name, lines in fields:
            self.fields.setdefault(name, []).append(b"".join(lines) if len(lines) > 1 else lines[0])

    def raw(self, name: str) -> bytes:
        """The first value of `name`, b"" without one."""
        values = self.fields.get(name)
        return values[0] if values else b""

    def text(self, name: str, size: int = MAX_WORD) -> str:
        """The first value of `name` as characters, unfolded, encoded words still encoded."""
        return loose_text(self.raw(name)[:size])

    def digest(self) -> int:
        """64 bits of what makes two copies of one mail the same: who, when, about what, and the body, apart
        from line ends and from what folders and relays write into the header."""
        seal = hashlib.blake2b(digest_size=8)
        for name in ("from", "date", "subject", "to"):
            seal.update(b" ".join(self.raw(name).split()) + b"\n")
        tail = self.data[
            max(self.body, len(self.data) - 4096) :
        ]  # the blank lines at the end, without a copy
        body = memoryview(self.data)[self.body : len(self.data) - len(tail) + len(tail.rstrip())]
        seal.update(bytes(body).replace(b"\r\n", b"\n") if b"\r\n" in self.data else body)
        return int.from_bytes(seal.digest(), "big")


def _blank_line(data: bytes, start: int, end: int) -> tuple[int, int]:
    """(end of the header block, start of the body)."""
    if data[start : start + 1] == b"\n":
        return start, start + 1
    if data[start : start + 2] == b"\r\n":
        return start, start + 2
    lf = data.find(b"\n\n", start, end)
    crlf = data.find(b"\n\r\n", start, end if lf < 0 else lf)
    if crlf >= 0:
        return crlf + 1, crlf + 3
    return (lf + 1, lf + 2) if lf >= 0 else (end, end)


def loose_text(value: bytes) -> str:
    """Raw header bytes → characters: UTF-8 (RFC 6532), else Windows-1252."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("cp1252", "replace")
    return text.replace("\r", "").replace("\n", "").strip()


_WORD: Final = re.compile(r"=\?([^?\s]{1,80})\?([bBqQ])\?")


def decoded(value: str) -> str:
    """`value` with its encoded words (RFC 2047) decoded, also where they stand in quotes or hold spaces.

    Bytes of neighbouring words in one charset are joined first: writers cut characters in two.
    """
    if "=?" not in value:
        return value
    out: list[str] = []
    charset, pending = "", b""
    at = 0
    while found := _WORD.search(value, at):
        end = value.find("?=", found.end())
        if end < 0:
            break
        between = value[at : found.start()]
        name = found[1].partition("*")[0].lower()
        if pending and (between.strip() or name != charset):
            out.append(characters(pending, charset))
            pending = b""
        if between.strip() or not at:
            out.append(between)
        word = value[found.end() : end].encode("utf-8", "replace")
        charset = name
        pending += base64_of(word) if found[2] in "bB" else binascii.a2b_qp(word, header=True)
        at = end + 2
    if pending:
        out.append(characters(pending, charset))
    return "".join(out) + value[at:]


def one_line(value: str) -> str:
    """Decoded words as one line without control characters and direction marks."""
    text = _BIDI.sub("", decoded(value))
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "" if unicodedata.category(c) == "Cf" else " " for c in text)
    return " ".join(text.split())


def ids(value: str, loose: bool = False) -> tuple[str, ...]:
    """Message-IDs (RFC 5322 §3.6.4) without angle brackets. With `loose` a bare token with an @ counts if
    there are no brackets at all."""
    found = re.findall(r"<([^<>]+)>", value)
    if not found and "<" not in value:
        found = [word for word in value.split() if "@" in word] if loose else [value]
    clean = (
        " ".join("".join(c if c.isprintable() else " " for c in word).split()) for word in found[:MAX_IDS]
    )
    return tuple(dict.fromkeys(word for word in clean if word and len(word) <= MAX_ID))


# --- addresses

_ADDRESS: Final = re.compile(
    r"[^\s@<>()\[\]\\,;:\"]{1,256}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)*[^\W_](?:[\w-]{0,61}[^\W_])?"
)
_PLAIN: Final = re.compile(r'"?([A-Za-z0-9 _\'.-]*)"?[ ]*<([A-Za-z0-9._%+=/!#$&*^{}|~?\'-]+@[A-Za-z0-9.-]+)>')
_TOKEN: Final = re.compile(
    r"(?P<word>=\?[^?\s]{1,80}\?[bBqQ]\?[^?\s]*\?=)"
    r'|"(?P<quoted>(?:[^"\\]|\\.?)*)(?:"|$)'
    r"|<(?P<angle>[^<>]*)(?:>|$)"
    r"|(?P<mark>[(),;:])"
    r"|(?P<text>=|[^\"()<>,;:=]+|.)",
    re.DOTALL,
)


def handle(address: str) -> str | None:
    """`mail:` + the address in lower case, or None if it is no plain address."""
    address = address.strip().removeprefix("mailto:").removesuffix(".")
    if address.startswith('"'):  # "ann"@x.test is ann@x.test; with odd letters inside it stays unreadable
        local, _, domain = address.rpartition("@")
        address = f"{local.strip(chr(34))}@{domain}"
    if len(address) > 320 or not address.isprintable() or not _ADDRESS.fullmatch(address):
        return None
    local = address.partition("@")[0]
    if local.startswith(".") or local.endswith(".") or "=?" in local:
        return None
    address = address if address.isascii() else unicodedata.normalize("NFC", address)
    return f"mail:{address.lower()}"


def people(value: str, one: bool = False) -> tuple[Person, ...]:
    """The mailboxes of an address header (RFC 5322 §3.4), groups laid open, in order.

    With `one` (From, Sender) an unquoted comma belongs to the name before an address: `Doe, Ann <ann@…>`.
    """
    if found := _PLAIN.fullmatch(value):
        return (Person(handle(found[2]), one_line(found[1])),)
    out: list[Person] = []
    phrase: list[str] = []
    comment: list[str] = []
    angle: str | None = None
    address = False
    """Is there an @ in the phrase?"""
    depth = 0

    def flush() -> None:
        nonlocal angle, address
        words, aside = "".join(phrase).strip(), "".join(comment).strip()
        if angle is not None:
            inner = angle.strip()
            if inner.startswith("@"):  # a source route, obsolete: <@relay,@relay:ann@x.test>
                inner = inner.rpartition(":")[2]
            found = handle(inner)
            name = one_line(words or aside)
            if found or name or inner:
                out.append(Person(found, name or ("" if found else one_line(inner))))
        elif words:
            found = handle(words)
            name = one_line(aside)
            out.append(Person(found, name or ("" if found else one_line(words))))
        phrase.clear()
        comment.clear()
        angle, address = None, False

    for token in _TOKEN.finditer(value):
        mark = token["mark"]
        if depth:
            depth += (mark == "(") - (mark == ")")
            if depth:
                comment.append(token[0])
            continue
        if mark == "(":
            depth = 1
            if comment:
                comment.append(" ")
        elif mark in (",", ";"):
            if one and mark == "," and angle is None and phrase and not (comment or address):
                phrase.append(", ")
                continue
            flush()
            if len(out) >= MAX_PEOPLE:
                break
        elif mark == ":":
            if angle is None and not address:
                phrase.clear()  # the name of a group
        elif token["angle"] is not None:
            angle = token["angle"] if angle is None else ""  # two addresses in one mailbox: neither
        elif token["quoted"] is not None:
            quoted = token["quoted"]
            if value[token.end() : token.end() + 1] == "@":
                phrase.append(f'"{quoted}"')
            else:
                phrase.append(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        elif mark != ")":
            phrase.append(token[0])
            address = address or "@" in token[0]
    flush()
    return tuple(out)


# --- dates


def instant(value: str, zone: tzinfo = UTC) -> tuple[Ms | None, Quality]:
    """A date (RFC 5322 §3.3, obsolete forms too) → milliseconds. A time without a zone, or with a zone name
    that RFC 5322 §4.3 does not define, is read in `zone` and called a guess."""
    value = value[:200]
    try:
        when = email.utils.parsedate_to_datetime(value)
        quality = Quality.EXACT
        if when.tzinfo is None:
            if "-0000" in value:
                when = when.replace(tzinfo=UTC)
            else:
                when, quality = when.replace(tzinfo=zone), Quality.LOCAL_GUESS
        if not 1970 <= when.year < 2100:
            return None, Quality.MISSING
        ms = int(when.timestamp()) * 1000
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None, Quality.MISSING
    return (ms, quality) if ms >= 0 else (None, Quality.MISSING)


# --- bytes, characters, parameters

_CHARSETS: Final = {
    "iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "iso8859-1": "cp1252",
    "iso-8859-8-i": "iso-8859-8", "iso-8859-6-i": "iso-8859-6", "iso-8859-9": "cp1254", "cp-850": "cp850",
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030",
    "ks_c_5601-1987": "cp949", "euc-kr": "cp949", "x-windows-949": "cp949",
    "shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932", "windows-31j": "cp932",
    "utf8mb4": "utf-8", "unicode-1-1-utf-7": "utf-7", "x-mac-roman": "mac_roman", "macintosh": "mac_roman",
}  # fmt: skip
"""What writers mean by a name (WHATWG Encoding Standard, §4.2)."""
_NO_CHARSETS: Final = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)


@lru_cache(maxsize=512)
def _codec(charset: str) -> str | None:
    """The codec for a charset as a mail names it; None where there is none to trust."""
    name = charset.strip().strip("\"'").lower()
    if not name.isascii() or "\x00" in name or len(name) > 80:
        return None
    try:
        found = codecs.lookup(_CHARSETS.get(name, name))
    except (LookupError, ValueError):
        return None
    if (
        found.name in _NO_CHARSETS
        or found.name.replace("-", "_") in _NO_CHARSETS
        or not found._is_text_encoding
    ):
        return None
    return None if found.name == "ascii" else found.name


def characters(data: bytes, charset: str) -> str:
    """Bytes → characters. A charset unknown, missing or ASCII means UTF-8, else Windows-1252."""
    codec = _codec(charset[:100])
    try:
        text = data.decode(codec or "utf-8")
    except (UnicodeError, ValueError):
        text = data.decode("latin-1" if codec == "cp1252" else codec or "cp1252", "replace")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # UTF-7 and its like can spell half of a pair
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\x00", "\ufffd") if "\x00" in text else text


def knows_charset(data: bytes, charset: str) -> bool:
    """Could `data` be read in the charset that it says (RFC 8621 §4.1.4, isEncodingProblem)? None said is ASCII,
    which everybody writes UTF-8 under."""
    codec = _codec(charset[:100])
    if codec is None and charset.strip("\"' ").lower() not in ("", "us-ascii", "ascii", "ansi_x3.4-1968"):
        return False
    try:
        data.decode(codec or "utf-8")
    except (UnicodeError, ValueError):
        return codec == "cp1252"
    return True


_NOT_BASE64: Final = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
)


def base64_of(data: bytes) -> bytes:
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        clean = data.translate(None, _NOT_BASE64)
        if len(clean) % 4 == 1:
            clean = clean[:-1]
        return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


@lru_cache(maxsize=1024)
def parameters_of(value: str) -> tuple[str, dict[str, str]]:
    """A header with parameters (RFC 2045 §5.1, RFC 2231) → its word and its parameters, lower-case names."""
    message = email.message.Message()
    message["Content-Type"] = value
    try:
        pairs = message.get_params(failobj=[], header="content-type", unquote=True)
        out = {key.lower(): email.utils.collapse_rfc2231_value(text) for key, text in reversed(pairs[1:])}
        word = str(pairs[0][0]) if pairs else ""
    except (ValueError, LookupError, TypeError, UnicodeError):
        word, out = value.partition(";")[0], {}
    return word.strip().lower(), out


# --- what the mail store wrote about a mail

_STATUS: Final = {"R": "$seen", "A": "$answered", "F": "$flagged", "T": "$draft"}

_LABELS: Final = {
    "trash": "trash,bin,papierkorb,corbeille,papelera,cestino,lixeira,lixo,prullenbak,kosz",
    "spam": "spam,junk",
    "drafts": "draft,drafts,entwurf,entwürfe,brouillon,brouillons,borrador,borradores,bozza,bozze,rascunho,"
    "rascunhos,concept,concepten,wersje robocze",
    "sent": "sent,gesendet,messages envoyés,envoyés,enviado,enviados,inviati,posta inviata,verzonden,wysłane",
    "inbox": "inbox,posteingang,boîte de réception,recibidos,posta in arrivo,caixa de entrada,postvak in,"
    "odebrane",
    "archived": "archived,archiviert,archivés,archivé,archivado,archiviati,arquivado,gearchiveerd,"
    "zarchiwizowane",
    "$seen": "opened,geöffnet,ouvert,abierto,abiertos,aperto,aperti,aberto,geopend,otwarte",
    "$flagged": "starred,markiert,suivis,suivi,destacados,speciali,com estrela,met ster,oznaczone gwiazdką",
    "$important": "important,wichtig,importante,importanti,importantes,belangrijk,ważne",
    "unread": "unread,ungelesen,non lus,non lu,no leído,no leídos,da leggere,não lidas,não lido,ongelezen,"
    "nieprzeczytane",
}
"""Gmail's own labels in the languages that we know; Takeout writes them in the account's language."""
_MEANING: Final = {word: meaning for meaning, words in _LABELS.items() for word in words.split(",")}
_FOLDERS: Final = ("trash", "spam", "drafts", "sent", "inbox", "archived")
"""Which label names the folder if there are several: what the owner put away stays away."""


def labels(head: Head) -> tuple[str, set[str]]:
    """(folder, keywords) of X-Gmail-Labels: decoded first, then cut at commas."""
    text = one_line(head.text("x-gmail-labels"))
    if not text:
        return "", set()
    labels = [label.strip() for label in next(csv.reader([text], skipinitialspace=True), [])]
    meanings = {_MEANING.get(label.casefold(), ""): label for label in reversed(labels)}
    own = [label for label in labels if label and label.casefold() not in _MEANING]
    folder = next((meanings[word] for word in _FOLDERS if word in meanings), "") or next(iter(own), "")
    keywords = {word for word in meanings if word.startswith("$")}
    if "unread" in meanings:
        keywords.discard("$seen")
    if "drafts" in meanings:
        keywords.add("$draft")
    return folder, keywords


def status(head: Head) -> set[str]:
    """Keywords of Status and X-Status, as mbox programs keep them."""
    letters = head.text("status", 20) + head.text("x-status", 20)
    return {_STATUS[letter] for letter in letters if letter in _STATUS}


def mozilla(head: Head) -> int:
    """X-Mozilla-Status: 8 is set on what Thunderbird deleted and has not yet compacted away."""
    try:
        return int(head.text("x-mozilla-status", 20) or "0", 16)
    except ValueError:
        return 0
