"""`byleave proxy`: plain JMAP clients read through it what a token may see; it holds token and key, and adds proofs.

Rules of this file:

1. It listens on 127.0.0.1 and nowhere else: there is no option for it.
2. A token comes out of a file, never off the command line, where everybody on the machine could read it; renewed, it
   goes back there. With `--ask`, it is asked for first, and the owner's yes is brought by hand.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from byleave.cli.answering import USUAL, Gateway, Operative
from byleave.cli.options import JsonOption
from byleave.errors import Code, Refused

if TYPE_CHECKING:
    from byleave.partner.client import Partner, Token

TokenFile = Annotated[
    Path,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="The token: what `byleave token --json` printed, or what --ask writes. Renewed in place.",
    ),
]


def register(root: typer.Typer) -> None:
    """Put `proxy` under `root`."""
    root.command("proxy")(proxy)


def proxy(
    token_file: TokenFile,
    gateway: Gateway = USUAL,
    client: Annotated[str | None, typer.Option(help="The partner's client_id.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="The partner's private key, a JWK.")] = None,
    operative: Operative = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8421,
    tls: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Speak https, with a certificate of its own put there, for clients that know nothing else."),
    ] = None,
    secret: Annotated[
        bool, typer.Option("--secret", help="Clients must send the token that is printed: other users of this machine are kept out.")
    ] = False,
    ask: Annotated[
        str | None, typer.Option(metavar="PURPOSE:LEVEL", help="Ask for leave first, and write the token to --token-file.")
    ] = None,
    agreement: Annotated[str | None, typer.Option(help="With --ask: the agreement's id.")] = None,
    redirect_uri: Annotated[str, typer.Option(help="With --ask: one of the client's redirect URIs.")] = "",
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Let plain JMAP clients read what a partner's token may see: proofs are added, on loopback only.

    Example: byleave proxy --client streamflix-web --key partner.jwk --token-file token.json
    """
    parts = urlsplit(gateway)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise Refused(Code.MALFORMED, "--gateway", "", "not an address", "write it as https://inbox.example")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise Refused(
            Code.MALFORMED, "--gateway", "", "plain http beyond this machine shows the token", "use https"
        )
    if ask is not None:
        _asked(ask, agreement, redirect_uri, gateway, client, key, operative, token_file)
    token = _read(token_file)
    if token.token_type == "DPoP" and (client is None or key is None):
        raise Refused(
            Code.NOT_FOUND, "--key", "", "the token is bound to the partner's key", "give --client and --key"
        )
    _serve(token, token_file, gateway, client, key, operative, port, tls, secret, as_json)


def _serve(
    token: Token, token_file: Path, gateway: str, client: str | None, key: Path | None, operative: str | None,
    port: int, tls: Path | None, secret: bool, as_json: bool,
) -> None:  # fmt: skip
    # Here and below: no other verb waits for these to load.
    import asyncio
    import datetime
    import secrets
    import socket

    import httpx
    import uvicorn

    from byleave.cli.answering import key_of
    from byleave.partner.client import TIMEOUT_S, AsyncPartner, new_key
    from byleave.partner.proxy import Proxy, certify

    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError:
        raise Refused(
            Code.UNAVAILABLE, "--port", "", f"port {port} is taken", "give another, or 0 for any"
        ) from None
    options: dict[str, Any] = {}
    told: dict[str, Any] = {}
    if tls is not None:
        tls.mkdir(parents=True, exist_ok=True)
        certificate, private = certify(tls, datetime.datetime.now(datetime.UTC))
        options = {"ssl_certfile": str(certificate), "ssl_keyfile": str(private)}
        told["certificate"] = str(certificate)
    url = f"{'http' if tls is None else 'https'}://localhost:{bound.getsockname()[1]}"
    told = {"url": url, "session_url": f"{url}/.well-known/jmap", **told}
    word = secrets.token_urlsafe(24) if secret else None
    if word is not None:
        told["token"] = word

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            lines = [
                f"listening on {url}",
                *(f"{n}: {told[n]}" for n in ("certificate", "token") if n in told),
            ]
            print(json.dumps(told) if as_json else "\n".join(lines), flush=True)

    async def run() -> None:
        # A stream of events may be silent for as long as its ping allows.
        http = httpx.AsyncClient(timeout=httpx.Timeout(TIMEOUT_S, read=None))
        made = key_of(key) if key is not None else new_key()
        async with AsyncPartner(gateway, client or "", made, "", operative=operative, http=http) as partner:
            app = Proxy(partner, token, keep=lambda found: _write(token_file, found), secret=word)
            config = uvicorn.Config(
                app, lifespan="off", ws="none", access_log=False, log_level="error", server_header=False,
                proxy_headers=False, timeout_graceful_shutdown=2, **options,
            )  # fmt: skip
            await Server(config).serve([bound])

    asyncio.run(run())


# ── the token and its file ──────────────────────────────────────────────────────────────────────────────────
def _read(file: Path) -> Token:
    """Raises Refused."""
    from byleave.partner.client import Token

    try:
        said = json.loads(file.read_bytes()[:65_536])
    except FileNotFoundError:
        raise Refused(
            Code.NOT_FOUND, file.name, "", "no such file", "write it with `byleave token --json`, or give --ask"
        ) from None  # fmt: skip
    except ValueError:
        said = None
    access = said.get("access_token") if isinstance(said, dict) else None
    refresh = said.get("refresh_token") if isinstance(said, dict) else None
    kind = str(said.get("token_type", "DPoP")) if isinstance(said, dict) else ""
    if (
        not isinstance(access, str)
        or not access.isascii()
        or not access.isprintable()
        or not isinstance(refresh, str | None)
        or kind.lower() not in ("dpop", "bearer")
    ):
        raise Refused(
            Code.MALFORMED,
            file.name,
            "",
            "not a token",
            "it is JSON with access_token, and refresh_token if there is one",
        )
    return Token(
        access_token=access,
        refresh_token=refresh,
        token_type="Bearer" if kind.lower() == "bearer" else "DPoP",
    )


def _write(file: Path, token: Token) -> None:
    """Puts a token into its file, whole or not at all, for its owner's eyes only."""
    said = {
        name: getattr(token, name)
        for name in ("access_token", "refresh_token", "token_type", "account_id", "expires_in")
    }
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=file.name)  # made with mode 600
    with os.fdopen(handle, "w") as out:
        json.dump({k: v for k, v in said.items() if v not in (None, "")}, out)
    Path(name).replace(file)


def _asked(
    ask: str, agreement: str | None, redirect_uri: str, gateway: str, client: str | None, key: Path | None,
    operative: str | None, token_file: Path,
) -> None:  # fmt: skip
    """Asks for leave; the owner says yes in a browser, and the address they land on is pasted here."""
    from byleave.cli.answering import partner_at

    purpose, _, level = ask.partition(":")
    if not (client and key and agreement and redirect_uri and purpose and level):
        raise Refused(
            Code.MALFORMED, "--ask", "", "needs PURPOSE:LEVEL, --agreement, --redirect-uri, --client and --key",
            "give all of them",
        )  # fmt: skip
    partner: Partner = partner_at(gateway, client, key, operative, redirect_uri)
    pushed = partner.push({"purpose": purpose, "level": level, "agreement": agreement})
    print(f"The owner decides here, within a minute:\n  {pushed.authorize_url}", file=sys.stderr)
    print("Paste the address that the browser lands on: ", end="", file=sys.stderr, flush=True)
    token_file.parent.mkdir(parents=True, exist_ok=True)
    _write(token_file, partner.redeem(pushed, sys.stdin.readline().strip()))
