"""One-time links to the partner's and the operator's pages from the console: who gets one in which store."""

from __future__ import annotations

import pytest

from tests.cli.terminal import Terminal
from tests.cli.test_verbs import partner


def test_an_operator_and_a_partner_get_links_in_a_sandbox(sandbox: Terminal) -> None:
    partner(sandbox)
    for arguments, role in ((("--operator", "a"), "operator"), (("--partner", "streamflix"), "partner")):
        told = sandbox.json("signin", *arguments, "--base-url", "http://127.0.0.1:8420")
        assert set(told) == {"url", "expires_at"}
        assert told["url"].startswith(f"http://127.0.0.1:8420/{role}/signin/")
    assert "no agreement names" in sandbox("signin", "--partner", "nobody").refusal
    assert "operator" in sandbox("signin", "--operator", "A b").refusal


def test_in_a_provider_store_the_console_makes_operators_links_alone(byleave: Terminal) -> None:
    byleave.json("init", "--mode", "provider")
    assert "/operator/signin/" in byleave.json("signin", "--operator", "operator:a")["url"]
    for arguments in (("--partner", "streamflix"), ("--owner", "me"), ("--person", "mail:ann@example.test")):
        assert "not on the console of a provider store" in byleave("signin", *arguments).refusal


@pytest.mark.parametrize(
    "arguments",
    [(), ("--owner", "me", "--operator", "a"), ("--client", "web"), ("--key", "partner.jwk"), ("--operator", "a", "--partner", "x")],
)  # fmt: skip
def test_one_of_them_is_named(sandbox: Terminal, arguments: tuple[str, ...]) -> None:
    assert "--" in sandbox("signin", *arguments).refusal


def test_a_client_asks_a_gateway_and_hears_where_none_answers(sandbox: Terminal) -> None:
    partner(sandbox)
    said = sandbox("signin", "--client", "web", "--key", "partner.jwk", "--base-url", "http://127.0.0.1:9")
    assert "127.0.0.1:9" in said.refusal or "answers" in said.refusal


def test_operators_acts_by_the_console(sandbox: Terminal) -> None:
    agreement = partner(sandbox)["agreement"]
    told = sandbox.json("report", "waive", "--agreement", agreement, "--sequence", "1", "--operator", "a")
    assert told["sequence"] == 1
    outage = ("report", "outage", "--start", "2024-01-01T00:00:00Z", "--end", "2024-01-01T02:00:00Z")
    assert sandbox.json(*outage, "--operator", "operator:b")["start"] == "2024-01-01T00:00:00Z"
    assert (
        "nothing to revise"
        in sandbox(
            "report", "approve", "--agreement", agreement, "--sequence", "1", "--operator", "a"
        ).refusal
    )
