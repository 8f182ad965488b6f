"""A real `serve` with two workers on port 0, in a process of its own, on a store in a temporary folder.

    with serving(tmp_path) as served: …       served.url, served.world, served.owner, served.partner(), …

or the fixtures `served` (a fresh one for each module). The store is a sandbox with one owner (`me`), a
chat with `ann` and `bob` (Ann said yes to masked tailoring), a published agreement and the client
`streamflix-web`.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from byleave.consent import agreement, register
from byleave.keys import read_jwk
from byleave.model import Handle, Level, Mode
from byleave.store import prepare as prepared
from byleave.store.asking import session
from tests.servers.partner import CALLBACK, Jwk, Partner, code_of, decide, new_key, public
from tests.worlds import World, chat

__all__ = ["Served", "served", "serving"]

CLIENT = "streamflix-web"
ANN: Handle = "telegram:user1001"
BOB: Handle = "telegram:user1002"
ME: Handle = "telegram:user1000"
_SESSION = prepared(insert(session))


class Served:
    """A running gateway and the store behind it. `world` writes to the same file, as the command line
    would."""

    def __init__(self, world: World, workers: int = 2) -> None:
        self.world = world
        self.partner_key: Jwk = new_key()
        self.agreement_id = "streamflix-deal"
        self.workers = workers
        self.process: subprocess.Popen[str] | None = None
        self.url = ""
        self._connections: list[httpx.Client] = []

    # ── the process tree ──
    def start(self, *options: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        line = [
            sys.executable,
            "-c",
            "from byleave.cli import main; main()",
            "serve",
            "--port",
            "0",
            "--workers",
            str(self.workers),
        ]
        self.process = subprocess.Popen(
            [*line, "--store", str(self.world.path), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if not said.startswith("listening on "):
            self.process.kill()
            raise AssertionError("serve did not start: " + self.process.communicate()[1])
        self.url = said.removeprefix("listening on ").strip()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """(exit status, stderr)."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        if self.process is None:
            return 0, ""
        self.process.send_signal(number)
        try:
            _, errors = self.process.communicate(timeout=20)
        finally:
            self.process.kill()
        status, self.process = self.process.returncode, None
        return status, errors

    def children(self) -> list[int]:
        """Pids of writer and workers, oldest first."""
        assert self.process is not None
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return sorted(int(pid) for pid in listed.split())

    def by_pid(self, least: int = 2) -> dict[int, httpx.Client]:
        """A kept-alive connection to each worker, by its pid."""
        found: dict[int, httpx.Client] = {}
        for _ in range(400):
            client = httpx.Client(base_url=self.url, timeout=30)
            self._connections.append(client)
            found.setdefault(client.get("/healthz").json()["pid"], client)
            if len(found) >= least:
                return found
        raise AssertionError(f"only {len(found)} workers answer")

    # ── people ──
    def signed_in(self, owner_id: bytes | None, handle: str | None = None) -> dict[str, str]:
        """Cookies of a page session."""
        secret = secrets.token_urlsafe(32)
        expires = int(time.time() * 1000) + 3_600_000
        self.world.store.write(
            _add_session,
            hashlib.sha256(secret.encode()).digest(),
            owner_id,
            handle,
            secrets.token_urlsafe(16),
            expires,
        )
        return {"byleave": secret}

    def partner(self, **options: Any) -> Partner:
        return Partner(self.url, CLIENT, self.partner_key, **options)

    def authorized(
        self, partner: Partner | None = None, owner_id: bytes | None = None, **form: Any
    ) -> Partner:
        """A partner with a token: PAR, the owner's yes, code, token."""
        partner = partner or self.partner()
        pushed = partner.push()
        assert pushed.status_code == 201, pushed.text
        answer = decide(
            partner.http,
            partner.authorize_path(pushed.json()["request_uri"]),
            self.signed_in(owner_id or self.owner),
            **form,
        )
        redeemed = partner.redeem(code_of(answer)["code"])
        assert redeemed.status_code == 200, redeemed.text
        return partner

    def grant_id(self, partner: Partner) -> bytes:
        """The grant behind a partner's account."""
        from byleave.consent import grant
        from byleave.view.shape import Ids

        with self.world.store.read() as snapshot:
            for found in grant.of_owner(snapshot, self.owner):
                if (
                    Ids(self.world.installation.ids, found.grant_id).account_id
                    == partner.answer["authorization_details"][0]["identifier"]
                ):
                    return found.grant_id
        raise AssertionError("no such grant")

    owner: bytes = b""


def _add_session(
    tx: Any, hash: bytes, owner_id: bytes | None, handle: str | None, csrf: str, expires_at: int
) -> None:
    tx.run(
        _SESSION,
        hash=hash,
        kind="page",
        owner_id=owner_id,
        handle=handle,
        grant_id=None,
        csrf=csrf,
        expires_at=expires_at,
    )


def publish(
    world: World,
    key: Jwk,
    *,
    operatives: str = "any",
    version: int = 1,
    purposes: Any = (("tailoring", "masked"),),
) -> str:
    """A published agreement of today whose partner's key is `key`; answers its id."""
    made = agreement.new(
        "streamflix",
        purposes,
        [public(key)],
        today=datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=1),
        id="streamflix-deal",
        redirect_uris=(CALLBACK,),
        operatives=operatives,
    )
    if version > 1:
        made = agreement.from_document({**made.document, "version": version, "signatures": []}, "test")
    signed = agreement.sign(
        agreement.sign(made, read_jwk(key)), world.installation.keyring.active("agreement")
    )
    jwks = world.installation.keyring.public("agreement")
    world.store.write(
        register.publish,
        signed.encode(),
        jwks,
        world.installation.mode.value,
        world.now,
        world.id(),
        b"s" * 32,
    )
    return signed.id


@contextmanager
def serving(
    folder: Path, *, workers: int = 2, operatives: str = "any", start: bool = True
) -> Iterator[Served]:
    world = World(folder, Mode.SANDBOX)
    world.now = int(time.time() * 1000)
    made = Served(world, workers)
    made.owner = world.owner()
    world.put(
        made.owner,
        [
            chat(
                "I will be at the harbour at nine, and then we go to see the film.",
                ME,
                at=world.now - 5_000_000,
                id="1",
            ),
            chat(
                "The lighthouse was wonderful, I would like to see that film again.",
                ANN,
                at=world.now - 4_000_000,
                id="2",
            ),
            chat(
                "This is a secret that nobody of them may ever read, please.",
                BOB,
                at=world.now - 3_000_000,
                id="3",
            ),
        ],
        own=[ME],
    )
    publish(world, made.partner_key, operatives=operatives)
    metadata = {
        "client_id": CLIENT,
        "agreement": made.agreement_id,
        "redirect_uris": [CALLBACK],
        "jwks": {"keys": [public(made.partner_key)]},
    }
    world.store.write(register.add_client, json.dumps(metadata).encode(), world.now, world.id(), b"s" * 32)
    world.choose(ANN, Level.MASKED, "tailoring")
    world.work()
    if start:
        made.start()
    try:
        yield made
    finally:
        if made.process is not None:
            made.stop()
        world.store.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served")) as made:
        yield made
