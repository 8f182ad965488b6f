"""Training: the same bytes twice, and nothing in them that could be read."""

from __future__ import annotations

import re

import pytest

from byleave.tailoring import invented, models, train, train_stance

pytest.importorskip("lightgbm", reason="training needs the extra byleave[train]")


def small_corpus() -> train.Corpus:
    titles = invented.catalogue()[::6]
    gazetteer = train.Gazetteer(titles)
    people = [*models.film_authors(titles, 25, 1.0), *models.ordinary_authors(gazetteer, 10, 1.0)]
    return train.Corpus(people, gazetteer, train.Counter())


def test_the_same_bytes_twice_and_no_words_in_them() -> None:
    def built() -> bytes:
        return models.encode(train.fit(small_corpus(), "x", rounds=(5, 5), judge=False).data)

    first = built()
    assert first == built()
    words = set(re.findall(rb"[a-z_]{3,}", first)) - {w.encode() for w in train.m.ModelData.__struct_fields__}
    assert words <= {b"feature", b"threshold", b"left", b"right", b"value", b"roots", b"depth"}


def test_stance_too() -> None:
    def built() -> bytes:
        return models.encode(train_stance.fit(models.invented_examples(25, 1.0), "x", judge=False).data)

    assert built() == built()


def test_the_models_that_ship_are_small() -> None:
    assert sum(f.stat().st_size for f in models.MODELS.iterdir()) <= 5_000_000


def test_spoken_lines_keep_their_spans() -> None:
    line = train.Line("c", "p", "Have you seen  Spider-Fox?! Great.", (train.Gold(15, 25, "1"),), ((28, 33),))
    said = train.spoken(line)
    assert said.text[said.gold[0].start : said.gold[0].end] == "spider fox"
    assert said.text[slice(*said.ignore[0])] == "great"
