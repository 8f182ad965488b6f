"""`byleave serve`: the gateway as a tree of processes.

Rules of this file:

1. The parent holds the listening socket and watches; it opens no store and answers nobody. One child writes
   (`store/writer.py`), N children read and answer. A child that dies is made again.
2. Children hold the reading end of a pipe whose other end only the parent has: when the parent is gone, by
   SIGKILL too, they end.
3. Plain http is for loopback alone. A sandbox is for loopback alone and has no public address.
4. SIGTERM: workers first, so that what is under way still finds the writer; five seconds at the most.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from byleave.cli.options import StoreOption, fresh_id, moment, opened, salt, store_path
from byleave.errors import Code, Conflict, Refused, Unavailable
from byleave.gateway import seats
from byleave.model import Mode

PORT = 8420
DRAIN_S = 3.0
STOP_S = 4.5
START_S = 30.0
YOUNG_S = 2.0
MOST_EARLY_DEATHS = 5
BACKLOG = 2048
LONGEST_HEAD = 64 * 1024
HEAD_S = 10.0
"""From the first byte of a request, or from the opening of a connection, to the end of its head."""
BODY_S = 60.0
"""From the end of a head to the end of its body."""
MOST_CONNECTIONS = 4096
"""Of one worker; its files are allowed to be as many."""


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes any free one.", min=0, max=65535)] = PORT,
    workers: Annotated[int, typer.Option(help="Processes that answer.", min=1, max=64)] = 2,
    public_url: Annotated[
        str | None, typer.Option(help="https://host as the world sees it, behind a TLS proxy.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="RFC 3339 time at which the gateway's clock starts (a sandbox only).")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Start the gateway; prints `listening on URL` when it is ready.

    Example: byleave serve --port 0
    """
    where = store_path(store)
    mode = prepare(where)
    public = checked_url(public_url, mode)
    if at is not None and mode is not Mode.SANDBOX:
        raise Refused(Code.WRONG_MODE, "--at", "", "only a sandbox's clock can be set", "leave it out")
    shift_ms = 0 if at is None else moment(at, "--at") - clock()
    loopback = is_loopback(host)
    if not loopback and mode is Mode.SANDBOX:
        raise Refused(Code.WRONG_MODE, "--host", "", "a sandbox listens on loopback only", "leave --host out")
    if not loopback and public is None:
        raise Refused(
            Code.DENIED,
            "--host",
            "",
            "plain http is for loopback only",
            "put a TLS proxy in front and name --public-url",
        )
    listening = listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    local = f"http://{shown}:{listening.getsockname()[1]}"
    status = Tree(where, listening, public or local, workers, shift_ms).run(
        lambda: print(f"listening on {public or local}", flush=True)
    )
    raise typer.Exit(status)


def prepare(where: Path) -> Mode:
    """Takes back what dead imports left, unless one is running; answers the store's mode. Leaves nothing
    open."""
    from byleave.cli.importing import lock
    from byleave.ingest import publish

    installation = opened(where)
    try:
        try:
            with lock(where):
                installation.store.write(publish.discard_unfinished)
        except Conflict:
            pass  # an import is running: what is unfinished is its own
        return installation.mode
    finally:
        installation.store.close()


