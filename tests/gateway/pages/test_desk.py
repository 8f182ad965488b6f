"""The partner's and the operator's pages: who may sign in and what is theirs, files checked and submitted, both sides
beside each other, and the acts that only an operator has."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.exchange.periods import csrf, desk, end_of, happened, report, spoiled
from tests.exchange.world import ANN, BOB, CARD, URL, Exchanging

from byleave.errors import ByleaveError
from byleave.exchange import delivery, duty, upkeep
from byleave.gateway import guard
from byleave.ledger import log
from byleave.partner.client import Refusal

AT = "/partner/agreements/streamflix-deal"
OVER = "/operator/agreements/streamflix-deal"


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Exchanging]:
    made = Exchanging(tmp_path)
    yield made
    made.world.store.close()


def turn(it: Exchanging, at: int) -> None:
    it.now = it.world.now = at


def posted(browser: Any, role: str, path: str, **fields: Any) -> Any:
    return browser.post(path, data={"csrf": csrf(browser, role), **fields})


def dropped(browser: Any, rows: bytes, manifest: bytes | None, act: str = "check") -> Any:
    files = {"rows": ("r.csv", rows), "manifest": ("m.json", manifest or b"")}
    return browser.post(f"{AT}/file", data={"csrf": csrf(browser, "partner"), "act": act}, files=files)


# ── signing in ──────────────────────────────────────────────────────────────────────────────────────────────
def test_a_partners_key_gets_a_link_that_works_once(it: Exchanging) -> None:
    told = it.partner.page_link()
    path = told["url"].removeprefix(URL)
    assert told["expires_in"] == 900 and path.startswith("/partner/signin/")
    browser = it.http
    assert browser.get(path).status_code == 200, "looking at it burns nothing"
    assert browser.get("/partner/").status_code == 401
    assert browser.post(path).status_code == 303
    assert "streamflix-deal" in browser.get("/partner/").text
    cookie = browser.cookies.get("byleave-partner")
    assert cookie and browser.post(path).status_code == 400, "used up"
    browser.cookies.clear()


def test_a_foreign_key_gets_no_link(it: Exchanging) -> None:
    from byleave.partner.client import Partner, new_key

    other = Partner(URL, "streamflix-web", new_key(), "", http=it.http, clock=lambda: it.now / 1000)
    with pytest.raises(ByleaveError, match="invalid_client"):
        other.page_link()


def test_a_link_is_of_one_role_and_ends(it: Exchanging) -> None:
    it.world.store.write(
        guard.offer_desk, hashlib.sha256(b"x").digest(), "partner", "streamflix", None, None, it.now
    )
    assert it.http.post("/operator/signin/x").status_code == 400, "a partner's link is no operator's"
    assert it.http.post("/me/signin/x", data={"next": "/me/"}).status_code == 400, "nor a person's"
    turn(it, it.now + guard.LINK_MS)
    assert it.http.post("/partner/signin/x").status_code == 400


def test_nobody_passes_as_another(it: Exchanging) -> None:
    """Person, partner and operator are strangers at each other's pages: the same bytes as for nobody."""
    person = it.session(it.owner)
    desks = {
        role: desk(it, role, name) for role, name in (("partner", "streamflix"), ("operator", "operator:a"))
    }
    paths = {
        "partner": ("/partner/", AT, f"{AT}/sends", "/partner/x"),
        "operator": ("/operator/", OVER, "/operator/x"),
    }
    for role, places in paths.items():
        other = desks["operator" if role == "partner" else "partner"]
        for path in places:
            it.http.cookies.clear()
            stranger = it.http.get(path)
            assert stranger.status_code == 401
            assert other.get(path).content == stranger.content
            assert it.page(path, person).content == stranger.content
            swapped = other.cookies.get(f"byleave-{'operator' if role == 'partner' else 'partner'}")
            forged = it.http.get(path, headers={"Cookie": f"byleave-{role}={swapped}"})
            assert forged.content == stranger.content, "a session of the other role under this role's name"
    for role, browser in desks.items():
        it.http.cookies.clear()
        assert browser.get("/me/").content == it.http.get("/me/").content, role
    assert it.http.post(f"{OVER}/waive", data={"sequence": "1"}).status_code == 401
    assert desks["partner"].post(f"{OVER}/waive", data={"sequence": "1"}).status_code == 401


