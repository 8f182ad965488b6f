"""Three fortnights through a running gateway: honest reports agree, each of eight faults is found, the ledger verifies.

Small here; `bench/exchange_world.py` lives through years of it and counts.
"""

from __future__ import annotations

import ast
import asyncio
import sys
from pathlib import Path

from byleave.partner.client import Refusal
from tests.exchange import faults
from tests.exchange.fortnights import living


def test_honest_agrees_and_each_fault_is_found(tmp_path: Path) -> None:
    async def live() -> None:
        async with living(tmp_path, 7, 16) as world:
            async for sequence in world.run(3):
                honest = world.counted(sequence)
                kept = await world.submit(sequence, honest, None)
                assert (await world.judged(kept))["findings"] == []
                if sequence < 3:
                    continue
                for fault in faults.FAULTS:
                    try:
                        kept = await world.submit(sequence, world.counted(sequence, fault), kept)
                    except Refusal as refusal:
                        assert refusal.kind == "invalid-report"
                        continue
                    assert (await world.judged(kept))["findings"], fault
                last = await world.submit(sequence, honest, kept)
                assert (await world.judged(last))["findings"] == []
            kinds = {event["kind"] for event in world.log}
            assert kinds == {"send", "first", "repeat", "uncounted"}
            verdict = world.verified()
            assert verdict.ok and verdict.size > len(world.log)

    asyncio.run(live())


def test_the_faults_know_nothing_of_the_house() -> None:
    """The script imports the standard library alone."""
    tree = ast.parse(Path(faults.__file__).read_text())
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert names <= set(sys.stdlib_module_names)
