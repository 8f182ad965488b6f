"""Reports over HTTP: the 2013 definition cell for cell, receipts, every refusal, deadlines that bite, reconciliation."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import uuid_utils
from sqlalchemy import func, select

from byleave.exchange import arrival, duty, sums, upkeep
from byleave.exchange import report as reports
from byleave.keys import read_jwk, verify_jws
from byleave.ledger import log
from byleave.ledger import sequence as sequence_
from byleave.partner.client import Refusal, Token
from byleave.store import prepare
from byleave.store.tables import send_count
from tests.exchange.world import ANCHOR, ANN, BOB, CARD, DAY_MS, URL, Exchanging


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Exchanging]:
    made = Exchanging(tmp_path)
    yield made
    made.world.store.close()


def built(it: Exchanging, sequence: int, events: list[dict[str, Any]] = [], **more: Any) -> reports.Report:  # noqa: B006
    lines = [json.dumps(event).encode() for event in events]
    return reports.build(
        reports.count(lines, it.terms, sequence), it.terms, sequence=sequence,
        report_id=str(uuid_utils.uuid7(nanoseconds=it.now * 1_000_000)), generated_at_ms=it.now,
        key=read_jwk(it.key.as_dict(private=True)), bot_filter_version="byleave-2026-11", preparer="Reports desk", **more,
    )  # fmt: skip


def end_of(sequence: int, days: float = 1.5) -> int:
    return int(reports.day_ms(ANCHOR) + (14 * sequence + days) * DAY_MS)


def post(it: Exchanging, own: Token, body: bytes, kind: str = "application/json", **headers: str) -> Any:
    more = {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return it.partner.request("POST", f"{URL}/reports", own, body, headers=more)


def test_the_2013_definition_cell_for_cell(it: Exchanging) -> None:
    """Daily counts of sends and recipient clicks by interface, surface and variant, from the partner's own records:
    what it sent, by the day of the answer, and who arrived, by `bl`. Then both sides, cell for cell."""
    draw = random.Random(2013)
    for handle in (ANN, BOB):
        it.takes_cards(handle)
    for handle in (ANN, BOB):
        it.confirm(it.put(handle), leave="yes")
    key = it.partner.arrivals_key(it.partner.own_token())
    arrived: list[str] = []
    for day in range(14):
        it.now = reports.day_ms(ANCHOR + timedelta(days=day)) + 10 * 3_600_000
        it.renew()
        for cell in draw.sample(it.terms.cells(ANCHOR), 3):
            for handle in draw.choices((ANN, BOB), k=draw.randint(1, 3)):
                it.put(handle, CARD, cell._asdict())
        it.now += 3_600_000
        for handle in (ANN, BOB):
            for link, trap in draw.sample(it.links(handle), min(2, len(it.links(handle)))):
                for times in range(draw.randint(1, 3)):
                    it.now += 31_000 if times else 1_000
                    arrived.append(it.click(link).headers["location"])
                arrived.append(it.click(link, agent="Otherbot/1.0").headers["location"])
                if draw.random() < 0.3:
                    arrived.append(it.click(trap, agent="Mozilla/5.0 hidden").headers["location"])
    # The partner's own records, and nothing else.
    it.renew()
    events: list[dict[str, Any]] = [
        {"kind": "send", "day": s["day"], **s["cell"]} for s in it.partner.sends(it.token)
    ]
    for where in arrived:
        came = arrival.read(key, parse_qs(urlsplit(where).query)["bl"][0])
        assert came is not None
        kind = {"first": "recipient_click", "repeat": "click"}.get(came.kind)
        if kind is not None:
            events.append({"kind": kind, "day": came.day.isoformat(), **came.cell._asdict()})
    kinds = Counter(event["kind"] for event in events)
    assert kinds["send"] > 60 and kinds["recipient_click"] > 20 and kinds["click"] > 10

    it.now = end_of(1)
    own = it.partner.own_token()
    report = built(it, 1, events)
    kept = it.partner.submit(own, report)
    beside = it.partner.reconciliation(own, report.manifest["report_id"])
    assert beside["findings"] == [] and beside["period"] == {"start": "2026-09-07", "end": "2026-09-20"}
    assert len(beside["cells"]) == 14 * 12
    assert all(cell["platform"] == cell["partner"] for cell in beside["cells"])
    assert sum(cell["platform"]["sends"] for cell in beside["cells"]) == kinds["send"]
    assert sum(cell["platform"]["recipient_clicks"] for cell in beside["cells"]) == kinds["recipient_click"]

    header, payload = verify_jws(kept["receipt"], it.world.installation.keyring.public("receipt"))
    receipt = json.loads(payload)
    assert (
        header["typ"] == "byleave-receipt+jwt"
        and receipt["content_sha256"] == report.manifest["content_sha256"]
    )
    assert it.partner.receipt(own, report.manifest["report_id"]) == kept["receipt"]
    with it.world.store.read() as snapshot:
        [entry] = log.of_kind(snapshot, log.STORE_OWNER, "report")
        [closed] = log.of_kind(snapshot, log.STORE_OWNER, "clicks")
    assert entry[2].facts["report_id"] == report.manifest["report_id"]  # type: ignore[union-attr]
    assert closed[2].facts["sends"] == kinds["send"]  # type: ignore[union-attr]


def test_a_wrong_figure_is_found_beside_ours(it: Exchanging) -> None:
    it.now = end_of(1)
    lie = [
        {
            "kind": "send",
            "day": "2026-09-08",
            "interface": "tv",
            "surface": "detail",
            "variant": "card-on_platform",
            "count": 40,
        }
    ]
    report = built(it, 1, lie)
    own = it.partner.own_token()
    with pytest.raises(Refusal) as hidden:
        it.partner.reconciliation(own, report.manifest["report_id"])
    assert hidden.value.status == 404, "nothing is shown before the report is accepted"
    it.partner.submit(own, report)
    found = it.partner.reconciliation(own, report.manifest["report_id"])["findings"]
    assert (
        {"sends-day"} <= {f["kind"] for f in found}
        and found[0]["partner"] == 40
        and found[0]["platform"] == 0
    )


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_the_same_report_gets_the_same_receipt_in_every_form(it: Exchanging, form: Any) -> None:
    it.now = end_of(1)
    own, report = it.partner.own_token(), built(it, 1)
    first = it.partner.submit(own, report, form=form)
    it.now += 60_000
    for again in ("csv", "json", form):
        assert it.partner.submit(own, report, form=again)["receipt"] == first["receipt"]
    [listed] = it.partner.reports(own)["reports"]
    assert (
        listed["report_id"] == report.manifest["report_id"] and listed["received_at"] == first["received_at"]
    )
    whole = it.partner.request("GET", f"{URL}/reports/{listed['report_id']}", own).json()
    assert whole["manifest"] == report.manifest and len(whole["rows"]) == 168


def test_another_report_in_its_place_is_a_duplicate_and_a_revision_is_kept_beside_it(it: Exchanging) -> None:
    it.now = end_of(1)
    own, first = it.partner.own_token(), built(it, 1)
    it.partner.submit(own, first)
    it.now += 1000
    event = {
        "kind": "send",
        "day": "2026-09-08",
        "interface": "tv",
        "surface": "detail",
        "variant": "card-on_platform",
    }
    with pytest.raises(Refusal) as refused:
        it.partner.submit(own, built(it, 1, [event]))
    assert (refused.value.status, refused.value.kind) == (409, "duplicate-report")
    before = it.now
    it.now += 60_000
    second = built(it, 1, [event], revision=1, supersedes=first.manifest["report_id"])
    it.partner.submit(own, second)
    assert [r["revision"] for r in it.partner.reports(own)["reports"]] == [0, 1]
    as_of = reports._rfc3339(before) if hasattr(reports, "_rfc3339") else ""
    known = it.partner.request("GET", f"{URL}/reports?known_at={as_of}", own).json()
    assert [r["revision"] for r in known["reports"]] == [0], "as known at"


def test_every_violation_at_once_and_nothing_kept(it: Exchanging) -> None:
    it.now = end_of(1)
    own, report = it.partner.own_token(), built(it, 1)
    rows = [list(row) for row in report.rows]
    for i in range(0, 80, 2):
        rows[i][4] = -1
    body = {
        "manifest": report.manifest,
        "rows": [
            dict(
                zip(
                    ("day", "interface", "surface", "variant", "sends", "recipient_clicks", "clicks_total"),
                    row,
                    strict=True,
                )
            )
            for row in rows
        ],
    }
    answer = post(it, own, json.dumps(body).encode())
    assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["type"].endswith("/invalid-report")
    assert [v["row"] for v in told["violations"] if v["rule"] == "V1"] == list(range(1, 81, 2))
    assert it.partner.reports(own)["reports"] == []
    it.partner.submit(own, report)


def test_requests_that_are_none(it: Exchanging) -> None:
    it.now = end_of(1)
    own, report = it.partner.own_token(), built(it, 1)
    good = report.json()
    digest = base64.b64encode(hashlib.sha256(good + b" ").digest()).decode()
    part = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    manifest, rows = part % (b"manifest", report.manifest_json()), part % (b"rows", report.csv())
    form = "multipart/form-data; boundary=x"
    for body, kind, headers in (
        (good, "application/json", {"Content_Digest": f"sha-256=:{digest}:"}),
        (good, "application/json", {"Content_Digest": "md5=:AAAA:"}),
        (good, "application/json", {"Idempotency_Key": "a b"}),
        (good, "text/plain", {}),
        (good, "multipart/form-data", {}),
        (manifest + rows, form, {}),
        (manifest + b"--x--\r\n", form, {}),
        (manifest + manifest + rows + b"--x--\r\n", form, {}),
        (b"\x00" * 100, form, {}),
    ):
        assert post(it, own, body, kind, **headers).status_code == 400, (kind, headers)
    for body in (b"", b"{}", b"[" * 100_000, b'{"manifest":{"sequence":1e400},"rows":[]}', b"\xff\xfe"):
        assert post(it, own, body).status_code == 422
    assert it.partner.reports(own)["reports"] == []
    assert post(it, own, manifest + rows + b"--x--\r\n", form).status_code == 201
    foreign = it.partner.request("POST", f"{URL}/reports", it.token, good)
    assert foreign.status_code == 401, "a grant's token submits nothing"
    assert post(it, own, b"x" * (33 * 1024 * 1024)).status_code == 413


def test_an_idempotency_key_is_one_report(it: Exchanging) -> None:
    it.now = end_of(1)
    own, report = it.partner.own_token(), built(it, 1)
    assert post(it, own, report.json(), Idempotency_Key="k").status_code == 201
    assert post(it, own, report.json(), Idempotency_Key="k").status_code == 200
    assert post(it, own, report.json() + b" ", Idempotency_Key="k").status_code == 409


def test_a_late_report_suspends_reads_and_sends_and_its_acceptance_ends_that(it: Exchanging) -> None:
    def answers() -> list[int]:
        it.renew()
        asked = it.partner.request("GET", f"{URL}/jmap/session", it.token)
        sent = it.partner.request("GET", f"{URL}/sends", it.token)
        if asked.status_code == 403:
            assert asked.json()["type"].endswith("/report-overdue")
        return [asked.status_code, sent.status_code]

    told = it.put()
    for days, state, codes in (
        (0.1, "due", [200, 200]),
        (3, "overdue", [200, 200]),
        (7, "suspended", [403, 403]),
    ):
        it.now = end_of(1, days)
        assert it.partner.reports(it.partner.own_token())["state"] == state
        assert answers() == codes
    with pytest.raises(Refusal) as refused:
        it.put()
    assert (refused.value.status, refused.value.kind) == (403, "report-overdue")
    assert it.page(f"/me/sends/{told['id']}/confirm", it.session(it.owner), go="1").status_code in (
        400,
        403,
        409,
    )
    it.partner.submit(it.partner.own_token(), built(it, 1))
    assert answers() == [200, 200]
    assert it.partner.reports(it.partner.own_token())["periods"][0]["state"] == "reinstated"


def test_waivers_and_outages_of_ours_move_the_deadline(it: Exchanging) -> None:
    it.now = end_of(1, 8)
    own = it.partner.own_token()
    assert it.partner.reports(own)["suspended"] is True
    it.world.store.write(
        duty.outage, end_of(1, 1), end_of(1, 4), "operator:a", it.now, it.world.id(), b"s" * 32
    )
    assert it.partner.reports(own)["periods"][0]["state"] == "overdue", "three days of ours do not count"
    it.now = end_of(1, 11)
    own = it.partner.own_token()
    assert it.partner.reports(own)["suspended"] is True
    it.world.store.write(
        duty.waive, "streamflix-deal", 1, None, "operator:a", it.now, it.world.id(), b"s" * 32
    )
    assert it.partner.reports(own)["periods"][0]["state"] == "waived"
    it.renew()
    assert it.partner.request("GET", f"{URL}/jmap/session", it.token).status_code == 200


def test_a_year_of_fortnights(it: Exchanging) -> None:
    """Each period: on time, late, or after its suspension, by turns; the calendar says which, the log holds it all."""
    wanted = []
    for sequence in range(1, 26):
        days, state = ((1.5, "accepted"), (5, "accepted"), (9, "reinstated"))[sequence % 3]
        it.now = end_of(sequence, days)
        it.partner.submit(it.partner.own_token(), built(it, sequence))
        wanted.append(state)
    calendar = it.partner.reports(it.partner.own_token())
    assert [p["state"] for p in calendar["periods"]][:25] == wanted
    assert [r["sequence"] for r in calendar["reports"]] == list(range(1, 26))
    it.now = end_of(25, 10)
    it.now += 14 * DAY_MS * 2
    old = it.partner.reports(it.partner.own_token())["reports"][0]["report_id"]
    with pytest.raises(Refusal) as refused:
        it.partner.submit(it.partner.own_token(), built(it, 1, [], revision=1, supersedes=old, exceptions=()))
    assert refused.value.status == 422, "so old a period is the operator's to open"
    with it.world.store.read() as snapshot:
        assert len(log.of_kind(snapshot, log.STORE_OWNER, "report")) == 25
    keyring = it.world.installation.keyring
    sign = keyring.active("ledger"), sequence_.origin_of(keyring)
    while it.world.store.write(lambda tx: sequence_.integrate(tx, it.now, *sign, at_once=True)):
        pass
    assert sequence_.verify_store(it.world.store, keyring).ok


def test_what_is_closed_is_swept_and_no_figure_changes(it: Exchanging) -> None:
    it.confirm(it.put(key="1"), leave="yes")
    for n in range(4):
        it.now += DAY_MS
        it.renew()
        it.put(BOB, key=f"w{n}")  # waits: counted nowhere
        it.put(key=f"k{n}")
    first, last = ANCHOR, ANCHOR + timedelta(days=13)
    it.world.store.write(sums.close, "streamflix-deal", it.now, it.world.id(), b"s" * 32)
    with it.world.store.read() as snapshot:
        before = sums.closed(snapshot, "streamflix-deal", first, last)
        rows = snapshot.value(prepare(select(func.count()).select_from(send_count)))
    assert len(before) == 4 and rows == 5
    assert it.world.store.write(sums.sweep, "streamflix-deal", 3) is True
    assert it.world.store.write(sums.sweep, "streamflix-deal", 3) is False
    with it.world.store.read() as snapshot:
        assert snapshot.value(prepare(select(func.count()).select_from(send_count))) == 1, "the open day's"
        assert sums.closed(snapshot, "streamflix-deal", first, last) == before
    it.now += DAY_MS
    it.world.store.write(sums.close, "streamflix-deal", it.now, it.world.id(), b"s" * 32)
    with it.world.store.read() as snapshot:
        assert len(sums.closed(snapshot, "streamflix-deal", first, last)) == 5


def test_the_ledger_says_at_the_time_that_a_day_closed_and_an_agreement_was_suspended(it: Exchanging) -> None:
    def entries(kind: str) -> list[dict[str, Any]]:
        with it.world.store.read() as snapshot:
            return [event.facts for _, _, event in log.of_kind(snapshot, log.STORE_OWNER, kind)]  # type: ignore[union-attr]

    for restart in range(2):
        job = upkeep.job(it.world.id, lambda: b"s" * 32)
        if not restart:
            it.confirm(it.put())
        for days in (-13, 6.9, 7, 7.1):
            it.now = max(it.now, end_of(1, days))
            for _ in range(3):
                assert it.world.store.write(job, it.now) is False
    [closed] = entries("clicks")
    assert closed["cells"] == ["2026-09-07,tv,detail,card-on_platform,1,0,0"]
    assert entries("suspension") == [{"agreement": "streamflix-deal", "suspended": True, "periods": [1]}]
    event = {
        "kind": "send",
        "day": "2026-09-07",
        "interface": "tv",
        "surface": "detail",
        "variant": "card-on_platform",
    }
    own, report = it.partner.own_token(), built(it, 1, [event])
    it.partner.submit(own, report)
    assert it.partner.reconciliation(own, report.manifest["report_id"])["findings"] == []
    it.now += 60_000
    it.world.store.write(job, it.now)
    assert [e["suspended"] for e in entries("suspension")] == [True, False]
