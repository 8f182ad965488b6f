"""A gateway with its pages over a small world, and a browser without JavaScript: cookies and forms."""

from __future__ import annotations

import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert
from starlette.testclient import TestClient
from tests.worlds import World

from byleave.gateway.app import Gateway
from byleave.model import Mode
from byleave.store import Transaction, prepare
from byleave.store.asking import session
from byleave.view import told

BASE = "http://127.0.0.1:8420"
_ADD = prepare(insert(session))
_SERIAL = iter(range(10**9))


def add_link(
    tx: Transaction, hash: bytes, owner_id: bytes | None, handle: str | None, expires_at: int
) -> None:
    tx.run(
        _ADD,
        hash=hash,
        kind="signin",
        owner_id=owner_id,
        handle=handle,
        grant_id=None,
        csrf="",
        expires_at=expires_at,
    )


class Site:
    """`world` behind a gateway; `client` keeps cookies and follows nothing."""

    def __init__(self, folder: Path, mode: Mode = Mode.SANDBOX, base: str = BASE) -> None:
        self.world = World(folder, mode)
        self.gateway = Gateway(self.world.installation, base, lambda: self.world.now)
        self.base = base
        self.client = self.browser()

    def browser(self) -> TestClient:
        return TestClient(self.gateway, base_url=self.base, follow_redirects=False)

    def link(self, owner_id: bytes | None = None, handle: str | None = None, lasts: int = 60_000) -> str:
        secret = f"link{next(_SERIAL)}"
        hash = hashlib.sha256(secret.encode()).digest()
        self.world.store.write(add_link, hash, owner_id, handle, self.world.now + lasts)
        return f"/me/signin/{secret}"

    def sign_in(self, owner_id: bytes | None = None, handle: str | None = None) -> TestClient:
        self.client.cookies.clear()
        answer = self.client.post(self.link(owner_id, handle), data={"next": "/me/"})
        assert answer.status_code == 303, answer.text
        return self.client

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers=headers)

    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.get("/agreements").text)
        assert found
        return found[1]

    def post(self, path: str, fields: Any = None, **more: str) -> httpx.Response:
        return self.client.post(path, data={"csrf": self.csrf(), **(fields or {}), **more})

    def tell(self) -> None:
        while self.world.store.write(told.tell, self.world.now):
            pass

    def readings(self, owner_id: bytes) -> list[told.Told]:
        with self.world.store.read() as snapshot:
            return told.of_owner(snapshot, owner_id)


def text_of(page: str) -> str:
    """What a page says, without its markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def loads(answer: httpx.Response) -> Any:
    return json.loads(answer.content)
