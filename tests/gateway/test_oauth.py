"""Each thing that can be wrong at OAuth's endpoints, one at a time, over real HTTP."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from byleave.consent import grant
from byleave.consent.grant import Scope
from byleave.gateway.oauth.authorize import narrowed
from tests.servers.gateway import Served, served, serving
from tests.servers.partner import CALLBACK, Fields, Partner, code_of, decide, new_key

__all__ = ["served"]


def refused(answer: httpx.Response, error: str, status: int = 400) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", answer.json()["error_description"])


def cookie(cookies: dict[str, str]) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


# ── metadata ──
def test_metadata_says_what_fapi_asks_for(served: Served) -> None:
    told = httpx.get(served.url + "/.well-known/oauth-authorization-server").json()
    assert told["issuer"] == served.url and told["require_pushed_authorization_requests"] is True
    assert (
        told["authorization_response_iss_parameter_supported"] is True and told["byleave_mode"] == "sandbox"
    )
    for name, value in told.items():
        if name.endswith("_endpoint"):
            assert value.startswith(served.url + "/oauth/")
    assert "none" not in told["dpop_signing_alg_values_supported"]
    for method in ("GET", "PUT", "DELETE"):
        assert httpx.request(method, served.url + "/oauth/par").status_code == 405


# ── the client ──
@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://evil.example"},
        {"aud": ["list"]},
        {"aud": None},
        {"iss": "somebody"},
        {"sub": "somebody"},
        {"exp": int(time.time()) - 60},
        {"exp": int(time.time()) + 3600},
        {"exp": None},
        {"exp": "soon"},
        {"iat": int(time.time()) + 3600},
        {"nbf": int(time.time()) + 3600},
        {"jti": None},
        {"jti": ""},
        {"act": "ann"},
        {"act": {"sub": ""}},
    ],
)
def test_one_wrong_claim_in_the_assertion(served: Served, claims: dict[str, Any]) -> None:
    partner = served.partner()
    if claims.get("aud") == ["list"]:
        claims = {"aud": [served.url]}
    form = {**partner.request(), **partner.client(claims=claims)}
    refused(partner.http.post("/oauth/par", data=form), "invalid_client", 401)


def test_a_key_that_is_not_the_agreements(served: Served) -> None:
    partner = served.partner()
    other = new_key()
    refused(
        partner.http.post("/oauth/par", data={**partner.request(), **partner.client(key=other)}),
        "invalid_client",
        401,
    )
    stolen = {**other, "kid": partner.key["kid"]}
    refused(
        partner.http.post("/oauth/par", data={**partner.request(), **partner.client(key=stolen)}),
        "invalid_client",
        401,
    )


def test_unknown_clients_and_missing_assertions_are_one_answer(served: Served) -> None:
    known, unknown = served.partner(), Partner(served.url, "nobody", new_key())
    first = known.http.post("/oauth/par", data={**known.request(), "client_id": known.client_id})
    refused(first, "invalid_client", 401)
    second = unknown.http.post("/oauth/par", data={**unknown.request(), **unknown.client()})
    refused(second, "invalid_client", 401)
    other = {**known.client(), "client_id": "nobody"}
    assert known.http.post("/oauth/par", data={**known.request(), **other}).json() == second.json()


def test_an_assertion_is_used_once(served: Served) -> None:
    partner = served.partner()
    form = {**partner.request(), **partner.client()}
    first, second = served.by_pid().values()
    assert first.post("/oauth/par", data=form).status_code == 201
    refused(second.post("/oauth/par", data=form), "invalid_client", 401)


# ── the pushed request ──
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"redirect_uri": "https://evil.example/cb"}, "invalid_request"),
        ({"redirect_uri": CALLBACK + "/"}, "invalid_request"),
        ({"redirect_uri": CALLBACK + "?x"}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"request": "x.y.z"}, "invalid_request"),
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"),
        ({"resource": "https://evil.example/jmap"}, "invalid_request"),
        ({"scope": "inbox.write"}, "invalid_scope"),
        ({"dpop_jkt": "x"}, "invalid_dpop_proof"),
        ({"state": "s" * 1025}, "invalid_request"),
        ({"authorization_details": None}, "invalid_authorization_details"),
        ({"authorization_details": "{}"}, "invalid_authorization_details"),
        ({"authorization_details": "[]"}, "invalid_authorization_details"),
        ({"authorization_details": "["}, "invalid_authorization_details"),
        ({"authorization_details": '[{"type":"inbox_access","type":"x"}]'}, "invalid_authorization_details"),
        ({"authorization_details": "[" * 5000}, "invalid_authorization_details"),
    ],
)
def test_one_wrong_parameter(served: Served, change: dict[str, Any], error: str) -> None:
    refused(served.partner().push(bound=False, **change), error)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "account_access"},
        {"type": None},
        {"purpose": "ranking"},
        {"purpose": "owner"},
        {"purpose": "own-agent"},
        {"purpose": "mind-reading"},
        {"purpose": None},
        {"level": "text"},
        {"level": "full"},
        {"level": "none"},
        {"level": "all"},
        {"level": None},
        {"agreement": "other-deal"},
        {"agreement": None},
        {"locations": []},
        {"locations": None},
        {"locations": ["https://evil.example/jmap"]},
        {"actions": ["write"]},
        {"identifier": "a" * 27},
        {"conversations": []},
        {"conversations": ["no slash"]},
        {"conversations": {"mode": "some"}},
        {"period": {"from": "yesterday"}},
        {"period": {"from": "2026-01-02T00:00:00"}},
        {"period": {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}},
        {"period": {"since": "2026-01-02T00:00:00Z"}},
    ],
)
def test_one_wrong_detail(served: Served, change: dict[str, Any]) -> None:
    partner = served.partner()
    told = json.dumps(partner.details(**change))
    refused(partner.push(bound=False, authorization_details=told), "invalid_authorization_details")


def test_two_details_and_two_parameters(served: Served) -> None:
    partner = served.partner()
    refused(
        partner.push(authorization_details=json.dumps(partner.details() * 2)), "invalid_authorization_details"
    )
    also = [
        partner.details()[0],
        {**partner.details()[0], "locations": [served.url + "/jmap", "https://evil.example"]},
    ]
    refused(partner.push(authorization_details=json.dumps(also[1:])), "invalid_authorization_details")
    pairs = [*partner.request().items(), *partner.client().items(), ("state", "twice")]
    body = "&".join(f"{quote(str(name))}={quote(str(value), safe='')}" for name, value in pairs)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(partner.http.post("/oauth/par", content=body, headers=form), "invalid_request")
    refused(partner.http.post("/oauth/par", json={}), "invalid_request")
    refused(partner.http.post("/oauth/par", content=b"\xff\xfe=%", headers=form), "invalid_request")
    refused(
        partner.http.post("/oauth/par", content=b"a=" + b"x" * 70_000, headers=form), "invalid_request", 413
    )


# ── the question ──
def test_nobody_is_redirected_without_a_pushed_request(served: Served) -> None:
    http = httpx.Client(base_url=served.url)
    plain = {
        "client_id": "streamflix-web",
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "inbox.read",
    }
    made_up = {"client_id": "streamflix-web", "request_uri": "urn:ietf:params:oauth:request_uri:" + "x" * 43}
    for query in (
        {},
        plain,
        {**plain, "redirect_uri": "https://evil.example"},
        made_up,
        {**made_up, "redirect_uri": CALLBACK},
    ):
        answer = http.get("/oauth/authorize", params=query, headers=cookie(served.signed_in(served.owner)))
        assert answer.status_code == 400 and "location" not in answer.headers, query


def test_a_request_uri_is_used_once_and_belongs_to_its_client(served: Served) -> None:
    partner = served.partner()
    signed_in = cookie(served.signed_in(served.owner))
    path = partner.authorize_path(partner.push().json()["request_uri"])
    other = path.replace("streamflix-web", "another")
    assert partner.http.get(other, headers=signed_in).status_code == 400
    assert partner.http.get(path, headers=signed_in).status_code == 200
    assert partner.http.get(path, headers=signed_in).status_code == 400


def test_whoever_is_not_signed_in_signs_in_first(served: Served) -> None:
    partner = served.partner()
    path = partner.authorize_path(partner.push().json()["request_uri"])
    for headers in ({}, {"Cookie": "byleave=made-up"}, cookie(served.signed_in(None, "telegram:user1001"))):
        answer = partner.http.get(path, headers=headers)
        assert answer.status_code == 401 and "Fields" not in answer.text and not Fields(answer.text).found
    assert partner.http.get(path, headers=cookie(served.signed_in(served.owner))).status_code == 200


def test_the_form_is_the_owners_own(served: Served) -> None:
    partner = served.partner()
    mine, other = served.signed_in(served.owner), served.signed_in(served.owner)
    page = partner.http.get(
        partner.authorize_path(partner.push().json()["request_uri"]), headers=cookie(mine)
    )
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy and "https://streamflix.example" in policy
    fields = {**Fields(page.text).found, "decision": "allow"}
    for form, cookies in (
        ({**fields, "csrf": "x"}, mine),
        ({**fields, "csrf": ""}, mine),
        (fields, other),
        (fields, {}),
        ({**fields, "dialogue": "x"}, mine),
    ):
        answer = partner.http.post("/oauth/authorize", data=form, headers=cookie(cookies))
        assert answer.status_code in (400, 403) and "location" not in answer.headers
    foreign = {**cookie(mine), "Origin": "https://evil.example"}
    assert partner.http.post("/oauth/authorize", data=fields, headers=foreign).status_code == 403
    assert partner.http.post("/oauth/authorize", data=fields, headers=cookie(mine)).status_code == 303
    assert partner.http.post("/oauth/authorize", data=fields, headers=cookie(mine)).status_code == 400


@pytest.mark.parametrize(
    "form",
    [
        {"level": "text"},
        {"level": "none"},
        {"decision": "maybe"},
        {"scope": "some"},
        {"scope": "listed"},
        {"until": "2020-01-01"},
        {"until": "2999-01-01"},
        {"until": "soon"},
    ],
)
def test_an_owner_can_only_narrow(served: Served, form: dict[str, str]) -> None:
    partner = served.partner()
    path = partner.authorize_path(partner.push().json()["request_uri"])
    answer = decide(partner.http, path, served.signed_in(served.owner), **form)
    assert answer.status_code == 400 and "location" not in answer.headers


def test_what_the_owner_narrowed_is_what_is_granted(served: Served) -> None:
    partner = served.authorized(level="signals", scope="listed", conversation="telegram/c1")
    [detail] = partner.answer["authorization_details"]
    assert detail["level"] == "signals" and detail["conversations"] == {"mode": "listed"}
    with served.world.store.read() as snapshot:
        found = grant.by_id(snapshot, served.grant_id(partner))
    assert found.scope == Scope("listed", ("telegram/c1",)) and found.client_id == "streamflix-web"


def test_scopes_meet() -> None:
    everything, ab, bc = Scope("all"), Scope("listed", ("a", "b")), Scope("listed", ("b", "c"))
    not_a, not_b = Scope("all-but", ("a",)), Scope("all-but", ("b",))
    names = ("a", "b", "c", "d")
    for one in (everything, ab, bc, not_a, not_b):
        for two in (everything, ab, bc, not_a, not_b):
            both = narrowed(one, two)
            assert [both.holds(n) for n in names] == [one.holds(n) and two.holds(n) for n in names]


# ── code and token ──
@pytest.fixture
def coded(served: Served) -> Iterator[tuple[Partner, str]]:
    partner = served.partner()
    path = partner.authorize_path(partner.push().json()["request_uri"])
    yield partner, code_of(decide(partner.http, path, served.signed_in(served.owner)))["code"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code_verifier": "v" * 43}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"redirect_uri": "https://evil.example/cb"}, "invalid_grant"),
        ({"code": "x" * 43}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"resource": "https://evil.example"}, "invalid_request"),
    ],
)
def test_one_wrong_thing_at_the_token_endpoint(
    coded: tuple[Partner, str], change: dict[str, str], error: str
) -> None:
    partner, code = coded
    refused(partner.redeem(code, **change), error)
    assert partner.redeem(code).status_code == 200


def test_a_code_is_for_the_key_that_asked(coded: tuple[Partner, str]) -> None:
    partner, code = coded
    partner.proof_key = new_key()
    refused(partner.redeem(code), "invalid_grant")
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": partner.verifier}
    refused(partner.form("/oauth/token", form), "invalid_dpop_proof")


def test_a_code_that_comes_twice_ends_its_tokens(served: Served, coded: tuple[Partner, str]) -> None:
    partner, code = coded
    assert partner.redeem(code).status_code == 200
    assert partner.ask("GET", "/jmap/session").status_code == 200
    first, second = served.by_pid().values()
    partner.http = second
    refused(partner.redeem(code), "invalid_grant")
    for client in (first, second):
        assert partner.ask("GET", "/jmap/session", http=client).status_code == 401
    refused(partner.renew(), "invalid_grant")


def test_a_refresh_token_is_bound_and_not_rotated(served: Served) -> None:
    partner = served.authorized()
    old = partner.token
    assert (
        partner.renew().status_code == 200 and partner.token != old and "refresh_token" not in partner.answer
    )
    assert partner.renew().status_code == 200
    refused(partner.renew(scope="inbox.read send"), "invalid_scope")
    refused(partner.renew(refresh_token=partner.token), "invalid_grant")
    partner.proof_key = new_key()
    refused(partner.renew(), "invalid_grant")


def test_the_nonce_is_asked_for_first(served: Served) -> None:
    partner = served.partner()
    proof = partner.proof("POST", "/oauth/token")
    form = {"grant_type": "refresh_token", "refresh_token": "x", **partner.client()}
    answer = partner.http.post("/oauth/token", data=form, headers={"DPoP": proof})
    refused(answer, "use_dpop_nonce")
    partner.nonce = answer.headers["dpop-nonce"]
    again = partner.http.post(
        "/oauth/token", data=form, headers={"DPoP": partner.proof("POST", "/oauth/token")}
    )
    refused(again, "invalid_grant")  # the same assertion is good once more: nothing was used up


# ── what a client may ask about ──
def test_introspection_tells_of_own_tokens_alone(served: Served) -> None:
    partner = served.authorized()
    told = partner.form("/oauth/introspect", {"token": partner.token}).json()
    assert (
        told["active"]
        and told["client_id"] == "streamflix-web"
        and told["cnf"]["jkt"]
        and told["iss"] == served.url
    )
    assert told["authorization_details"] == partner.answer["authorization_details"]
    assert partner.form("/oauth/introspect", {"token": partner.refresh_token}).json()["active"]
    own = served.world.store
    from byleave.consent import token

    with own.read() as snapshot:
        inbox = next(g for g in grant.of_owner(snapshot, served.owner) if g.for_owner)
    bearer = token.fresh()
    now = int(time.time() * 1000)
    own.write(
        token.issue,
        token.hash_of(bearer),
        inbox.owner_id,
        inbox.grant_id,
        None,
        None,
        None,
        "inbox.read",
        now,
    )
    for foreign in (bearer, "made-up"):
        assert partner.form("/oauth/introspect", {"token": foreign}).json() == {"active": False}
        assert partner.form("/oauth/revoke", {"token": foreign}).status_code == 200
    headers = {"Authorization": f"Bearer {bearer}"}
    assert partner.http.get("/jmap/session", headers=headers).status_code == 200
    assert partner.http.get("/jmap/session", headers={"Authorization": f"DPoP {bearer}"}).status_code == 401
    assert httpx.post(served.url + "/oauth/introspect", data={"token": partner.token}).status_code == 401


def test_a_client_looks_at_its_grant_and_ends_it(served: Served) -> None:
    partner, other = served.authorized(), served.authorized()
    id = partner.answer["grant_id"]
    told = partner.ask("GET", f"/oauth/grants/{id}")
    assert (
        told.status_code == 200
        and told.json()["authorization_details"] == partner.answer["authorization_details"]
    )
    foreign = partner.ask("GET", f"/oauth/grants/{other.answer['grant_id']}")
    assert foreign.status_code == 404
    assert foreign.content == partner.ask("DELETE", "/oauth/grants/" + "a" * 27).content
    assert partner.ask("DELETE", f"/oauth/grants/{id}").status_code == 204
    assert partner.ask("GET", f"/oauth/grants/{id}").status_code == 401
    assert other.ask("GET", "/jmap/session").status_code == 200


def test_operatives_are_named_where_the_agreement_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("named"), operatives="named", workers=1) as served:
        refused(served.partner().push(), "invalid_client", 401)
        partner = served.authorized(served.partner(operative="dana@streamflix.example"))
        told = partner.form("/oauth/introspect", {"token": partner.token}).json()
        assert told["act"] == {"sub": "dana@streamflix.example"}
        partner.everything()
        from byleave.view import told as readings

        with served.world.store.read() as snapshot:
            [reading, *_] = readings.of_owner(snapshot, served.owner)
        assert reading.operative == "dana@streamflix.example" and reading.partner == "streamflix"
