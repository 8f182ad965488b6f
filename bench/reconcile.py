"""How often reconciliation alarms on honest periods, and how often it catches eight faults.

    python bench/reconcile.py [--periods 300] [--seed 1] [--cells 12] [--sends 400] [--accepted 6] [--world usual]

The truth is generated away from what `exchange/reconcile.py` assumes: by the hour; losses about three times
as variable as binomial, in bursts within an hour; a level per cell that drifts within and between periods,
and one that all cells share; an hour of undeclared outage in most periods, everywhere or on one interface;
arrivals after midnight for redirects before it; volumes that differ fiftyfold between cells and bend over
the week. The faults are put into the partner's figures of the last period by code that knows nothing of the
tests. The baseline is the same run judged by the industry's ±10 % rule alone.

`--world` bends the truth further: `giant`, one cell with twenty times the traffic of the others; `weekly`, weekends with
more than twice a Monday's; `drift`, levels that move three times as fast; `bursts`, losses three times as variable again;
`dark`, an undeclared hour of outage in every period and two in some; `midnight`, three times as many late arrivals.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
from rich.console import Console
from rich.table import Table

from byleave.exchange.reconcile import Outcome, read_side, reconcile

DAYS, HOURS = 14, 24
FIGURES = ("sends", "recipient_clicks", "clicks_total")
FIRST = date(2026, 11, 2)


class World:
    """Hourly counts of both sides: arrays figures × cells × hours over all periods, the last in question."""

    def __init__(
        self, rng: np.random.Generator, *, cells: int, sends: float, accepted: int, cross_sends: bool = False,
        kind: str = "usual",
    ) -> None:  # fmt: skip
        self.rng = rng
        self.kind = kind
        self.names = [
            (f"i{i}", f"s{s}", v) for i in range(8) for s in range(2) for v in ("card-on", "card-off")
        ][:cells]
        self.periods = accepted + 1
        hours = self.periods * DAYS * HOURS
        size = sends / HOURS * np.exp(rng.normal(0, 1.0, (cells, 1)) - 0.5)
        if kind == "giant":
            size[rng.integers(cells)] *= 20
        clock = 1 + 0.7 * np.sin((np.arange(hours) % HOURS - 13) / HOURS * 2 * np.pi)
        week = np.repeat(np.tile(rng.normal(1, 0.15, 7), self.periods * 2), HOURS)
        if kind == "weekly":
            week = np.repeat(np.tile([0.7, 0.75, 0.8, 0.9, 1.1, 1.6, 1.5], self.periods * 2), HOURS)
        walk = np.exp(np.cumsum(rng.normal(0, 0.003, (cells, hours)), axis=1))
        rate = size * clock * np.clip(week, 0.5, 1.6) * walk * rng.gamma(8, 1 / 8, (cells, hours))
        sent = rng.poisson(rate)
        first = rng.binomial(sent, np.clip(rng.normal(0.3, 0.08, (cells, 1)), 0.1, 0.6))
        again = rng.poisson(first * 0.2)
        self.platform = np.stack([sent, first, first + again]).astype(np.int64)
        seen = self._arrive(sent) if cross_sends else sent
        self.partner = np.stack([seen, *(self._arrive(x) for x in self._losses(first, again))])

    def _losses(self, first: np.ndarray, again: np.ndarray) -> list[np.ndarray]:
        """Arrivals of first and of all clicks, in the hour of the click."""
        rng, (cells, hours) = self.rng, first.shape
        fast = 3 if self.kind == "drift" else 1
        level = 0.97 + rng.normal(0, 0.006, (cells, 1))
        steps = np.repeat(
            rng.normal(0, 0.002 * fast, (cells, self.periods)).cumsum(axis=1), DAYS * HOURS, axis=1
        )
        bend = rng.normal(0, 0.003 * fast, (cells, 1)) * np.linspace(0, 1, hours)
        common = rng.normal(0, 0.002 * fast, self.periods).cumsum().repeat(DAYS * HOURS)
        level = np.clip(level + steps + bend + common, 0.85, 0.995)
        # Beta-distributed per hour, so that a cell-day's loss varies three times as much as binomial.
        inside = np.maximum(first.mean(axis=1, keepdims=True), 1)
        rho = np.minimum((6.0 if self.kind == "bursts" else 2.0) / inside, 0.2)
        keep = rng.beta(level * (1 / rho - 1) + 1e-6, (1 - level) * (1 / rho - 1) + 1e-6)
        for k in range(self.periods):
            often = [0.7] if self.kind != "dark" else [1.0, 0.3]
            for _ in range(sum(rng.random() < share for share in often)):
                hour = (k * DAYS + rng.integers(DAYS)) * HOURS + rng.integers(HOURS)
                hit = (
                    np.ones(cells, bool)
                    if rng.random() < 0.5
                    else np.array([n[0] == "i0" for n in self.names])
                )
                keep[hit, hour] = 0
        arrived = rng.binomial(first, keep)
        return [arrived, arrived + rng.binomial(again, keep)]

    def _arrive(self, arrived: np.ndarray) -> np.ndarray:
        """Some redirects shortly before midnight arrive after it."""
        late = np.zeros_like(arrived)
        last = np.arange(HOURS - 1, arrived.shape[1] - 1, HOURS)
        late[:, last] = self.rng.binomial(arrived[:, last], 0.15 if self.kind == "midnight" else 0.05)
        return arrived - late + np.roll(late, 1, axis=1)

    def daily(self, hourly: np.ndarray) -> np.ndarray:
        return hourly.reshape(*hourly.shape[:-1], -1, HOURS).sum(axis=-1)


def side(world: World, daily: np.ndarray) -> bytes:
    rows = [
        dict(zip(("interface", "surface", "variant"), name, strict=True))
        | {"day": (FIRST + timedelta(days=d)).isoformat()}
        | {f: int(daily[i, c, d]) for i, f in enumerate(FIGURES)}
        for c, name in enumerate(world.names)
        for d in range(daily.shape[2])
    ]
    periods = [
        {
            "start": (FIRST + timedelta(days=DAYS * k)).isoformat(),
            "end": (FIRST + timedelta(days=DAYS * k + 13)).isoformat(),
        }
        for k in range(world.periods)
    ]
    return json.dumps({"cells": rows, "periods": periods, "exceptions": []}).encode()


def _faults(world: World) -> dict[str, np.ndarray]:
    """The partner's daily figures of all periods with one fault each in the last."""
    rng, honest = world.rng, world.daily(world.partner)
    last = slice(-DAYS, None)
    kinds = np.array([name[2] for name in world.names])
    biggest = honest[0, :, last].sum(axis=1)
    cases: dict[str, np.ndarray] = {}

    def case(name: str) -> np.ndarray:
        cases[name] = honest.copy()
        return cases[name]

    x = case("+5 % in one variant")
    x[:, kinds == "card-on", last] = (
        rng.poisson(0.05 * x[:, kinds == "card-on", last]) + x[:, kinds == "card-on", last]
    )
    x = case("+20 % in one cell")
    cell = rng.choice(np.flatnonzero(biggest >= np.median(biggest)))
    x[:, cell, last] += rng.poisson(0.2 * x[:, cell, last])
    x = case("variants swapped")
    order = [
        world.names.index((n[0], n[1], "card-off" if n[2] == "card-on" else "card-on")) for n in world.names
    ]
    x[:, :, last] = x[:, order, last]
    if world.periods > 1:
        case("last period copied")[:, :, last] = honest[:, :, -2 * DAYS : -DAYS]
    shifted = world.daily(np.roll(world.partner, 8 * (1 if rng.random() < 0.5 else -1), axis=2))
    case("8-hour zone shift")[:, :, last] = shifted[:, :, last]
    case("a lost day")[:, :, honest.shape[2] - 1 - rng.integers(DAYS)] = 0
    x = case("15 % bots counted")
    x[1:, :, last] += rng.poisson(0.15 * x[1:, :, last])
    x = case("small cells dropped")
    x[:, biggest <= np.sort(biggest)[max(0, len(biggest) // 4 - 1)], last] = 0
    return cases


def letter(world: World, daily: np.ndarray) -> bool:
    """The baseline: ±10 % per period and per cell with ≥ 100 clicks, nothing else."""
    p, r = world.daily(world.platform)[1, :, -DAYS:].sum(axis=1), daily[1, :, -DAYS:].sum(axis=1)
    cells = (p >= 100) & (np.abs(r - p) > 0.1 * p)
    return bool(cells.any() or abs(r.sum() - p.sum()) > 0.1 * p.sum())


def judge(world: World, daily: np.ndarray) -> Outcome:
    honest = read_side(side(world, world.daily(world.platform)), "platform")
    return reconcile(honest, replace(read_side(side(world, daily), "partner")))


def large() -> tuple[float, float, int]:
    """Seconds, MiB and findings for a period of 10 M sends and 3 M clicks, six periods behind it."""
    world = World(np.random.default_rng(5), cells=32, sends=10e6 / DAYS / 32, accepted=6)
    daily = world.daily(world.partner)
    sides = side(world, world.daily(world.platform)), side(world, daily)
    start = time.perf_counter()
    outcome = reconcile(read_side(sides[0], "platform"), read_side(sides[1], "partner"))
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(outcome.findings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--periods", type=int, default=300)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cells", type=int, default=12)
    parser.add_argument("--sends", type=float, default=400, help="mean sends a cell and day")
    parser.add_argument("--accepted", type=int, default=6)
    parser.add_argument("--clicks-only", action="store_true", help="faults leave the sends alone")
    parser.add_argument("--cross-sends", action="store_true", help="sends too cross midnight")
    kinds = ("usual", "giant", "weekly", "drift", "bursts", "dark", "midnight")
    parser.add_argument("--world", choices=kinds, default="usual")
    parser.add_argument("--show", action="store_true", help="print what alarmed")
    options = parser.parse_args()
    alarms, baseline, caught = 0, 0, {}
    for n in range(options.periods):
        rng = np.random.default_rng([options.seed, n])
        world = World(
            rng,
            cells=options.cells,
            sends=options.sends,
            accepted=options.accepted,
            cross_sends=options.cross_sends,
            kind=options.world,
        )
        honest = world.daily(world.partner)
        outcome = judge(world, honest)
        alarms += bool(outcome.findings)
        baseline += letter(world, honest)
        if outcome.findings and options.show:
            for f in outcome.findings:
                print(
                    n, f.place, f.kind, f.figure, len(f.days), f.platform, f.partner, f"{f.probability:.1e}"
                )
        if n >= options.faults:
            continue
        for name, daily in _faults(world).items():
            if options.clicks_only:
                daily[0] = honest[0]
            hit, plain = caught.setdefault(name, [0, 0])
            caught[name] = [hit + bool(judge(world, daily).findings), plain + letter(world, daily)]
    table = Table("", "periods", "reconcile", "±10 % alone")
    table.add_row("honest: alarms", str(options.periods), str(alarms), str(baseline))
    for name, (hit, plain) in caught.items():
        tries = min(options.faults, options.periods)
        table.add_row(f"{name}: caught", str(tries), f"{hit / tries:.1%}", f"{plain / tries:.1%}")
    Console().print(table)
    seconds, mib, _ = large()
    print(f"10 M sends, 3 M clicks (32 cells, daily counts of closed epochs): {seconds:.2f} s, {mib:.0f} MiB")


if __name__ == "__main__":
    main()
