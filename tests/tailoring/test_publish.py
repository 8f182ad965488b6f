"""Totals with noise: how far one person moves them, the account, the attacks, and exact forgetting."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from byleave.consent import learning
from byleave.errors import Conflict, Exhausted, Invalid
from byleave.ledger import log
from byleave.store import Transaction, prepare
from byleave.store.tables import send
from byleave.tailoring import learned, publish
from byleave.tailoring.publish import Act, Series
from byleave.tailoring.ranker import Ranker, TransientTaste
from byleave.words.gazetteer import Title
from tests.worlds import World

TITLES = [Title(f"t{i:02}", f"Harbour {i}", 2000 + i) for i in range(30)]
IDS = [t.id for t in TITLES]
KEY = b"k" * 32
F = 18
"""The fortnight of the tests: 2026-08-31 to 2026-09-13, over at `World.now`."""

acts = st.lists(
    st.builds(
        lambda s, r, n, t, o: Act(b"o%d" % s, b"p%d" % r, b"%d" % n, IDS[t], o),
        st.integers(0, 5), st.integers(0, 5), st.integers(0, 99), st.integers(0, 29), st.booleans(),
    ),
    max_size=60, unique_by=lambda a: a.send_id,
)  # fmt: skip


def far(a: Sequence[int], b: Sequence[int]) -> float:
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(acts, st.integers(0, 5))
def test_one_person_more_moves_no_total_further_than_the_noise_is_made_for(found: list[Act], k: int) -> None:
    """The person is taken away in every part they have: as a sender (`o`) and as one who is sent to (`p`)."""
    agreed = {b"p%d" % i for i in range(6)}
    without = [a for a in found if a.sender != b"o%d" % k]
    for count, series in ((publish.popularity, Series.POPULARITY), (publish.pairs, Series.PAIRS)):
        with_, less = (count(publish.contributions(x, KEY), IDS) for x in (found, without))
        assert far(with_, less) <= publish.sensitivity(series) + 1e-9
    with_ = publish.clicks(found, KEY, agreed, set(IDS[:9]), set(IDS[20:]))
    less = publish.clicks(without, KEY, agreed - {b"p%d" % k}, set(IDS[:9]), set(IDS[20:]))
    assert far(with_, less) <= publish.sensitivity(Series.CLICKS) + 1e-9


def test_the_bounds_are_reached() -> None:
    """A bound that nothing comes near would only add noise."""
    mine = [Act(b"o", b"p", b"%d" % i, IDS[i], False) for i in range(30)]
    for count, series in ((publish.popularity, Series.POPULARITY), (publish.pairs, Series.PAIRS)):
        n = len(count({}, IDS))
        assert far(count(publish.contributions(mine, KEY), IDS), [0] * n) == pytest.approx(
            publish.sensitivity(series)
        )


def test_a_person_with_many_titles_is_drawn_the_same_way_each_time_and_differently_by_key() -> None:
    mine = [Act(b"o", b"p", b"%d" % i, IDS[i], False) for i in range(30)]
    drawn = publish.contributions(mine, KEY)[b"o"]
    assert len(drawn) == publish.MOST_TITLES and publish.contributions(reversed(mine), KEY)[b"o"] == drawn
    assert publish.contributions(mine, b"x" * 32)[b"o"] != drawn


def test_a_pair_stands_under_its_own_name() -> None:
    names = publish.pair_names(IDS)
    counts = publish.pairs({b"o": [IDS[3], IDS[17]], b"u": [IDS[17]]}, IDS)
    found = {n: c for n, c in zip(names, counts, strict=False) if c}
    assert (
        found == {"t03\tt03": 1, "t03\tt17": 1, "t17\tt17": 2}
        and counts[-1] == 2
        and len(names) + 1 == len(counts)
    )


def test_the_year_adds_up_to_the_spec() -> None:
    assert 26 * publish.FORTNIGHT_RHO + 4 * publish.QUARTER_RHO == publish.YEAR_RHO
    assert publish.epsilon(publish.YEAR_RHO) == pytest.approx(5.66, abs=0.05)


def test_opendp_spends_what_the_account_is_told() -> None:
    dp = pytest.importorskip("opendp.prelude")
    dp.enable_features("contrib")
    for series, rho in ((Series.POPULARITY, 10_000), (Series.CLICKS, 2_500), (Series.PAIRS, 40_000)):
        l2 = publish.sensitivity(series)
        space = dp.vector_domain(dp.atom_domain(T=int), size=3), dp.l2_distance(T=float)
        spent = dp.m.make_gaussian(*space, scale=publish.sigma_for(l2, rho)).map(l2)
        assert spent * 1e6 == pytest.approx(rho, rel=1e-6)


@pytest.mark.parametrize(
    ("series", "name", "days"),
    [
        (Series.POPULARITY, "f1", (date(2026, 1, 5), date(2026, 1, 18))),
        (Series.CLICKS, "f18", (date(2026, 8, 31), date(2026, 9, 13))),
        (Series.PAIRS, "2026-q1", (date(2026, 1, 1), date(2026, 3, 31))),
        (Series.PAIRS, "2026-q4", (date(2026, 10, 1), date(2026, 12, 31))),
    ],
)
def test_periods(series: Series, name: str, days: tuple[date, date]) -> None:
    assert publish.period(series, name) == days


@pytest.mark.parametrize("name", ["", "f0", "f01", "2026-q5", "2026-q2", "q1", "f1; drop", "F2"])
def test_another_form_of_period_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        publish.period(Series.POPULARITY, name)


# ── from a store ────────────────────────────────────────────────────────────────────────────────────────────
PUT = prepare(insert(send))


def put(
    tx: Transaction, owner_id: bytes, send_id: bytes, person: bytes, title: str, day: int, opened: int
) -> None:
    card = f'{{"type":"recommendation","title_ref":{{"scheme":"catalogue","id":"{title}"}},"title":"x"}}'
    tx.run(
        PUT, owner_id=owner_id, send_id=send_id, grant_id=b"g" * 16, agreement_id="deal", partner="p", client_id="c",
        recipient="r", person=person, card=card, interface="tv", surface="detail", variant="card", day=day,
        state="accepted", delivered=1, made_at=0, accepted_at=0, clicks=opened, counted=opened, last_click=None,
    )  # fmt: skip


DAY = (date(2026, 9, 2) - date(1970, 1, 1)).days


def noise_of(seed: str) -> publish.Noise:
    """Noise of the right size that two stores draw alike, so that all else can be compared to the byte."""

    def add(counts: Sequence[int], sigma: float) -> list[int]:
        rng = random.Random(seed)
        return [n + round(rng.gauss(0, sigma)) for n in counts]

    return add


class Town:
    """Owners who send titles, all of whom said yes to learning."""

    def __init__(self, folder: Path, people: Sequence[int], per: int = 6) -> None:
        self.world = World(folder)
        self.owners: dict[int, bytes] = {}
        for k in people:
            owner_id = self.owners[k] = b"o" * 12 + k.to_bytes(4, "big")
            self.world.store.write(learning.say, owner_id, True, 1, self.world.id(), b"s" * 32)
            for i in range(per):
                title = IDS[(k * 7 + i * i) % len(IDS)]
                send_id = b"s" * 8 + k.to_bytes(4, "big") + i.to_bytes(4, "big")
                self.world.store.write(put, owner_id, send_id, b"p" * 16, title, DAY, i % 2)

    def make(self, series: Series, name: str, **options: Any) -> publish.Release:
        with self.world.store.read() as snapshot:
            made, new = publish.make(snapshot, series, name, TITLES, KEY, self.world.now, **options)
        if new:
            self.world.store.write(
                publish.keep, publish.encoded(made), self.world.now, self.world.id(), b"s" * 32
            )
        return made

    def rank(self) -> bytes:
        with self.world.store.read() as snapshot:
            found = [r for r, _ in publish.every(snapshot)]
        ranker = Ranker(TITLES, learned.counts(found))
        answer = [ranker.rank(TransientTaste({IDS[i]: 1.0})) for i in range(30)]
        return repr((answer, learned.click_model(found))).encode()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path, range(40))
    yield made
    made.world.store.close()


def test_without_the_yes_nothing_is_counted(town: Town) -> None:
    exact: publish.Noise = lambda counts, sigma: list(counts)  # noqa: E731
    for owner_id in town.owners.values():
        town.world.store.write(learning.say, owner_id, False, 2, town.world.id(), b"s" * 32)
    made = town.make(Series.POPULARITY, f"f{F}", noise=exact)
    assert made.people == 0 and not any(made.cells.values()) and len(made.cells) == len(IDS)


def test_asked_again_it_is_the_same_bytes_and_costs_nothing(town: Town) -> None:
    first = town.make(Series.POPULARITY, f"f{F}")
    with town.world.store.read() as snapshot:
        spent, _ = publish.account(snapshot, town.world.now)
    town.world.store.write(learning.say, town.owners[3], False, 2, town.world.id(), b"s" * 32)
    again = town.make(Series.POPULARITY, f"f{F}")
    with town.world.store.read() as snapshot:
        assert publish.account(snapshot, town.world.now)[0] == spent == 10_000
        [entry] = log.of_kind(snapshot, log.STORE_OWNER, "release")
    assert publish.encoded(first) == publish.encoded(again)
    assert entry[2].facts["rho"] == 10_000  # type: ignore[union-attr]


def test_a_restatement_spends_again_and_what_is_over_the_account_is_refused(town: Town) -> None:
    """The differencing attack is asking until the noise averages out: the account ends it."""
    made = 0
    with pytest.raises(Exhausted):
        for _ in range(100):
            town.make(Series.POPULARITY, f"f{F}", restate=True)
            made += 1
    assert made == publish.YEAR_RHO // 10_000
    with town.world.store.read() as snapshot:
        spent, left = publish.account(snapshot, town.world.now)
        assert len(publish.every(snapshot)) == made and spent <= publish.YEAR_RHO and left < 10_000
        newest = publish.find(snapshot, Series.POPULARITY, f"f{F}")
    assert newest is not None and newest.revision == made - 1
    assert town.make(Series.POPULARITY, f"f{F}").revision == made - 1, (
        "what is kept can be asked for for ever"
    )


def test_two_who_make_the_same_total_at_once_store_one(town: Town) -> None:
    with town.world.store.read() as snapshot:
        one, _ = publish.make(snapshot, Series.POPULARITY, f"f{F}", TITLES, KEY, town.world.now)
        two, _ = publish.make(snapshot, Series.POPULARITY, f"f{F}", TITLES, KEY, town.world.now)
    town.world.store.write(publish.keep, publish.encoded(one), town.world.now, town.world.id(), b"s" * 32)
    with pytest.raises(Conflict):
        town.world.store.write(publish.keep, publish.encoded(two), town.world.now, town.world.id(), b"s" * 32)


def test_a_period_that_is_not_over_is_refused(town: Town) -> None:
    for name in (f"f{F + 1}", "f99"):
        with pytest.raises(Invalid, match="not all its days"):
            town.make(Series.POPULARITY, name)
    with pytest.raises(Invalid, match="builds on a release of popularity"):
        town.make(Series.PAIRS, "2026-q2")


def test_forgetting_is_exact(tmp_path: Path) -> None:
    """The model after a withdrawal is, to the byte, the model of a store in which the person never was."""
    models = []
    for name, people, leaves in (
        ("left", range(40), True),
        ("never", [k for k in range(40) if k != 7], False),
    ):
        (tmp_path / name).mkdir()
        town = Town(tmp_path / name, people)
        if leaves:
            assert town.world.store.write(learning.say, town.owners[7], False, 2, town.world.id(), b"s" * 32)
        for series in (Series.POPULARITY, Series.CLICKS):
            town.make(series, f"f{F}", noise=noise_of(series.value))
        models.append(town.rank())
        town.world.store.close()
    assert models[0] == models[1]
    stayed = Town(tmp_path, range(40))
    for series in (Series.POPULARITY, Series.CLICKS):
        stayed.make(series, f"f{F}", noise=noise_of(series.value))
    with stayed.world.store.read() as snapshot:
        found = publish.find(snapshot, Series.POPULARITY, f"f{F}")
    stayed.world.store.close()
    assert found is not None and f'"people":{found.people}'.encode() not in models[0]


# ── attacks, each with the control that shows it works ──────────────────────────────────────────────────────
def guesses(noisy: bool, tries: int = 300) -> float:
    """How often an attacker who knows everybody else's titles tells whether one person is in a total."""
    rng = random.Random(5)
    others = {b"u%d" % k: rng.sample(IDS, 6) for k in range(50)}
    target = IDS[:10]
    out = publish.popularity(others, IDS)
    into = publish.popularity({**others, b"me": target}, IDS)
    sigma = publish.sigma_for(publish.sensitivity(Series.POPULARITY), 10_000)
    way = [a - b for a, b in zip(into, out, strict=True)]
    half = sum(w * (a + b) / 2 for w, a, b in zip(way, into, out, strict=True))
    right = 0
    for k in range(tries):
        truth = k % 2 == 0
        exact = into if truth else out
        seen = publish.gaussian(exact, sigma) if noisy else exact
        right += (sum(w * n for w, n in zip(way, seen, strict=True)) > half) == truth
    return right / tries


