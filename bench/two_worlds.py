"""Law 3 at full size: the generated call sequences of tests/laws/test_3 in two worlds, 10,000 unless told otherwise.

    PYTHONPATH=src python bench/two_worlds.py [SEQUENCES] [--slice 500] [--seed 0]

A sequence is four requests drawn over every method, tool, route and form of the running application, by partner,
assistant, other senders, another inbox's owner, desks and strangers. They run in slices, each in two fresh worlds in a
process of its own, with another seed. The answers' bytes and the steps of the database must be equal in every one;
pytest says where they are not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

TEST = "tests/laws/test_3_hidden_means_absent.py::test_sequences"


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("sequences", type=int, nargs="?", default=10_000)
    options.add_argument("--slice", type=int, default=500)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    started, done = time.perf_counter(), 0
    while done < given.sequences:
        some = min(given.slice, given.sequences - done)
        environment = {
            **os.environ,
            "BYLEAVE_SEQUENCES": str(some),
            "BYLEAVE_FIRST": str(given.seed + done + 1),
        }
        line = [sys.executable, "-m", "pytest", "-q", "-x", TEST]
        ran = subprocess.run(line, env=environment, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)  # fmt: skip
        if ran.returncode:
            print(ran.stdout[-6000:], ran.stderr[-1000:], sep="\n")
            print(
                f"{done} sequences were alike; one of the next {some} (seed {given.seed + done + 1}) differs"
            )
            return 1
        done += some
        print(f"{done} sequences in {time.perf_counter() - started:.0f} s: 0 differ", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
