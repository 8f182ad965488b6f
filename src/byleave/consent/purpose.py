"""The registry of purposes: why somebody reads, and how far that can ever go.

Rules of this file (spec: consent.md, "Purposes"):

1. The registry is closed. A purpose that is not in it reads nothing: `highest` answers NONE.
2. A provider may add purposes, for partners or agents only; an addition never replaces a shipped purpose,
   never speaks for those who have not answered, and can only give out the kinds of output listed here.
   Profiles, scores and ad audiences are not among them, so no added purpose can carry one.
3. What is forbidden is forbidden whatever anyone agreed: an addition that names a forbidden use is refused.
   A name is a label, not a proof; rule 2 is what holds, rule 3 catches the honest mistake.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from byleave.errors import Code, Invalid, Refused
from byleave.keys import strict_json
from byleave.model import Level

HOUR_MS = 3_600_000
GRANT_MS = 90 * 24 * HOUR_MS
"""Longest life of a grant unless its purpose says less: 90 days, renewed by asking again."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Who(StrEnum):
    """Who may hold a grant for a purpose."""

    OWNER = "owner"
    AGENT = "agent"
    PARTNER = "partner"


class Output(StrEnum):
    """Every kind of thing a purpose may give out; there are no others."""

    PAGES = "pages"
    EMAILS = "emails"
    EXPORT = "export"
    ANSWERS = "answers"
    SIGNALS = "signals"
    SENDS = "sends"
    FEATURES = "features"
    COUNTS = "counts"


class Purpose(msgspec.Struct, frozen=True, kw_only=True):
    """One purpose. Durations are milliseconds."""

    name: str
    who: Who
    highest: Level
    usual: Level
    """The level that is proposed unless agreement and grant both say more."""
    output: Mapping[Output, Level]
    """What it gives out, each from which granted level on."""
    unanswered: Level = Level.NONE
    """What the words of senders who have not answered are seen at."""
    raise_unanswered: Level = Level.NONE
    """How far an owner may raise that, by an act of its own."""
    choices_apply: bool = True
    """False for the owner's own reading alone."""
    longest_ms: int | None = GRANT_MS
    """Longest life of a grant; None without end."""
    one_conversation: bool = False
    case: bool = False
    """Whether every reading names a case."""
    writes: bool = False

    def outputs(self, level: Level) -> frozenset[Output]:
        """What a grant at `level` gives out (consent.md: output follows purpose *and* granted level)."""
        return frozenset(kind for kind, lowest in self.output.items() if lowest <= level)


_SHIPPED = (
    Purpose(
        name="owner",
        who=Who.OWNER,
        highest=Level.FULL,
        usual=Level.FULL,
        unanswered=Level.FULL,
        choices_apply=False,
        output={Output.PAGES: Level.MASKED, Output.EXPORT: Level.MASKED, Output.EMAILS: Level.MASKED},
        longest_ms=None,
        writes=True,
    ),
    Purpose(
        name="own-agent",
        who=Who.AGENT,
        highest=Level.TEXT,
        usual=Level.TEXT,
        raise_unanswered=Level.MASKED,
        output={Output.ANSWERS: Level.SIGNALS, Output.EMAILS: Level.MASKED},
    ),
    Purpose(
        name="portability",
        who=Who.PARTNER,
        highest=Level.FULL,
        usual=Level.FULL,
        output={Output.EXPORT: Level.MASKED, Output.EMAILS: Level.MASKED},
    ),
    Purpose(
        name="tailoring",
        who=Who.PARTNER,
        highest=Level.MASKED,
        usual=Level.SIGNALS,
        output={Output.SIGNALS: Level.SIGNALS, Output.SENDS: Level.SIGNALS, Output.EMAILS: Level.MASKED},
    ),
    Purpose(
        name="ranking",
        who=Who.PARTNER,
        highest=Level.SIGNALS,
        usual=Level.SIGNALS,
        output={Output.COUNTS: Level.SIGNALS, Output.FEATURES: Level.SIGNALS},
    ),
    Purpose(
        name="support-case",
        who=Who.PARTNER,
        highest=Level.TEXT,
        usual=Level.TEXT,
        output={Output.EMAILS: Level.MASKED},
        longest_ms=24 * HOUR_MS,
        one_conversation=True,
        case=True,
    ),
)

PURPOSES: Mapping[str, Purpose] = MappingProxyType({purpose.name: purpose for purpose in _SHIPPED})
"""The shipped registry by name."""

