"""`byleave mcp`: the owner's assistant over stdio, by the official SDK."""

from __future__ import annotations

import os
import re
import sys
from typing import Annotated, Any

import anyio
import typer

from byleave.cli.granting import grant_named
from byleave.cli.options import StoreOption, fresh_id, not_in_provider, now, opened, warn
from byleave.consent import grant
from byleave.errors import ByleaveError, Code, Denied, Invalid, one_line
from byleave.gateway import mcp as tools
from byleave.installation import Installation
from byleave.model import Mode
from byleave.words.fragment import rfc3339


def register(app: typer.Typer) -> None:
    app.command("mcp")(mcp)


def mcp(
    grant_: Annotated[str, typer.Option("--grant", help="A grant of purpose own-agent.")],
    open_: Annotated[
        str | None, typer.Option("--open", help="Open a session for so long (≤ 12h), on a terminal.")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Let your own AI assistant read what your grant allows, over MCP on stdin and stdout.

    It needs an open session: on your page, or here on a terminal with --open, which ends by itself.

    Example: byleave mcp --grant 0198… --open 12h
    """
    installation = opened(store)
    not_in_provider(installation, "mcp")
    with installation.store.read() as snapshot:
        found = grant.by_id(snapshot, grant_named(grant_))
    if found.purpose != "own-agent":
        raise Invalid(
            Code.INVALID_ARGUMENTS,
            "mcp reads with a grant for own-agent; make one with `byleave grant create`",
        )
    terminal = sys.stdin.isatty()
    if open_ is not None:
        if installation.mode is not Mode.SANDBOX and not terminal:
            raise Denied(Code.DENIED, "--open is for you on a terminal: an assistant cannot let itself in")
        until = installation.store.write(
            tools.open_session,
            fresh_id() + os.urandom(16),
            found.owner_id,
            found.grant_id,
            now(),
            _duration(open_),
        )
        warn(f"session open until {rfc3339(until)}")
    if terminal:
        if open_ is None:
            raise Invalid(
                Code.INVALID_ARGUMENTS,
                "this speaks MCP: let your assistant start it, or open a session with --open 12h",
            )
        return
    anyio.run(_serve, installation, found)


def _duration(text: str) -> int:
    match = re.fullmatch(r"(\d{1,4})\s*(h|m|min)", text.strip())
    lasts = int(match[1]) * (3_600_000 if match[2] == "h" else 60_000) if match else 0
    if not 0 < lasts <= tools.LONGEST_SESSION_MS:
        raise Invalid(Code.INVALID_ARGUMENTS, "--open is a time such as 30m or 12h, at most 12h")
    return lasts


async def _serve(installation: Installation, found: grant.Grant) -> None:
    import mcp_types as types
    from mcp.server import Server, ServerRequestContext
    from mcp.server.stdio import stdio_server

    async def list_tools(context: ServerRequestContext[Any], parameters: Any) -> types.ListToolsResult:
        listed = [
            types.Tool(
                name=name,
                description=tool.run.__doc__,
                input_schema=tool.schema,
                annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
            )
            for name, tool in tools.TOOLS.items()
        ]
        return types.ListToolsResult(tools=listed)

    async def call_tool(
        context: ServerRequestContext[Any], parameters: types.CallToolRequestParams
    ) -> types.CallToolResult:
        try:
            released = tools.answer(
                installation,
                found.owner_id,
                found.grant_id,
                parameters.name,
                dict(parameters.arguments or {}),
                now(),
            )
            text, failed = released.body.decode(), False
        except ByleaveError as error:
            text, failed = one_line(error.detail), True
        return types.CallToolResult(content=[types.TextContent(text=text)], is_error=failed)

    server = Server(
        "byleave",
        version="0.1.0",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        instructions=tools.UNTRUSTED,
    )
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
