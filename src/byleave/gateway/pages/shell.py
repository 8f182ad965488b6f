"""What every page stands in: who is signed in, forms that came from our own pages, templates, headers.

Rules of this file:

1. What shows messages, or counts of them, leaves as `Released` (`Visit.release`); everything else as `html`.
2. A page that is not yours, hidden or never existing is one 404. Who is not signed in hears the same at every
   address under /me.
3. Nothing changes by GET. A POST carries the session's CSRF token and comes from our own address.
4. No script, no inline style, nothing from elsewhere: the policy says so and the pages work under it.
5. Texts of errors are ours (errors.py, rule 2); what people wrote is escaped by the templates, always.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import jinja2
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uuid_utils import uuid7

from byleave.errors import Absent, ByleaveError, Code, Invalid
from byleave.gateway import problem
from byleave.gateway.guard import DeskSession, Guard, PageSession
from byleave.installation import Installation
from byleave.model import Level, Mode, Ms
from byleave.store import Snapshot, Store
from byleave.view.reading import Reading, Released, Who

HERE = Path(__file__).parent
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
LONGEST_FORM = 256 * 1024
_NEXT = re.compile(r"/(me|agreements|oauth/authorize)([/?][\x21-\x5b\x5d-\x7e]*)?")
MODES = {
    Mode.SANDBOX: "Sandbox: made-up people, nothing here is real.",
    Mode.PERSONAL: "",
    Mode.PROVIDER: "",
}
LEVELS = {
    "none": "nothing: the message does not exist for them",
    "signals": "which titles you talk about and whether you like them, by day; never a word of any message",
    "masked": "the messages with names, numbers, addresses and links masked; people appear as codes that "
    "mean nothing elsewhere",
    "text": "the messages as written, without attachments",
    "full": "the messages as written, with attachments",
}
PURPOSE_WORDS = {
    "owner": "your own reading",
    "own-agent": "answering the owner through their own assistant",
    "portability": "moving an inbox to another service",
    "tailoring": "tailoring what they show",
    "ranking": "counting what is popular",
    "support-case": "one support case",
}


class Context:
    """What the pages work with; one for each gateway. `clock` gives ms UTC."""

    def __init__(self, installation: Installation, guard: Guard, clock: Callable[[], Ms]) -> None:
        self.installation = installation
        self.guard = guard
        self.clock = clock
        self.templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters.update(when=when, day=day, stamp=stamp, number=number, passages=passages)
        self.templates.globals.update(
            LEVELS=LEVELS,
            PURPOSE_WORDS=PURPOSE_WORDS,
            mode=installation.mode.value,
            banner=MODES[installation.mode],
        )

    @property
    def store(self) -> Store:
        return self.installation.store

    def render(self, template: str, session: PageSession | DeskSession | None, **values: Any) -> bytes:
        """A template as bytes; `session` decides what the head of the page offers."""
        page = self.templates.get_template(template)
        return page.render(session=session, csrf=session.csrf if session else "", **values).encode()


class Visit:
    """One request to a page: who, when, and what was posted."""

    def __init__(self, context: Context, request: Request, now: Ms) -> None:
        self.context = context
        self.request = request
        self.session: PageSession | None = None
        self.now = now
        self.form: list[tuple[str, str]] = []

    def recognise(self, snapshot: Snapshot) -> str | None:
        """Finds out who is signed in; answers the session's CSRF token, None for nobody."""
        self.session = self.context.guard.page_session(snapshot, self.request.scope["headers"], self.now)
        return None if self.session is None else self.session.csrf

    def sign_in_first(self) -> Response:
        """What everybody hears who is not signed in."""
        return sign_in_first(self)

    async def read_form(self) -> None:
        """Takes in what was posted. Raises Invalid."""
        self.form = await _form(self.request)

    @property
    def installation(self) -> Installation:
        return self.context.installation

    @property
    def store(self) -> Store:
        return self.context.store

    @property
    def owner_id(self) -> bytes:
        """The owner who is signed in. Raises Absent for anybody else."""
        if self.session is None or self.session.owner_id is None:
            raise not_here()
        return self.session.owner_id

    @property
    def handle(self) -> str:
        """The sender who is signed in. Raises Absent for anybody else."""
        if self.session is None or self.session.handle is None:
            raise not_here()
        return self.session.handle

    @property
    def is_owner(self) -> bool:
        return self.session is not None and self.session.owner_id is not None

    def query(self, name: str, default: str = "") -> str:
        return self.request.query_params.get(name, default)

    def position(self, name: str = "at") -> int:
        """A position in a list, as the address gives it; anything odd is the beginning."""
        text = self.query(name)
        return int(text) if text.isdecimal() and len(text) < 10 else 0

    def field(self, name: str) -> str:
        """A form field that may stand once; "" where it is left out. Raises Invalid for a repeated one."""
        found = [value for key, value in self.form if key == name]
        if len(found) > 1:
            raise Invalid(Code.INVALID_ARGUMENTS, f"the field {name} stands twice")
        return found[0].strip() if found else ""

    def fields(self, name: str) -> list[str]:
        return [value for key, value in self.form if key == name]

    def render(self, template: str, **values: Any) -> bytes:
        return self.context.render(template, self.session, path=self.request.url.path, now=self.now, **values)

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page that shows nothing of any message."""
        return html(self.render(template, **values), status)

    async def release(
        self, reading: Reading, account: str, body: bytes, status: int = 200, media: str = "text/html"
    ) -> Response:
        """A page out of the owner's own view: its reading is in the ledger before it leaves."""
        who = Who(account=account, purpose="owner", operative="pages")
        return answer(await reading.release(self.store, body, self.now, who), status, media)


V = TypeVar("V", bound=Visit)
Handler: TypeAlias = Callable[[V], Awaitable[Response]]


