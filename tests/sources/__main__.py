"""`python -m tests.sources accept CASE…` writes what the importers make of a case, for review (`all`: every
case); `docs` writes docs/sources.md."""

from __future__ import annotations

import sys

from tests.sources.cases import cases, name_of, outcome
from tests.sources.docs import PAGE, page


def main(words: list[str]) -> int:
    if words == ["docs"]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if len(words) < 2 or words[0] != "accept":
        print(__doc__)
        return 2
    for case in cases():
        if "all" in words[1:] or name_of(case) in words[1:]:
            ending, text = outcome(case)
            for other in (".expected.jsonl", ".refused.txt"):
                (case.parent / (name_of(case) + other)).unlink(missing_ok=True)
            (case.parent / (name_of(case) + ending)).write_text(text, encoding="utf-8")
            print(f"{case.parent.name}/{name_of(case)}{ending}: {text.count(chr(10))} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