def is_loopback(host: str) -> bool:
    """Whether `host` can only be reached from this machine. A name other than localhost is not."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_url(url: str | None, mode: Mode) -> str | None:
    """`--public-url` without the slash behind it. Raises Refused."""
    if url is None:
        return None
    if mode is Mode.SANDBOX:
        raise Refused(Code.WRONG_MODE, "--public-url", "", "a sandbox has no public address", "leave it out")
    remedy = "write https://host or https://host:port"
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise Refused(Code.MALFORMED, "--public-url", "", "not a URL", remedy) from None
    if (
        not host
        or not url.isascii()
        or "@" in parts.netloc
        or parts.path not in ("", "/")
        or parts.query
        or parts.fragment
    ):
        raise Refused(Code.MALFORMED, "--public-url", "", "not an address without a path", remedy)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise Refused(Code.DENIED, "--public-url", "", "plain http is for loopback only", remedy)
    shown = f"[{host}]" if ":" in host else host
    default = {"https": 443, "http": 80}[parts.scheme]
    return f"{parts.scheme}://{shown}" + ("" if port in (None, default) else f":{port}")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket that all workers share. Raises Unavailable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
        made.bind((host, port))
        made.listen(BACKLOG)
    except (OSError, UnicodeError):
        made.close()
        raise Unavailable(
            Code.UNAVAILABLE, f"cannot listen on port {port}: name another --host or --port"
        ) from None
    made.setblocking(False)
    return made


class Child:
    """One child process: what it runs, its pid and since when."""

    def __init__(self, name: str, run: Callable[[Callable[[], object]], None]) -> None:
        self.name = name
        self.run = run
        self.pid = 0
        self.started = 0.0
        self.early_deaths = 0


class Tree:
    """The parent: starts, watches, stops."""

    def __init__(
        self, store: Path, listening: socket.socket, base_url: str, workers: int, shift_ms: int = 0
    ) -> None:
        self._clock = lambda: clock() + shift_ms
        self._store = store
        self._listening = listening
        self._base_url = base_url
        self._folder = Path(tempfile.mkdtemp(prefix="byleave-"))  # mode 700
        self._at = self._folder / "writer"
        self._seats = seats.memory(workers)
        self._alive, self._held = os.pipe()
        self._ready, self._tell = os.pipe()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._stopping = False
        self._children = [Child("writer", self._writer)]
        self._children += [Child(f"worker {n + 1}", partial(self._worker, number=n)) for n in range(workers)]

    def run(self, ready: Callable[[], None]) -> int:
        """Until SIGTERM or SIGINT; answers the exit status. `ready` is called when every child serves."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        try:
            for child in self._children:
                self._start(child)
            if self._wait_for_ready():
                ready()
                self._watch()
            return 0 if self._stopping else 1
        finally:
            self._end()

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True

    def _start(self, child: Child) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        child.started = time.monotonic()
        pid = os.fork()
        if pid:
            child.pid = pid
            return
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            for fd in (self._held, self._ready, self._woken, self._wake):
                os.close(fd)
            quiet_logs()
            child.run(lambda: os.write(self._tell, b"."))
            status = 0
        except KeyboardInterrupt:
            status = 0
        except BaseException as error:
            print(f"byleave: {child.name} failed: {type(error).__name__}", file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _wait_for_ready(self) -> bool:
        waiting, until = len(self._children), time.monotonic() + START_S
        while waiting and not self._stopping:
            left = until - time.monotonic()
            if left <= 0:
                print("byleave: not ready in time", file=sys.stderr)
                return False
            found, _, _ = select.select([self._ready, self._woken], [], [], left)
            if self._woken in found:
                os.read(self._woken, 4096)
            if self._ready in found:
                waiting -= len(os.read(self._ready, 4096))
            if not self._reap():
                return False
        return not self._stopping

    def _watch(self) -> None:
        while not self._stopping:
            found, _, _ = select.select([self._ready, self._woken], [], [], 1.0)
            for fd in found:
                os.read(fd, 4096)
            if not self._reap():
                return

    def _reap(self) -> bool:
        """Makes dead children again; False where one cannot stay alive."""
        for child in self._children:
            if not child.pid or os.waitpid(child.pid, os.WNOHANG)[0] == 0:
                continue
            child.pid = 0
            if self._stopping:
                continue
            young = time.monotonic() - child.started < YOUNG_S
            child.early_deaths = child.early_deaths + 1 if young else 0
            if child.early_deaths >= MOST_EARLY_DEATHS:
                print(f"byleave: {child.name} does not stay alive", file=sys.stderr)
                return False
            if young:
                time.sleep(0.1 * child.early_deaths)
            self._start(child)
        return True

    def _end(self) -> None:
        """Workers drain, then the writer, then nobody waits any more."""
        signal.set_wakeup_fd(-1)
        self._listening.close()
        began = time.monotonic()
        writer, workers = self._children[0], self._children[1:]
        for group, until in ((workers, began + DRAIN_S), ([writer], began + STOP_S)):
            self._signal(group, signal.SIGTERM)
            while any(c.pid for c in group) and time.monotonic() < until:
                for child in group:
                    if child.pid and os.waitpid(child.pid, os.WNOHANG)[0]:
                        child.pid = 0
                time.sleep(0.02)
            self._signal(group, signal.SIGKILL)
        for child in self._children:
            if child.pid:
                os.waitpid(child.pid, 0)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal(self, group: list[Child], number: int) -> None:
        for child in group:
            if child.pid:
                os.kill(child.pid, number)

    # ── what children run ──
    def _writer(self, ready: Callable[[], object]) -> None:
        from byleave.exchange import upkeep
        from byleave.installation import open_installation
        from byleave.ledger import sequence
        from byleave.store import expiry
        from byleave.store.writer import Writer
        from byleave.view import reading, recall, rows, told

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says when
        self._listening.close()
        installation = open_installation(self._store)
        job = sequence.job(installation.keyring)
        calls_back = recall.job(installation.keyring, installation.ids, fresh_id, salt)
        installation.store.close()
        jobs = [
            rows.work_any,
            told.tell,
            calls_back,
            upkeep.job(fresh_id, salt),
            reading.job(fresh_id, salt),
            expiry.job(),
            job,
        ]
        writer = Writer(self._store, self._at, self._clock, jobs)

        async def run() -> None:
            serving = asyncio.ensure_future(writer.serve(ready))
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTERM, serving.cancel)
            loop.add_reader(self._alive, serving.cancel)  # end of file: the parent is gone
            await serving

        with suppress(asyncio.CancelledError):
            asyncio.run(run())

    def _worker(self, ready: Callable[[], object], number: int) -> None:
        import uvicorn

        from byleave.gateway.app import Gateway
        from byleave.installation import open_installation
        from byleave.store.writer import WriterClient

        signal.signal(signal.SIGINT, signal.SIG_IGN)
        installation = open_installation(self._store, WriterClient(self._at))
        app = Gateway(installation, self._base_url, self._clock, seats.Seats(self._seats, number))
        config = uvicorn.Config(
            app,
            http=bounded(),
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
            limit_concurrency=_files() - 256,
        )

        async def run() -> None:
            server = uvicorn.Server(config)

            def stop() -> None:
                server.should_exit = True

            asyncio.get_running_loop().add_reader(self._alive, stop)
            serving = asyncio.ensure_future(server.serve(sockets=[self._listening]))
            while not server.started and not serving.done():
                await asyncio.sleep(0.005)
            if server.started:
                ready()
            await serving
            await app.door.close()

        asyncio.run(run())


