"""The session: absolute URLs, one account, and a state that only its going changes."""

from __future__ import annotations

from byleave.gateway.jmap.session import CAPABILITIES, KNOW, LIMITS, READ, SIGNALS, session, session_state
from tests.gateway.jmap.conftest import Account, Place

BOTH = frozenset((READ, KNOW))


def _session(account: Account) -> dict[str, object]:
    with account.world.store.read() as snapshot:
        return session(account.view(snapshot), "https://inbox.example/", "someone", BOTH)


def test_the_shape(place: Place) -> None:
    for account in (place.owner, place.masked):
        made = _session(account)
        assert set(made) == {
            "capabilities", "accounts", "primaryAccounts", "username", "apiUrl", "downloadUrl", "uploadUrl",
            "eventSourceUrl", "state",
        }  # fmt: skip
        assert set(made["capabilities"]) == set(CAPABILITIES)  # type: ignore[call-overload]
        assert made["capabilities"][CAPABILITIES[0]].items() >= LIMITS.items()  # type: ignore[index]
        [(id, shown)] = made["accounts"].items()  # type: ignore[attr-defined]
        assert id == account.id and made["primaryAccounts"] == dict.fromkeys(shown["accountCapabilities"], id)
        assert (SIGNALS in shown["accountCapabilities"]) == (account is place.masked)
        assert shown["isReadOnly"] is True and isinstance(shown["accountCapabilities"], dict)
        assert shown["accountCapabilities"][CAPABILITIES[1]]["emailQuerySortOptions"] == [
            "receivedAt",
            "sentAt",
            "size",
        ]
        for url in ("apiUrl", "downloadUrl", "uploadUrl", "eventSourceUrl"):
            assert str(made[url]).startswith("https://inbox.example/jmap")
        for piece in ("{accountId}", "{blobId}", "{name}", "{type}"):
            assert piece in str(made["downloadUrl"])
        for piece in ("{types}", "{closeafter}", "{ping}"):
            assert piece in str(made["eventSourceUrl"])


def test_a_partner_is_not_told_whose_inbox_it_is(place: Place) -> None:
    assert _session(place.masked)["accounts"][place.masked.id]["name"] == "Inbox"  # type: ignore[index]


def test_signals_and_gone(place: Place) -> None:
    signals = _session(place.signals)
    assert signals["accounts"][place.signals.id]["accountCapabilities"].keys() == {SIGNALS}  # type: ignore[index]
    assert signals["primaryAccounts"] == {SIGNALS: place.signals.id}
    with place.signals.world.store.read() as snapshot:
        words_only = session(place.signals.view(snapshot), "https://inbox.example", "", frozenset((READ,)))
    assert words_only["primaryAccounts"] == {}
    gone = session(None, "https://inbox.example", "someone", BOTH)
    assert gone["accounts"] == {} and gone["state"] == session_state(None)
    assert (
        len({gone["state"], signals["state"], *(_session(a)["state"] for a in (place.owner, place.masked))})
        == 4
    )  # type: ignore[arg-type]


def test_answers_carry_its_state(place: Place) -> None:
    assert place.masked.request([])["sessionState"] == _session(place.masked)["state"]
