"""The partner's client, blocking and awaited: one protocol, the whole loop, errors in one line."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson
import pytest
from joserfc.jwk import OKPKey

from byleave.errors import Invalid, Unavailable
from byleave.exchange import arrival
from byleave.keys import read_jwk
from byleave.partner.client import AsyncPartner, Partner, Refusal, Token, new_key, registration
from byleave.partner.flows import Flows
from tests.exchange.test_delivery import end_of
from tests.exchange.test_picture import png
from tests.exchange.world import ANN, CARD, CELL, URL, Exchanging
from tests.servers.partner import CALLBACK, decide

TOKEN = Token(access_token="at", account_id="acct", expires_in=3600, refresh_token="rt")
SERVER = {
    "issuer": URL, "token_endpoint": f"{URL}/oauth/token", "authorization_endpoint": f"{URL}/oauth/authorize",
    "pushed_authorization_request_endpoint": f"{URL}/oauth/par", "revocation_endpoint": f"{URL}/oauth/revoke",
}  # fmt: skip
FLOWS = [
    name for name, made in vars(Flows).items() if inspect.isgeneratorfunction(made) and not name.startswith("_")
]  # fmt: skip


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Exchanging]:
    made = Exchanging(tmp_path)
    yield made
    made.world.store.close()


@pytest.mark.parametrize("kind", [Partner, AsyncPartner])
def test_each_flow_is_a_method_of_both(kind: type) -> None:
    assert len(FLOWS) > 15
    for name in FLOWS:
        method = getattr(kind, name)
        assert inspect.signature(method) == inspect.signature(getattr(Flows, name))
        assert method.__doc__ and inspect.iscoroutinefunction(method) == (kind is AsyncPartner)


def answering(*answers: httpx.Response) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    asked: list[httpx.Request] = []
    left = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.path == "/.well-known/oauth-authorization-server":
            return httpx.Response(200, json=SERVER)
        return left.pop(0)

    return httpx.MockTransport(handle), asked


def both(
    name: str, *arguments: Any, answers: list[dict[str, Any]], **more: Any
) -> tuple[Any, list[httpx.Request]]:
    """Calls a method on either client; both must give the same. Answers (result or error, requests)."""
    found = []
    for kind in (Partner, AsyncPartner):
        transport, asked = answering(*(httpx.Response(**a) for a in answers))
        http = (
            httpx.Client(transport=transport) if kind is Partner else httpx.AsyncClient(transport=transport)
        )
        made: Any = kind(URL, "web", new_key(), CALLBACK, http=http, clock=lambda: 1_800_000_000)  # type: ignore[arg-type]
        try:
            got = getattr(made, name)(*arguments, **more)
            result = asyncio.run(got) if kind is AsyncPartner else got
        except (Invalid, Unavailable) as error:
            result = (type(error), error.detail)
        found.append((result, asked))
    assert found[0][0] == found[1][0]
    assert [(r.method, str(r.url)) for r in found[0][1]] == [(r.method, str(r.url)) for r in found[1][1]]
    return found[1]


def claims(request: httpx.Request) -> dict[str, Any]:
    import base64

    part = request.headers["DPoP"].split(".")[1]
    said: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return said


def test_a_nonce_is_answered_once_and_kept() -> None:
    wants = {
        "status_code": 401,
        "headers": {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP-Nonce": "n1"},
    }
    fine = {"status_code": 200, "json": {"sends": [], "more": False}, "headers": {"DPoP-Nonce": "n2"}}
    found, asked = both("sends", TOKEN, answers=[wants, fine])
    assert found == [] and [claims(r).get("nonce") for r in asked] == [None, "n1"]
    said = claims(asked[1])
    assert (said["htm"], said["htu"], said["iat"]) == ("GET", f"{URL}/sends", 1_800_000_000)
    found, asked = both("sends", TOKEN, answers=[wants, wants])
    assert found[0] is Refusal and len(asked) == 2, "a server that never has enough is not asked for ever"


def test_a_form_is_made_again_for_a_nonce() -> None:
    wants = {"status_code": 400, "json": {"error": "use_dpop_nonce"}, "headers": {"DPoP-Nonce": "n1"}}
    fine = {"status_code": 200, "json": {"access_token": "new", "expires_in": 60}}
    found, asked = both("renew", TOKEN, answers=[wants, fine])
    assert found.access_token == "new" and found.refresh_token == "rt" and found.account_id == "acct"
    first, second = (parse_qs(r.content.decode())["client_assertion"][0] for r in asked[1:])
    assert first != second, "an assertion is used once"
    assert claims(asked[2])["nonce"] == "n1"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"status_code": 400, "json": {"error": "invalid_grant", "error_description": "ended"}}, "400 invalid_grant: ended"),
        ({"status_code": 502, "content": b"<html>oops"}, "502 502: refused"),
        ({"status_code": 503, "json": ["no", "object"]}, "503 503: refused"),
    ],
)  # fmt: skip
def test_what_is_refused_is_one_line(answer: dict[str, Any], says: str) -> None:
    found, _ = both("renew", TOKEN, answers=[answer])
    assert found == (Refusal, says)


def test_where_nothing_answers() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to secret-host")

    made = Partner(URL, "web", new_key(), CALLBACK, http=httpx.Client(transport=httpx.MockTransport(handle)))
    with pytest.raises(Unavailable, match=r"^the gateway at 127\.0\.0\.1:8420 cannot be reached$"):
        made.session(TOKEN)
    http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    with pytest.raises(Unavailable, match="cannot be reached"):
        asyncio.run(AsyncPartner(URL, "web", new_key(), CALLBACK, http=http).session(TOKEN))


def test_metadata_of_another_issuer_are_refused() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={**SERVER, "issuer": "https://evil.example"})

    made = Partner(URL, "web", new_key(), CALLBACK, http=httpx.Client(transport=httpx.MockTransport(handle)))
    with pytest.raises(Invalid, match="another issuer"):
        made.own_token()


def test_all_pages_are_read_and_a_methods_error_is_raised() -> None:
    def page(ids: list[str]) -> dict[str, Any]:
        found = [{"id": id} for id in ids]
        return {
            "status_code": 200,
            "json": {
                "methodResponses": [["Email/query", {"ids": ids}, "q"], ["Email/get", {"list": found}, "g"]]
            },
        }

    session = {"status_code": 200, "json": {"apiUrl": f"{URL}/jmap/api"}}
    first, second = [f"m{n}" for n in range(500)], ["m500"]
    found, asked = both("emails", TOKEN, ["id"], answers=[session, page(first), page(second)])
    assert [e["id"] for e in found] == first + second
    assert orjson.loads(asked[-1].content)["methodCalls"][0][1]["position"] == 500
    found, asked = both("emails", TOKEN, ["id"], most=3, answers=[session, page(first[:3])])
    assert len(found) == 3 and len(asked) == 2
    error = {
        "status_code": 200,
        "json": {
            "methodResponses": [
                ["error", {"type": "forbidden"}, "q"],
                ["error", {"type": "invalidResultReference"}, "g"],
            ]
        },
    }
    found, _ = both("emails", TOKEN, ["id"], answers=[session, error])
    assert found == (Refusal, "200 forbidden: refused")


def test_an_image_is_named_by_its_hash_and_looked_at_first() -> None:
    image = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
    name = hashlib.sha256(image).hexdigest()
    found, asked = both("put_image", TOKEN, image, answers=[{"status_code": 201}])
    assert found == name and asked[0].url.path == f"/sends/images/{name}" and asked[0].method == "PUT"
    assert asked[0].headers["Content-Type"] == "image/png" and asked[0].content == image
    for wrong in (b"GIF89a", b"", image + b"\0" * 200_000):
        found, asked = both("put_image", TOKEN, wrong, answers=[])
        assert found[0] is Invalid and asked == []


def test_a_token_in_a_log_tells_nothing() -> None:
    assert "at" not in repr(TOKEN).replace("acct", "") or "access_token" not in repr(TOKEN)
    assert "rt" not in repr(TOKEN)


def test_registration_has_no_private_half() -> None:
    made = registration("web", "deal", [CALLBACK], new_key(), OKPKey.generate_key("Ed25519"))
    assert len(made["jwks"]["keys"]) == 2 and not any("d" in key for key in made["jwks"]["keys"])


def test_the_whole_loop_awaited(it: Exchanging) -> None:
    """Against the gateway itself: leave, reading, a card, a click, the report and its receipt."""
    it.takes_cards(ANN)

    async def loop() -> None:
        transport = httpx.ASGITransport(app=it.app)
        async with AsyncPartner(
            URL, "streamflix-web", it.key, CALLBACK, clock=lambda: it.now / 1000,
            http=httpx.AsyncClient(transport=transport),
        ) as made:  # fmt: skip
            details = {"purpose": "tailoring", "level": "masked", "agreement": "streamflix-deal"}
            pushed = await made.push(details, "inbox.read send")
            answer = await asyncio.to_thread(decide, it.http, pushed.authorize_url, it.session(it.owner))
            it.http.cookies.clear()
            token = await made.redeem(pushed, answer.headers["location"])
            emails = await made.emails(token, ["from", "preview", "blobId", "size"])
            assert [e["preview"] for e in emails if "lighthouse" in e["preview"]]
            assert len(await made.blob(token, emails[0]["blobId"], "message/rfc822")) == emails[0]["size"]
            it.token = token = await made.renew(token)
            image = await made.put_image(token, png())
            told = await made.send(token, it.address(ANN), {**CARD, "image": image}, CELL)
            await asyncio.to_thread(it.confirm, told)
            it.now += 60_000
            [(link, _)] = await asyncio.to_thread(it.links, ANN)
            landed = (await asyncio.to_thread(it.click, link)).headers["Location"]
            own = await made.own_token()
            arrived = arrival.read(await made.arrivals_key(own), parse_qs(urlsplit(landed).query)["bl"][0])
            assert arrived is not None and arrived.kind == "first"
            [sent] = await made.sends(token)
            events = [
                {"kind": "send", "day": sent["day"], **sent["cell"]},
                {"kind": "recipient_click", "day": arrived.day.isoformat(), **arrived.cell._asdict()},
            ]
            it.now = end_of(1)
            own = await made.own_token()
            kept = await made.submit(own, _report(it, events))
            assert await made.receipt(own, kept["report_id"]) == kept["receipt"]
            beside = await made.reconciliation(own, kept["report_id"])
            assert beside["findings"] == [] and all(c["platform"] == c["partner"] for c in beside["cells"])
            assert (await made.reports(own))["periods"][0]["state"] == "accepted"
            await made.revoke(await made.renew(token))
            with pytest.raises(Refusal, match="invalid_grant"):
                await made.renew(token)

    asyncio.run(loop())


def _report(it: Exchanging, events: list[dict[str, Any]]) -> Any:
    from byleave.exchange import report as reports

    return reports.build(
        reports.count((orjson.dumps(e) for e in events), it.terms, 1), it.terms, sequence=1,
        report_id="019c0000-0000-7abc-8def-000000000001", generated_at_ms=it.now,
        key=read_jwk(it.key.as_dict(private=True)), bot_filter_version="none", preparer="Reports desk",
    )  # fmt: skip


def test_it_stands_alone() -> None:
    code = (
        "import sys, byleave.partner.client, byleave.partner.proxy; "
        "sys.exit(bool({'sqlalchemy', 'starlette', 'uvicorn', 'byleave.store', 'byleave.consent'} & sys.modules.keys()))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
    )
