"""`byleave ledger verify URL`: anybody with the log's key checks it over HTTP."""

from __future__ import annotations

import pytest

from byleave.ledger import sequence
from byleave.ledger.checkpoint import Verifier
from tests.cli.terminal import Terminal
from tests.servers.gateway import Served, served

__all__ = ["served"]


def test_a_gateways_log_is_checked_over_http(served: Served, byleave: Terminal) -> None:
    keyring = served.world.installation.keyring
    key = Verifier.of(sequence.origin_of(keyring), keyring.active("ledger")).vkey
    served.authorized().everything()
    verified = byleave.json("ledger", "verify", served.url, "--key", key)
    assert set(verified) == {"ok", "size", "root", "problems"} and verified["ok"] and not verified["problems"]
    store = ("--store", str(served.world.path))
    byleave.json("ledger", "verify", *store)  # takes in what waits
    assert key in byleave("ledger", "verify", *store).out
    own = byleave.json("ledger", "verify", served.url + "/", *store)
    assert own["ok"] and own["size"] >= verified["size"] and own["size"] > 0
    other = Verifier("elsewhere.example/log", bytes(31) + b"\x01").vkey
    said = byleave("ledger", "verify", served.url, "--key", other, "--json")
    assert said.status != 0 and '"ok": false' in said.out


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense", "ftp://host", "http://", "http://[::1"])
def test_an_address_without_a_log_is_one_line(sandbox: Terminal, url: str) -> None:
    assert sandbox("ledger", "verify", url).refusal


def test_a_key_that_is_none_is_one_line(byleave: Terminal) -> None:
    assert byleave("ledger", "verify", "http://127.0.0.1:9", "--key", "nonsense").refusal
