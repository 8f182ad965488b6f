"""What each person of a conversation thinks of each title in it: liked, disliked, wants, seen, neutral.

Rules of this file:

1. A pure function of the messages it is given, in order, with who said them. The view gives only what is
   visible to the grant, so a word that may not be read cannot weigh: it is not an argument.
2. One stance for each (person, title), not for each mention. A person has one where they named the title, or
   said something after another had named it.
3. Who spoke is compared, never read: persons are opaque here.
4. Same messages, same model: same bytes.

The model is data (`models/stance.json`, made by `make models`, described in docs/models.md): hashed word
weights for each class, then trees over those sums, counted phrases and who named the title first.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

import msgspec
import numpy as np

from byleave.words.gazetteer import cut
from byleave.words.mentions import Mention
from byleave.words.trees import Forest, Matrix, Trees, rows

CLASSES = ("liked", "disliked", "wants", "neutral")
"""What is learned. "seen" is in the output's vocabulary, and is said only where nothing else speaks."""
WIDTH = 8
"""Words on each side of a mention that count."""
REPLIES = 2
"""How many of a person's next messages after another's mention count as their reply to it."""


class Said(msgspec.Struct, frozen=True):
    """One visible message: who said it, its words, the titles found in them."""

    speaker: str
    text: str
    mentions: tuple[Mention, ...] = ()


class Stance(msgspec.Struct, frozen=True):
    """`p` is the model's probability of `stance`, 0..1."""

    person: str
    title_id: str
    stance: str
    p: float


class StanceData(msgspec.Struct, frozen=True, kw_only=True):
    """What `models/stance.json` holds."""

    about: str
    keys: list[int]
    weights: list[list[float]]
    """A weight for each class, for each key."""
    base: list[float]
    forests: list[Trees]
    bias: list[float]
    """Added to each class's margin before the largest wins."""


# In this order: what an earlier pattern took, a later one no longer sees ("didn't like" is no "like").
_PHRASES: dict[str, re.Pattern[str]] = {
    name: re.compile(rf"(?<!\S)(?:{words})(?!\S)")
    for name, words in {
        "unseen": r"(?:havent|have not|not|never|hadnt|didnt|dont think i have) (?:\w+ )?"
        r"(?:seen|see|saw|watched|watch|heard)|i havent|no i havent|not yet|i have not",
        "dislike": r"(?:dont|didnt|did not|do not|doesnt|not|never|wasnt|cant|couldnt|isnt|wouldnt|nothing)"
        r"(?: (?!sure|only|bad)[a-z<>]+){0,3} "
        r"(?:like|liked|care|enjoy|enjoyed|into|fan|fond|stand|interested|interest|impressed|thing|type|kind|speed|"
        r"favorites?|watch again|get it|hype)|hate|hated|hates|dislike|disliked|not so much|no interest|pass|"
        r"no thanks|let ?down|fell asleep|underwhelm\w*|turned it off|walked out|oh god no",
        "not_good": r"(?:wasnt|isnt|not|didnt|doesnt|never)(?: [a-z<>]+){0,2} "
        r"(?:good|great|funny|scary|best|better|finish|much)|just ok|just okay|was ok|was okay|alright",
        "not_bad": r"not (?:that |too |so )?bad|no problem|too bad",
        "bad": r"bad|boring|bored|terrible|awful|horrible|worst|sucked|sucks|stupid|dumb|disappoint\w*|"
        r"overrated|lame|slow|ruined|waste|meh|cheesy|weird|annoying|silly|confusing|gory|"
        r"too (?:long|much|scary|old)",
        "will": r"(?:ill|i will|will|gonna|going to|have to|need to|want to|wanna|should|"
        r"like to|might|may|id) (?:\w+ )?"
        r"(?:see|watch|check|try|look|give|rent|add|rewatch|find)|check \S+ out|"
        r"(?:my|the|your) list|meaning to|want(?:ed|ing)? to|looking forward|cant wait|excited|curious",
        "sounds": r"(?:sounds|looks|seems|looked|sounded) (?:\w+ ){0,2}(?:good|great|interesting|fun|like|"
        r"awesome|perfect|amazing|nice)|heard (?:\w+ ){0,4}(?:good|great)|interested|intrigued|"
        r"whats it about|what is (?:it|that|<t>) about|is it (?:any )?good",
        "love": r"love|loved|loves|favou?rites?|fav|adore|obsessed|masterpiece|best",
        "like": r"(?<!would )(?<!if you )(?<!something )(?<!anything )(?:like|liked|enjoy|enjoyed|fan)",
        "similar": r"(?:something|anything|movies?|films?|similar) (?:like|to)|more like",
        "good": r"good|great|awesome|amazing|funny|hilarious|excellent|classic|fantastic|wonderful|fun|cool|"
        r"nice|brilliant|perfect|better|beautiful",
        "thanks": r"thanks?|thank you|appreciate",
        "seen": r"seen|saw|watched|remember|i have|i did",
        "yes": r"yes|yeah|yep|yup|yea|sure|definitely|absolutely|of course|totally|agree|agreed|same",
        "no": r"no|nope|nah",
        "but": r"but|however|though|although",
        "both": r"both|all|them|those|these|any|either|neither",
        "ask": r"have you|did you|do you|what about|how about|ever|would you|if you|try|recommend|suggest",
    }.items()
}
_LIKES, _DISLIKES, _WANTS = (
    ("love", "like", "good"),
    ("dislike", "not_good", "bad"),
    ("unseen", "will", "sounds"),
)