def test_a_form_needs_its_own_pages_token(it: Exchanging) -> None:
    browser = desk(it, "operator", "operator:a")
    assert browser.post(f"{OVER}/waive", data={"sequence": "1", "csrf": "x"}).status_code == 403
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = browser.post(
        f"{OVER}/waive", data={"sequence": "1", "csrf": csrf(browser, "operator")}, headers=headers
    )
    assert answer.status_code == 403
    with it.world.store.read() as snapshot:
        assert log.of_kind(snapshot, log.STORE_OWNER, "waiver") == []


def test_another_partners_agreement_is_not_there(it: Exchanging) -> None:
    it.world.agree(partner="otherflix")
    browser = desk(it, "partner", "otherflix")
    for path in (AT, f"{AT}/sends", f"{AT}/file", f"{AT}/chart.svg", "/partner/agreements/none"):
        assert browser.get(path).status_code == 404, path
    assert "otherflix-deal" in browser.get("/partner/").text
    with pytest.raises(ByleaveError):
        it.world.store.write(guard.offer_desk, b"h" * 32, "partner", "nobody", None, None, it.now)


def test_a_session_ends_with_its_clients_keys(it: Exchanging) -> None:
    """A new version of the agreement without the key: the next request is a stranger's."""
    path = it.partner.page_link()["url"].removeprefix(URL)
    browser = it.http
    assert browser.post(path).status_code == 303
    kept = browser.cookies.get("byleave-partner")
    headers = {"Cookie": f"byleave-partner={kept}"}
    browser.cookies.clear()
    assert browser.get("/partner/", headers=headers).status_code == 200
    it.world.agree(version=2)  # with another key alone
    assert browser.get("/partner/", headers=headers).status_code == 401


def test_named_operatives_sign_in_by_name(tmp_path: Path) -> None:
    """Where the agreement wants operatives named, a link without one is refused, and the ledger says who came."""
    from tests.gateway.pages.site import Site

    site = Site(tmp_path)
    site.world.agree(operatives="named")
    offered = (guard.offer_desk, hashlib.sha256(b"y").digest(), "partner", "streamflix", None)
    with pytest.raises(ByleaveError, match="operatives named"):
        site.world.store.write(*offered, None, site.world.now)
    site.world.store.write(*offered, "reader-7", site.world.now)
    assert site.client.post("/partner/signin/y").status_code == 303
    assert "streamflix (reader-7)" in site.get("/partner/").text
    with site.world.store.read() as snapshot:
        [(_, _, event)] = log.of_kind(snapshot, log.STORE_OWNER, "signin")
    assert event.facts == {"by": "console", "name": "streamflix", "operative": "reader-7", "role": "partner"}  # type: ignore[union-attr]


def test_signing_out(it: Exchanging) -> None:
    browser = desk(it, "operator", "operator:a")
    assert posted(browser, "operator", "/operator/signout").status_code == 200
    assert browser.get("/operator/").status_code == 401


# ── the partner ─────────────────────────────────────────────────────────────────────────────────────────────
def test_every_violation_at_its_row_and_nothing_kept(it: Exchanging) -> None:
    counts = happened(it, 1)
    turn(it, end_of(1))
    made = report(it, 1, counts)
    browser = desk(it, "partner", "streamflix")
    for act in ("check", "submit"):
        page = dropped(browser, *spoiled(made), act=act)
        assert page.status_code == (200 if act == "check" else 422)
        assert "clicks_total is negative: -4" in page.text and "as a formula does" in page.text
        assert "5 violations" in page.text and re.search(
            r"row </span>3<.*row </span>9<.*row </span>12<", page.text, re.S
        )
        assert "999999,12</code>" in page.text, "the row as it came"
    with it.world.store.read() as snapshot:
        assert delivery.every(snapshot, it.agreement.id, it.now) == []