def _files() -> int:
    """As many files as this process may open, raised to what `MOST_CONNECTIONS` need where the system allows it."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + 256 if hard == resource.RLIM_INFINITY else min(hard, MOST_CONNECTIONS + 256)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def bounded() -> type[asyncio.Protocol]:
    """uvicorn's fast protocol with the limits that it lacks: a head of at most `LONGEST_HEAD` bytes, and a time for
    head and body each. It also tells the application how much of an answer has not left yet (`threshold.UNSENT`)."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from byleave.gateway.threshold import UNSENT

    class Bounded(HttpToolsProtocol):
        head = 0
        in_head = False
        timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.within(HEAD_S)

        def connection_lost(self, exc: Exception | None) -> None:
            self.within(None)
            super().connection_lost(exc)

        def within(self, seconds: float | None) -> None:
            """The connection ends after so many seconds, unless this is called again before."""
            if self.timer is not None:
                self.timer.cancel()
            self.timer = None if seconds is None else self.loop.call_later(seconds, self.late)

        def late(self) -> None:
            if self.in_head or self.cycle is None or not self.cycle.response_started:
                self.transport.write(
                    b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                )
            self.transport.close()

        def unsent(self) -> int | None:
            return None if self.transport.is_closing() else self.transport.get_write_buffer_size()

        def on_message_begin(self) -> None:
            self.head, self.in_head = 0, True
            self.within(HEAD_S)
            super().on_message_begin()
            self.scope["extensions"] = {UNSENT: self.unsent}  # type: ignore[dict-item]

        def on_headers_complete(self) -> None:
            self.in_head = False
            self.within(BODY_S)
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self.within(None)
            super().on_message_complete()

        def data_received(self, data: bytes) -> None:
            if self.in_head:  # it began in an earlier piece and has not ended yet
                self.head += len(data)
                if self.head > LONGEST_HEAD:
                    self.transport.close()
                    return
            super().data_received(data)

    return Bounded


def clock() -> int:
    """ms UTC: where the gateway's clock is read."""
    return int(time.time() * 1000)


def quiet_logs() -> None:
    """Errors to stderr, one line each; libraries' own logs only from errors on, and never their
    tracebacks."""
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("byleave: %(message)s"))
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.ERROR)


class _OneLine(logging.Formatter):
    """No traceback ends up in a log: it may quote what was being read."""

    def format(self, record: logging.LogRecord) -> str:
        kind = (
            ""
            if record.exc_info is None or record.exc_info[0] is None
            else f" ({record.exc_info[0].__name__})"
        )
        record.exc_info, record.exc_text, record.stack_info = None, None, None
        return super().format(record).replace("\n", " ") + kind