class _Event(NamedTuple):
    message: int
    mention: Mention


class Subject(NamedTuple):
    """One (person, title) with the words that bear on it, by slot, and its figures."""

    person: str
    title_id: str
    words: dict[str, list[str]]
    figures: list[float]


SLOTS = ("left", "right", "own", "after", "reply", "reply2", "asked")
_FIGURE_NAMES = """
own_count other_count first_is_own own_first own_last other_first titles_beside order_beside share_first_own
speaker_first replies reply_names_other asked_question own_question length own_titles all_titles named_back
between1 between2
"""
FIGURES = len(SLOTS) * len(_PHRASES) + 4 * 3 + len(_FIGURE_NAMES.split())
FEATURES = FIGURES + len(CLASSES)


@lru_cache(maxsize=4096)
def _marked(text: str, mentions: tuple[Mention, ...], title_id: str) -> tuple[str, ...]:
    """Words of the text with this title as "<t>" and others as "<o>"; a mark ends a sentence as "."."""
    words: list[str] = []
    at = 0
    for mention in sorted(mentions, key=lambda x: x.start):
        if mention.start < at:
            continue
        words += _plain(text[at : mention.start])
        words.append("<t>" if mention.title_id == title_id else "<o>")
        at = mention.end
    words += _plain(text[at:])
    return tuple(words)


def _plain(text: str) -> list[str]:
    out: list[str] = []
    for piece in re.split(r"([.!?]+)", text[:4000]):
        if piece[:1] in (".", "!", "?"):
            out.append("?" if "?" in piece else "!" if "!" in piece else ".")
        else:
            out += cut(piece).words
    return out


def subjects(messages: Sequence[Said]) -> list[Subject]:
    """Every (person, title) that has a stance, in order of the title's first mention, then of first words."""
    events: dict[str, list[_Event]] = {}
    for number, said in enumerate(messages):
        for mention in said.mentions:
            events.setdefault(mention.title_id, []).append(_Event(number, mention))
    said_by: dict[str, list[int]] = {}
    for number, said in enumerate(messages):
        said_by.setdefault(said.speaker, []).append(number)
    firsts = {title: messages[found[0].message].speaker for title, found in events.items()}
    out = []
    for title, found in events.items():
        for person, turns in said_by.items():
            own = [e for e in found if messages[e.message].speaker == person]
            if own or turns[-1] > found[0].message:
                out.append(_subject(messages, title, person, found, own, turns, firsts))
    return out


def _subject(
    messages: Sequence[Said],
    title: str,
    person: str,
    found: Sequence[_Event],
    own: Sequence[_Event],
    turns: Sequence[int],
    firsts: dict[str, str],
) -> Subject:
    words: dict[str, list[str]] = {slot: [] for slot in SLOTS}

    def marked(number: int) -> tuple[str, ...]:
        return _marked(messages[number].text, messages[number].mentions, title)

    own_turns = sorted({e.message for e in own})
    for number in own_turns:
        tokens = marked(number)
        words["own"] += [*tokens, "|"]
        for at in [i for i, w in enumerate(tokens) if w == "<t>"]:
            words["left"] += [*_until(tokens[max(0, at - WIDTH) : at][::-1])[::-1], "|"]
            words["right"] += [*_until(tokens[at + 1 : at + 1 + WIDTH]), "|"]
        behind = [t for t in turns if t > number][:1]
        if behind and not messages[behind[0]].mentions:
            words["after"] += [*marked(behind[0]), "|"]
    theirs = sorted({e.message for e in found if messages[e.message].speaker != person})
    names_other = 0
    replies = 0
    between = {"reply": -1.0, "reply2": -1.0}
    for number in theirs[:2]:
        tokens = marked(number)
        for at in [i for i, w in enumerate(tokens) if w == "<t>"]:
            words["asked"] += [*tokens[max(0, at - WIDTH) : at + 1 + WIDTH], "|"]
        behind = [t for t in turns if t > number][:REPLIES]
        for slot, turn in zip(("reply", "reply2"), behind, strict=False):
            replies += 1
            named = {x.title_id for said in messages[number + 1 : turn + 1] for x in said.mentions}
            between[slot] = float(len(named - {title}))
            others = any(x.title_id != title for x in messages[turn].mentions)
            names_other += others
            if others and slot == "reply2" and turn not in own_turns:
                break  # talk has moved on to another title
            words[slot] += [*marked(turn), "|"]
    counted = {slot: _counted(words[slot]) for slot in SLOTS}
    first = found[0].message
    beside = [x.title_id for x in sorted(messages[first].mentions, key=lambda x: x.start)]
    length = max(1, len(messages))
    by_person = sum(who == person for who in firsts.values())
    figures = [
        *(float(n) for slot in SLOTS for n in counted[slot]),
        *(float(n) for slots in _TOGETHER for n in _totals([counted[slot] for slot in slots])),
        float(len(own_turns)),
        float(len(theirs)),
        float(messages[first].speaker == person),
        own_turns[0] / length if own_turns else -1.0,
        own_turns[-1] / length if own_turns else -1.0,
        theirs[0] / length if theirs else -1.0,
        float(len(set(beside))),
        float(beside.index(title)),
        by_person / len(firsts),
        float(messages[0].speaker == person),
        float(replies),
        float(names_other),
        float("?" in words["asked"]),
        float("?" in words["own"]),
        float(length),
        float(by_person),
        float(len(firsts)),
        float(bool(own) and messages[first].speaker != person),
        between["reply"],
        between["reply2"],
    ]
    return Subject(person, title, words, figures)


