"""The tree of processes: it starts, survives its children, stops, and leaves nobody behind."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from byleave.cli import serve
from byleave.errors import ByleaveError
from byleave.model import Mode
from tests.servers.gateway import Served, served, serving

__all__ = ["served"]


def soon(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_each_child_is_made_again(served: Served) -> None:
    partner = served.authorized()
    before = served.children()
    assert len(before) == 3
    for pid in before:
        os.kill(pid, signal.SIGKILL)
        soon(lambda pid=pid: pid not in served.children() and len(served.children()) == 3)  # type: ignore[misc]
        soon(lambda: httpx.get(served.url + "/healthz").status_code == 200)

        def reads() -> bool:
            partner.http = httpx.Client(base_url=served.url, timeout=30)
            answer = partner.ask("GET", "/jmap/session")
            assert answer.status_code in (200, 503), answer.text
            return answer.status_code == 200

        soon(reads)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_time_and_says_nothing(tmp_path_factory: pytest.TempPathFactory, number: int) -> None:
    with serving(tmp_path_factory.mktemp("stop")) as one:
        partner = one.authorized()
        partner.everything()
        children = one.children()
        open_ = httpx.Client(base_url=one.url)
        open_.get("/healthz")
        status, errors = one.stop(number)
        assert (status, errors) == (0, "")
        assert not any(alive(pid) for pid in children)


def test_children_end_with_a_killed_parent(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("kill")) as one:
        children = one.children()
        one.stop(signal.SIGKILL)
        soon(lambda: not any(alive(pid) for pid in children))
        one.start()
        assert httpx.get(one.url + "/healthz").status_code == 200


def test_nothing_of_a_request_is_logged(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("log")) as one:
        for path in (
            "/taint-path?taint-query",
            "/oauth/authorize?request_uri=taint-uri",
            "/me/signin/taint-secret",
        ):
            httpx.get(one.url + path, headers={"X-Taint": "taint-header", "Cookie": "byleave=taint-cookie"})
        httpx.post(one.url + "/oauth/token", content=b"\xfftaint-body")
        httpx.post(
            one.url + "/jmap/api", headers={"Authorization": "Bearer taint-token"}, content=b"taint-body"
        )
        with socket.create_connection(("127.0.0.1", int(one.url.rpartition(":")[2]))) as raw:
            raw.sendall(b"taint garbage\r\n\r\n")
            raw.recv(1000)
        _, errors = one.stop()
        assert "taint" not in errors


def test_a_head_without_end_is_cut_off(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ")
        with pytest.raises(OSError):
            for _ in range(400):
                raw.sendall(b"a" * 100_000)
            raise ConnectionResetError if not raw.recv(1) else AssertionError("it answered")


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("https://mail.example", Mode.SANDBOX),
        ("http://mail.example", Mode.PROVIDER),
        ("https://mail.example/x", Mode.PROVIDER),
        ("https://u@mail.example", Mode.PROVIDER),
        ("mail.example", Mode.PERSONAL),
        ("https://mail.example:x", Mode.PERSONAL),
        ("ftp://mail.example", Mode.PROVIDER),
        ("https://", Mode.PROVIDER),
    ],
)
def test_a_public_url_that_is_refused(url: str, mode: Mode) -> None:
    with pytest.raises(ByleaveError):
        serve.checked_url(url, mode)


def test_public_urls() -> None:
    assert serve.checked_url("https://Mail.example/", Mode.PROVIDER) == "https://mail.example"
    assert serve.checked_url("https://mail.example:443", Mode.PERSONAL) == "https://mail.example"
    assert serve.checked_url("https://[2001:db8::1]:8443", Mode.PROVIDER) == "https://[2001:db8::1]:8443"
    assert serve.checked_url(None, Mode.SANDBOX) is None


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.0.2.1", False),
        ("localhost.example", False),
    ],
)
def test_which_hosts_are_loopback(host: str, loopback: bool) -> None:
    assert serve.is_loopback(host) is loopback


def test_a_sandbox_refuses_the_world(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("world"), start=False) as one:
        for options in (["--host", "0.0.0.0"], ["--public-url", "https://mail.example"]):
            with pytest.raises(AssertionError, match="sandbox"):
                one.start(*options)


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /healthz HTTP/1.1\r\nHo", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"],
)
def test_head_and_body_have_their_time(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that says nothing, one that never ends its head, one that never ends its body."""
    monkeypatch.setattr(serve, "HEAD_S", 0.2)
    monkeypatch.setattr(serve, "BODY_S", 0.2)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    listening = serve.listen("127.0.0.1", 0)
    config = uvicorn.Config(app, http=serve.bounded(), lifespan="off", ws="none", log_config=None)
    server = uvicorn.Server(config)
    running = threading.Thread(target=server.run, args=([listening],), daemon=True)
    running.start()
    try:
        with socket.create_connection(listening.getsockname()[:2], timeout=15) as raw:
            raw.sendall(begun)
            assert raw.recv(100).startswith(b"HTTP/1.1 408")
            assert raw.recv(100) == b""
    finally:
        server.should_exit = True
        running.join(15)
