"""The public register, as pages and as JSON."""

from __future__ import annotations

from tests.gateway.pages.site import Site, loads, text_of
from tests.worlds import DAY

from byleave.consent import register


def test_it_is_public_and_complete(site: Site) -> None:
    site.world.agree([("tailoring", "masked"), ("ranking", "signals")])
    page = text_of(site.get("/agreements/streamflix-deal").text)
    for word in (
        "tailoring",
        "masked",
        "ranking",
        "signals",
        "none declared",
        "30 days",
        "20 000",
        "verified",
        "in force",
    ):
        assert word in page
    assert text_of(site.get("/agreements").text).count("by both, verified") == 1
    assert site.get("/agreements/nothing").status_code == 404
    assert site.get("/agreements/nothing.json").status_code == 404


def test_json_by_accept_or_by_name(site: Site) -> None:
    site.world.agree()
    by_name, by_accept = site.get("/agreements.json"), site.get("/agreements", Accept="application/json")
    assert loads(by_name) == loads(by_accept)
    (one,) = loads(by_name)["agreements"]
    assert one["in_force"] and one["signatures"]["partner"] and one["signatures"]["provider"]
    assert one["agreement"]["id"] == "streamflix-deal" and len(one["agreement"]["signatures"]) == 2
    assert loads(by_name)["keys"] and "d" not in loads(by_name)["keys"][0]
    assert loads(site.get("/agreements/streamflix-deal.json")) == one


def test_what_is_not_in_force_says_so(site: Site) -> None:
    site.world.agree()
    site.world.agree(version=2)
    assert "Superseded" in site.get("/agreements").text
    site.world.store.write(
        register.set_status, "streamflix-deal", "suspended", site.world.now, b"\x09" * 16, b"s" * 32
    )
    assert "suspended" in text_of(site.get("/agreements/streamflix-deal").text)
    site.world.store.write(
        register.set_status, "streamflix-deal", "published", site.world.now, b"\x08" * 16, b"s" * 32
    )
    site.world.now += 400 * DAY
    assert "out of term" in text_of(site.get("/agreements/streamflix-deal").text)


def test_it_says_the_same_to_everybody(site: Site) -> None:
    site.world.agree()
    owner = site.world.owner()
    stranger = loads(site.get("/agreements.json"))
    site.sign_in(owner)
    assert loads(site.get("/agreements.json")) == stranger
