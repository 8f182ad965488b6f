"""Each thing that can be wrong with a token or a proof, one at a time, over real HTTP, at both workers by
pid."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.servers.gateway import Served, served
from tests.servers.partner import Partner, b64url, bare, new_key

__all__ = ["served"]
CALL = {"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"hello": True}, "e"]]}


@pytest.fixture(scope="module")
def partner(served: Served) -> Iterator[Partner]:
    found = served.authorized()
    assert found.ask("POST", "/jmap/api", json=CALL).status_code == 200
    yield found


def refused(answer: httpx.Response, error: str) -> None:
    """401 that says which error, where the metadata is and what the nonce is, and nothing of what there
    is."""
    assert answer.status_code == 401, answer.text
    challenge = answer.headers["www-authenticate"]
    assert (
        challenge.startswith("DPoP ")
        and f'error="{error}"' in challenge
        and "resource_metadata=" in challenge
    )
    assert answer.headers["dpop-nonce"] and answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/problem+json"


def proof(partner: Partner, method: str = "POST", path: str = "/jmap/api", **options: Any) -> str:
    return partner.proof(method, path, token=options.pop("token", partner.token), **options)


def test_a_proof_opens_with_each_algorithm(served: Served) -> None:
    for kind in ("ES256", "EdDSA"):
        one = served.partner()
        one.proof_key = new_key(kind)
        served.authorized(one)
        assert one.ask("POST", "/jmap/api", json=CALL).status_code == 200


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"htu": "https://evil.example/jmap/api"}, "invalid_dpop_proof"),
        ({"htu": "/jmap/api"}, "invalid_dpop_proof"),
        ({"htu": None}, "invalid_dpop_proof"),
        ({"htm": "GET"}, "invalid_dpop_proof"),
        ({"htm": "post"}, "invalid_dpop_proof"),
        ({"ath": None}, "invalid_dpop_proof"),
        ({"ath": "A" * 43}, "invalid_dpop_proof"),
        ({"iat": int(time.time()) - 3600}, "invalid_dpop_proof"),
        ({"iat": int(time.time()) + 3600}, "invalid_dpop_proof"),
        ({"iat": None}, "invalid_dpop_proof"),
        ({"iat": "now"}, "invalid_dpop_proof"),
        ({"jti": None}, "invalid_dpop_proof"),
        ({"jti": ""}, "invalid_dpop_proof"),
        ({"jti": "j" * 257}, "invalid_dpop_proof"),
        ({"jti": 7}, "invalid_dpop_proof"),
        ({"nonce": None}, "use_dpop_nonce"),
        ({"nonce": "made-up"}, "use_dpop_nonce"),
        ({"exp": 1}, "invalid_dpop_proof"),
    ],
)
def test_one_wrong_claim(partner: Partner, claims: dict[str, Any], error: str) -> None:
    refused(partner.ask("POST", "/jmap/api", proof=proof(partner, claims=claims), json=CALL), error)


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "jwt"},
        {"typ": None},
        {"alg": "none"},
        {"alg": "HS256"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"crit": ["exp"]},
        {"jku": "https://evil.example/keys"},
    ],
)
def test_one_wrong_header(partner: Partner, header: dict[str, Any]) -> None:
    head, body, tail = proof(partner).split(".")
    stated = {"typ": "dpop+jwt", "alg": "ES256", "jwk": bare(partner.proof_key), **header}
    head = sign_header({name: value for name, value in stated.items() if value is not None})
    refused(partner.ask("POST", "/jmap/api", proof=f"{head}.{body}.{tail}", json=CALL), "invalid_dpop_proof")


def sign_header(header: dict[str, Any]) -> str:
    return b64url(json.dumps(header).encode())


def test_a_private_key_in_the_header_is_refused(partner: Partner) -> None:
    whole = {name: partner.proof_key[name] for name in ("kty", "crv", "x", "y", "d")}
    refused(
        partner.ask("POST", "/jmap/api", proof=proof(partner, header={"jwk": whole}), json=CALL),
        "invalid_dpop_proof",
    )


def test_the_token_with_a_second_key(partner: Partner) -> None:
    made = proof(partner, key=new_key())
    refused(partner.ask("POST", "/jmap/api", proof=made, json=CALL), "invalid_dpop_proof")


def test_a_signature_of_another_key(partner: Partner) -> None:
    made = proof(partner, key=new_key(), header={"jwk": bare(partner.proof_key)})
    refused(partner.ask("POST", "/jmap/api", proof=made, json=CALL), "invalid_dpop_proof")


def test_bearer_does_not_pass_for_a_bound_token(partner: Partner) -> None:
    for proof_ in (proof(partner), ""):
        headers = {"Authorization": f"Bearer {partner.token}"} | ({"DPoP": proof_} if proof_ else {})
        refused(partner.http.post("/jmap/api", headers=headers, json=CALL), "invalid_token")


def test_two_headers_of_one_name(partner: Partner) -> None:
    lists = [("Authorization", f"DPoP {partner.token}"), ("DPoP", proof(partner)), ("DPoP", proof(partner))]
    refused(partner.http.post("/jmap/api", headers=lists, json=CALL), "invalid_dpop_proof")
    lists = [("Authorization", f"DPoP {partner.token}")] * 2 + [("DPoP", proof(partner))]
    refused(partner.http.post("/jmap/api", headers=lists, json=CALL), "invalid_token")


def test_no_token_says_where_to_begin(served: Served) -> None:
    answer = httpx.post(served.url + "/jmap/api", json=CALL)
    assert answer.status_code == 401 and "error=" not in answer.headers["www-authenticate"]
    where = answer.headers["www-authenticate"].partition('resource_metadata="')[2].partition('"')[0]
    told = httpx.get(where).json()
    assert told["resource"] == served.url + "/jmap" and told["authorization_servers"] == [served.url]


def test_a_refresh_token_is_no_access_token(served: Served, partner: Partner) -> None:
    taken = served.partner()
    taken.proof_key, taken.nonce, taken.token = partner.proof_key, partner.nonce, partner.refresh_token
    refused(taken.ask("POST", "/jmap/api", json=CALL), "invalid_token")


def test_a_proof_used_at_one_worker_is_refused_at_the_other(served: Served, partner: Partner) -> None:
    first, second = served.by_pid().values()
    made = proof(partner)
    assert partner.ask("POST", "/jmap/api", http=first, proof=made, json=CALL).status_code == 200
    refused(partner.ask("POST", "/jmap/api", http=second, proof=made, json=CALL), "invalid_dpop_proof")
    refused(partner.ask("POST", "/jmap/api", http=first, proof=made, json=CALL), "invalid_dpop_proof")


@pytest.mark.parametrize("path", ["/jmap/download/x/y/z", "/jmap/upload/x", "/jmap/eventsource"])
def test_a_proof_is_used_up_by_an_error_too(served: Served, partner: Partner, path: str) -> None:
    first, second = served.by_pid().values()
    method = "POST" if "upload" in path else "GET"
    made = proof(partner, method, path)
    assert partner.ask(method, path, http=first, proof=made).status_code in (400, 403, 404)
    refused(partner.ask(method, path, http=second, proof=made), "invalid_dpop_proof")


def test_a_foreign_account_and_a_made_up_id_are_one_answer(served: Served, partner: Partner) -> None:
    other = served.authorized()
    foreign = other.answer["authorization_details"][0]["identifier"]
    answers = []
    for account in (foreign, "a" + "q" * 26, "zzz"):
        said = partner.jmap(["Email/query", {"accountId": account}, "q"])
        assert said.status_code == 200
        answers.append(said.json()["methodResponses"])
    assert answers[0] == answers[1] == answers[2] and answers[0][0][1]["type"] == "accountNotFound"
    theirs = other.everything()[0]["id"]
    account = partner.answer["authorization_details"][0]["identifier"]
    seen = [
        partner.jmap(["Email/get", {"accountId": account, "ids": [id]}, "g"]).json()
        for id in (theirs, "m" + "a" * 26)
    ]
    assert [s["methodResponses"][0][1]["list"] for s in seen] == [[], []]
    blobs = {partner.ask("GET", f"/jmap/download/{a}/b{'a' * 26}/x").content for a in (account, foreign)}
    assert len(blobs) == 1


def test_an_oversized_call(partner: Partner) -> None:
    answer = partner.ask(
        "POST", "/jmap/api", content=b" " * 10_000_001, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (400, 413)
    assert (
        answer.json()["type"] == "urn:ietf:params:jmap:error:limit"
        and answer.json()["limit"] == "maxSizeRequest"
    )
    calls = [["Core/echo", {}, str(n)] for n in range(17)]
    told = partner.jmap(*calls).json()
    assert told["type"] == "urn:ietf:params:jmap:error:limit" and told["limit"] == "maxCallsInRequest"


def test_another_host_is_misdirected(served: Served) -> None:
    for host in ("evil.example", "127.0.0.1", "127.0.0.1:1"):
        assert httpx.get(served.url + "/healthz", headers={"Host": host}).status_code == 421
    port = served.url.rpartition(":")[2]
    assert httpx.get(served.url + "/healthz", headers={"Host": f"localhost:{port}"}).status_code == 200


def test_htu_is_compared_as_an_address_not_as_text(partner: Partner, served: Served) -> None:
    port = served.url.rpartition(":")[2]
    for htu in (
        f"HTTP://127.0.0.1:{port}/jmap/%61pi",
        served.url + "/jmap/api?x=1",
        served.url + "/jmap/api#f",
    ):
        assert (
            partner.ask("POST", "/jmap/api", proof=proof(partner, claims={"htu": htu}), json=CALL).status_code
            == 200
        )
    for htu in (
        served.url + "/jmap/api/",
        f"http://u@127.0.0.1:{port}/jmap/api",
        served.url.replace("http", "https") + "/jmap/api",
    ):
        refused(
            partner.ask("POST", "/jmap/api", proof=proof(partner, claims={"htu": htu}), json=CALL),
            "invalid_dpop_proof",
        )
