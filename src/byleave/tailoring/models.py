"""`make models`: builds what `words/models` ships, and rebuilds the town-only model to compare it.

    python -m byleave.tailoring.models [--samples DIR] [--out DIR]     build; without samples only the town's
    python -m byleave.tailoring.models --check                       rebuild the town-only ones, compare

Rules of this file:

1. `mentions.json` and `stance.json` are trained on the samples where they are (CC BY 4.0, attributed in
   docs/models.md) and on invented chat; `town-*.json` on invented chat alone. No sample text is written.
2. Everything is seeded and runs on one thread: the same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from byleave.tailoring import invented, invented_stance, train, train_stance
from byleave.words import stance
from byleave.words.gazetteer import Gazetteer, Title, group_key
from byleave.words.mentions import Mention

SEED = 6
STANCE_TALKS = 600
STANCE_WEIGHT = 0.4
MODELS = Path(__file__).parent.parent / "words" / "models"


def sample_titles(folder: Path) -> list[Title]:
    with (folder / "catalogue.csv").open(encoding="utf-8") as file:
        return [Title(r["title_id"], r["title"], int(r["year"] or 0)) for r in csv.DictReader(file)]


def sample_lines(folder: Path) -> list[train.Line]:
    """The labelled messages of the samples folder."""
    found = []
    with (folder / "messages.jsonl").open(encoding="utf-8") as file:
        for raw in file:
            r = json.loads(raw)
            gold = tuple(train.Gold(g["start"], g["end"], g["title_id"]) for g in r["mentions"])
            ignore = tuple((a, b) for a, b in r["ignore"])
            found.append(train.Line(r["conv"], r["speaker"], r["text"], gold, ignore))
    return found


def sample_fame(ranking: Path, titles: list[Title]) -> Counter[tuple[str, int]]:
    """How often each title is named in the ranking events."""
    by_id = {t.id: t for t in titles}
    fame: Counter[tuple[str, int]] = Counter()
    with (ranking / "train.jsonl").open(encoding="utf-8") as file:
        for raw in file:
            for event in json.loads(raw)["events"]:
                title = by_id.get(event["title_id"])
                if title:
                    fame[group_key(title.title), title.year] += 1
    return fame


def ordinary_authors(gazetteer: Gazetteer, conversations: int, weight: float) -> list[train.Author]:
    """Chat without films. Lines are dealt to folds first, so that none is judged by lines it trained on."""
    found = []
    for k in range(train.FOLDS):
        rng = np.random.default_rng([SEED, k])
        lines = [line for i, line in enumerate(invented.ORDINARY) if i % train.FOLDS == k]
        for number, said in enumerate(invented.ordinary(gazetteer, conversations // train.FOLDS, rng, lines)):
            found += _authors(f"n{k}-{number}#n", said, weight, k)
    return found


def film_authors(
    titles: list[Title], conversations: int, weight: float, seed: int = SEED
) -> list[train.Author]:
    found = []
    for number, said in enumerate(invented.films(titles, conversations, np.random.default_rng([seed, 99]))):
        found += _authors(f"f{number}#f", said, weight, number % train.FOLDS)
    return found


def _authors(conv: str, said: list[invented.Said], weight: float, fold: int) -> list[train.Author]:
    lines = [train.Line(conv, s.speaker, s.text, tuple(train.Gold(*g[:3]) for g in s.gold)) for s in said]
    return [who._replace(fold=fold) for who in train.authors(lines, weight)]


def town_corpus() -> train.Corpus:
    titles = invented.catalogue()
    decoys = [Title(f"decoy{i}", decoy, 2000) for i, decoy in enumerate(invented.DECOYS)]
    gazetteer = Gazetteer([*titles, *decoys])
    people = film_authors(titles, 300, 1.0)
    spoken = [
        who._replace(conv=who.conv + "s", lines=tuple(train.spoken(line) for line in who.lines), weight=0.5)
        for who in people
    ]
    short = train.pieces(people, 0.4, np.random.default_rng([SEED, 8]))
    quiet = ordinary_authors(gazetteer, 300, 1.0)
    silent = train.pieces(quiet, 0.7, np.random.default_rng([SEED, 9]))
    return train.Corpus([*people, *short, *spoken, *quiet, *silent], gazetteer, Counter())


def sample_corpus(samples: Path) -> train.Corpus:
    titles = sample_titles(samples / "mentions")
    titles += [Title(f"decoy{i}", decoy, 2000) for i, decoy in enumerate(invented.DECOYS)]
    gazetteer = Gazetteer(titles)
    lines = sample_lines(samples / "mentions")
    people = train.authors(lines)
    people += train.pieces(people, 0.4, np.random.default_rng([SEED, 8]))
    people += train.authors([train.spoken(line) for line in lines], 0.5)
    quiet = ordinary_authors(gazetteer, 400, 1.0)
    people += [*quiet, *train.pieces(quiet, 0.7, np.random.default_rng([SEED, 9]))]
    return train.Corpus(people, gazetteer, sample_fame(samples / "ranking", titles))


def _examples(
    talks: list[tuple[str, list[stance.Said]]], gold: dict[tuple[str, str, str], str], weight: float
) -> list[train_stance.Example]:
    """Every labelled (person, title) of the conversations; "seen" teaches as "neutral"."""
    found = []
    for conv, messages in talks:
        for subject in stance.subjects(messages):
            answer = gold.get((conv, subject.person, subject.title_id))
            if answer:
                label = stance.CLASSES.index("neutral" if answer == "seen" else answer)
                found.append(train_stance.Example(conv, subject, label, weight))
    return found


def invented_examples(conversations: int, weight: float) -> list[train_stance.Example]:
    rng = np.random.default_rng([SEED, 3])
    talks = []
    gold = {}
    for number, said in enumerate(invented_stance.opinions(invented.catalogue(), conversations, rng)):
        conv = f"i{number}"
        gold.update({(conv, "p2", g[2]): g[3] for line in said for g in line.gold if g[3]})
        talks.append(
            (conv, [_said(line.speaker, line.text, [(*g[:3],) for g in line.gold]) for line in said])
        )
    return _examples(talks, gold, weight)


def _said(speaker: str, text: str, gold: Iterable[tuple[int, int, str]]) -> stance.Said:
    return stance.Said(speaker, text, tuple(Mention(a, b, t, 1.0) for a, b, t in gold))


def sample_stances(folder: Path) -> list[train_stance.Example]:
    """The labelled stances of the samples folder, with the labelled mentions."""
    talks: dict[str, list[stance.Said]] = {}
    for line in sample_lines(folder):
        talks.setdefault(line.conv, []).append(_said(line.speaker, line.text, line.gold))
    with (folder / "stance.jsonl").open(encoding="utf-8") as file:
        labelled = [json.loads(raw) for raw in file]
    gold = {(r["conv"], r["person"], r["title_id"]): r["stance"] for r in labelled}
    return _examples(list(talks.items()), gold, 1.0)


def encode(data: msgspec.Struct) -> bytes:
    return msgspec.json.encode(data) + b"\n"


def build(samples: Path | None) -> dict[str, bytes]:
    """File name → bytes of every model that can be built from what is there."""
    out = {
        "town-mentions.json": encode(
            train.fit(town_corpus(), "invented chat", rounds=(60, 80), judge=False).data
        )
    }
    out["town-stance.json"] = encode(
        train_stance.fit(invented_examples(500, 1.0), "invented chat", judge=False).data
    )
    if samples is not None and (samples / "mentions").is_dir():
        about = "ReDial validation dialogues (Li et al. 2018, CC BY 4.0, changed) and invented chat"
        out["mentions.json"] = encode(train.fit(sample_corpus(samples), about, judge=False).data)
        examples = [*sample_stances(samples / "mentions"), *invented_examples(STANCE_TALKS, STANCE_WEIGHT)]
        out["stance.json"] = encode(train_stance.fit(examples, about, judge=False).data)
    return out


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m byleave.tailoring.models", description=__doc__)
    parser.add_argument("--samples", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=MODELS)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    status = 0
    for name, raw in build(None if options.check else options.samples).items():
        digest = hashlib.sha256(raw).hexdigest()
        if options.check:
            kept = hashlib.sha256((options.out / name).read_bytes()).hexdigest()
            status |= int(kept != digest)
            sys.stdout.write(f"{name} {digest[:16]} {'same' if kept == digest else 'DIFFERS'}\n")
        else:
            (options.out / name).write_bytes(raw)
            sys.stdout.write(f"{name} {len(raw)} bytes {digest[:16]}\n")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
