"""What is learned from sends and clicks: totals with noise, one privacy account, and nothing else.

Rules of this file (spec tailoring.md, "Learning from sends and clicks"):

1. Only people whose learning consent stands when the total is made are in it, each with at most so much that the
   noise hides all of it: `MOST_TITLES` titles, one send in the click model. What is too much is drawn by a keyed
   order, so that the same store gives the same draw.
2. Every cell of the universe is released, zeros included, and nothing is clamped before the noise. The universe
   (the catalogue; for pairs, the titles that an earlier release put first) is public and does not depend on whom
   the data are about.
3. A total is made once and kept. Asked for again it is the same bytes; made anew as a restatement it spends again.
4. All totals of a calendar year draw on one account of `YEAR_RHO` (zero-concentrated differential privacy; a person
   and a year). What would go beyond it is refused before anything is counted.

Noise: discrete Gaussian (Canonne, Kamath, Steinke, NeurIPS 2020) by OpenDP. Privacy unit: one person as the store
knows them (an inbox's owner, or a handle that clicks), added or taken away with all they did. ρ is counted in
millionths, so that sums are exact.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import combinations_with_replacement
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, insert, select

from byleave.consent import learning, register
from byleave.errors import Code, Conflict, Exhausted, Invalid
from byleave.ledger import log
from byleave.model import Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.tables import closed_until, release, send
from byleave.words.gazetteer import Title

YEAR_RHO = 485_000
"""26 fortnights at .0125 and 4 quarters at .04, in millionths: ε 5.7 at δ 1e-6."""
FORTNIGHT_RHO, QUARTER_RHO = 12_500, 40_000
CLICKS_SHARE = 2_500
"""Of a fortnight's ρ, for the click model."""
MOST_TITLES = 10
"""c: distinct titles of one person in one total."""
PAIRED = 300
"""Titles among which pairs are counted: those that the newest release of popularity put first."""
DAY_MS = 86_400_000
FIRST_FORTNIGHT = date(2026, 1, 5)

Noise = Callable[[Sequence[int], float], list[int]]
"""(exact counts, σ) → counts with noise."""


class _Ref(msgspec.Struct):
    id: str


class _Card(msgspec.Struct):
    """Of a stored card, the one thing that is learned from."""

    title_ref: _Ref


class Series(StrEnum):
    """What is released, and nothing else is."""

    POPULARITY = "popularity"
    CLICKS = "clicks"
    PAIRS = "pairs"


class Act(msgspec.Struct, frozen=True):
    """An accepted send as learning sees it: who, to whom, which title, and whether it was opened."""

    sender: bytes
    recipient: bytes
    send_id: bytes
    title: str
    opened: bool


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """One total, as it leaves. `people` is how many gave to it, with noise like every count."""

    series: str
    period: str
    revision: int
    rho: int
    sigma: float
    people: int
    cells: dict[str, int]


# ── the totals, without a store ─────────────────────────────────────────────────────────────────────────────
def contributions(acts: Iterable[Act], key: bytes, most: int = MOST_TITLES) -> dict[bytes, list[str]]:
    """sender → at most `most` distinct titles, sorted; drawn by `key` where there are more."""
    titles: dict[bytes, set[str]] = {}
    for act in acts:
        titles.setdefault(act.sender, set()).add(act.title)
    return {
        sender: sorted(sorted(own, key=lambda t: _order(key, sender, t.encode()))[:most])
        for sender, own in titles.items()
    }


def popularity(given: Mapping[bytes, Sequence[str]], universe: Sequence[str]) -> list[int]:
    """People per title of `universe`, then the number of people: one person moves it by ≤ √(c + 1) in L2."""
    place = {title: i for i, title in enumerate(universe)}
    counts = [0] * (len(universe) + 1)
    for titles in given.values():
        known = [place[t] for t in titles if t in place]
        for i in known:
            counts[i] += 1
        counts[-1] += bool(known)
    return counts