_TOGETHER = (("left", "right"), ("own",), ("reply", "reply2"), ("left", "right", "after", "reply", "reply2"))


def _totals(counts: Sequence[Sequence[int]]) -> tuple[int, int, int]:
    """Likes, dislikes and wants over several slots."""
    names = list(_PHRASES)
    return (
        sum(c[names.index(n)] for c in counts for n in _LIKES),
        sum(c[names.index(n)] for c in counts for n in _DISLIKES),
        sum(c[names.index(n)] for c in counts for n in _WANTS),
    )


def _until(tokens: Sequence[str]) -> list[str]:
    """Tokens up to the next other title, which takes what is said beyond it."""
    out: list[str] = []
    for token in tokens:
        if token == "<o>":
            out.append(token)
            break
        out.append(token)
    return out


def _counted(tokens: Sequence[str]) -> list[int]:
    """How often each phrase stands in the tokens; an earlier phrase takes its words."""
    if not tokens:
        return [0] * len(_PHRASES)
    text = " ".join(tokens)
    counts = []
    for pattern in _PHRASES.values():
        text, n = pattern.subn("_", text)
        counts.append(n)
    return counts


def grams(subject: Subject) -> list[int]:
    """Hashes of the words, pairs and threes in each slot, each once."""
    found: set[int] = set()
    for slot, tokens in subject.words.items():
        found.update(_grams(slot, tokens))
    return sorted(found)


def _grams(slot: str, tokens: Sequence[str]) -> Iterator[int]:
    kind = {"reply2": "reply", "left": "left", "right": "right"}.get(slot, slot)
    for n in (1, 2, 3):
        for at in range(len(tokens) - n + 1):
            piece = tokens[at : at + n]
            if "|" not in piece:
                yield zlib.crc32(f"{kind}\x1f{' '.join(piece)}".encode())
    if tokens:
        yield zlib.crc32(f"{kind}\x1fany".encode())


class StanceModel:
    """A trained model, ready to judge. `StanceModel.load()` reads the one that ships."""

    def __init__(self, data: StanceData) -> None:
        self._weights = {
            k: np.array(w, dtype=np.float64) for k, w in zip(data.keys, data.weights, strict=True)
        }
        self._base = np.array(data.base, dtype=np.float64)
        self._forests = [Forest(t) for t in data.forests]
        self._bias = np.array(data.bias, dtype=np.float64)

    @classmethod
    def load(cls, name: str = "stance.json") -> StanceModel:
        """The model of that file name in `byleave/words/models`."""
        raw = resources.files("byleave.words").joinpath("models", name).read_bytes()
        return cls(msgspec.json.decode(raw, type=StanceData))

    def linear(self, keys: Sequence[int]) -> list[float]:
        """The words' own vote: one sum for each class."""
        known = [self._weights[k] for k in keys if k in self._weights]
        total = self._base.copy()
        for weights in known:
            total += weights
        return [round(float(t) / max(1.0, float(np.sqrt(len(keys)))), 6) for t in total]

    def margins(self, found: Sequence[Subject]) -> Matrix:
        """Shape (subjects, classes); the largest wins."""
        x = rows([[*s.figures, *self.linear(grams(s))] for s in found], FEATURES)
        return np.asarray(np.stack([f.margin(x) for f in self._forests], axis=1) + self._bias)

    def probabilities(self, found: Sequence[Subject]) -> Matrix:
        """Shape (subjects, classes); each row sums to 1."""
        margins = self.margins(found)
        e = np.exp(margins - margins.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True), dtype=np.float64)


def stances(messages: Sequence[Said], model: StanceModel) -> list[Stance]:
    """Stance of every person on every title of one conversation. `messages`: the visible ones, in order."""
    found = subjects(messages)
    if not found:
        return []
    p = model.probabilities(found)
    best = p.argmax(axis=1)
    return [
        Stance(s.person, s.title_id, CLASSES[int(k)], round(float(row[k]), 4))
        for s, k, row in zip(found, best, p, strict=True)
    ]
