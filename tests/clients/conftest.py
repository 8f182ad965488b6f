"""The public clients' own venv (GPL and AGPL: separate processes only) and a gateway to read from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from byleave.consent import grant
from tests.servers.gateway import Served

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements-clients.lock"


@pytest.fixture(scope="session")
def clients_python() -> Path:
    """The Python of a venv with exactly what requirements-clients.lock names, by hash. It lies under var/ and is
    made once for each state of the lock. Where it cannot be had, the tests are skipped; with CI=true they fail."""
    folder = ROOT / "var" / f"clients-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    done = folder / ".done"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        made = subprocess.run(
            [*pip, "--require-hashes", "-r", str(LOCK)], capture_output=True, text=True, timeout=600
        )
        if made.returncode != 0:
            line = "the public JMAP clients cannot be installed: " + made.stderr.strip().splitlines()[-1]
            if os.environ.get("CI") == "true":
                pytest.fail(line)
            pytest.skip(line)
        done.touch()
    return python


@pytest.fixture(scope="module")
def bearer(served: Served) -> str:
    """The owner's token, as `byleave token` prints it."""
    with served.world.store.read() as snapshot:
        [own] = [g for g in grant.of_owner(snapshot, served.owner) if g.for_owner]
    line = [
        sys.executable,
        "-c",
        "from byleave.cli import main; main()",
        "token",
        "--grant",
        own.grant_id.hex(),
    ]
    done = subprocess.run(
        [*line, "--store", str(served.world.path), "--base-url", served.url, "--json"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    said = json.loads(done.stdout)
    assert said["token_type"] == "Bearer" and said["session_url"] == f"{served.url}/.well-known/jmap"
    return str(said["access_token"])


def node_folder(here: Path) -> Path:
    """A folder under var/ with the scripts of `here` and exactly what its package-lock.json names, by hash. Without
    node the tests are skipped with one line; with CI=true they fail."""
    files = sorted(file for file in here.iterdir() if file.is_file())
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    folder = ROOT / "var" / f"{here.name}-{digest}"
    if (folder / ".done").exists():
        return folder
    why = "node or npm is not here"
    if shutil.which("node") and shutil.which("npm"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in files:
            shutil.copy(file, folder)
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts"], cwd=folder, capture_output=True, text=True, timeout=300
        )
        if done.returncode == 0:
            (folder / ".done").touch()
            return folder
        why = "npm ci failed: " + (done.stderr.strip().splitlines() or ["no reason given"])[0]
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)
