"""`byleave report submit|show|waive|approve|outage`: the report's way to the gateway, and the operator's acts.

Rules of this file:

1. `submit` sends the files as they are: what `report check` judged is what leaves.
2. `waive`, `approve` and `outage` are an operator's, on the store itself; each is an entry in the public part of the ledger.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from byleave.cli import report
from byleave.cli.options import (
    AtOption,
    JsonOption,
    StoreOption,
    answer,
    fresh_id,
    moment,
    now,
    opened,
    operator_named,
    salt,
    table,
)
from byleave.errors import Code, Refused, one_line
from byleave.words.fragment import rfc3339

if TYPE_CHECKING:
    from byleave.partner.client import Partner
    from byleave.partner.flows import PrivateKey

Gateway = Annotated[str, typer.Option("--gateway", metavar="URL", help="The gateway's address.")]
Client = Annotated[str, typer.Option("--client", help="The partner's client_id.")]
KeyFile = Annotated[Path, typer.Option("--key", metavar="FILE", help="The partner's private key, a JWK.")]
Operative = Annotated[
    str | None, typer.Option(help="Who of the partner asks, where the agreement wants names.")
]
USUAL = "http://127.0.0.1:8420"


def register(root: typer.Typer) -> None:
    """`byleave report`: its offline verbs stand in `report.py`, those that speak to a gateway or a store here."""
    for name, verb in (
        ("submit", submit),
        ("show", show),
        ("calendar", calendar),
        ("waive", waive),
        ("approve", approve),
        ("outage", outage),
    ):
        report.app.command(name)(verb)
    root.add_typer(report.app, name="report")


def partner_at(
    gateway: str, client: str, key: Path, operative: str | None, redirect_uri: str = ""
) -> Partner:
    """The partner of a command line. Raises Refused for a key that is not its."""
    # Here and below: verbs that stay offline must not wait for an HTTP client to load.
    from byleave.partner.client import Partner

    return Partner(gateway, client, key_of(key), redirect_uri, operative=operative)


def key_of(file: Path) -> PrivateKey:
    """The private key in a JWK file, as the client signs with it. Raises Refused."""
    from joserfc.jwk import ECKey, OKPKey

    from byleave.keys import read_key

    found = read_key(file)
    if found.alg not in ("ES256", "EdDSA", "Ed25519"):
        raise Refused(
            Code.MALFORMED,
            file.name,
            "",
            "an ES256 or EdDSA key is needed here",
            "make one with `byleave keys new`",
        )
    jwk: dict[str, Any] = {**found.to_private()}
    return ECKey.import_key(jwk) if found.alg == "ES256" else OKPKey.import_key(jwk)


def submit(
    file: Annotated[
        Path, typer.Argument(help="NAME.csv or NAME.parquet beside NAME.manifest.json, or a JSON form.")
    ],
    client: Client,
    key: KeyFile,
    gateway: Gateway = USUAL,
    operative: Operative = None,
    as_json: JsonOption = False,
) -> None:
    """Submit a report; shows its receipt, or every violation at its row."""
    from byleave.partner.client import Refusal

    parcel = report.parcel(file)
    made = partner_at(gateway, client, key, operative)
    try:
        kept = made.submit(made.own_token(), parcel)
    except Refusal as error:
        told = {
            "ok": False,
            "status": error.status,
            "problem": error.kind,
            "violations": error.problem.get("violations", []),
        }
        if as_json:
            print(json.dumps(told))
            raise typer.Exit(1) from None
        if told["violations"]:
            rows = [(v["rule"], v["row"], v["column"], one_line(v["message"])) for v in told["violations"]]
            table(f"{file.name}: not accepted", ("rule", "row", "column", "what is wrong"), rows)
        raise
    shown = [
        f"accepted: period {kept['sequence']}, revision {kept['revision']}, {kept['received_at']}",
        kept["receipt"],
    ]
    answer({"ok": True, **kept}, as_json, shown)


def show(
    client: Client,
    key: KeyFile,
    report: Annotated[
        str | None, typer.Argument(help="A report_id: the reconciliation; left out: the calendar.")
    ] = None,
    gateway: Gateway = USUAL,
    operative: Operative = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="The calendar as it was known then.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The calendar of reports with each period's state, or one accepted report beside the provider's figures."""
    if report is not None and at is not None:
        raise Refused(
            Code.MALFORMED, "--at", "", "a report has no other time", "leave out --at or the report_id"
        )
    made = partner_at(gateway, client, key, operative)
    own = made.own_token()
    if report is not None:
        beside = made.reconciliation(own, report)
        if as_json:
            answer(beside, True)
            return
        found = [
            (f["kind"], f["figure"], f["days"][0], f["size"], f"{f['probability']:.1e}")
            for f in beside["findings"]
        ]
        table("findings", ("kind", "figure", "from", "size", "probability"), found)
        return
    calendar = made.reports(own, None if at is None else rfc3339(moment(at, "--at")))
    if as_json:
        answer(calendar, True)
        return
    kept = {r["sequence"]: r for r in calendar["reports"]}
    rows = [
        (p["sequence"], p["start"], p["end"], p["state"], kept.get(p["sequence"], {}).get("report_id", ""))
        for p in calendar["periods"]
    ]
    table(f"{calendar['agreement']}: {calendar['state']}", ("period", "from", "to", "state", "report"), rows)
    for notice in made.notices(own)[-3:] if at is None else []:
        print(f"{notice['at']}: period {notice['sequence']}, {notice['kind']}")


