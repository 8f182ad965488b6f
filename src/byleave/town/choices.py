"""Who says yes to what, and who thinks again.

One resident in five says yes (never fewer than three in a town of eight or more). A yes clusters: every
circle has a leaning, a resident has the leaning of their circles and a little of their own, and the fifth
with the highest says yes. `leaning` is kept in the world file as a rank, so that a bench can ask for the
first 20, 50 or 100 % in the order that was fixed before any ranker saw the town.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from byleave.model import Level, Ms
from byleave.town.people import Town, draw

DAY: Ms = 86_400_000


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One act. `purpose` None (only with level `none`) means anything; `conversation` None means
    everywhere."""

    at: Ms
    resident: int
    level: Level
    purpose: str | None = None
    partner: str | None = None
    conversation: str | None = None


def leanings(town: Town) -> list[float]:
    """Per resident how near a yes is, as a rank in (0, 1], highest first to say yes."""
    pull = [draw(town.seed, "leaning", c.id).gauss(0, 1) for c in town.circles]
    heard: list[list[float]] = [[] for _ in town.residents]
    for circle in town.circles:
        for member in circle.members:
            heard[member].append(pull[circle.id])
    score = [
        (sum(h) / len(h) if h else 0.0) + draw(town.seed, "mind", i).gauss(0, 0.35)
        for i, h in enumerate(heard)
    ]
    order = sorted(range(len(score)), key=lambda i: (score[i], i))
    ranks = [0.0] * len(score)
    for place, index in enumerate(order, 1):
        ranks[index] = place / len(score)
    return ranks


def choose(town: Town, until: Ms) -> list[Choice]:
    """All acts, oldest first. A yes comes in the last 60 days before `until`; one in five of those who said
    yes says no again, half of them before `until` and half in the 14 days after it (while you watch). A few
    who never said yes say no to everything."""
    ranks = leanings(town)
    people = len(ranks)
    wanted = max(min(3, people // 3), round(people / 5))
    order = sorted(range(1, people), key=lambda i: -ranks[i])
    acts: list[Choice] = []
    for place, index in enumerate(order[:wanted]):
        rng = draw(town.seed, "choice", index)
        at = until - rng.randrange(3 * DAY, 60 * DAY)
        level = (
            rng.choice((Level.MASKED, Level.MASKED, Level.TEXT, Level.SIGNALS)) if place > 2 else Level.MASKED
        )
        acts.append(Choice(at=at, resident=index, level=level, purpose="tailoring"))
        if rng.random() < 0.5:
            acts.append(Choice(at=at + 60_000, resident=index, level=Level.TEXT, purpose="own-agent"))
        if place % 5 == 2:
            late = until + rng.randrange(DAY, 14 * DAY)
            soon = at + rng.randrange(DAY, 3 * DAY)
            acts.append(
                Choice(
                    at=late if place % 10 == 2 else soon,
                    resident=index,
                    level=Level.NONE,
                    purpose="tailoring",
                )
            )
    for index in order[wanted:]:
        rng = draw(town.seed, "choice", index)
        if rng.random() < 0.15:
            acts.append(Choice(at=until - rng.randrange(3 * DAY, 60 * DAY), resident=index, level=Level.NONE))
    return sorted(acts, key=lambda c: (c.at, c.resident, c.purpose or ""))


def owners_grants(town: Town) -> list[int]:
    """Residents who would grant `tailoring` on their own inbox: the demo's owner and the upper fifth."""
    ranks = leanings(town)
    return [i for i in range(len(ranks)) if i == 0 or ranks[i] > 0.8]


def moment(at: Ms) -> str:
    """RFC 3339 in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