def test_a_check_keeps_nothing_and_its_file_is_submitted_by_a_click(it: Exchanging) -> None:
    counts = happened(it, 1)
    turn(it, end_of(1))
    made = report(it, 1, counts)
    browser = desk(it, "partner", "streamflix")
    page = dropped(browser, made.csv(), made.manifest_json())
    assert "Nothing is wrong with it" in page.text
    assert (
        "The provider’s figures" in browser.get(AT).text
        and "No report has been accepted" in browser.get(AT).text
    )
    assert browser.get(f"{AT}/chart.svg").status_code == 404, (
        "no figure of ours before there is one of theirs"
    )
    kept = dict(re.findall(r'name="(rows64|manifest64|act|csrf)" value="([^"]*)"', page.text))
    files = {name: (None, value) for name, value in kept.items()}
    answer = browser.post(f"{AT}/file", files=files)
    assert answer.status_code == 303, answer.text
    page = browser.get(answer.headers["location"])
    assert "Accepted." in page.text and "The two sides agree" in page.text
    again = dropped(browser, made.json(), None, act="submit")
    assert again.status_code == 303 and again.headers["location"].endswith("done=known")
    receipt = browser.get(answer.headers["location"].partition("?")[0] + "/receipt")
    assert receipt.text == it.partner.receipt(it.partner.own_token(), made.manifest["report_id"])


@pytest.mark.parametrize(
    ("rows", "manifest"),
    [(b"", b""), (b"day,sends\n", b""), (b"PAR1xxxx", b"{}"), (b"{", b""), (b"\xff" * 40, b"\xff"), (b"[" * 9000, b"{")],
)  # fmt: skip
def test_odd_files_are_told_what_is_wrong(it: Exchanging, rows: bytes, manifest: bytes) -> None:
    turn(it, end_of(1))
    page = dropped(desk(it, "partner", "streamflix"), rows, manifest)
    assert page.status_code in (200, 400) and ("violation" in page.text or "Choose the" in page.text)


def test_what_was_sent_names_nobody_and_no_clicks(it: Exchanging) -> None:
    for handle in (ANN, BOB):
        it.takes_cards(handle)
    it.confirm(it.put(ANN, {**CARD, "title": "<b>Bold</b>"}))
    it.put(BOB)
    it.now += 10_000
    assert it.click(it.links(ANN)[0][0]).status_code == 302
    page = desk(it, "partner", "streamflix").get(f"{AT}/sends").text
    assert it.address(ANN)[:9] in page and "accepted" in page and "waiting" in page
    assert "&lt;b&gt;Bold" in page and "user1" not in page and "/c/" not in page
    assert not re.search(r"\b1 clicks?\b", page)


def test_both_sides_beside_each_other_with_findings(it: Exchanging) -> None:
    counts = {k: happened(it, k) for k in (1, 2)}

    def inflated(day: str, cell: Any, figures: list[int]) -> None:
        if cell.interface == "tv":
            figures[1] = int(figures[1] * 1.3)
            figures[2] = int(figures[2] * 1.3)

    for k in (1, 2):
        turn(it, end_of(k))
        made = report(it, k, counts[k], inflated if k == 2 else None)
        it.partner.submit(it.partner.own_token(), made)
    for role, name in (("partner", "streamflix"), ("operator", "operator:a")):
        browser = desk(it, role, name)
        where = f"/{role}/agreements/streamflix-deal"
        page = browser.get(
            f"{where}/reports/{made.manifest['report_id']}?figure=recipient_clicks&cell=tv/detail/card-on_platform"
        )
        assert page.status_code == 200 and "more arrivals than redirects" in page.text
        sums = [sum(f[1] for (_, c), f in counts[2].items() if str(c) == "tv/detail/card-on_platform")]
        assert f"{sums[0]:,}".replace(",", "\u202f") in page.text
        drawn = browser.get(
            f"{where}/chart.svg?figure=clicks_total&narrow=1&report={made.manifest['report_id']}"
        )
        assert drawn.headers["content-type"] == "image/svg+xml" and b"<script" not in drawn.content
        assert "img-src 'self'" in page.headers["content-security-policy"]
    glance = desk(it, "operator", "operator:a").get("/operator/").text
    assert "more arrivals than redirects" in glance and "accepted" in glance


