"""docs/sources.md out of the importers: `python -m tests.sources docs` writes it, a test holds it fresh."""

from __future__ import annotations

from pathlib import Path

from byleave.sources import importers

PAGE = Path(__file__).parents[2] / "docs" / "sources.md"
OPTION = {"zone": "tz", "date_order": "date-order"}
"""How the command line spells them."""
HEAD = """# Sources

What `byleave import PATH` reads: a file, a folder or a zip of one export, recognised by what stands
in it. This page is written by `python -m tests.sources docs` from the importers themselves.

An export comes in as a whole or not at all. A refusal is one line: file, place, what is wrong, what to do.
Importing twice changes nothing; a newer export of the same chat adds and edits, an older one never undoes.
"""


def page() -> str:
    parts = [HEAD]
    for importer in importers():
        module = __import__(type(importer).__module__, fromlist=["__doc__"])
        parts += [
            f"\n## {importer.name}\n",
            (module.__doc__ or "").strip() + "\n",
            "\n| field | from |\n|---|---|",
        ]
        parts += [f"| {field} | {_cell(origin)} |" for field, origin in importer.fields.items()]
        if importer.options:
            parts += ["\n| option | settles |\n|---|---|"]
            parts += [
                f"| `--{OPTION.get(name, name)}` | {_cell(what)} |" for name, what in importer.options.items()
            ]
        parts += ["\nRefused:\n", *(f"- {what}" for what in importer.refusals)]
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
