"""A card's three forms: what clients read out of them, and that no word in it can be more than a word."""

from __future__ import annotations

import email
import json
import re
from collections.abc import Iterator
from email import policy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html

from byleave.exchange import letter
from tests.exchange.world import ANN, BOB, CARD, Exchanging

BASE = "http://127.0.0.1:8420"
NASTY = '</script><script>alert(1)</script>"><img src=x onerror=y>&amp;\u2028'


def made(**changed: str) -> letter.Letter:
    said = {
        "who": "Mara", "title": "The Lighthouse", "text": "For you.", "partner": "Streamflix", "link": f"{BASE}/c/x",
        "trap": f"{BASE}/c/y", "stop": f"{BASE}/me/cards", "id": "00", **changed,
    }  # fmt: skip
    return letter.Letter(**said, at=1_800_000_000_000)  # type: ignore[arg-type]


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.text(max_size=40) | st.just(NASTY))
def test_words_stay_words(text: str) -> None:
    clean = text.replace("\0", "")
    if not clean.isprintable():
        clean = NASTY  # what a card never lets through anyway
    page = letter.chat(made(who=clean, title=clean, text=clean, partner=clean)).decode()
    tree = html.fromstring(page)
    assert [s.get("type") for s in tree.iter("script")] == ["application/ld+json"] and not list(
        tree.iter("img")
    )
    data = json.loads(next(tree.iter("script")).text)
    assert data["@type"] == "RecommendAction" and data["object"]["name"] == clean
    assert {a.get("href") for a in tree.iter("a")} == {f"{BASE}/c/x", f"{BASE}/c/y", f"{BASE}/me/cards"}


def test_a_mail_client_reads_it() -> None:
    raw = letter.mail(
        made(title="Café\u2028 Noir".replace("\u2028", "")),
        "Byleave <cards@gateway.example>",
        "ann@example.test",
    )
    message = email.message_from_bytes(raw, policy=policy.default)
    assert message["Subject"] == "Mara recommends: Café Noir" and message["To"] == "ann@example.test"
    assert message.get_content_type() == "multipart/alternative"
    plain, rich = (part.get_content() for part in message.iter_parts())  # type: ignore[attr-defined]
    assert "Why it is here" in plain and f"{BASE}/c/x" in plain and f"{BASE}/c/y" not in plain
    found = re.search(r'<script type="application/ld\+json">(.*?)</script>', rich, re.DOTALL)
    assert found is not None and json.loads(found[1])["agent"]["name"] == "Mara"


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Exchanging]:
    made_ = Exchanging(tmp_path)
    yield made_
    made_.world.store.close()


def test_over_http_to_its_recipient_alone(it: Exchanging) -> None:
    it.takes_cards(ANN)
    told = it.put()
    it.confirm(told)
    ann = it.session(None, ANN)
    page = it.page(f"/me/cards/{told['id']}", ann)
    assert f'<meta property="og:title" content="{CARD["title"]}">' in page.text
    [(link, trap)] = it.links(ANN)
    assert BASE + link in page.text and BASE + trap in page.text
    assert it.page(f"/me/cards/{told['id']}/mail", ann).headers["content-type"].startswith("message/rfc822")
    assert it.page(f"/me/cards/{told['id']}/oembed", ann).json()["type"] == "link"
    for who in (it.session(None, BOB), it.session(it.owner)):
        assert it.page(f"/me/cards/{told['id']}", who).status_code == 404
    it.takes_cards(ANN, clicks=False)
    assert "/c/" not in it.page(f"/me/cards/{told['id']}", ann).text
