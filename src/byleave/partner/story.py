"""The partner of the demo, in a process of its own: told what to do by lines of JSON, it answers in lines of JSON.

It has no more than any partner: its key, the gateway's address and HTTP. `python -m byleave.partner.story`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from byleave.errors import ByleaveError
from byleave.partner.client import Partner, Pushed, Token, new_key

PAGE = 500


class Story:
    """What the partner knows between two lines."""

    def __init__(self) -> None:
        self.key = new_key()
        self.partner: Partner | None = None
        self.pushed: Pushed | None = None
        self.token: Token | None = None
        self.seen: list[str] = []

    def key_file(self, file: str) -> dict[str, Any]:
        """Makes the partner's key known: the private half goes to `file`, for `agreement sign`."""
        path = Path(file)
        path.touch(mode=0o600)
        path.write_bytes(orjson.dumps(self.key.as_dict(private=True)))
        return {"jwk": self.key.as_dict(private=False)}

    def push(
        self, base_url: str, client_id: str, redirect_uri: str, operative: str, details: dict[str, Any]
    ) -> dict[str, Any]:
        self.partner = Partner(base_url, client_id, self.key, redirect_uri, operative=operative)
        self.pushed = self.partner.push(details)
        return {"authorize_url": self.pushed.authorize_url}

    def redeem(self, callback_url: str) -> dict[str, Any]:
        assert self.partner is not None and self.pushed is not None
        self.token = self.partner.redeem(self.pushed, callback_url)
        return {"account_id": self.token.account_id, "expires_in": self.token.expires_in}

    def read(self) -> dict[str, Any]:
        """Reads all that is visible, page by page; answers how much, by whom, and a few lines."""
        assert self.partner is not None and self.token is not None
        position, senders, lines = 0, dict[str, int](), list[str]()
        ids: list[str] = []
        while True:
            query = {"accountId": self.token.account_id, "position": position, "limit": PAGE}
            get = {
                "accountId": self.token.account_id, "#ids": {"resultOf": "q", "name": "Email/query", "path": "/ids"},
                "properties": ["id", "from", "receivedAt", "subject", "preview"],
            }  # fmt: skip
            responses = self.partner.jmap(self.token, [["Email/query", query, "q"], ["Email/get", get, "g"]])
            if responses[0][0] == "error":
                return {"visible": 0, "senders": {}, "lines": [], "answer": responses[0][1]["type"]}
            found = responses[1][1]["list"]
            ids += [email["id"] for email in found]
            for email in found:
                who = email["from"][0]["email"]
                senders[who] = senders.get(who, 0) + 1
            lines += [email["preview"] for email in found if email["preview"]]
            position += len(found)
            if len(found) < PAGE:
                break
        self.seen = ids
        return {"visible": len(ids), "senders": senders, "lines": lines[:3]}

    def ids(self) -> list[str]:
        """The ids of the last reading."""
        return self.seen

    def attempt(self, what: str, ids: list[str] = []) -> dict[str, Any]:  # noqa: B006 (never changed)
        """Tries what it may not; answers what the gateway said."""
        assert self.partner is not None and self.token is not None
        tries: dict[str, Callable[[], str]] = {
            "hidden id": lambda: self._get(ids),
            "number": lambda: self._query({"from": "+44 7700 900123"}),
            "directory": lambda: self._method("Principal/query", {"filter": {"email": "ann@example.test"}}),
            "second key": self._second_key,
            "read": lambda: str(self.read().get("answer", "read")),
        }
        try:
            return {"answer": tries[what]()}
        except ByleaveError as error:
            return {"answer": error.detail}

    def _method(self, name: str, arguments: dict[str, Any]) -> str:
        assert self.partner is not None and self.token is not None
        response = self.partner.jmap(
            self.token, [[name, {"accountId": self.token.account_id, **arguments}, "0"]]
        )[0]
        if response[0] == "error":
            return str(response[1]["type"])
        if "notFound" in response[1]:
            return f"notFound for {len(response[1]['notFound'])} of {len(response[1]['notFound']) + len(response[1]['list'])}"
        return f"{len(response[1].get('ids', []))} results"

    def _get(self, ids: list[str]) -> str:
        return self._method("Email/get", {"ids": ids, "properties": ["id", "preview"]})

    def _query(self, filter: dict[str, Any]) -> str:
        return self._method("Email/query", {"filter": filter})

    def _second_key(self) -> str:
        assert self.partner is not None and self.token is not None
        answer = self.partner.request(
            "GET", f"{self.partner.base_url}/jmap/session", self.token, key=new_key()
        )
        challenge = answer.headers.get("WWW-Authenticate", "")
        error = challenge.partition('error="')[2].partition('"')[0]
        return f"{answer.status_code} {error}".strip()


def main() -> None:
    """One line in, one line out, until the input ends."""
    story = Story()
    for line in sys.stdin.buffer:
        step, arguments = orjson.loads(line)
        try:
            answer = getattr(story, step)(**arguments)
        except ByleaveError as error:
            answer = {"error": error.detail}
        sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
