"""Who works here and is nobody of an inbox: a partner's developer at /partner, an operator at /operator.

Rules of this file:

1. The two have cookies and sessions of their own (guard.py, rule 5). At each other's pages, and at a person's, they
   are strangers; a person is one here.
2. A one-time link is made by the console, or for a partner by a request that its registered key signed
   (`POST /partner/signin`). It is looked at by GET and used up by POST, so that a preview burns nothing.
3. A partner sees what is its own: the agreements that name it, or the one whose client's key asked for the link.
   Everything else is one 404.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from sqlalchemy import bindparam, delete, insert, select
from starlette.responses import Response
from starlette.routing import BaseRoute

from byleave.consent import register
from byleave.consent.agreement import Agreement
from byleave.exchange.forms import MAX_BYTES
from byleave.gateway import guard, intake
from byleave.gateway.guard import OPERATOR, PARTNER, DeskSession
from byleave.gateway.pages.shell import (
    Context,
    Handler,
    V,
    Visit,
    body_of,
    fresh_id,
    go,
    html,
    not_here,
    route_of,
    salt,
)
from byleave.ledger import log
from byleave.model import Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.asking import desk

SESSION_MS = 12 * 3_600_000
LONGEST_UPLOAD = 2 * MAX_BYTES
_LINK = prepare(
    select(desk.c.name, desk.c.client_id, desk.c.operative, desk.c.expires_at).where(
        desk.c.hash == bindparam("hash"), desk.c.role == bindparam("role"), desk.c.stage == "link"
    )
)
_DROP = prepare(delete(desk).where(desk.c.hash == bindparam("of_hash")))
_FORGET = prepare(delete(desk).where(desk.c.expires_at < bindparam("now")))
_ADD = prepare(insert(desk))


class Desk(Visit):
    """A visit to /partner or /operator."""

    role = ""
    desk: DeskSession | None = None

    def recognise(self, snapshot: Snapshot) -> str | None:
        secret = guard.cookie(self.request.scope["headers"], self.cookie)
        self.desk = None if secret is None else guard.desk_session(snapshot, self.role, secret, self.now)
        return None if self.desk is None else self.desk.csrf

    @property
    def cookie(self) -> str:
        return f"{self.context.guard.cookie}-{self.role}"

    @property
    def here(self) -> DeskSession:
        """Who is signed in. Raises Absent for nobody."""
        if self.desk is None:
            raise not_here()
        return self.desk

    def sign_in_first(self) -> Response:
        return self.page("desk_signin.html", 401, secret=None, problem="")

    async def read_form(self) -> None:
        """Fields of a form; files come as bytes in `files`."""
        self.files: dict[str, bytes] = {}
        content = self.request.headers.get("content-type", "")
        if not content.lower().startswith("multipart/form-data"):
            await super().read_form()
            return
        found = intake.parts(content, await body_of(self.request, LONGEST_UPLOAD))
        for name, value in found.items():
            if name in ("manifest", "rows", "manifest64", "rows64"):
                self.files[name] = value
            else:
                self.form.append((name, value.decode("utf-8", "replace")))

    def render(self, template: str, **values: Any) -> bytes:
        path = self.request.url.path
        return self.context.render(
            template, self.desk, path=path, now=self.now, role=self.role, home=f"/{self.role}/",
            layout="desk.html", base_url=self.context.guard.base_url, **values,
        )  # fmt: skip

    def mine(self, snapshot: Snapshot, id: str) -> Agreement:
        """The current version of an agreement that whoever is signed in may see. Raises Absent."""
        found = next((a for a in self.agreements(snapshot) if a.id == id), None)
        if found is None:
            raise not_here()
        return found

    def agreements(self, snapshot: Snapshot) -> list[Agreement]:
        """Every current agreement that is theirs to see."""
        raise NotImplementedError


class PartnerDesk(Desk):
    """A visit of a partner's developer."""

    role = PARTNER

    def agreements(self, snapshot: Snapshot) -> list[Agreement]:
        only = register.client(snapshot, self.here.client_id) if self.here.client_id is not None else None
        return [
            a
            for a, status, _ in register.every(snapshot)
            if status != register.SUPERSEDED
            and a.terms.partner.id == self.here.name
            and (only is None or a.id == only.agreement)
        ]