def answer(released: Released, status: int = 200, media: str = "text/html") -> Response:
    """Only what is released becomes a response."""
    return Response(released.body, status, _headers(), f"{media}; charset=utf-8")


def html(body: bytes, status: int = 200, **headers: str) -> Response:
    return Response(body, status, _headers() | headers, "text/html; charset=utf-8")


def go(path: str, **query: str) -> Response:
    """303: see another page."""
    return Response(b"", 303, _headers() | {"Location": path + ("?" + urlencode(query) if query else "")})


def _headers() -> dict[str, str]:
    return {
        "Content-Security-Policy": POLICY,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


def not_here() -> Absent:
    return Absent(Code.ABSENT, "There is nothing at this address, or nothing for you.")


def route(
    context: Context, path: str, handler: Handler[Visit], method: str = "GET", *, public: bool = False
) -> Route:
    """A page of a person's. Unless `public`, somebody is signed in, and a POST has their CSRF token."""
    return route_of(Visit, context, path, handler, method, public=public)


def route_of(
    kind: type[V], context: Context, path: str, handler: Handler[V], method: str, *, public: bool
) -> Route:
    """A route whose errors are pages, and whose visits are of a `kind`."""

    async def endpoint(request: Request) -> Response:
        now = context.clock()
        visit = kind(context, request, now)
        try:
            with context.store.read() as snapshot:
                csrf = visit.recognise(snapshot)
            if method == "POST":
                _same_origin(context, request)
            if csrf is None and not public:
                return visit.sign_in_first()
            if method == "POST":
                await visit.read_form()
                if not public and not hmac.compare_digest(
                    visit.field("csrf").encode(), (csrf or "").encode()
                ):
                    raise Invalid(
                        Code.DENIED, "This form did not come from your own page; go back and try again."
                    )
            return await handler(visit)
        except ByleaveError as error:
            return oops(visit, error)

    return Route(path, endpoint, methods=[method])


def sign_in_first(visit: Visit) -> Response:
    back = visit.request.url.path if visit.request.method == "GET" else "/me/"
    query = visit.request.url.query
    return visit.page(
        "signin.html", 401, secret=None, next=own_path(back + ("?" + query if query else "")), problem=""
    )


def oops(visit: Visit, error: ByleaveError) -> Response:
    """One clear sentence."""
    status = 404 if isinstance(error, Absent) else problem.TABLE[error.code].status
    text = "There is nothing at this address, or nothing for you." if status == 404 else error.detail
    return visit.page("error.html", 400 if status == 401 else status, sentence=text[:1].upper() + text[1:])


def own_path(path: str) -> str:
    """`path` if it is one of our own pages, else the home page."""
    return path if _NEXT.fullmatch(path) else "/me/"


def _same_origin(context: Context, request: Request) -> None:
    """Raises Invalid for a form that another site sent (it says so itself: Fetch Metadata, Origin)."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    foreign = (
        origin is not None
        and origin != "null"
        and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower()
    )
    if site not in ("same-origin", "none") or foreign:
        raise Invalid(Code.DENIED, "This form was sent by another site; nothing was done.")


async def body_of(request: Request, most: int) -> bytes:
    """What was posted. Raises Invalid for more than `most` bytes."""
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise Invalid(Code.TOO_LARGE, "This form is too large.")
        pieces.append(piece)
    return b"".join(pieces)


async def _form(request: Request) -> list[tuple[str, str]]:
    body = await body_of(request, LONGEST_FORM)
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=4096)
    except (ValueError, UnicodeError):
        raise Invalid(Code.INVALID_REQUEST, "This form cannot be read.") from None


# ── how things are written ──
def when(ms: Ms) -> str:
    """As "24 Nov 2026, 15:04", in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%-d %b %Y, %H:%M")


def day(ms: Ms) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%-d %b %Y")


def stamp(ms: Ms) -> str:
    """For <time datetime>."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def number(n: int) -> str:
    return f"{n:,}".replace(",", "\u202f")  # narrow, and never a line's end


def passages(text: str) -> list[tuple[bool, str]]:
    """`text` in pieces: (is it quoted by `>`, its lines). For reading only: whose words they are, ingest
    knows."""
    pieces: list[tuple[bool, list[str]]] = []
    for line in text.split("\n"):
        quoted = line.startswith(">")
        if not pieces or pieces[-1][0] != quoted:
            pieces.append((quoted, []))
        pieces[-1][1].append(line[1:].removeprefix(" ") if quoted else line)
    return [(quoted, joined) for quoted, lines in pieces if (joined := "\n".join(lines).strip("\n"))]


def day_end(text: str, now: Ms, longest: int) -> Ms:
    """The last moment of a day that a form gives, at most `longest` ms from now. Raises Invalid."""
    try:
        end = (
            int(datetime.fromisoformat(text + "T23:59:59+00:00").timestamp() * 1000)
            if text
            else now + longest
        )
    except (ValueError, OverflowError):
        raise Invalid(Code.INVALID_ARGUMENTS, "Give the last day as YYYY-MM-DD.") from None
    if end <= now:
        raise Invalid(Code.INVALID_ARGUMENTS, "The last day is over; choose a later one.")
    return min(end, now + longest)


def level_of(word: str) -> Level:
    try:
        return Level.named(word)
    except KeyError:
        raise Invalid(Code.INVALID_ARGUMENTS, "Choose a level.") from None


def hex_id(text: str) -> bytes:
    """An id in an address. Raises Absent for what is none."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise not_here() from None


def fresh_id() -> bytes:
    return uuid7().bytes


def salt() -> bytes:
    return secrets.token_bytes(32)


__all__ = ["Context", "Released", "Snapshot", "Visit", "route"]