# ── the operator ────────────────────────────────────────────────────────────────────────────────────────────
def test_a_waiver_an_outage_and_the_ledger(it: Exchanging) -> None:
    turn(it, end_of(1, 8))
    browser = desk(it, "operator", "operator:a")
    assert "period 1 is suspended" in browser.get("/operator/").text
    answer = posted(browser, "operator", f"{OVER}/waive", sequence="1", until="2026-10-09T00:00")
    assert answer.status_code == 303
    assert "Nobody is late" in browser.get("/operator/").text
    answer = posted(
        browser, "operator", "/operator/outages", start="2026-09-22T00:00", end="2026-09-22T05:30"
    )
    assert answer.status_code == 303
    for form in ({"start": "x"}, {"start": "2030-01-01T00:00"}, {"start": ""}):
        assert posted(browser, "operator", "/operator/outages", **form).status_code == 400
    for sequence, until in (("", ""), ("0", ""), ("1", "2020-01-01T00:00"), ("9" * 9, "")):
        answer = posted(browser, "operator", f"{OVER}/waive", sequence=sequence, until=until)
        assert answer.status_code == 400 and 'role="alert"' in answer.text
    with it.world.store.read() as snapshot:
        acts = [event.facts for _, _, event in log.of_kind(snapshot, log.STORE_OWNER, "waiver")]  # type: ignore[union-attr]
    assert [act["operator"] for act in acts] == ["operator:a"] * 2 and acts[1]["end"] - acts[1][
        "start"
    ] == 19_800_000


def test_an_outage_gets_its_end(it: Exchanging) -> None:
    """Told open first and closed later, it moves deadlines by what it lasted and no further."""
    turn(it, end_of(1, 2))
    start = end_of(1, 1)
    it.world.store.write(duty.outage, start, None, "operator:a", it.now, it.world.id(), b"s" * 32)
    it.world.store.write(
        duty.outage, start, start + 3_600_000, "operator:a", it.now, it.world.id(), b"s" * 32
    )
    with it.world.store.read() as snapshot:
        stand = duty.stands(snapshot, it.agreement, end_of(1, 30))
    assert stand is not None and stand.periods[0].overdue_at == end_of(1, 3) + 3_600_000


def test_a_revision_of_an_old_period_comes_after_an_approval(it: Exchanging) -> None:
    counts = {k: happened(it, k) for k in range(1, 6)}
    sent = []
    for k in range(1, 6):
        turn(it, end_of(k))
        sent.append(report(it, k, counts[k]))
        it.partner.submit(it.partner.own_token(), sent[-1])

    def mended(day: str, cell: Any, figures: list[int]) -> None:
        figures[2] += 1

    def revised(number: int, before: str) -> Any:
        return report(it, 1, counts[1], mended, revision=number, supersedes=before)

    own, revision = it.partner.own_token(), revised(1, sent[0].manifest["report_id"])
    with pytest.raises(Refusal, match="violation"):
        it.partner.submit(own, revision)
    browser = desk(it, "operator", "operator:a")
    assert "next is revision 1" in browser.get(OVER).text
    assert posted(browser, "operator", f"{OVER}/approve", sequence="4").status_code == 400, "free anyway"
    assert posted(browser, "operator", f"{OVER}/approve", sequence="77").status_code == 400
    assert posted(browser, "operator", f"{OVER}/approve", sequence="1").status_code == 303
    assert "next is revision" not in browser.get(OVER).text
    assert it.partner.submit(own, revision)["revision"] == 1
    it.now += 60_000
    with pytest.raises(Refusal, match="violation"):
        it.partner.submit(own, revised(2, revision.manifest["report_id"]))
    with it.world.store.read() as snapshot:
        [(_, _, event)] = log.of_kind(snapshot, log.STORE_OWNER, "approval")
    assert event.facts == {
        "agreement": "streamflix-deal",
        "operator": "operator:a",
        "revision": 1,
        "sequence": 1,
    }  # type: ignore[union-attr]