class OperatorDesk(Desk):
    """A visit of an operator."""

    role = OPERATOR

    def agreements(self, snapshot: Snapshot) -> list[Agreement]:
        return [a for a, status, _ in register.every(snapshot) if status != register.SUPERSEDED]


def routes(context: Context) -> list[BaseRoute]:
    found: list[BaseRoute] = []
    for kind in (PartnerDesk, OperatorDesk):
        at = f"/{kind.role}"
        found += [
            desk_route(kind, context, f"{at}/signin/{{secret}}", sign_in_page, public=True),
            desk_route(kind, context, f"{at}/signin/{{secret}}", sign_in, "POST", public=True),
            desk_route(kind, context, f"{at}/signout", sign_out, "POST"),
        ]
    return found


def desk_route(
    kind: type[V],
    context: Context,
    path: str,
    handler: Handler[V],
    method: str = "GET",
    *,
    public: bool = False,
) -> BaseRoute:
    return route_of(kind, context, path, handler, method, public=public)


def rest(context: Context) -> list[BaseRoute]:
    """Whatever else is under the two: one 404, and for strangers what they hear everywhere."""
    return [
        desk_route(kind, context, f"/{kind.role}/{{rest:path}}", nothing, method)
        for kind in (PartnerDesk, OperatorDesk)
        for method in ("GET", "POST")
    ]


async def nothing(visit: Desk) -> Response:
    raise not_here()


# ── signing in and out ──
async def sign_in_page(visit: Desk) -> Response:
    return visit.page("desk_signin.html", secret=visit.request.path_params["secret"], problem="")


async def sign_in(visit: Desk) -> Response:
    """Uses up a link and begins a session."""
    secret, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    began = await visit.store.write_soon(
        begin, visit.role, _hash(visit.request.path_params["secret"]), _hash(secret), csrf, visit.now, fresh_id(),
        salt(), visit.desk.hash if visit.desk else None,
    )  # fmt: skip
    if not began:
        problem = "This link has been used or has expired. Make a new one."
        return visit.page("desk_signin.html", 400, secret=None, problem=problem)
    answer = go(f"/{visit.role}/")
    answer.set_cookie(
        visit.cookie, secret, max_age=SESSION_MS // 1000, path="/", httponly=True, samesite="lax",
        secure=visit.context.guard.base_url.startswith("https:"),
    )  # fmt: skip
    return answer


def begin(
    tx: Transaction, role: str, link: bytes, hash: bytes, csrf: str, now: Ms, entry_id: bytes, salt: bytes,
    old: bytes | None,
) -> bool:  # fmt: skip
    """Procedure: uses up a link of `role` and opens a session in place of `old`; False for a link that is none."""
    tx.run(_FORGET, now=now)
    row = tx.one(_LINK, hash=link, role=role)
    if row is None or now >= row[3]:
        return False
    tx.run(_DROP, of_hash=link)
    if old is not None:
        tx.run(_DROP, of_hash=old)
    name, client_id, operative, _ = row
    tx.run(
        _ADD, hash=hash, role=role, stage="open", name=name, client_id=client_id, operative=operative, csrf=csrf,
        expires_at=now + SESSION_MS,
    )  # fmt: skip
    by = "console" if client_id is None else "key"
    log.append(
        tx, log.STORE_OWNER, entry_id, "signin", now, {"by": by, "role": role, "name": name, "operative": operative}, salt
    )  # fmt: skip
    return True


async def sign_out(visit: Desk) -> Response:
    await visit.store.write_soon(end, visit.here.hash)
    visit.desk = None
    answer = html(visit.render("desk_signin.html", secret=None, problem="", out=True))
    answer.delete_cookie(
        visit.cookie, path="/", httponly=True, samesite="lax",
        secure=visit.context.guard.base_url.startswith("https:"),
    )  # fmt: skip
    return answer


def end(tx: Transaction, hash: bytes) -> None:
    """Procedure: ends a session."""
    tx.run(_DROP, of_hash=hash)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
