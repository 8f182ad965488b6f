"""Which titles one author names in their own words of one conversation.

Rules of this file:

1. A pure function of one author's texts in one conversation, the catalogue and the model. Another person's
   words never come in: what needs them is `stance`, computed in the view.
2. Two passes over the same author's words. The first judges each place by itself; the second also knows what
   the first was sure of, so a series that was named once is believed more readily later, and an author who
   never talks of films is believed less.
3. A false find costs more than a missed one: ordinary chat rarely names a film.
4. The answer stands for a *title*: remakes share one. A year beside the name picks among them, else the one
   people most often mean, else the newest.
5. Same texts, same catalogue, same model: same bytes. No clock, no randomness, no threads.

The model is data (`models/mentions.json`, made by `make models`, described in docs/models.md).
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Protocol
from weakref import WeakKeyDictionary

import msgspec
import numpy as np

from byleave.words.gazetteer import (
    Alias,
    Gazetteer,
    Kind,
    Place,
    Text,
    Title,
    cut,
    group_key,
    is_name,
    spoken_rank,
    written_rank,
)
from byleave.words.trees import Forest, Matrix, Trees, rows

_CUE_WORDS = """
movie movies film films flick flicks watch watched watching seen saw sequel sequels remake trailer trailers
director directed directs actor actors actress starring stars cast plot comedy comedies horror thriller
thrillers cinema theater theaters theatre netflix hulu recommend recommendation recommendations suggest
suggestion suggestions genre genres dvd bluray oscar oscars superhero scifi animated animation pixar disney
marvel romcom drama dramas scary streaming stream franchise trilogy prequel adaptation musical western rewatch
rewatched documentary documentaries blockbuster screenplay filme filmen kino gesehen pelicula peliculas
cine regarde
"""
_CUES = frozenset(_CUE_WORDS.split())
_NEAR = 6
ALONE = 0.9
"""Least probability of a title named by somebody who otherwise says nothing of films."""
STRANGE = 0.85
"""Least probability where the catalogue is strange to the model."""
_YEAR = re.compile(r"[\s(\[,]*((?:19|20)\d\d)\b")
_QUOTES = "\"'“”‘’«»*_"
_KNOWN_SHARE = 0.05
_END = frozenset(".!?\n;:")
_MAX_TEXT = 20_000
"""Code points of one text that are looked at; a longer one (a pasted book) is read up to there."""


class Mention(msgspec.Struct, frozen=True):
    """`text[start:end]` (code points) names the title; `p` is the model's probability, 0..1."""

    start: int
    end: int
    title_id: str
    p: float


class Scores(Protocol):
    """What training counted, as numbers for features. All are 0 for what it never saw."""

    def odds(self, slot: str, word: str) -> float:
        """Log-odds that a place is a mention given `word` in `slot` (p1, p2, n1, n2, m)."""
        ...

    def alias(self, key: str) -> tuple[float, float]:
        """How often the key was a mention, and how often it was not."""
        ...

    def popularity(self, group: str, year: int) -> float:
        """How often the title was meant."""
        ...

    def knows(self, gazetteer: Gazetteer) -> float:
        """1 where the catalogue's titles were spoken of in training, 0 where it is strange: a title that was
        never named means much in the one and nothing in the other."""
        ...


def slot_hash(slot: str, word: str) -> int:
    """The key of a counted word: models carry hashes, never the words they were trained on."""
    return zlib.crc32(f"{slot}\x1f{word}".encode())


class ModelData(msgspec.Struct, frozen=True, kw_only=True):
    """What `models/mentions.json` holds."""

    about: str
    odds_keys: list[int]
    odds_values: list[float]
    alias_keys: list[int]
    alias_yes: list[int]
    alias_no: list[int]
    fame_keys: list[int]
    fame: list[int]
    first: Trees
    second: Trees
    threshold: float


