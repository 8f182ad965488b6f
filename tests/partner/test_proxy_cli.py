"""`byleave proxy --ask`: leave is asked for, the owner's yes is pasted, the token lands in its file for nobody else."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from byleave.cli import answering, proxy
from byleave.errors import Invalid
from tests.exchange.world import Exchanging
from tests.servers.partner import CALLBACK, decide


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], decision: str
) -> None:
    it = Exchanging(tmp_path)
    served: list[Any] = []

    class Browser:
        """The owner's: it goes where stderr says, and what it lands on is pasted."""

        def readline(self) -> str:
            said = capsys.readouterr().err
            url = next(line.strip() for line in said.splitlines() if "/oauth/authorize" in line)
            answer = decide(it.http, url, it.session(it.owner), decision=decision)
            it.http.cookies.clear()
            return str(answer.headers["location"]) + "\n"

    monkeypatch.setattr(answering, "partner_at", lambda *_: it.partner)
    monkeypatch.setattr("sys.stdin", Browser())
    monkeypatch.setattr(proxy, "_serve", lambda token, *_: served.append(token))
    file, key = tmp_path / "new" / "token.json", tmp_path / "key.jwk"
    asked: dict[str, Any] = {
        "client": "streamflix-web", "key": key, "ask": "tailoring:masked", "agreement": "streamflix-deal",
        "redirect_uri": CALLBACK,
    }  # fmt: skip
    if decision == "deny":
        with pytest.raises(Invalid, match="the owner said no"):
            proxy.proxy(file, **asked)
        assert not file.exists() and served == []
        return
    proxy.proxy(file, **asked)
    said = json.loads(file.read_text())
    assert said["access_token"] == served[0].access_token and said["refresh_token"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file], "nothing half-written stays"
    it.world.store.close()
