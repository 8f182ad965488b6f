"""Real Chromium over a real gateway. Without a browser these tests are skipped with one line; with CI=true
that is a failure."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.gateway.pages.site import Site

ARGUMENTS = [
    "--no-sandbox",
    "--headless",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
]


def _missing(why: str) -> Any:
    line = f"no Chromium here ({why}): the browser tests did not run; apt-get install chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(line, pytrace=False)
    pytest.skip(line)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser for one file: while playwright runs, its event loop is this thread's."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        _missing("no playwright")
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = next(
            (p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome", own)) if p), None
        )
        if path is None:
            _missing("not installed")
        try:
            browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        except Error as error:
            _missing(str(error).splitlines()[0][:80])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def partner() -> Iterator[str]:
    """Where the partner takes people back: it answers a line to anything."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Partner)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/cb"
    server.shutdown()


class _Partner(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(b"back at the partner")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, partner: str) -> Iterator[Site]:
    """A sandbox with a few people, behind a server on a free port."""
    from tests.browser.people import settle

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    site = Site(tmp_path_factory.mktemp("site"), base=base)
    settle(site, partner)
    server = uvicorn.Server(uvicorn.Config(site.gateway, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield site
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    return tmp_path
