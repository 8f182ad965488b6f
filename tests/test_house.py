"""The habits of the house (ARCHITECTURE.md, CONTRIBUTING.md), held in one file: names, sizes, places, fresh pages.

What imports may do stands in .importlinter; what a line may do in pyproject's ruff table.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from byleave.store import bodies, rules, tables
from tests import docs

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "byleave"
LONGEST = 600
NO_ROOMS = {
    "utils",
    "util",
    "common",
    "helpers",
    "helper",
    "services",
    "managers",
    "manager",
    "misc",
    "base",
    "core",
    "lib",
}
MODULES = sorted(p.relative_to(SOURCE).as_posix() for p in SOURCE.rglob("*.py"))

# Files without a test file of their own name, by what tests them. A new file needs one or the other.
TESTED_BY = {
    "cli/": "tests/cli, tests/exchange/test_cli_report.py, tests/laws/test_12 (the demo runs every step)",
    "gateway/jmap/": "tests/gateway/jmap, one file a type",
    "gateway/oauth/": "tests/gateway/test_oauth.py, test_flow.py",
    "gateway/pages/": "tests/gateway/pages, tests/browser",
    "gateway/threshold.py": "tests/gateway/test_door.py",
    "gateway/clicks.py": "tests/exchange/test_click.py",
    "gateway/intake.py": "tests/gateway/pages/test_desk.py, tests/exchange/test_delivery.py",
    "gateway/exchange.py": "tests/exchange/test_send.py, test_click.py, test_delivery.py",
    "gateway/mcp.py": "tests/laws/test_3 (every tool), tests/laws/test_11",
    "partner/": "tests/laws/test_12 (the demo's partner), tests/exchange/test_delivery.py",
    "town/": "tests/town/test_town.py, test_importers.py",
    "tailoring/": "tests/tailoring",
    "store/migrations/": "tests/store/test_migrations.py",
    "view/allowed.py": "tests/view/test_rows.py, tests/oracle.py (law 2)",
    "view/changes.py": "tests/view/test_rows.py: a client that follows them",
    "view/export.py": "tests/cli/test_verbs.py, tests/laws/test_1",
    "view/filling.py": "tests/view/test_rows.py, test_kinds.py, tests/laws/test_2",
    "view/known.py": "tests/gateway/test_titles.py, tests/view/test_signals.py",
    "view/named.py": "tests/view/test_query.py: names in sizes, sorts and people",
    "view/owners.py": "tests/gateway/pages",
    "view/page.py": "tests/gateway/jmap/test_email.py, tests/view/test_parts.py, test_steps.py",
    "view/postings.py": "tests/view/test_rows.py, test_query.py",
    "view/recall.py": "tests/gateway/test_recalls.py",
    "view/reading.py": "tests/gateway/test_door.py, tests/laws/test_5, test_8",
    "view/shape.py": "tests/view/test_ids.py, tests/gateway/jmap/test_email.py",
    "view/tally.py": "tests/view/test_query.py, test_rows.py",
    "view/told.py": "tests/laws/test_8, test_11",
    "consent/": "tests/laws/test_2 and test_6 against tests/oracle.py",
    "ledger/log.py": "tests/laws/test_8",
    "ledger/sequence.py": "tests/laws/test_12, tests/gateway/test_serve.py",
    "exchange/": "tests/exchange, by what a partner or operator sees",
    "words/": "tests/words: test_mask.py, test_quotes.py, test_mentions.py drive their rooms' files",
    "sources/": "tests/sources: its importers' cases",
    "store/asking.py": "tests/store/test_migrations.py, test_expiry.py",
    "store/bodies.py": "tests/store/test_migrations.py, tests/laws/test_1",
    "store/planner.py": "tests/store/test_migrations.py, tests/view/test_steps.py",
    "store/recalls.py": "tests/store/test_migrations.py, tests/gateway/test_recalls.py",
    "store/schema.py": "tests/store/test_rules.py, test_migrations.py",
    "store/shelf.py": "tests/store/test_migrations.py, tests/gateway/test_titles.py",
    "store/tables.py": "tests/store/test_migrations.py",
    "errors.py": "tests/gateway/test_problem.py", "model.py": "nouns", "installation.py": "tests/worlds.py",
    "ingest/": "tests/test_ingest.py, tests/laws, tests/sources, tests/town", "remask.py": "tests/words",
    "keys.py": "tests/test_keys.py",
}  # fmt: skip
NEW_ROOMS_MIRROR = (
    "sources",
    "words",
    "ledger",
    "exchange",
    "consent",
    "store",
    "view",
    "gateway",
    "cli",
    "town",
    "tailoring",
    "partner",
)


@cache
def parsed(path: str) -> ast.Module:
    return ast.parse((SOURCE / path).read_text())


@cache
def kept() -> list[str]:
    """Every file of the repository, as git knows it (or as it lies there, outside a clone)."""
    try:
        listed = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        return listed.splitlines()
    except (OSError, subprocess.CalledProcessError):
        skipped = (".venv", "var", ".git", "__pycache__")
        found = (p.relative_to(ROOT) for p in ROOT.rglob("*") if p.is_file())
        return [p.as_posix() for p in found if not set(p.parts) & set(skipped)]


@pytest.mark.parametrize("path", MODULES)
def test_a_module(path: str) -> None:
    """It says why it is there, is not too long, has a name of its own and is tested."""
    text = (SOURCE / path).read_text()
    tree = parsed(path)
    assert text.count("\n") <= LONGEST, (
        f"{path}: {text.count(chr(10))} lines; split it at its second reason to change"
    )
    assert not text.strip() or ast.get_docstring(tree), f"{path} does not say why it is there"
    words = {*Path(path).parts[:-1], Path(path).stem}
    assert not words & NO_ROOMS, f"{path}: name it for what it does"
    room, name = Path(path).parent.as_posix(), Path(path).stem
    own = ROOT / "tests" / room / f"test_{name}.py"
    assert own.exists() or name == "__init__" or any(path.startswith(p) for p in TESTED_BY), (
        f"{path} has no test"
    )


@pytest.mark.parametrize("path", MODULES)
def test_what_a_module_does(path: str) -> None:
    """No cursors outside the store, no SQL as text anywhere, `print` in the console alone."""
    room = path.partition("/")[0]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if room != "store":
                # `create` folds its write-ahead log into the file that it then renames
                assert path == "installation.py" or name not in (
                    "execute",
                    "executemany",
                    "executescript",
                    "cursor",
                ), f"{path}:{node.lineno}"
            assert name != "print" or room == "cli" or path.endswith("__main__.py") or said_why(path, node), (
                f"{path}:{node.lineno}: print"
            )
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
            assert "text" not in [a.name for a in node.names], f"{path}: sqlalchemy.text"
        if isinstance(node, ast.Import | ast.ImportFrom) and room != "store":
            named = [a.name for a in node.names] + [getattr(node, "module", "") or ""]
            # the console turns its errors into one line; `create` makes the file
            assert "sqlite3" not in named or path in ("cli/__init__.py", "installation.py"), (
                f"{path}: sqlite3"
            )


def said_why(path: str, node: ast.Call) -> bool:
    return "T201" in (SOURCE / path).read_text().splitlines()[node.lineno - 1]


def test_the_schema_keeps_its_rules() -> None:
    assert rules.broken(tables.metadata, bodies.metadata) == []


@pytest.mark.parametrize("name", sorted(docs.PAGES))
def test_a_written_page_is_fresh(name: str) -> None:
    assert (docs.DOCS / name).read_text() == docs.PAGES[name](), "python -m tests.docs write"


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated = [
        *project["dependencies"],
        *(d for extra in project["optional-dependencies"].values() for d in extra),
    ]
    names = {re.split(r"[\s<>=\[;~!]", d, maxsplit=1)[0] for d in stated}
    reasons = set(
        re.findall(r"^\| ([a-z0-9_-]+) \|", (ROOT / "docs" / "dependencies.md").read_text(), re.MULTILINE)
    ) - {"name"}
    assert names == reasons
    locked = (ROOT / "requirements.lock").read_text()
    for name in {re.split(r"[\s<>=\[;~!]", d, maxsplit=1)[0] for d in project["dependencies"]}:
        assert re.search(rf"^{re.escape(name)}==", locked, re.MULTILINE), (
            f"{name} is not locked: scripts/lock"
        )


def test_nothing_of_this_machine_or_of_an_index() -> None:
    """Locks name hashes and no address; no file names a folder of the machine that it was written on."""
    for lock in ("requirements.lock", "requirements-dev.lock"):
        assert "http:" not in (text := (ROOT / lock).read_text()) and "https:" not in text, lock
    home = re.compile(
        r"(?<![\w.])/(?:home|Users)/[a-z]+/|(?<![\w.])/(?:" + "|".join(("wo" + "rk", "ro" + "ot")) + ")/"
    )
    index = re.compile(
        "|".join(
            ("pypi" + r"\.org", "files.python" + "hosted", "index-" + "url=", "npm" + r"js\.(?:org|com)")
        )
    )
    for name in kept():
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".lock", ".html", ".sh", ".in", "") and path.is_file():
            text = path.read_text(errors="replace")
            assert not home.search(text) or name == "tests/test_house.py", name
            assert not index.search(text), name


@pytest.mark.parametrize("module", ["byleave.exchange.report", "byleave.partner", "byleave.partner.client"])
def test_a_partner_needs_no_database(module: str) -> None:
    code = f"import sys, {module}; sys.exit('sqlalchemy' in sys.modules or 'starlette' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment()).returncode == 0


def environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def test_inits_are_empty_but_for_three() -> None:
    """What a package's __init__ pulls in is invisible to the contracts."""
    allowed = {"view", "store", "ledger", "cli", "sources", "gateway/pages", "store/migrations", "", "."}
    for path in MODULES:
        if path.endswith("__init__.py") and Path(path).parent.as_posix() not in allowed:
            body = [n for n in parsed(path).body if not isinstance(n, ast.Expr)]
            assert not [n for n in body if isinstance(n, ast.Import | ast.ImportFrom)], path


def test_the_papers() -> None:
    """ARCHITECTURE.md holds each law to a test that exists; every relative link of a page leads somewhere."""
    told = (ROOT / "ARCHITECTURE.md").read_text()
    for n in range(1, 13):
        found = sorted((ROOT / "tests" / "laws").glob(f"test_{n}_*.py"))
        assert found and any(f.name in told for f in found), f"law {n}"
    for name in kept():
        if name.endswith(".md") and (ROOT / name).is_file():
            for link in re.findall(r"\]\((?!https?:|#|mailto:|<)([^)#\s]+)", (ROOT / name).read_text()):
                assert (ROOT / name).parent.joinpath(link).exists(), f"{name}: {link}"
