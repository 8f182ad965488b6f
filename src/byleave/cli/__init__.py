"""The command line: thin functions over pure ones.

Rules of this room (spec cli.md): `--json` answers one object on stdout and nothing else there; progress and
warnings go to stderr; exit 0, or ≠ 0 with exactly one line on stderr. The clock is read here and handed down;
`--at TIME` replaces it where a verb judges time.
"""

from __future__ import annotations

import importlib
import os
import sqlite3
import sys
import traceback
from importlib.metadata import version
from pathlib import Path

VERBS = {
    "init": "stores",
    "signin": "stores",
    "import": "importing",
    "export": "importing",
    "people": "importing",
    "choice": "choosing",
    "grant": "granting",
    "token": "granting",
    "policy": "granting",
    "agreement": "agreement",
    "client": "agreement",
    "keys": "keys",
    "ledger": "ledger",
    "catalogue": "catalogue",
    "words": "words",
    "report": "answering",
    "send": "sending",
    "models": "models",
    "proxy": "proxy",
    "serve": "serve",
    "mcp": "mcp",
    "demo": "demo",
    "town": "town",
}
"""Verb → the file of this room that has it; a verb loads nothing but its own file."""


def main() -> None:
    """Entry point of `byleave`."""
    import typer
    from typer._click.exceptions import ClickException  # typer brings its own click and exports no base class

    from byleave.errors import ByleaveError, one_line

    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Byleave: an inbox API that the people in the inbox switch on. Start with: byleave demo",
    )
    app.callback()(lambda: None)
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    if asked == "--version":
        print("byleave", version("byleave"))
        return
    for name in {VERBS[asked]} if asked in VERBS else dict.fromkeys(VERBS.values()):
        importlib.import_module(f"byleave.cli.{name}").register(app)
    try:
        code = app(standalone_mode=False)
    except ByleaveError as error:
        print(one_line(error.detail), file=sys.stderr)
        code = 1
    except ClickException as error:
        if asked:  # a bare `byleave` shows its help instead
            print(one_line(f"{error.format_message()} See byleave --help."), file=sys.stderr)
        code = error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        code = 1
    except OSError as error:
        name = Path(os.fsdecode(error.filename)).name if error.filename else "input or output"
        print(one_line(f"{name}: {error.strerror or 'cannot be used'}; check the path"), file=sys.stderr)
        code = 1
    except sqlite3.Error as error:
        print(one_line(f"the store cannot be used: {error}"), file=sys.stderr)
        code = 1
    except Exception as error:
        # A defect of ours. The text of a foreign exception may hold a message's content, so it is not shown.
        at = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(at.filename).name}:{at.lineno}"
        print(f"a defect in byleave: {type(error).__name__} at {place}; please report it", file=sys.stderr)
        code = 70
    sys.exit(code if isinstance(code, int) else 0)
