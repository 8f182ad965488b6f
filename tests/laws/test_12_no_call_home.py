"""Law 12. Nothing leaves that a person or an operator did not ask for. The whole demo runs, in all its processes
(import, writer, workers, partner, scripted browser), with every socket watched: loopback and Unix sockets only, and no
name is looked up."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RUN = "from byleave.cli import main; main()"


def watched(
    folder: Path, *arguments: str, code: str = RUN
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """What a command answered, and every address that any of its processes spoke to."""
    log = folder / "sockets.log"
    log.touch()
    path = [str(HERE / "watch"), *(p for p in sys.path if p)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "BYLEAVE_SOCKET_LOG": str(log)}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
    )
    return done, log.read_text().splitlines()


def abroad(line: str) -> bool:
    """Is this anything but loopback or a Unix socket?"""
    event, _, address = line.partition(" ")
    value = ast.literal_eval(address) if address[:1] in "('\"b" else None
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        if value is None or isinstance(value, str | bytes):
            return False  # AF_UNIX, or an address given before
        return value[0] not in ("127.0.0.1", "::1")
    return value not in ("127.0.0.1", "localhost", "::1", b"127.0.0.1", None)


def test_the_watch_sees(tmp_path: Path) -> None:
    code = "import socket; s = socket.socket(); s.settimeout(.01); s.connect_ex(('192.0.2.1', 9))"
    _, lines = watched(tmp_path, code=code)
    assert [abroad(line) for line in lines] == [True]


def test_the_whole_demo(tmp_path: Path) -> None:
    done, lines = watched(tmp_path, "demo", "--once", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["ledger"]["verified"] is True
    assert any("127.0.0.1" in line for line in lines), "the watch was on"
    assert not [line for line in lines if abroad(line)]


def test_importing_every_module_opens_nothing(tmp_path: Path) -> None:
    code = """
import importlib, pkgutil, byleave
for m in pkgutil.walk_packages(byleave.__path__, "byleave."):
    if "migrations" not in m.name and not m.name.endswith("__main__"):
        try:
            importlib.import_module(m.name)
        except ImportError as error:
            assert error.name in ("pyarrow", "lightgbm", "ray"), error
"""
    done, lines = watched(tmp_path, code=code)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not lines
