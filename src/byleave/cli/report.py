"""`byleave report`: make, check and reconcile the fortnightly report, offline.

Rules of this file:

1. With `--json` exactly one object stands on stdout; every other line goes to stderr.
2. Exit 0 only where the report is right, or the two sides agree; 1 for violations and findings; 2 for input
   that could not be judged at all, with one line that says why.
3. Files are read up to the size that the format allows, never further.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
import uuid_utils
from rich.console import Console
from rich.table import Table
from rich.text import Text

from byleave.errors import ByleaveError, Code, Refused, one_line
from byleave.exchange import report as reports
from byleave.exchange.forms import MAX_BYTES
from byleave.keys import read_key

if TYPE_CHECKING:
    from byleave.exchange.reconcile import Finding

app = typer.Typer(
    name="report", help="The fortnightly report: build, check, reconcile.", no_args_is_help=True
)
_out, _err = Console(), Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
At = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="Judge at this RFC 3339 time; default now.")
]
AgreementFile = Annotated[Path, typer.Option("--agreement", metavar="FILE", help="The agreement's JSON.")]


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(help="NAME.csv or NAME.parquet beside NAME.manifest.json, or a JSON form.")
    ],
    agreement: Annotated[Path | None, typer.Option(metavar="FILE", help="The agreement's JSON.")] = None,
    history: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The reports accepted before, in any form.")
    ] = None,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Check a report as the gateway will: all violations at once, each at its row."""
    try:
        terms = None if agreement is None else reports.read_terms(_read(agreement), agreement.name)
        known = None if history is None else _history(history, file)
        verdict = reports.check(parcel(file), terms, known, _moment(at))
    except ByleaveError as error:
        _stop(error)
    answer = {
        "ok": verdict.ok,
        "violations": [_violation(v) for v in verdict.violations],
        "warnings": [_violation(v) for v in verdict.warnings],
        "unchecked": verdict.unchecked,
        "receipt": verdict.receipt,
        "known": verdict.known,
    }
    if as_json:
        print(json.dumps(answer))
    else:
        _show(file.name, verdict)
    raise typer.Exit(0 if verdict.ok else 1)


