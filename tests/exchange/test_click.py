"""Click tokens, what counts, and a redirect that cannot be turned."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.exchange import arrival, click, send
from byleave.exchange.terms import Cell
from byleave.keys import b64url, unb64url
from tests.exchange.world import ANN, BOB, CELL, DAY_MS, ME, Exchanging

AT = 1_800_000_000_000


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Exchanging]:
    made = Exchanging(tmp_path)
    made.takes_cards(ANN)
    made.confirm(made.put())
    made.now += 60_000
    yield made
    made.world.store.close()


def reasons(it: Exchanging) -> list[str]:
    with it.world.store.read() as snapshot:
        [sent] = send.of_owner(snapshot, it.owner, 9)
        return [reason for _, reason in click.of_send(snapshot, it.owner, sent.send_id)]


def kind(it: Exchanging, answer: object) -> str:
    query = parse_qs(urlsplit(answer.headers["location"]).query)  # type: ignore[attr-defined]
    found = arrival.read(arrival.key_of(it.world.installation.ids, "streamflix-deal"), query["bl"][0])
    assert found is not None and found.cell == Cell(**CELL)
    return found.kind


def test_a_click_is_counted_redirected_and_tells_no_person(it: Exchanging) -> None:
    [(link, _)] = it.links(ANN)
    answer = it.click(link)
    assert answer.status_code == 302 and answer.content == b""
    assert (
        answer.headers["cache-control"] == "no-store" and answer.headers["referrer-policy"] == "no-referrer"
    )
    assert answer.headers["x-robots-tag"] == "noindex"
    where = urlsplit(answer.headers["location"])
    assert f"{where.scheme}://{where.netloc}{where.path}" == "https://streamflix.example/title/t100"
    bl = parse_qs(where.query)["bl"][0]
    assert bl.startswith("1.tv.detail.card-on_platform.2026-09-07.first.")
    key = it.partner.arrivals_key(it.partner.own_token())
    assert arrival.read(key, bl) == (Cell(**CELL), date(2026, 9, 7), "first")
    assert arrival.read(key, bl.replace("first", "repeat")) is None
    assert reasons(it) == ["first"]


def test_thirty_seconds_are_one_click_and_thirty_one_are_two(it: Exchanging) -> None:
    [(link, _)] = it.links(ANN)
    kinds = []
    for wait in (0, 30_000, 30_000, 31_000):
        it.now += wait
        kinds.append(kind(it, it.click(link)))
    assert kinds == ["first", "uncounted", "uncounted", "repeat"]
    assert reasons(it) == ["first", "double", "double", "repeat"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"method": "HEAD"}, "head"),
        ({"sec_purpose": "prefetch;prerender"}, "prefetch"),
        ({"purpose": "prefetch"}, "prefetch"),
        ({"sec_fetch_mode": "no-cors"}, "no-navigation"),
        ({"sec_gpc": "1"}, "gpc"),
        ({"agent": "Mozilla/5.0 (compatible; Examplebot/2.1)"}, "robot"),
        ({"agent": ""}, "robot"),
        ({"agent": "curl/8.5.0"}, "robot"),
    ],
)
def test_what_does_not_count_is_kept_with_its_reason_and_redirected(
    it: Exchanging, options: dict[str, str], reason: str
) -> None:
    [(link, _)] = it.links(ANN)
    answer = it.click(link, **options)  # type: ignore[arg-type]
    assert answer.status_code == 302 and kind(it, answer) == "uncounted" and reasons(it) == [reason]
    assert kind(it, it.click(link)) == "first", "it did not use up the first click"


def test_the_honeypot_marks_its_client(it: Exchanging) -> None:
    [(link, trap)] = it.links(ANN)
    assert kind(it, it.click(trap, agent="Mozilla/5.0 hidden")) == "uncounted"
    assert kind(it, it.click(link, agent="Mozilla/5.0 hidden")) == "uncounted"
    assert kind(it, it.click(link)) == "first"
    assert reasons(it) == ["trap", "trap", "first"]


def test_the_senders_own_click_and_a_click_at_once(it: Exchanging) -> None:
    [(link, _)] = it.links(ANN)
    for who in (it.session(it.owner), it.session(None, ME)):
        it.http.cookies.clear()
        answer = it.http.get(
            link, headers={"Cookie": f"byleave={who['byleave']}", "User-Agent": "Mozilla/5.0"}
        )
        assert kind(it, answer) == "uncounted"
    assert reasons(it) == ["own", "own"]
    it.takes_cards(BOB)
    it.confirm(it.put(BOB))
    [(quick, _)] = it.links(BOB)
    it.now += 2_000
    assert kind(it, it.click(quick)) == "uncounted"
    it.now += 1
    assert kind(it, it.click(quick)) == "first"


def test_who_does_not_want_to_be_counted_gets_a_plain_link(it: Exchanging) -> None:
    [(link, _)] = it.links(ANN)
    silent = {"Cookie": f"byleave={it.session(None, ANN)['byleave']}", "Sec-GPC": "1"}
    page = it.http.get("/me/cards", headers=silent).text
    assert "/c/" not in page and 'href="https://streamflix.example/title/t100"' in page
    it.takes_cards(ANN, clicks=False)
    assert it.links(ANN) == []
    assert kind(it, it.click(link)) == "uncounted" and reasons(it) == ["no-leave"]


def test_forged_foreign_retired_and_old_links_are_one_answer(it: Exchanging) -> None:
    [(link, _)] = it.links(ANN)
    token = link.removeprefix("/c/")
    raw = unb64url(token)
    wrong = [
        b64url(raw[:-1] + bytes((raw[-1] ^ 1,))),
        b64url(bytes((9,)) + raw[1:]),
        b64url(bytes((2,)) + raw[1:]),  # a link made into a honeypot
        b64url(raw[:1] + bytes((7,)) + raw[2:]),
        token[:-1] + chr(ord(token[-1]) + 1),
        token + "A", token[:-1], "A" * 46, "%2e%2e", "x",
    ]  # fmt: skip
    answers = {(a.status_code, a.content) for a in (it.click(f"/c/{one}") for one in wrong)}
    assert len(answers) == 1 and next(iter(answers))[0] == 404
    until = it.now + 1000
    it.world.store.write(click.rotate, b"n" * 32, until, it.now, it.world.id(), b"s" * 32)
    assert it.click(link).status_code == 302
    [(newer, _)] = it.links(ANN)
    assert newer != link
    it.now = until
    assert it.click(link).status_code == 404 and it.click(newer).status_code == 302
    it.now += 91 * DAY_MS
    assert it.click(newer).status_code == 404
    assert len(reasons(it)) == 2, "nothing was kept of the others"


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.text(max_size=60), st.binary(min_size=34, max_size=34))
def test_reading_a_token_never_raises_and_is_canonical(text: str, data: bytes) -> None:
    assert click.read(text) is None or len(text) == 46
    found = click.read(b64url(data))
    assert (found is not None) == (data[0] in (1, 2))


@settings(max_examples=80, derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 70_000), max_size=12))
def test_judging_clicks_against_the_words_of_the_rule(waits: list[int]) -> None:
    """Valid clicks = those more than 30 s behind the one before; the first is `first`, every other `repeat`."""
    at, last, counted, found = AT + 10_000, None, 0, []
    for wait in waits:
        at += wait
        facts = click.Facts(
            at=at,
            refused=None,
            trap=False,
            trapped=False,
            own=False,
            allowed=True,
            accepted_at=AT,
            last=last,
            counted=counted,
            many=False,
        )
        reason = click.judge(facts)
        found.append(reason)
        counted += reason in ("first", "repeat")
        last = at
    assert found.count("first") == min(1, len(waits))
    assert sum(r in ("first", "repeat") for r in found) == sum(
        1 for i, w in enumerate(waits) if i == 0 or w > 30_000
    )


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.text(max_size=120))
def test_arrivals_that_are_not_ours_are_none(text: str) -> None:
    assert arrival.read(b"k" * 32, text) is None
