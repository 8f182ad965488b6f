"""Honest and corrupted fortnights through the running gateway: how often reconciliation alarms, and what it catches.

    python bench/exchange_world.py --worlds 5 --periods 26 --per-day 120

Each world is a year of fortnights (tests/exchange/fortnights.py): people send and click over HTTP while the clock runs,
the partner's log is counted by tests/exchange/faults.py, which imports nothing of ours, and the gateway reconciles what
is submitted. Periods after the sixth are judged: first the honest report, then each fault as a revision of it (a fault
that the checks V1–V5 refuse is told apart), then the honest one again. Nothing is known to the gateway but what came
over HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.exchange.faults import FAULTS
from tests.exchange.fortnights import living

from byleave.partner.client import Refusal


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=1)
    parser.add_argument("--periods", type=int, default=26)
    parser.add_argument("--per-day", type=float, default=120)
    parser.add_argument(
        "--learn", type=int, default=6, help="periods accepted before the first that is judged"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    judged = alarms = 0
    caught, refused = Counter[str](), Counter[str]()
    told = Counter[str]()
    began, busy = time.perf_counter(), time.process_time()
    for n in range(options.worlds):
        async with AsyncExitStack() as ending:
            folder = Path(ending.enter_context(tempfile.TemporaryDirectory()))
            world = await ending.enter_async_context(living(folder, options.seed + n, options.per_day))
            async for sequence in world.run(options.periods):
                honest = world.counted(sequence)
                kept = await world.submit(sequence, honest, None)
                if sequence <= options.learn:
                    continue
                judged += 1
                found = (await world.judged(kept))["findings"]
                alarms += bool(found)
                for f in found:
                    print(f"world {options.seed + n} period {sequence}, honest: {f}", flush=True)
                for fault in FAULTS:
                    rows = world.counted(sequence, fault)
                    try:
                        kept = await world.submit(sequence, rows, kept)
                    except Refusal as refusal:
                        assert refusal.kind == "invalid-report", refusal
                        refused[fault] += 1
                        continue
                    found = (await world.judged(kept))["findings"]
                    caught[fault] += bool(found)
                    told.update({f"{fault}: {f['kind']}" for f in found})
                await world.submit(sequence, honest, kept)
            verdict = world.verified()
            sends = sum(e["kind"] == "send" for e in world.log)
            print(
                f"world {options.seed + n}: {sends} sends, {len(world.log) - sends} arrivals; "
                f"ledger {'ok' if verdict.ok else 'NOT ok'}, {verdict.size} leaves; {alarms} alarms in {judged} periods",
                flush=True,
            )
            assert verdict.ok, verdict.problems
    table = Table("", "periods", "caught", "refused by V1–V5", "caught or refused")
    table.add_row("honest: alarms", str(judged), str(alarms), "", f"{alarms / judged:.1%}")
    for fault in FAULTS:
        share = (caught[fault] + refused[fault]) / judged
        table.add_row(fault, str(judged), str(caught[fault]), str(refused[fault]), f"{share:.1%}")
    Console().print(table)
    print(f"{time.perf_counter() - began:.0f} s wall, {time.process_time() - busy:.0f} s CPU")


if __name__ == "__main__":
    asyncio.run(main())
