"""The whole way of a partner over real HTTP: PAR, consent, code, token, reading, refresh, revocation."""

from __future__ import annotations

from tests.servers.gateway import Served, served
from tests.servers.partner import code_of, decide

__all__ = ["served"]


def test_a_partner_reads_what_two_people_allowed(served: Served) -> None:
    partner = served.authorized()
    told = partner.answer
    assert told["token_type"] == "DPoP" and told["expires_in"] <= 3600
    [detail] = told["authorization_details"]
    assert detail["type"] == "inbox_access" and detail["level"] == "masked" and detail["expires_at"]
    session = partner.ask("GET", "/.well-known/jmap")
    assert list(session.json()["accounts"]) == [detail["identifier"]]
    assert session.headers["cache-control"] == "no-store"
    texts = [value["value"] for email in partner.everything() for value in email["bodyValues"].values()]
    assert len(texts) == 2 and not any("secret" in text for text in texts)


def test_the_owner_says_no(served: Served) -> None:
    partner = served.partner()
    path = partner.authorize_path(partner.push().json()["request_uri"])
    said = code_of(decide(partner.http, path, served.signed_in(served.owner), decision="deny"))
    assert said == {"error": "access_denied", "state": partner.state, "iss": served.url}
