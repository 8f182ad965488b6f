"""Pages written from the program itself: `python -m tests.docs write` writes them, tests/test_house.py holds them fresh.

docs/cli.md from every verb's --help, docs/errors.md from the error tree and the gateway's table, docs/sources.md
from the importers (tests/sources/docs.py).
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

from byleave.cli import VERBS
from byleave.errors import Code
from byleave.gateway import problem
from tests.sources import docs as sources

DOCS = Path(__file__).parents[1] / "docs"
WRITTEN = "<!-- Written by `python -m tests.docs write`; do not edit. -->\n"


def cli() -> str:
    """Every verb and its help, as a terminal of 100 columns shows it, without colours."""
    import typer
    from typer.testing import CliRunner

    app = typer.Typer(add_completion=False)
    app.callback()(lambda: None)
    for name in dict.fromkeys(VERBS.values()):
        importlib.import_module(f"byleave.cli.{name}").register(app)
    parts = [
        f"# The command line\n\n{WRITTEN}\n`byleave VERB --help` says the same. `--json` answers one object.\n"
    ]
    runner = CliRunner(env={"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb"})
    pending = [[verb] for verb in VERBS]
    while pending:
        words = pending.pop(0)
        said = runner.invoke(app, [*words, "--help"], prog_name="byleave", color=False).output
        said = re.sub(r"\x1b\[[0-9;]*m", "", said)
        said = re.sub(r"[╭╮╰╯─│]", " ", said)
        body = "\n".join(line.rstrip() for line in said.splitlines())
        body = re.sub(r"\n{2,}", "\n\n", body).strip()
        depth = "#" * (1 + len(words))
        parts.append(f"\n{depth} {' '.join(['byleave', *words])}\n\n```text\n{body}\n```\n")
        below = re.search(r"\n\s*Commands\s*\n(.*?)(\n\n|\Z)", body + "\n\n", re.DOTALL)
        named = re.findall(r"^  ?([a-z][a-z-]+)\b", below[1], re.MULTILINE) if below else []
        pending[:0] = [[*words, name] for name in named]
    return "".join(parts)


def errors() -> str:
    """Every code, and how each protocol tells it."""
    head = [
        "# Errors",
        "",
        WRITTEN,
        "Inside a view there is no *denied*: hidden, foreign and never existing are all `absent`.",
        "",
    ]
    rows = ["| code | HTTP | JMAP | OAuth (its own status) | title |", "|---|---|---|---|---|"]
    for code in Code:
        told = problem.TABLE[code]
        rows.append(
            f"| `{code.value}` | {told.status} | `{told.jmap}` | `{told.oauth}` ({told.oauth_status}) | {told.title} |"
        )
    return "\n".join([*head, *rows]) + "\n"


PAGES = {"cli.md": cli, "errors.md": errors, "sources.md": sources.page}

if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        sys.exit("python -m tests.docs write")
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
