"""Law 3 at full size: the generated call sequences of tests/laws/test_3 in two worlds, 10,000 unless told otherwise.

    PYTHONPATH=src python bench/two_worlds.py [SEQUENCES]

The answers' bytes and the steps of the database must be equal in every one; pytest says where they are not.
"""

from __future__ import annotations

import os
import sys
import time

import pytest


def main() -> int:
    sequences = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    os.environ["BYLEAVE_SEQUENCES"] = str(sequences)
    started = time.perf_counter()
    failed = pytest.main(["-q", "-x", "tests/laws/test_3_hidden_means_absent.py"])
    took = time.perf_counter() - started
    print(f"{sequences} sequences in {took:.0f} s: {'0 differ' if not failed else 'they differ'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
