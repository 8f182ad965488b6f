"""The MCP SDK's own client reads over stdio, from `byleave mcp` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from byleave.consent import grant
from byleave.gateway import mcp as tools
from byleave.model import Handle, Level, Mode
from tests.worlds import World, chat

ANN: Handle = "telegram:user1001"
BOB: Handle = "telegram:user1002"
ME: Handle = "telegram:user1000"
PROGRAM = ["-c", "from byleave.cli import main; main()", "mcp"]
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


class House:
    """A store with three senders and an own-agent grant; Ann said yes, Bob said nothing."""

    def __init__(self, folder: Path, mode: Mode = Mode.SANDBOX) -> None:
        self.world = World(folder, mode)
        self.world.now = int(time.time() * 1000)
        self.owner = self.world.owner()
        said = [
            ("I will be at the harbour at nine, and then we go to see the film.", ME),
            ("The lighthouse was wonderful, I would like to see that film again.", ANN),
            ("This is a secret that nobody of them may ever read, please.", BOB),
        ]
        records = [
            chat(text, who, at=self.world.now - 5_000_000 + 1000 * n, id=str(n))
            for n, (text, who) in enumerate(said)
        ]
        self.world.put(self.owner, records, own=[ME])
        self.grant = self.world.allow(self.owner, "own-agent", Level.TEXT)
        if mode is Mode.SANDBOX:
            self.world.choose(ANN, Level.TEXT, "own-agent")
        self.world.work()

    def line(self, *options: str) -> list[str]:
        return [*PROGRAM, "--grant", self.grant.grant_id.hex(), "--store", str(self.world.path), *options]

    def run(self, scene: Callable[[Client], Awaitable[None]], *options: str) -> None:
        @asynccontextmanager
        async def connected() -> AsyncIterator[Client]:
            server = StdioServerParameters(command=sys.executable, args=self.line(*options), env=ENVIRONMENT)
            async with Client(server, read_timeout_seconds=60) as client:
                yield client

        async def play() -> None:
            async with connected() as client:
                await scene(client)

        anyio.run(play)

    def open(self, lasts_ms: int) -> None:
        """What the owner's page does."""
        now = int(time.time() * 1000)
        self.world.store.write(
            tools.open_session, os.urandom(32), self.owner, self.grant.grant_id, now, lasts_ms
        )


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def text_of(result: Any) -> str:
    [block] = result.content
    return str(block.text)


def data(result: Any) -> Any:
    assert not result.is_error, text_of(result)
    found = json.loads(text_of(result))
    assert found["note"] == tools.UNTRUSTED
    return found


def test_lists_and_calls_every_tool(house: House) -> None:
    async def scene(client: Client) -> None:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(listed) == set(tools.TOOLS)
        for name, tool in listed.items():
            assert tool.input_schema == tools.TOOLS[name].schema and tool.description
        assert client.instructions == tools.UNTRUSTED
        [talk] = data(await client.call_tool("list_conversations"))["conversations"]
        assert talk["messages"] == 2
        read = data(await client.call_tool("read_messages", {"conversation": talk["id"]}))["messages"]
        assert len(read) == 2 and not any("secret" in message["text"] for message in read)
        assert read[0]["at"] > read[1]["at"]
        earlier = {"conversation": talk["id"], "before": read[0]["at"], "limit": 1}
        assert data(await client.call_tool("read_messages", earlier))["messages"] == read[1:]
        found = data(await client.call_tool("search_messages", {"query": "lighthouse"}))["messages"]
        assert [message["id"] for message in found] == [read[0]["id"]]
        assert data(await client.call_tool("search_messages", {"query": "secret"}))["messages"] == []

    house.run(scene, "--open", "1h")


def test_a_withdrawal_binds_the_next_call(house: House) -> None:
    async def scene(client: Client) -> None:
        async def seen() -> int:
            [talk] = data(await client.call_tool("list_conversations"))["conversations"]
            return len(
                data(await client.call_tool("read_messages", {"conversation": talk["id"]}))["messages"]
            )

        assert await seen() == 2
        house.world.choose(ANN, Level.NONE, None)
        assert await seen() == 1
        house.world.choose(ANN, Level.TEXT, "own-agent")
        house.world.choose(BOB, Level.TEXT, "own-agent")
        house.world.work()
        assert await seen() == 3
        world, own = house.world, house.grant
        world.store.write(
            grant.revoke, own.owner_id, own.grant_id, int(time.time() * 1000), world.id(), b"s" * 32
        )
        ended = await client.call_tool("list_conversations")
        assert ended.is_error and "grant has ended" in text_of(ended)

    house.run(scene, "--open", "1h")


def test_the_session_ends_by_itself(house: House) -> None:
    async def scene(client: Client) -> None:
        closed = await client.call_tool("list_conversations")
        assert closed.is_error and "no open session" in text_of(closed)
        house.open(5_000)
        data(await client.call_tool("list_conversations"))
        for _ in range(100):
            await anyio.sleep(0.2)
            last = await client.call_tool("list_conversations")
            if last.is_error:
                break
        assert last.is_error and "no open session" in text_of(last)

    house.run(scene)


def test_bad_arguments_are_errors_without_content(house: House) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("nonsense", {}),
        ("list_conversations", {"limit": 0}),
        ("list_conversations", {"limit": 101}),
        ("list_conversations", {"limit": "all"}),
        ("list_conversations", {"limit": True}),
        ("list_conversations", {"limit": None}),
        ("list_conversations", {"owner": "someone"}),
        ("search_messages", {}),
        ("search_messages", {"query": ""}),
        ("search_messages", {"query": 7}),
        ("search_messages", {"query": ["lighthouse"]}),
        ("read_messages", {}),
        ("read_messages", {"conversation": 1}),
        ("read_messages", {"conversation": "nothing"}),
        ("read_messages", {"conversation": "c" + "a" * 26}),
        ("read_messages", {"conversation": "\u0000\ud7ff\U0001f600" * 50}),
    ]

    async def scene(client: Client) -> None:
        [talk] = data(await client.call_tool("list_conversations"))["conversations"]
        late = {"conversation": talk["id"], "before": "yesterday"}
        for name, arguments in [*calls, ("read_messages", late)]:
            result = await client.call_tool(name, arguments)
            said = text_of(result)
            assert result.is_error, (name, arguments)
            assert "lighthouse" not in said and "harbour" not in said and len(said.splitlines()) == 1
        data(await client.call_tool("list_conversations"))

    house.run(scene, "--open", "1h")


def start(house: House, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *house.line(*options)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **ENVIRONMENT},
    )


@pytest.mark.parametrize("mode", [Mode.PERSONAL, Mode.PROVIDER])
def test_an_assistant_cannot_let_itself_in(tmp_path: Path, mode: Mode) -> None:
    refused = start(House(tmp_path, mode), "--open", "1h")
    assert refused.returncode != 0 and refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1
    assert ("terminal" if mode is Mode.PERSONAL else "provider") in refused.stderr


@pytest.mark.parametrize("lasts", ["13h", "0h", "1d", "-1h", "forever"])
def test_a_session_is_at_most_half_a_day(house: House, lasts: str) -> None:
    refused = start(house, f"--open={lasts}")
    assert refused.returncode != 0 and refused.stdout == "" and "at most 12h" in refused.stderr