FORBIDDEN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "psychological profiling": ("psych", "personality", "emotion"),
        "political profiling": ("politic", "voter", "partisan", "religio", "ideolog"),
        "credit": ("credit", "lending", "solvency", "scoring"),
        "employment": ("employ", "hiring", "recruit", "workplace", "hr-screen"),
        "insurance": ("insur", "underwrit", "actuar"),
        "health inference": ("health", "medic", "diagnos", "illness", "disease"),
        "law enforcement": ("law-enf", "police", "surveil", "immigration"),
        "resale": (
            "resale",
            "resell",
            "broker",
            "ad-target",
            "adtarget",
            "audience",
            "lookalike",
            "marketplace",
        ),
    }
)
"""Uses forbidden whatever anyone agreed, each with the stems that give it away in a name."""


def highest(name: str, purposes: Mapping[str, Purpose] = PURPOSES) -> Level:
    """The highest level that the purpose `name` allows; NONE for one that is not in the registry."""
    purpose = purposes.get(name)
    return purpose.highest if purpose else Level.NONE


class _Addition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    who: Who
    level: str
    output: tuple[Output, ...]
    max_hours: int = 90 * 24
    one_conversation: bool = False
    case: bool = False
    unanswered: str = "none"


class _Additions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: str
    purposes: tuple[_Addition, ...]


_LOWEST = {
    Output.SIGNALS: Level.SIGNALS,
    Output.SENDS: Level.SIGNALS,
    Output.COUNTS: Level.SIGNALS,
    Output.FEATURES: Level.SIGNALS,
    Output.ANSWERS: Level.SIGNALS,
    Output.EMAILS: Level.MASKED,
    Output.EXPORT: Level.MASKED,
}


def with_additions(data: bytes, file: str = "purposes.json") -> Mapping[str, Purpose]:
    """The shipped registry and a provider's additions, read from JSON:

        {"schema": "byleave.purposes/1", "purposes": [
          {"name": "returns-desk", "who": "partner", "level": "masked", "output": ["emails"],
           "max_hours": 48, "one_conversation": true, "case": true}]}

    `level` is at most `text` (only the owner's own moves are `full`), `max_hours` 1 to 2160 (90 days).
    Raises Refused; nothing of a file with one bad purpose is taken.
    """
    try:
        added = msgspec.convert(strict_json(data), _Additions)
    except (Invalid, msgspec.ValidationError) as error:
        problem, place = split_place(str(error))
        raise Refused(Code.MALFORMED, file, place, problem, "see docs/agreements") from None
    if added.schema != "byleave.purposes/1":
        raise Refused(Code.UNKNOWN_FORMAT, file, "schema", "unknown schema", 'write "byleave.purposes/1"')
    registry = dict(PURPOSES)
    for i, addition in enumerate(added.purposes):
        purpose = _added(addition, file, f"purposes[{i}]")
        if purpose.name in registry:
            raise Refused(
                Code.CONFLICT,
                file,
                f"purposes[{i}].name",
                "the purpose exists",
                "give the new one another name",
            )
        registry[purpose.name] = purpose
    return MappingProxyType(registry)


def _added(addition: _Addition, file: str, place: str) -> Purpose:
    def refuse(field: str, problem: str, remedy: str) -> Refused:
        return Refused(Code.MALFORMED, file, f"{place}.{field}", problem, remedy)

    if not NAME.fullmatch(addition.name):
        raise refuse(
            "name", "not a name", "use a to z, 0 to 9, dot, dash and underscore, at most 63 characters"
        )
    plain = re.sub(r"[._]", "-", addition.name)
    for use, stems in FORBIDDEN.items():
        if any(stem in plain or stem.replace("-", "") in plain.replace("-", "") for stem in stems):
            raise refuse("name", f"{use} is forbidden whatever anyone agreed", "remove this purpose")
    if addition.who is Who.OWNER:
        raise refuse("who", "only the shipped purpose is the owner's", "write partner or agent")
    if addition.level not in ("signals", "masked", "text"):
        raise refuse("level", "not a level an added purpose can have", "write signals, masked or text")
    level = Level.named(addition.level)
    if addition.unanswered != "none":
        raise refuse("unanswered", "no added purpose speaks for those who have not answered", "write none")
    if not addition.output or Output.PAGES in addition.output:
        raise refuse("output", "empty, or an output that is the owner's alone", "list what it gives out")
    if any(_LOWEST[kind] > level for kind in addition.output):
        raise refuse(
            "output", "emails and exports need the level masked or text", "raise the level or leave them out"
        )
    if not 1 <= addition.max_hours <= 90 * 24:
        raise refuse("max_hours", "out of range", "write 1 to 2160 hours")
    return Purpose(
        name=addition.name,
        who=addition.who,
        highest=level,
        usual=level,
        output={kind: _LOWEST[kind] for kind in addition.output},
        longest_ms=addition.max_hours * HOUR_MS,
        one_conversation=addition.one_conversation,
        case=addition.case,
    )


def split_place(message: str) -> tuple[str, str]:
    """msgspec's "problem - at `$.a.b`" as (problem, "a.b")."""
    problem, _, place = message.partition(" - at `")
    return problem, place.rstrip("`").removeprefix("$").lstrip(".")