@app.command()
def build(
    events: Annotated[Path, typer.Argument(help="Raw events, JSON Lines (docs/report.md).")],
    agreement: AgreementFile,
    key: Annotated[Path, typer.Option(metavar="FILE", help="The partner's private key, a JWK.")],
    sequence: Annotated[int, typer.Option(min=1, help="The period: 1 is the one that starts at the anchor.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="NAME.csv, NAME.json or NAME.parquet.")],
    revision: Annotated[int, typer.Option(min=0)] = 0,
    supersedes: Annotated[str | None, typer.Option(help="The report_id that this revision replaces.")] = None,
    exceptions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON list of declared exceptions.")
    ] = None,
    cohort: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON list: the period's clicks by the day of their send."),
    ] = None,
    preparer: Annotated[str, typer.Option(help="Who answers for the figures.")] = "byleave report build",
    bot_filter_version: Annotated[str, typer.Option()] = "none",
    click_cutoff: Annotated[str | None, typer.Option(metavar="TIME")] = None,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Count raw events into the complete grid and seal it: the report's files, checked."""
    try:
        form = _form(out)
        terms = reports.read_terms(_read(agreement), agreement.name)
        now = _moment(at)
        with _open(events) as lines:
            rows = reports.count(lines, terms, sequence, events.name)
        report = reports.build(
            rows,
            terms,
            sequence=sequence,
            report_id=str(uuid_utils.uuid7(nanoseconds=now * 1_000_000)),
            generated_at_ms=now,
            key=read_key(key),
            bot_filter_version=bot_filter_version,
            preparer=preparer,
            revision=revision,
            supersedes=supersedes,
            click_cutoff_ms=None if click_cutoff is None else _moment(click_cutoff),
            exceptions=_objects(exceptions) or [],
            cohort=_objects(cohort),
        )
        parcel = report.parcel(form)
        verdict = reports.check(parcel, terms, None, now)
        if not verdict.ok:
            first = verdict.violations[0]
            raise Refused(Code.MALFORMED, out.name, first.rule, first.message, "nothing was written")
        out.write_bytes(parcel.rows)
        if parcel.manifest is not None:
            out.with_suffix(".manifest.json").write_bytes(parcel.manifest)
    except ByleaveError as error:
        _stop(error)
    except OSError:
        _stop(Refused(Code.NOT_FOUND, out.name, "", "cannot be written", "check the folder"))
    totals = report.manifest["totals"]
    if as_json:
        print(json.dumps({"file": str(out), "rows": len(rows), "totals": totals, **(verdict.receipt or {})}))
    else:
        _out.print(Text(f"{out}: {len(rows)} rows, " + ", ".join(f"{v} {n}" for n, v in totals.items())))


@app.command()
def reconcile(
    platform: Annotated[Path, typer.Argument(help="The platform's cell counts, JSON.")],
    partner: Annotated[Path, typer.Argument(help="The partner's cell counts, JSON.")],
    as_json: Json = False,
) -> None:
    """Hold the two sides' figures of the last period against each other."""
    # Here alone: scipy.stats takes most of a second to load, and every other verb would wait for it.
    from byleave.exchange import reconcile as reconciliation

    try:
        sides = [
            reconciliation.read_side(_read(path, reconciliation.MAX_BYTES), path.name)
            for path in (platform, partner)
        ]
        outcome = reconciliation.reconcile(*sides)
    except ByleaveError as error:
        _stop(error)
    if as_json:
        print(json.dumps(outcome.answer()))
    else:
        _show_findings(outcome.findings, outcome.hints)
    raise typer.Exit(1 if outcome.findings else 0)


# -- files --------------------------------------------------------------------------------------------------


def parcel(file: Path) -> reports.Parcel:
    if file.name.endswith(".manifest.json"):
        stem = file.name.removesuffix(".manifest.json")
        beside = [p for p in (file.with_name(f"{stem}.csv"), file.with_name(f"{stem}.parquet")) if p.exists()]
        if len(beside) != 1:
            raise Refused(
                Code.NOT_FOUND,
                file.name,
                "",
                "the rows are not beside it",
                f"give {stem}.csv or {stem}.parquet",
            )
        file = beside[0]
    rows = _read(file)
    form = _form(file, rows[:4])
    if form == "json":
        return reports.Parcel("json", rows)
    manifest = file.with_name(f"{file.stem}.manifest.json")
    return reports.Parcel(form, rows, _read(manifest) if manifest.exists() else None)


def _form(file: Path, head: bytes = b"") -> reports.Form:
    """By the name; by the first bytes where the name says nothing."""
    forms: dict[str, reports.Form] = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".pq": "parquet"}
    if file.suffix.lower() in forms:
        return forms[file.suffix.lower()]
    if head == b"PAR1":
        return "parquet"
    return "json" if head[:1] == b"{" else "csv"


def _history(folder: Path, judged: Path) -> list[reports.Known]:
    """Every report in `folder`; other files there are passed over.

    The file that is judged may lie in the folder too. It is then no history of its own, unless later reports
    show that it was accepted.
    """
    if not folder.is_dir():
        raise Refused(Code.NOT_FOUND, folder.name, "", "not a folder", "give the folder of accepted reports")
    found, itself = [], None
    for file in sorted(folder.iterdir()):
        manifest = file.with_name(f"{file.stem}.manifest.json")
        rows = file.suffix.lower() in (".csv", ".parquet", ".pq") and manifest.exists()
        if not rows and (
            file.suffix != ".json" or file.name.endswith(".manifest.json") or not _is_report(file)
        ):
            continue
        if file.resolve() == judged.resolve():
            with suppress(Refused):
                itself = reports.known(parcel(file), file.name)
        else:
            found.append(reports.known(parcel(file), file.name))
    if itself is not None and any(
        (k.sequence, k.revision) > (itself.sequence, itself.revision)
        for k in found
        if k.manifest["agreement_id"] == itself.manifest["agreement_id"]
    ):
        found.append(itself)
    return found


