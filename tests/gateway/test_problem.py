"""Every code has a word in every protocol, and what nobody foresaw tells nothing."""

from __future__ import annotations

import logging

import orjson
import pytest

from byleave.errors import Code, Exhausted, Invalid
from byleave.gateway import problem

JMAP = {
    "serverUnavailable",
    "serverFail",
    "serverPartialFail",
    "unknownMethod",
    "invalidArguments",
    "forbidden",
    "notFound",
    "accountNotFound",
    "requestTooLarge",
    "stateMismatch",
}
OAUTH = {
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "invalid_scope",
    "access_denied",
    "invalid_token",
    "invalid_dpop_proof",
    "use_dpop_nonce",
    "invalid_authorization_details",
    "temporarily_unavailable",
    "slow_down",
}


@pytest.mark.parametrize("code", list(Code))
def test_each_code_has_a_row(code: Code) -> None:
    row = problem.TABLE[code]
    assert 400 <= row.status < 600 and 400 <= row.oauth_status < 600
    assert row.jmap in JMAP and row.oauth in OAUTH and row.title
    told = problem.answer(Invalid(code, "why"))
    body = orjson.loads(told.body)
    assert body["type"] == f"https://byleave.example/problems/{code.value}" and body["status"] == told.status
    assert orjson.loads(problem.oauth(Invalid(code, "why")).body)["error"] == row.oauth
    assert problem.method_error(Invalid(code, "why"))["type"] == row.jmap


def test_an_incident_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        try:
            raise KeyError("ann@example.test wrote a secret")
        except KeyError as error:
            told = problem.incident(error, "7")
            method = problem.incident_method_error(error, "7")
    assert told.status == 500 and b"secret" not in told.body and b"urn:byleave:incident:7" in told.body
    assert method["type"] == "serverFail"
    assert "KeyError" in caplog.text and "secret" not in caplog.text and "ann@" not in caplog.text


def test_retry_after_and_what_a_header_can_carry() -> None:
    assert ("Retry-After", "60") in problem.answer(Exhausted(Code.BUDGET, retry_after_s=60)).headers
    text = problem.challenge(
        Invalid(Code.INVALID_TOKEN, 'a "quoted"\r\nX: y é'), "https://a.example", ("ES256",)
    )
    assert "\n" not in text and text.isascii() and text.count('"') == 8