def test_membership_cannot_be_told_and_could_without_the_noise() -> None:
    pytest.importorskip("opendp")
    eps = publish.epsilon(10_000)
    bound = math.exp(eps) / (1 + math.exp(eps)) + 1e-6
    assert guesses(noisy=False) == 1.0, "the attack works"
    assert guesses(noisy=True) <= bound


def test_the_difference_of_two_totals_tells_nothing_and_would_without_the_guards(town: Town) -> None:
    """Before and after one person leaves: the kept total does not move; exact ones give the person away."""
    exact: publish.Noise = lambda counts, sigma: list(counts)  # noqa: E731
    before = town.make(Series.POPULARITY, f"f{F}", noise=exact)
    town.world.store.write(learning.say, town.owners[7], False, 2, town.world.id(), b"s" * 32)
    after = town.make(Series.POPULARITY, f"f{F}", noise=exact)
    assert before == after
    control = town.make(Series.POPULARITY, f"f{F}", noise=exact, restate=True)
    gone = {t for t in IDS if before.cells[t] != control.cells[t]}
    assert gone == {IDS[(7 * 7 + i * i) % 30] for i in range(6)}, "what the guards keep from being seen"


# ── what the ranker makes of them ───────────────────────────────────────────────────────────────────────────
def of(series: Series, name: str, cells: dict[str, int], people: int, sigma: float) -> publish.Release:
    return publish.Release(
        series=series.value, period=name, revision=0, rho=1, sigma=sigma, people=people, cells=cells
    )


