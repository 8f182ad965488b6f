"""What ends binds the next request on every worker: withdrawal, revocation, expiry, suspension; by pid."""

from __future__ import annotations

import time

from sqlalchemy import bindparam, update

from byleave.consent import grant, register
from byleave.model import Level
from byleave.store import prepare
from byleave.store.tables import grant as grants
from tests.servers.gateway import ANN, Served, publish, served
from tests.servers.partner import Partner, new_key

__all__ = ["served"]
_SHORTEN = prepare(
    update(grants).values(expires_at=bindparam("until")).where(grants.c.grant_id == bindparam("of_grant"))
)


def both(served: Served, partner: Partner) -> list[int]:
    """How many Emails each of two workers shows; 401 as its negative."""
    found = []
    for client in served.by_pid().values():
        account = partner.answer["authorization_details"][0]["identifier"]
        answer = partner.jmap(["Email/query", {"accountId": account}, "q"], http=client)
        found.append(
            len(answer.json()["methodResponses"][0][1]["ids"])
            if answer.status_code == 200
            else -answer.status_code
        )
    return found


def test_a_withdrawal(served: Served) -> None:
    world = served.world
    partner = served.authorized()
    assert both(served, partner) == [2, 2]
    world.now = int(time.time() * 1000)
    no = world.choose(ANN, Level.NONE, None)
    assert both(served, partner) == [1, 1]
    world.withdraw(ANN, no)
    assert both(served, partner) == [1, 1], "a no ends every earlier yes"
    world.choose(ANN, Level.MASKED, "tailoring")
    deadline = time.monotonic() + 10
    while both(served, partner) != [2, 2]:
        assert time.monotonic() < deadline, "a yes takes its time, but not that much"


def test_a_grant_revoked_by_its_owner(served: Served) -> None:
    partner = served.authorized()
    assert both(served, partner) == [2, 2]
    served.world.store.write(
        grant.revoke,
        served.owner,
        served.grant_id(partner),
        int(time.time() * 1000),
        served.world.id(),
        b"s" * 32,
    )
    assert both(served, partner) == [-401, -401]
    assert partner.renew().json()["error"] == "invalid_grant"


def test_a_token_revoked_by_its_client(served: Served) -> None:
    partner = served.authorized()
    refresh = partner.refresh_token
    assert partner.form("/oauth/revoke", {"token": partner.token}).status_code == 200
    assert both(served, partner) == [-401, -401]
    assert partner.renew().status_code == 200
    assert both(served, partner) == [2, 2]
    assert partner.form("/oauth/revoke", {"token": refresh}).status_code == 200
    assert both(served, partner) == [-401, -401]
    assert partner.renew().json()["error"] == "invalid_grant"


def test_a_grant_that_expires(served: Served) -> None:
    partner = served.authorized()
    ends = int(time.time() * 1000) + 3000
    grant_id = served.grant_id(partner)
    assert served.world.store.write(lambda tx: tx.run(_SHORTEN, of_grant=grant_id, until=ends)) == 1
    assert both(served, partner) == [2, 2]
    time.sleep(max(0.0, ends / 1000 - time.time()) + 0.01)
    assert both(served, partner) == [-401, -401]


def test_an_agreement_suspended(served: Served) -> None:
    world = served.world
    partner = served.authorized()
    assert both(served, partner) == [2, 2]
    try:
        world.store.write(
            register.set_status, served.agreement_id, register.SUSPENDED, world.now, world.id(), b"s" * 32
        )
        assert both(served, partner) == [-401, -401]
        assert partner.renew().json()["error"] == "invalid_grant"
        assert partner.push().json()["error"] == "invalid_authorization_details"
    finally:
        world.store.write(
            register.set_status, served.agreement_id, register.PUBLISHED, world.now, world.id(), b"s" * 32
        )
    deadline = time.monotonic() + 10
    while both(served, partner) != [2, 2]:
        assert time.monotonic() < deadline


def test_a_key_taken_out_of_the_agreement(served: Served) -> None:
    partner = served.authorized()
    new, old = new_key(), served.partner_key
    publish(served.world, new, version=2)
    answer = partner.renew()
    assert answer.status_code == 401 and answer.json()["error"] == "invalid_client"
    publish(served.world, old, version=3)
    assert partner.renew().status_code == 200


def test_health_names_two_workers(served: Served) -> None:
    assert len(served.by_pid()) == 2
