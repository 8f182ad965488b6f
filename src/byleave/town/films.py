"""The town's cinema: an invented catalogue, and what each resident thinks of what.

Taste is latent: six clusters of titles, a mixture a circle, and each resident near their circles' mixture. So
friends like alike, a ranker has something to learn, and popularity alone is not the answer. Titles are made
to be hard where real ones are: everyday words, numbered series, remakes of one name in two years. Some carry
the sensitive flag (tailoring.md); they are talked about as seldom as any other.
"""

from __future__ import annotations

from random import Random

import msgspec

from byleave.town.people import Town, data, draw

CLUSTERS = 6
STANCES = ("liked", "disliked", "wants", "seen", "neutral")


class Film(msgspec.Struct, frozen=True, kw_only=True):
    title_id: str
    title: str
    year: int
    sensitive: bool
    popularity: int
    cluster: int


class Cinema(msgspec.Struct, frozen=True, kw_only=True):
    films: list[Film]
    opinions: list[dict[int, str]]
    """Per resident: index in `films` → stance."""


def catalogue(seed: int, size: int = 300) -> list[Film]:
    """`size` films, most popular first within no order: ids say nothing of cluster, flag or popularity."""
    book = data("titles")
    rng = draw(seed, "catalogue")
    made: list[tuple[str, int, bool, int]] = []
    for title in book["everyday"]:
        made.append((title, rng.randrange(1988, 2026), False, rng.randrange(CLUSTERS)))
    for title in book["series"]:
        year, cluster = rng.randrange(1990, 2012), rng.randrange(CLUSTERS)
        numbers = rng.choice([["", " 2", " 3"], ["", " II", " III"], ["", " 2"], ["", ": Part Two"]])
        for number in numbers:
            made.append((title + number, year, False, cluster))
            year += rng.randrange(2, 5)
    for title in book["remade"]:
        year, cluster = rng.randrange(1958, 1986), rng.randrange(CLUSTERS)
        made += [(title, year, False, cluster), (title, year + rng.randrange(28, 40), False, cluster)]
    for title in book["sensitive"]:
        made.append((title, rng.randrange(1995, 2026), True, rng.randrange(CLUSTERS)))
    heads = [f"{a} {b}" for a in book["first"] for b in book["second"]]
    for head in rng.sample(heads, max(0, min(len(heads), size - len(made)))):
        made.append(
            (head + rng.choice(book["tail"]), rng.randrange(1970, 2026), False, rng.randrange(CLUSTERS))
        )
    rng.shuffle(made)
    ranks = list(range(1, len(made) + 1))
    rng.shuffle(ranks)
    return [
        Film(title_id=f"t{n:04d}", title=t, year=y, sensitive=s, popularity=int(9000 / r**0.7), cluster=c)
        for n, ((t, y, s, c), r) in enumerate(zip(made, ranks, strict=True), 1)
    ]


def tastes(town: Town, films: list[Film]) -> list[dict[int, str]]:
    """What every resident thinks: 20 to 45 films seen, 5 to 10 wanted."""
    circles = [_mixture(draw(town.seed, "circle taste", c.id)) for c in town.circles]
    belongs: list[list[int]] = [[] for _ in town.residents]
    for circle in town.circles:
        for member in circle.members:
            belongs[member].append(circle.id)
    opinions = []
    for resident in town.residents:
        rng = draw(town.seed, "taste", resident.index)
        own = _mixture(rng)
        near = [circles[c] for c in belongs[resident.index]] or [own]
        mix = [0.35 * own[k] + 0.65 * sum(m[k] for m in near) / len(near) for k in range(CLUSTERS)]
        weights = [f.popularity**0.5 * (0.15 + mix[f.cluster] * CLUSTERS) for f in films]
        seen = _distinct(rng, weights, rng.randrange(20, 46))
        mine: dict[int, str] = {}
        for index in seen:
            like = min(0.92, 0.1 + 0.45 * mix[films[index].cluster] * CLUSTERS)
            roll = rng.random()
            if roll < 0.12:
                mine[index] = "seen" if roll < 0.08 else "neutral"
            else:
                mine[index] = "liked" if rng.random() < like else "disliked"
        wishes = [0.0 if i in mine else w * mix[films[i].cluster] for i, w in enumerate(weights)]
        for index in _distinct(rng, wishes, rng.randrange(5, 11)):
            mine[index] = "wants"
        opinions.append(mine)
    return opinions


def _mixture(rng: Random) -> list[float]:
    """Shares over the clusters, mostly on one or two of them."""
    raw = [rng.gammavariate(0.35, 1.0) + 0.01 for _ in range(CLUSTERS)]
    return [r / sum(raw) for r in raw]


def _distinct(rng: Random, weights: list[float], count: int) -> list[int]:
    picked: dict[int, None] = {}
    for index in rng.choices(range(len(weights)), weights, k=count * 3):
        if len(picked) == count:
            break
        if weights[index] > 0:
            picked[index] = None
    return list(picked)


def spoken_title(film: Film, twins: bool, rng: Random) -> str:
    """The title as somebody types it: case, article and subtitle come and go; a remake mostly with its
    year."""
    text = film.title
    if rng.random() < 0.15 and text.startswith("The ") and len(text) > 12:
        text = text[4:]
    if rng.random() < 0.2 and ": " in text:
        text = text.split(": ")[0]
    roll = rng.random()
    if roll < 0.15:
        text = text.lower()
    elif roll < 0.27:
        text = f"“{text}”" if rng.random() < 0.5 else f'"{text}"'
    elif roll < 0.32 and len(text) > 9:
        spot = rng.randrange(3, len(text) - 2)
        text = text[:spot] + text[spot + 1] + text[spot] + text[spot + 2 :]
    if twins and rng.random() < 0.8:
        text += rng.choice([f" ({film.year})", f" from {film.year}"])
    return text