def pairs(given: Mapping[bytes, Sequence[str]], universe: Sequence[str]) -> list[int]:
    """People per unordered pair of `universe`, each title with itself too (`pair_names` has the order), then the number
    of people. A person with c titles is in c(c+1)/2 of them: L2 ≤ √(c(c+1)/2 + 1)."""
    place = {title: i for i, title in enumerate(universe)}
    n = len(universe)
    counts = [0] * (n * (n + 1) // 2 + 1)
    for titles in given.values():
        known = sorted(place[t] for t in titles if t in place)
        for i, j in combinations_with_replacement(known, 2):
            counts[i * (2 * n - i + 1) // 2 + j - i] += 1
        counts[-1] += bool(known)
    return counts


def pair_names(universe: Sequence[str]) -> list[str]:
    return [f"{a}\t{b}" for a, b in combinations_with_replacement(universe, 2)]


FEATURES = ("unknown old", "unknown new", "known old", "known new")
"""The click model's two features: is the title among the known ones, is it recent."""


def clicks(
    acts: Iterable[Act],
    key: bytes,
    agreed: Collection[bytes],
    known: Collection[str],
    recent: Collection[str],
) -> list[int]:
    """(sends, opened) for each of `FEATURES`, then the number of people. One send a sender, one a recipient.

    A sender's send is drawn among all of theirs, whoever they went to and whether those `agreed`; then each recipient
    who agreed keeps one. So what one person does cannot change what is drawn for another but by one send that takes
    the place of theirs (`CLICKS_L2`)."""
    mine: dict[bytes, Act] = {}
    for act in sorted(acts, key=lambda a: _order(key, a.sender, a.send_id)):
        mine.setdefault(act.sender, act)
    kept: dict[bytes, Act] = {}
    for act in sorted(mine.values(), key=lambda a: _order(key, a.recipient, a.send_id)):
        if act.recipient in agreed:
            kept.setdefault(act.recipient, act)
    counts = [0] * (2 * len(FEATURES) + 1)
    for act in kept.values():
        cell = 2 * (act.title in known) + (act.title in recent)
        counts[2 * cell] += 1
        counts[2 * cell + 1] += act.opened
    counts[-1] = len(kept)
    return counts


CLICKS_L2 = math.sqrt(12.0)
"""Somebody who both sent and received takes two opened sends out of one cell: 2² + 2², and two people fewer, 2². Where
another's send takes the place of theirs it is less."""


def sensitivity(series: Series) -> float:
    """How far one person moves a total, in L2."""
    if series is Series.POPULARITY:
        return math.sqrt(MOST_TITLES + 1)
    if series is Series.PAIRS:
        return math.sqrt(MOST_TITLES * (MOST_TITLES + 1) / 2 + 1)
    return CLICKS_L2


def sigma_for(l2: float, rho: int) -> float:
    """σ of the Gaussian that spends `rho` millionths: ρ = L2² / 2σ² (Bun, Steinke 2016)."""
    return l2 / math.sqrt(2 * rho / 1e6)


def gaussian(counts: Sequence[int], sigma: float) -> list[int]:
    """Discrete Gaussian noise on every count, by OpenDP. Raises Invalid where `byleave[learning]` is not there."""
    try:
        import opendp.prelude as dp
    except ImportError:
        raise Invalid(Code.UNAVAILABLE, "releases need OpenDP: pip install 'byleave[learning]'") from None
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T=int), size=len(counts)), dp.l2_distance(T=float)
    return [int(n) for n in dp.m.make_gaussian(*space, scale=sigma)(list(counts))]


def epsilon(rho: int, delta: float = 1e-6) -> float:
    """ε at `delta` of `rho` millionths of zCDP (Bun, Steinke 2016, Proposition 1.3)."""
    r = rho / 1e6
    return r + 2 * math.sqrt(r * math.log(1 / delta))


def adjusted(cells: Sequence[float], total: float, sigma_cells: float, sigma_total: float) -> list[float]:
    """Noisy cells made to agree with a noisy total of them, by generalised least squares: each takes the same share of
    the difference, smaller the noisier the total is."""
    gap = (total - sum(cells)) / (len(cells) + (sigma_total / sigma_cells) ** 2)
    return [c + gap for c in cells]


def _order(key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, b"".join(len(p).to_bytes(2, "big") + p for p in parts), hashlib.sha256)