def _is_report(file: Path) -> bool:
    try:
        return bool({"manifest", "rows"} <= json.loads(_read(file)).keys())
    except (ValueError, AttributeError, RecursionError):
        return False


def _objects(file: Path | None) -> list[dict[str, Any]] | None:
    """The JSON list of objects in `file`: exceptions, or a cohort table. Raises Refused."""
    if file is None:
        return None
    try:
        stated = json.loads(_read(file))
    except (ValueError, RecursionError):
        stated = None
    if not isinstance(stated, list) or not all(isinstance(entry, dict) for entry in stated):
        raise Refused(Code.MALFORMED, file.name, "", "not a list of objects", "see docs/report.md")
    return stated


def _read(path: Path, most: int = MAX_BYTES) -> bytes:
    """The bytes of `path`, one more than `most` at most: enough to see that it is too large."""
    with _open(path) as file:
        return bytes(file.read(most + 1))


def _open(path: Path) -> Any:
    try:
        if path.is_dir():
            raise Refused(Code.NOT_FOUND, path.name, "", "is a folder", "give a file")
        return path.open("rb")
    except (OSError, ValueError):
        raise Refused(Code.NOT_FOUND, path.name, "", "cannot be read", "check the path") from None


def _moment(at: str | None) -> int:
    if at is None:
        return time.time_ns() // 1_000_000
    moment = reports.time_ms(at)
    if moment is None:
        raise Refused(Code.MALFORMED, "--at", "", "not an RFC 3339 time", "write 2026-11-17T00:00:00Z")
    return moment


# -- for people ---------------------------------------------------------------------------------------------


def _violation(v: reports.Violation) -> dict[str, Any]:
    return {"rule": v.rule, "row": v.row, "column": v.column, "message": v.message}


def _show(name: str, verdict: reports.Verdict) -> None:
    told = [*verdict.violations, *verdict.warnings]
    if told:
        table = Table("rule", "row", "column", "what is wrong", title=Text(name), title_justify="left")
        for v in told:
            style = "yellow" if v.rule == "V6" else "red"
            cells = (v.rule, "" if v.row is None else str(v.row), v.column or "", one_line(v.message))
            table.add_row(*(Text(cell) for cell in cells), style=style)
        _out.print(table)
    for line in verdict.unchecked:
        _out.print(Text(f"not checked: {one_line(line)}", style="dim"))
    if not verdict.ok:
        count = len(verdict.violations)
        _out.print(Text(f"{count} violation{'s' if count > 1 else ''}", style="bold red"))
    elif verdict.known:
        _out.print(Text("ok: accepted before; the receipt is the same", style="green"))
    else:
        _out.print(Text("ok", style="bold green"))


def _show_findings(findings: Sequence[Finding], hints: Sequence[Finding]) -> None:
    for title, entries in (("findings", findings), ("hints", hints)):
        if not entries:
            continue
        table = Table(
            "cell", "days", "kind", "figure", "size", "probability", title=title, title_justify="left"
        )
        for e in entries:
            days = e.days[0] if len(e.days) == 1 else f"{e.days[0]} … {e.days[-1]} ({len(e.days)})"
            cells = (e.place, days, e.kind, e.figure, f"{e.size:+g}", f"{e.probability:.1e}")
            table.add_row(*(Text(one_line(cell)) for cell in cells))
        _out.print(table)
    if not findings:
        _out.print(Text("the two sides agree", style="green"))


def _stop(error: ByleaveError) -> NoReturn:
    _err.print(Text(one_line(str(error))), soft_wrap=True)
    raise typer.Exit(2) from None


if __name__ == "__main__":
    app()
