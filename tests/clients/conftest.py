"""The public clients' own venv (GPL and AGPL: separate processes only) and a gateway to read from."""

from __future__ import annotations

import hashlib
import os
import subprocess
import venv
from pathlib import Path

import pytest

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