# ── periods ─────────────────────────────────────────────────────────────────────────────────────────────────
def period(series: Series, name: str) -> tuple[date, date]:
    """First and last day of a period: `f1`, `f2` … (fortnights from `FIRST_FORTNIGHT` on), or `2026-q2` for pairs.

    Raises Invalid for another form."""
    if series is Series.PAIRS:
        found = re.fullmatch(r"(\d{4})-q([1-4])", name)
        if found is None:
            raise Invalid(Code.INVALID_ARGUMENTS, "a period of pairs is a quarter, as 2026-q2")
        year, quarter = int(found[1]), int(found[2])
        after = date(year + quarter // 4, quarter % 4 * 3 + 1, 1)
        return date(year, quarter * 3 - 2, 1), after - timedelta(days=1)
    found = re.fullmatch(r"f([1-9]\d{0,3})", name)
    if found is None:
        raise Invalid(
            Code.INVALID_ARGUMENTS,
            f"a period of {series} is a fortnight, as f12: f1 begins {FIRST_FORTNIGHT}",
        )
    first = FIRST_FORTNIGHT + timedelta(days=14 * (int(found[1]) - 1))
    return first, first + timedelta(days=13)


# ── from the store ──────────────────────────────────────────────────────────────────────────────────────────
_r = release.c
_FIND = prepare(
    select(_r.body)
    .where(_r.series == bindparam("series"), _r.period == bindparam("period"))
    .order_by(_r.revision.desc())
    .limit(1)
)
_ALL = prepare(select(_r.body, _r.made_at).order_by(_r.made_at, _r.series, _r.period, _r.revision))
_SPENT = prepare(select(func.sum(_r.rho)).where(_r.year == bindparam("year")))
_KEEP = prepare(insert(release))
_SHUT = prepare(select(closed_until.c.day).where(closed_until.c.agreement_id == bindparam("agreement_id")))
_ACTS = prepare(
    select(send.c.owner_id, send.c.person, send.c.send_id, send.c.card, send.c.counted)
    .where(
        send.c.state == "accepted", send.c.day >= bindparam("first_day"), send.c.day < bindparam("after_day"),
    )
    .order_by(send.c.owner_id, send.c.send_id)
)  # fmt: skip


def find(snapshot: Snapshot, series: Series, name: str) -> Release | None:
    """The newest revision of a total, or None."""
    body = snapshot.value(_FIND, series=series.value, period=name)
    return None if body is None else msgspec.json.decode(body, type=Release)


def every(snapshot: Snapshot) -> list[tuple[Release, Ms]]:
    """All totals, oldest first, each with the time it was made."""
    return [(msgspec.json.decode(body, type=Release), at) for body, at in snapshot.all(_ALL)]


def account(snapshot: Snapshot, now: Ms) -> tuple[int, int]:
    """(spent, left) of this calendar year's ρ, in millionths."""
    spent = int(snapshot.value(_SPENT, year=_year(now)) or 0)
    return spent, YEAR_RHO - spent


def acts(snapshot: Snapshot, first: date, last: date) -> list[Act]:
    """The accepted sends of closed days whose senders' learning consent stands, in key order."""
    agreed = learning.everyone(snapshot)
    rows = snapshot.all(_ACTS, first_day=_day(first), after_day=_day(last) + 1)
    found = []
    for owner_id, person, send_id, text, counted in rows:
        if owner_id in agreed:
            ref = msgspec.json.decode(text, type=_Card).title_ref
            found.append(Act(owner_id, person, send_id, ref.id, counted > 0))
    return found


def make(
    snapshot: Snapshot, series: Series, name: str, titles: Sequence[Title], key: bytes, now: Ms, *,
    restate: bool = False, noise: Noise = gaussian,
) -> tuple[Release, bool]:  # fmt: skip
    """A total and whether it is new: the kept one, or one made now, which `keep` must still store.

    `titles`: the public catalogue. Raises Exhausted where it would go beyond the year's account, Invalid where the
    period is not over or the popularity that it builds on is missing."""
    first, last = period(series, name)
    before = find(snapshot, series, name)
    if before is not None and not restate:
        return before, False
    _closed(snapshot, last, now)
    rho = _price(series)
    _, left = account(snapshot, now)
    if rho > left:
        raise Exhausted(
            Code.BUDGET, f"the privacy account of {_year(now)} has {left} of {YEAR_RHO} millionths left, this takes {rho}",
            retry_after_s=_next_year(now),
        )  # fmt: skip
    universe, ids = [], sorted({t.id for t in titles})
    given = acts(snapshot, first, last)
    draw = _order(key, series.value.encode(), name.encode())
    if series is Series.POPULARITY:
        universe, exact = ids, popularity(contributions(given, draw), ids)
    else:
        top = _known(snapshot, ids)
        if series is Series.PAIRS:
            universe, exact = pair_names(top), pairs(contributions(given, draw), top)
        else:
            newest = max((t.year or 0 for t in titles), default=0)
            recent = {t.id for t in titles if t.year and t.year >= newest - 4}
            exact = clicks(given, draw, learning.everyone(snapshot), frozenset(top), recent)
            universe = [f"{f} {what}" for f in FEATURES for what in ("sends", "opened")]
    sigma = sigma_for(sensitivity(series), rho)
    noisy = noise(exact, sigma)
    made = Release(
        series=series.value, period=name, revision=0 if before is None else before.revision + 1, rho=rho, sigma=sigma,
        people=noisy[-1], cells=dict(zip(universe, noisy[:-1], strict=True)),
    )  # fmt: skip
    return made, True


def encoded(made: Release) -> bytes:
    """The bytes of a total: what is kept, hashed into the ledger, and given out ever after."""
    return msgspec.json.encode(made)


def keep(tx: Transaction, body: bytes, now: Ms, entry_id: bytes, salt: bytes) -> None:
    """Procedure: stores a total that `make` made, spends its ρ, and says so in the ledger, in one transaction.

    Raises Conflict where another of this revision was stored meanwhile, Exhausted where the account was drawn down."""
    made = msgspec.json.decode(body, type=Release)
    before = find(tx, Series(made.series), made.period)
    if made.revision != (0 if before is None else before.revision + 1):
        raise Conflict(Code.CONFLICT, "this total was made by another meanwhile; ask again")
    if made.rho > account(tx, now)[1]:
        raise Exhausted(
            Code.BUDGET, "the privacy account was drawn down meanwhile", retry_after_s=_next_year(now)
        )
    tx.run(
        _KEEP, series=made.series, period=made.period, revision=made.revision, year=_year(now), rho=made.rho, made_at=now,
        body=body.decode(),
    )  # fmt: skip
    facts: dict[str, Any] = {
        "series": made.series, "period": made.period, "revision": made.revision, "rho": made.rho,
        "sha256": hashlib.sha256(body).hexdigest(),
    }  # fmt: skip
    log.append(tx, log.STORE_OWNER, entry_id, "release", now, facts, salt)


def _price(series: Series) -> int:
    return {
        Series.POPULARITY: FORTNIGHT_RHO - CLICKS_SHARE, Series.CLICKS: CLICKS_SHARE, Series.PAIRS: QUARTER_RHO,
    }[series]  # fmt: skip


def _known(snapshot: Snapshot, ids: Sequence[str]) -> list[str]:
    """The `PAIRED` titles that the newest popularity puts first: public, because that total is."""
    made = [r for r, _ in every(snapshot) if r.series == Series.POPULARITY]
    if not made:
        raise Invalid(Code.INVALID_ARGUMENTS, "this builds on a release of popularity, and there is none yet")
    newest = made[-1].cells
    return sorted(sorted(ids, key=lambda t: (-newest.get(t, 0), t))[:PAIRED])


def _closed(snapshot: Snapshot, last: date, now: Ms) -> None:
    """A total is of days that every agreement's sums have closed: nothing can be added to them any more."""
    day = _day(last) + 1
    over = now >= day * DAY_MS
    for agreement, status, _ in register.every(snapshot):
        if status != register.SUPERSEDED and agreement.terms.report is not None:
            over = over and int(snapshot.value(_SHUT, agreement_id=agreement.id) or 0) >= day
    if not over:
        raise Invalid(
            Code.INVALID_ARGUMENTS, f"the period ends on {last}, and not all its days are closed yet"
        )


def _day(date_: date) -> int:
    """Whole days since 1970, as sends are counted."""
    return (date_ - date(1970, 1, 1)).days


def _year(now: Ms) -> int:
    return datetime.fromtimestamp(now / 1000, UTC).year


def _next_year(now: Ms) -> int:
    return int(datetime(_year(now) + 1, 1, 1, tzinfo=UTC).timestamp() - now / 1000) + 1