class MentionModel:
    """A trained model, ready to judge. `MentionModel.load()` reads the one that ships."""

    def __init__(self, data: ModelData) -> None:
        self._odds = dict(zip(data.odds_keys, data.odds_values, strict=True))
        self._alias = {
            k: (float(y), float(n))
            for k, y, n in zip(data.alias_keys, data.alias_yes, data.alias_no, strict=True)
        }
        self._fame = dict(zip(data.fame_keys, data.fame, strict=True))
        self._slots: dict[str, dict[str, float]] = {}
        self._knows: WeakKeyDictionary[Gazetteer, float] = WeakKeyDictionary()
        self.first = Forest(data.first)
        self.second = Forest(data.second)
        self.threshold = data.threshold

    @classmethod
    def load(cls, name: str = "mentions.json") -> MentionModel:
        """The model of that file name in `byleave/words/models`."""
        raw = resources.files("byleave.words").joinpath("models", name).read_bytes()
        return cls(msgspec.json.decode(raw, type=ModelData))

    def odds(self, slot: str, word: str) -> float:
        known = self._slots.setdefault(slot, {})
        found = known.get(word)
        if found is None:
            found = self._odds.get(slot_hash(slot, word), 0.0)
            if len(known) < 200_000:
                known[word] = found
        return found

    def alias(self, key: str) -> tuple[float, float]:
        return self._alias.get(slot_hash("a", key), (0.0, 0.0))

    def popularity(self, group: str, year: int) -> float:
        return float(self._fame.get(slot_hash("f", f"{group}|{year}"), 0))

    def knows(self, gazetteer: Gazetteer) -> float:
        known = self._knows.get(gazetteer)
        if known is None:
            some = gazetteer.titles[:: 1 + len(gazetteer.titles) // 2000]
            met = sum(self.popularity(group_key(t.title), t.year) > 0 for t in some)
            known = self._knows[gazetteer] = float(met > len(some) * _KNOWN_SHARE)
        return known


class Found(msgspec.Struct):
    """A place with its features; what training and judging share."""

    place: Place
    group: int
    """Number of the author whose texts these are."""
    features: list[float]


def mentions(
    texts: Sequence[str], gazetteer: Gazetteer, model: MentionModel, *, language: str | None = None
) -> list[tuple[Mention, ...]]:
    """Titles that one author names, text by text. `texts`: that author's texts in one conversation, in order.

    `language` is the inbox's, as ISO 639-1, where known; titles in every language of the catalogue are looked
    for in any case. Same length as `texts`.
    """
    return mentions_of([texts], gazetteer, model, language=language)[0]


def mentions_of(
    authors: Sequence[Sequence[str]],
    gazetteer: Gazetteer,
    model: MentionModel,
    *,
    language: str | None = None,
) -> list[list[tuple[Mention, ...]]]:
    """`mentions` for many authors at once: the same answers, one pass over the batch."""
    del language  # the automaton holds every language; kept so that callers already pass what they know
    cuts = [[cut(text[:_MAX_TEXT]) for text in texts] for texts in authors]
    found = candidates(cuts, gazetteer, model)
    out: list[list[tuple[Mention, ...]]] = [[() for _ in texts] for texts in authors]
    if not found:
        return out
    first = model.first.probability(rows([f.features for f in found], FEATURES))
    second = model.second.probability(second_rows(found, first))
    texts_of = [(a, i) for a, texts in enumerate(authors) for i in range(len(texts))]
    flat = [text for author in cuts for text in author]
    chosen = choose(
        found, second, model.threshold if model.knows(gazetteer) else max(model.threshold, STRANGE)
    )
    named = named_in_full(found, chosen)
    for at in chosen:
        place = found[at].place
        text = flat[place.text]
        author, number = texts_of[place.text]
        title = pick(place, text, gazetteer, model, named.get(found[at].group, set()))
        mention = Mention(
            text.starts[place.first],
            text.ends[place.last - 1],
            gazetteer.titles[title].id,
            round(float(second[at]), 4),
        )
        out[author][number] = (*out[author][number], mention)
    return out


def without(text: str, stretches: Iterable[tuple[int, int]]) -> str:
    """`text` with blanks in the place of `stretches`: every other offset stays what it was."""
    for start, end in stretches:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def named_in_full(found: Sequence[Found], chosen: Sequence[int]) -> dict[int, set[int]]:
    """Titles that each author named in full: what a bare series name of theirs then means."""
    named: dict[int, set[int]] = {}
    for at in chosen:
        place = found[at].place
        if place.alias.kind <= Kind.JOINED:
            named.setdefault(found[at].group, set()).update(
                i for i, kind in place.alias.titles if kind == place.alias.kind
            )
    return named


def choose(found: Sequence[Found], p: Matrix, threshold: float) -> list[int]:
    """Numbers of the places that are mentions: surest first, longer before shorter, none over another; in
    order of text and place. A place that stands alone (see `_alone`) must be surer."""
    alone = _alone(found, p)
    order = sorted(
        (i for i in range(len(found)) if p[i] >= (max(threshold, ALONE) if alone[i] else threshold)),
        key=lambda i: (-round(float(p[i]), 2), found[i].place.first - found[i].place.last, i),
    )
    taken: set[tuple[int, int]] = set()
    chosen = []
    for i in order:
        place = found[i].place
        tokens = {(place.text, t) for t in range(place.first, place.last)}
        if taken.isdisjoint(tokens):
            taken |= tokens
            chosen.append(i)
    return sorted(chosen, key=lambda i: (found[i].place.text, found[i].place.first))


def _alone(found: Sequence[Found], p: Matrix) -> list[bool]:
    """True for a place whose author says no word about films in all their texts, and names no title for sure
    in any other of them."""
    sure: dict[int, set[int]] = {}
    for f, q in zip(found, p, strict=True):
        if q > 0.9:
            sure.setdefault(f.group, set()).add(f.place.text)
    return [f.features[_CUE_AUTHOR] == 0 and not sure.get(f.group, set()) - {f.place.text} for f in found]


def pick(place: Place, text: Text, gazetteer: Gazetteer, scores: Scores, named: set[int]) -> int:
    """Which title of the alias is meant: index into `gazetteer.titles`.

    A year beside the name decides; then a title the same author named in full; then how the alias was made,
    how often the title is meant, and the newest.
    """
    options = place.alias.titles
    if len(options) == 1:
        return options[0][0]
    year = year_near(place, text)

    def rank(option: tuple[int, Kind]) -> tuple[float, ...]:
        index, kind = option
        title = gazetteer.titles[index]
        fame = scores.popularity(group_key(title.title), title.year)
        best = kind == place.alias.kind
        return (
            -float(year != 0 and title.year == year),
            -float(index in named and not best),
            float(kind >= Kind.HEAD) if best or fame == 0 else 0.5 * float(kind >= Kind.HEAD),
            -fame,
            -title.popularity,
            float(kind),
            -float(title.year),
            float(index),
        )

    return min(options, key=rank)[0]


def year_near(place: Place, text: Text) -> int:
    """The year that stands right behind the place, or up to four words before it; 0 where none does."""
    behind = _YEAR.match(text.text, text.ends[place.last - 1])
    if behind:
        return int(behind[1])
    for word in [
        *text.words[place.last : place.last + 4],
        *text.words[max(0, place.first - 4) : place.first],
    ]:
        if len(word) == 4 and word.isdigit() and "1900" <= word <= "2039":
            return int(word)
    return 0


def _static(alias: Alias, gazetteer: Gazetteer, scores: Scores) -> tuple[float, ...]:
    """What can be said of an alias without a text."""
    spoken = [math.log(spoken_rank(w)) for w in alias.tokens]
    written = [math.log(written_rank(w)) for w in alias.tokens]
    names = sum(is_name(w) for w in alias.tokens)
    yes, no = scores.alias(alias.key)
    fame = sum(
        scores.popularity(group_key(gazetteer.titles[i].title), gazetteer.titles[i].year)
        for i, kind in alias.titles
        if kind == alias.kind
    )
    years = [gazetteer.titles[i].year for i, _ in alias.titles]
    return (
        float(alias.kind),
        float(len(alias.tokens)),
        float(len(alias.key)),
        sum(spoken),
        max(spoken),
        min(spoken),
        max(written),
        min(written),
        float(names),
        float(names == len(alias.tokens)),
        float(len(alias.titles)),
        float(any(w.isdigit() for w in alias.tokens)),
        float(alias.article),
        float(max(years)),
        math.log1p(yes),
        math.log1p(no),
        math.log((yes + 0.3) / (no + 0.3)),
        math.log1p(fame),
    )


_STATIC = """
kind tokens letters spoken_sum spoken_max spoken_min written_max written_min names all_names titles digit
article newest prior_yes prior_no prior_odds fame
"""
_DYNAMIC = """
edits first_upper upper_share all_upper text_upper text_has_upper start article_before article_upper
article_fits quote_before quote_behind year_right year_wrong is_text before behind comma_before comma_behind
stop_behind odds_p1 odds_p2 odds_n1 odds_n2 odds_p12 odds_n12 rank_p1 rank_n1 upper_p1 upper_n1 joined_before
cue_text cue_before cue_behind cue_last cue_author author_words bag_mean bag_max alias_texts text_places
longer same_span number_behind known
"""
_SECOND = """
p1 same_alias series_best sure_others sure_share rival_best rival_mean text_sure group_places last_sure
"""
NAMES = [*_STATIC.split(), *_DYNAMIC.split()]
FEATURES = len(NAMES)
_CUE_AUTHOR = NAMES.index("cue_author")
SECOND_NAMES = [*NAMES, *_SECOND.split()]


def candidates(
    authors: Sequence[Sequence[Text]],
    gazetteer: Gazetteer,
    scores: Scores,
) -> list[Found]:
    """Every place in the authors' texts with its first-pass features, by text and place."""
    flat = [text for texts in authors for text in texts]
    group = [number for number, texts in enumerate(authors) for _ in texts]
    places = gazetteer.places(flat)
    by_text: dict[int, list[Place]] = {}
    for place in places:
        by_text.setdefault(place.text, []).append(place)
    cues = [sum(w in _CUES for w in text.words) for text in flat]
    author_cues = Counter[int]()
    author_words = Counter[int]()
    for number, text in enumerate(flat):
        author_cues[group[number]] += cues[number]
        author_words[group[number]] += len(text.words)
    texts_with = Counter((group[p.text], p.alias.key) for p in places)
    statics: dict[str, tuple[float, ...]] = {}
    known = scores.knows(gazetteer)
    found = []
    for number, inside in by_text.items():
        text = flat[number]
        author = group[number]
        last = cues[number - 1] if number and group[number - 1] == author else 0
        shared = _text_features(text, scores)
        spans = [(p.first, p.last) for p in inside]
        for place in inside:
            static = statics.get(place.alias.key)
            if static is None:
                static = statics[place.alias.key] = _static(place.alias, gazetteer, scores)
            features = [
                *static,
                float(place.edits),
                *_surface(place, text, gazetteer, shared[0], shared[1]),
                *_context(place, text, scores),
                float(cues[number]),
                *_cue_near(place, text),
                float(last),
                author_cues[author] / (1.0 + author_words[author]) * 100,
                float(min(author_words[author], 2000)),
                shared[2],
                shared[3],
                float(texts_with[author, place.alias.key]),
                float(len(inside)),
                float(
                    sum(
                        a <= place.first and place.last <= b and (a, b) != (place.first, place.last)
                        for a, b in spans
                    )
                ),
                float(spans.count((place.first, place.last))),
                float(place.last < len(text.words) and text.words[place.last].isdigit()),
                known,
            ]
            found.append(Found(place, author, features))
    return found


def _text_features(text: Text, scores: Scores) -> tuple[float, float, float, float]:
    letters = [c for c in text.text if c.isalpha()]
    upper = sum(c.isupper() for c in letters)
    odds = [scores.odds("m", w) for w in set(text.words)]
    bag = sorted(odds, key=lambda v: (-abs(v), v))[:6]  # a full order: a set's own order is no fact
    return (
        upper / (1 + len(letters)),
        float(any(c.isupper() for c in text.text[1:])),
        sum(bag) / (1 + len(bag)),
        max(bag, default=0.0),
    )


def _surface(place: Place, text: Text, gazetteer: Gazetteer, upper: float, has_upper: float) -> list[float]:
    """How the span is written: capitals, articles, quotes, years, commas, where it stands."""
    raw = text.text
    start, end = text.starts[place.first], text.ends[place.last - 1]
    heads = [raw[text.starts[i]] for i in range(place.first, place.last)]
    capitals = sum(c.isupper() or c.isdigit() for c in heads)
    before = text.words[place.first - 1] if place.first else ""
    article = before in ("the", "a", "an")
    outer = text.starts[place.first - 1] if article else start
    left = raw[max(0, outer - 2) : outer].rstrip(" ")
    gap_left = raw[max(0, outer - 3) : outer]
    right = raw[end : end + 2]
    year = year_near(place, text)
    right_year = year != 0 and any(gazetteer.titles[i].year == year for i, _ in place.alias.titles)
    return [
        float(heads[0].isupper()),
        capitals / len(heads),
        float(raw[start:end].isupper()),
        upper,
        has_upper,
        float(outer == 0 or any(c in _END for c in gap_left)),
        float(article),
        float(article and raw[outer].isupper() and outer > 0),
        float(article == place.alias.article),
        float(left[-1:] in _QUOTES and left != ""),
        float(right[:1] in _QUOTES and right != ""),
        float(right_year),
        float(year != 0 and not right_year),
        float(place.last - place.first + article == len(text.words)),
        float(min(place.first, 30)),
        float(min(len(text.words) - place.last, 30)),
        float("," in gap_left),
        float("," in right),
        float(right[:1] in ".!?" and right != ""),
    ]


def _context(place: Place, text: Text, scores: Scores) -> list[float]:
    """The words on both sides: what training counted of them, their ranks, their capitals."""
    p1, p2, n1, n2 = neighbours(place, text)
    words, first, last = text.words, place.first, place.last
    before = first - 1 - (first > 0 and words[first - 1] in ("the", "a", "an"))
    return [
        scores.odds("p1", p1),
        scores.odds("p2", p2),
        scores.odds("n1", n1),
        scores.odds("n2", n2),
        scores.odds("p12", f"{p2} {p1}"),
        scores.odds("n12", f"{n1} {n2}"),
        math.log(spoken_rank(p1)) if p1 else -1.0,
        math.log(spoken_rank(n1)) if n1 else -1.0,
        float(before > 0 and text.text[text.starts[before]].isupper()),
        float(last < len(words) and text.text[text.starts[last]].isupper()),
        float(before >= 0 and text.text[text.ends[before] : text.starts[first]].strip(" ") in ("-", "/")),
    ]


def neighbours(place: Place, text: Text) -> tuple[str, str, str, str]:
    """The two words before (a leading article skipped) and the two words behind; "" past an end, and a mark
    that ends a sentence counts as one."""
    words, raw = text.words, text.text
    first = place.first - (place.first > 0 and words[place.first - 1] in ("the", "a", "an"))
    p1 = words[first - 1] if first else ""
    if first and any(c in ".!?\n" for c in raw[text.ends[first - 1] : text.starts[first]]):
        p1 = "."
    p2 = words[first - 2] if first > 1 else ""
    last = place.last
    n1 = words[last] if last < len(words) else ""
    if last < len(words) and any(c in ".!?\n" for c in raw[text.ends[last - 1] : text.starts[last]]):
        n1 = "."
    n2 = words[last + 1] if last + 1 < len(words) else ""
    return p1, p2, n1, n2


def _cue_near(place: Place, text: Text) -> list[float]:
    before = sum(w in _CUES for w in text.words[max(0, place.first - _NEAR) : place.first])
    behind = sum(w in _CUES for w in text.words[place.last : place.last + _NEAR])
    return [float(before), float(behind)]


def second_rows(found: Sequence[Found], p: Matrix) -> Matrix:
    """Second-pass features: the first pass's, its answer, what it was sure of in the author's other words."""
    by_alias: dict[tuple[int, str], list[int]] = {}
    by_series: dict[tuple[int, str], list[int]] = {}
    by_group: dict[int, list[int]] = {}
    by_text: dict[int, list[int]] = {}
    for i, f in enumerate(found):
        by_alias.setdefault((f.group, f.place.alias.key), []).append(i)
        by_series.setdefault((f.group, f.place.alias.series), []).append(i)
        by_group.setdefault(f.group, []).append(i)
        by_text.setdefault(f.place.text, []).append(i)
    sure = {text: sum(p[i] > 0.9 for i in inside) for text, inside in by_text.items()}
    total = {g: sum(p[i] > 0.9 for i in inside) for g, inside in by_group.items()}
    out = np.zeros((len(found), len(SECOND_NAMES)), dtype=np.float64)
    for i, f in enumerate(found):
        place = f.place
        inside = by_text[place.text]
        over = [
            p[j]
            for j in inside
            if j != i and found[j].place.first < place.last and place.first < found[j].place.last
        ]
        apart = [j for j in by_alias[f.group, place.alias.key] if found[j].place.text != place.text]
        series = [j for j in by_series[f.group, place.alias.series] if found[j].place.text != place.text]
        own = float(p[i] > 0.9)
        others = total[f.group] - sum(p[j] > 0.9 for j in inside)
        out[i, :FEATURES] = f.features
        out[i, FEATURES:] = (
            p[i],
            max((p[j] for j in apart), default=-1.0),
            max((p[j] for j in series), default=-1.0),
            float(others),
            others / (1.0 + len(by_group[f.group])),
            max(over, default=-1.0),
            sum(over),
            sure[place.text] - own,
            float(len(by_group[f.group])),
            float(sure.get(place.text - 1, 0))
            if _same_author(by_text, found, place.text - 1, f.group)
            else 0.0,
        )
    return out


def _same_author(by_text: dict[int, list[int]], found: Sequence[Found], text: int, group: int) -> bool:
    return text in by_text and found[by_text[text][0]].group == group


__all__ = [
    "FEATURES",
    "Gazetteer",
    "Mention",
    "MentionModel",
    "Title",
    "mentions",
    "mentions_of",
    "without",
]