def calendar(
    agreement: Annotated[str | None, typer.Option(help="One agreement; left out: all.")] = None,
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """The operator's glance: every period of every agreement with its state, and what the newest report disagrees in."""
    from byleave.consent import register as agreements
    from byleave.exchange import delivery, duty

    installation, moment_ = opened(store), now(at)
    found: list[dict[str, Any]] = []
    with installation.store.read() as snapshot:
        for one, status, _ in agreements.every(snapshot):
            stand = None if status == agreements.SUPERSEDED else duty.stands(snapshot, one, moment_)
            terms = duty.terms(one)
            if stand is None or terms is None or agreement not in (None, one.id):
                continue
            kept = {k.sequence: k for k in delivery.every(snapshot, one.id, moment_)}
            told: dict[str, Any] = {"agreement": one.id, "state": stand.state, "suspended": stand.suspended}
            told["periods"] = [
                {"sequence": p.sequence, "state": p.state, "report_id": kept[p.sequence].report_id if p.sequence in kept else None}
                for p in stand.periods
            ]  # fmt: skip
            told["findings"] = (
                _findings(delivery.sides(snapshot, terms, list(kept.values()), max(kept))) if kept else []
            )
            found.append(told)
    if as_json:
        answer(found, True)
        return
    for told in found:
        rows = [(p["sequence"], p["state"], p["report_id"]) for p in told["periods"]]
        table(
            f"{told['agreement']}: {told['state']}, {len(told['findings'])} findings",
            ("period", "state", "report"),
            rows,
        )
        for f in told["findings"]:
            cell = "/".join(code or "*" for code in f["cell"].values())
            print(
                f"  {f['kind']} {f['figure']} {cell} {f['days'][0]}: {f['size']:+g}, p = {f['probability']:.1e}"
            )


def _findings(sides: Any) -> list[dict[str, Any]]:
    # Here alone: scipy.stats takes most of a second to load.
    from byleave.exchange.reconcile import reconcile

    return [finding.answer() for finding in reconcile(*sides).findings]


def waive(
    agreement: Annotated[str, typer.Option(help="The agreement's id.")],
    sequence: Annotated[int, typer.Option(min=1, help="The period.")],
    operator: Annotated[str, typer.Option(help="Who lets it go, as `operator:a`.")],
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Due again then; left out: for good.")
    ] = None,
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """An operator's waiver of one period's report; it stands in the public ledger."""
    from byleave.exchange import duty

    end = None if until is None else moment(until, "--until")
    opened(store).store.write(
        duty.waive, agreement, sequence, end, operator_named(operator), now(at), fresh_id(), salt()
    )
    answer(
        {"agreement": agreement, "sequence": sequence, "until": until},
        as_json,
        [f"period {sequence} is waived"],
    )


def approve(
    agreement: Annotated[str, typer.Option(help="The agreement's id.")],
    sequence: Annotated[int, typer.Option(min=1, help="The period.")],
    operator: Annotated[str, typer.Option(help="Who lets it come, as `operator:a`.")],
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """An operator's leave for the next revision of a period older than three back; it stands in the public ledger."""
    from byleave.exchange import delivery

    revision = opened(store).store.write(
        delivery.approve, agreement, sequence, operator_named(operator), now(at), fresh_id(), salt()
    )
    answer(
        {"agreement": agreement, "sequence": sequence, "revision": revision},
        as_json,
        [f"revision {revision} of period {sequence} may come"],
    )


def outage(
    start: Annotated[str, typer.Option(metavar="TIME", help="Since when reports could not be received.")],
    operator: Annotated[str, typer.Option(help="Who says so, as `operator:a`.")],
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Until when; left out: still.")] = None,
    store: StoreOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hours of ours in which no report could come: every deadline behind them moves by as much."""
    from byleave.exchange import duty

    begins, ends = moment(start, "--start"), None if end is None else moment(end, "--end")
    opened(store).store.write(
        duty.outage, begins, ends, operator_named(operator), now(at), fresh_id(), salt()
    )
    answer({"start": start, "end": end}, as_json, ["the deadlines moved"])