def test_pairs_are_used_from_ten_thousand_people_on() -> None:
    fame = of(Series.POPULARITY, "f1", {"a": 500, "b": 400, "c": 30}, 20_000, 10.0)
    cells = {"a\ta": 300, "a\tb": 200, "b\tb": 300, "a\tc": 3, "b\tc": 0, "c\tc": 20}
    few = learned.counts([fame, of(Series.PAIRS, "2026-q1", cells, 9_999, 5.0)])
    many = learned.counts([fame, of(Series.PAIRS, "2026-q1", cells, 10_000, 5.0)])
    assert few.ids == [] and few.fame == {"a": 500.0, "b": 400.0}, "30 is within 4 σ of nothing"
    assert (
        many.ids == ["a", "b", "c"] and many.gram[0][1] == 200 and many.gram[0][2] == 0 and many.noise == 5.0
    )


def test_a_restatement_takes_the_place_of_what_it_restates() -> None:
    one = of(Series.POPULARITY, "f1", {"a": 500}, 9, 10.0)
    two = publish.Release(
        series="popularity", period="f1", revision=1, rho=1, sigma=10.0, people=9, cells={"a": 600}
    )
    assert learned.counts([one, two]).fame == {"a": 600.0}


def test_the_click_model_of_nothing_is_a_half() -> None:
    assert set(learned.click_model([]).rates.values()) == {0.5}
    cells = {f"{f} {w}": (100 if w == "sends" else 20) for f in publish.FEATURES for w in ("sends", "opened")}
    rates = learned.click_model([of(Series.CLICKS, "f1", cells, 400, 5.0)]).rates
    assert rates["known new"] == pytest.approx(21 / 102)


def test_cells_are_made_to_agree_with_their_total() -> None:
    assert publish.adjusted([10.0, 20.0], 36.0, 1.0, 0.0) == [13.0, 23.0]
    assert publish.adjusted([10.0, 20.0], 36.0, 1.0, 1e9)[0] == pytest.approx(10.0)