def test_notices_stand_in_the_ledger_once_and_on_both_pages(it: Exchanging) -> None:
    job = upkeep.job(it.world.id, lambda: b"s" * 32)
    for days in (0.0, 0.1, 2.0, 2.5, 2.6, 3.0, 4.2, 7.1, 9.0):
        turn(it, end_of(1, days))
        it.world.store.write(lambda tx, now: job(tx, now), it.now)
        upkeep.job(it.world.id, lambda: b"s" * 32)  # a restart says nothing twice
    with it.world.store.read() as snapshot:
        told = [event.facts for _, _, event in log.of_kind(snapshot, log.STORE_OWNER, "notice")]  # type: ignore[union-attr]
    kinds = [(fact["notice"], (fact["due"] - end_of(1, 0)) / 86_400_000) for fact in told]  # type: ignore[operator]
    assert kinds == [
        ("reminder", 0), ("reminder", 2), ("reminder", 2.5), ("overdue", 3), ("overdue", 4), ("overdue", 5),
        ("overdue", 6), ("suspended", 7),
    ]  # fmt: skip
    assert (
        "are suspended until its report is accepted"
        in desk(it, "partner", "streamflix").get("/partner/").text
    )
    over = desk(it, "operator", "operator:a").get("/operator/").text
    assert over.count("its report is overdue") == 4 and "its report is due" not in over


def test_a_cohort_table_is_shown_as_the_reports_own(it: Exchanging) -> None:
    counts = happened(it, 1)
    turn(it, end_of(1))
    table = [
        {"send_day": day, **cell._asdict(), "age": "0", "clicks": figures[2]}
        for (day, cell), figures in counts.items()
    ]
    made = report(it, 1, counts, cohort=table)
    it.partner.submit(it.partner.own_token(), made)
    page = desk(it, "operator", "operator:a").get(f"{OVER}/reports/{made.manifest['report_id']}").text
    assert "How old the clicks were" in page
    assert f"{sum(f[2] for f in counts.values()):,}".replace(",", "\u202f") in page


def test_notices_and_what_was_known_then_over_http(it: Exchanging) -> None:
    counts = happened(it, 1)
    turn(it, end_of(1, 4.5))
    own = it.partner.own_token()
    assert [n["kind"] for n in it.partner.notices(own)] == ["reminder"] * 3 + ["overdue"] * 2
    it.partner.submit(own, report(it, 1, counts))
    turn(it, it.now + 60_000)
    then = "2026-09-24T12:00:00Z"
    assert it.partner.reports(own)["periods"][0]["state"] == "accepted"
    known = it.partner.reports(own, then)
    assert known["periods"][0]["state"] == "overdue" and known["reports"] == []
    answer = it.partner.request("GET", f"{URL}/reports/notices?since=x", own)
    assert answer.status_code == 400
    later = it.partner.request("GET", f"{URL}/reports/notices?since={then}", own).json()
    assert [n["at"][:10] for n in later["notices"]] == ["2026-09-25"]


def test_keys_that_retired_are_marked(it: Exchanging) -> None:
    from byleave.gateway.pages.partner import keys_of

    shown = keys_of(it.agreement, it.now)
    assert [k["retired"] for k in shown] == [False]
    page = desk(it, "partner", "streamflix").get(AT).text
    assert "in use" in page and shown[0]["kid"] in page
