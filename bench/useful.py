"""Is it useful at one yes in five? Ranking quality in the town by how many say yes, as a curve.

    python bench/useful.py [--people 150] [--seeds 21,22,23] [--svg docs/useful.svg]

Each owner's taste is what their grant may see: their own words, and the words of those friends who said yes (yes
clusters by circles of friends: the town's `leaning`). What is asked for are titles that the owner likes or wants and
has not named in their own words. The public counts are of another town. NDCG@10 (Järvelin, Kekäläinen 2002), mean
over owners; popularity and nothing else is the floor.
How friends' words weigh was chosen on seeds 1 and 2; 21 to 23 are for the curve.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pygal

from byleave.tailoring.ranker import Ranker, counted, friends_say, taste
from byleave.town import choices
from byleave.town.films import Cinema, catalogue, tastes
from byleave.town.people import settle
from byleave.town.talk import Talker
from byleave.words.gazetteer import Title

SHARES = (0, 10, 20, 35, 50, 75, 100)


class Place(NamedTuple):
    """One seeded town: what everybody thinks, what they said in their own words, and to whom."""

    titles: list[Title]
    flagged: set[str]
    minds: list[dict[str, str]]
    heard: dict[int, dict[int, dict[str, str]]]
    """owner → speaker → title → stance, of talks that both are in."""
    leaning: list[float]


def town(people: int, seed: int) -> Place:
    made = settle(people, seed)
    films = catalogue(seed)
    cinema = Cinema(films=films, opinions=tastes(made, films))
    until = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000)
    talker = Talker(made, cinema, begin=until - 730 * choices.DAY, until=until, quotes=0.1, taints=False)
    heard: dict[int, dict[int, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for talk in made.conversations:
        for said in talker.converse(talk, 180 if len(talk.members) > 2 else 60):
            for mention in said.mentions:
                if mention.said and not said.deleted:
                    for owner in talk.members:
                        heard[owner][said.author][films[mention.film].title_id] = mention.stance
    return Place(
        [Title(f.title_id, f.title, f.year) for f in films],
        {f.title_id for f in films if f.sensitive},
        [{films[f].title_id: s for f, s in mind.items()} for mind in cinema.opinions],
        heard,
        choices.leanings(made),
    )


def ndcg(answer: list[str], wanted: set[str], at: int = 10) -> float:
    gain = sum(1 / math.log2(i + 2) for i, title in enumerate(answer[:at]) if title in wanted)
    return gain / sum(1 / math.log2(i + 2) for i in range(min(at, len(wanted))))


def scores(place: Place) -> dict[str, list[float]]:
    """Every second resident is the public, whose likings make the counts; the others are asked about."""
    public = [{t for t, s in mind.items() if s == "liked"} - place.flagged for mind in place.minds[::2]]
    ranker = Ranker(place.titles, counted(public, place.titles), flagged=place.flagged)
    found: dict[str, list[float]] = defaultdict(list)
    for owner in range(1, len(place.minds), 2):
        mind, heard = place.minds[owner], place.heard[owner]
        own = heard[owner]
        wanted = {t for t, s in mind.items() if s in ("liked", "wants")} - set(own) - place.flagged
        if not wanted:
            continue

        def judge(
            name: str,
            mine: dict[str, str],
            sent: dict[str, float],
            own: Collection[str] = own,
            wanted: set[str] = wanted,
        ) -> None:
            ranked = ranker.rank(taste(mine), seen=own, friends=sent, limit=10)
            found[name].append(ndcg([r.title_id for r in ranked], wanted))

        judge("popularity", {}, {})
        for share in SHARES:
            agreed = [p for p in sorted(heard) if place.leaning[p] >= 1 - share / 100 and p != owner]
            judge(f"{share:3} % yes", own, friends_say(s for p in agreed for s in heard[p].items()))
    return found


def main() -> None:
    take = argparse.ArgumentParser()
    take.add_argument("--people", type=int, default=600)
    take.add_argument("--seeds", default="21,22,23")
    take.add_argument("--svg", type=Path)
    asked = take.parse_args()
    found: dict[str, list[float]] = defaultdict(list)
    for seed in map(int, asked.seeds.split(",")):
        for name, values in scores(town(asked.people, seed)).items():
            found[name] += values
    means = {name: sum(values) / len(values) for name, values in sorted(found.items())}
    for name, mean in means.items():
        error = (sum((v - mean) ** 2 for v in found[name]) / len(found[name])) ** 0.5 / len(
            found[name]
        ) ** 0.5
        print(f"{name:12} NDCG@10 {mean:.3f} ± {error:.3f}   ({len(found[name])} owners)")
    if asked.svg:
        chart = pygal.XY(
            title="Ranking in the town, by how many say yes", x_title="% of people who said yes", y_title="NDCG@10",
            range=(0, max(means.values()) * 1.15), width=800, height=420, js=[], legend_at_bottom=True,
        )  # fmt: skip
        chart.add(
            "own words, and friends' who said yes", [(share, means[f"{share:3} % yes"]) for share in SHARES]
        )
        chart.add("popularity alone", [(share, means["popularity"]) for share in (0, 100)], show_dots=False)
        asked.svg.write_bytes(chart.render())


if __name__ == "__main__":
    main()
