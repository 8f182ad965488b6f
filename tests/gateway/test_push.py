"""EventSource push over a running gateway: visible changes only, and an end within seconds of a no."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from byleave.consent import grant
from byleave.model import Level
from tests.servers.gateway import ANN, BOB, Served, serving
from tests.worlds import chat

PATH = "/jmap/eventsource"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, workers=1) as made:
        yield made


class Stream:
    """One open stream, read in a thread."""

    def __init__(self, served: Served, query: str, **headers: str) -> None:
        self.partner = served.authorized()
        self.partner.ask("GET", "/jmap/session")  # a nonce
        self.lines: list[str] = []
        self.ended = threading.Event()
        self.query, self.headers = query, headers
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        self.until(lambda: bool(self.lines))

    def _read(self) -> None:
        proof = self.partner.proof("GET", PATH, token=self.partner.token)
        headers = {"Authorization": f"DPoP {self.partner.token}", "DPoP": proof, **self.headers}
        with httpx.stream(
            "GET", f"{self.partner.base_url}{PATH}?{self.query}", headers=headers, timeout=60
        ) as answer:
            self.status, self.type = answer.status_code, answer.headers["content-type"]
            self.lines.append(str(answer.status_code))
            for line in answer.iter_lines():
                self.lines.append(line)
        self.ended.set()

    def until(self, so: object, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not so():  # type: ignore[operator]
            time.sleep(0.05)
        assert so(), self.lines  # type: ignore[operator]

    def events(self, name: str) -> int:
        return self.lines.count(f"event: {name}")


def test_tells_of_visible_changes_only_and_ends_with_the_grant(served: Served) -> None:
    stream = Stream(served, "types=*&closeafter=no&ping=5")
    assert stream.status == 200 and stream.type.startswith("text/event-stream")
    served.world.put(
        served.owner,
        [chat("Hidden from all of you, as I said no to this.", BOB, at=served.world.now, id="h")],
    )
    served.world.choose(BOB, Level.NONE, None)
    stream.until(lambda: stream.events("ping") > 0)
    assert stream.events("state") == 0, "what is hidden moves nothing"
    served.world.put(
        served.owner, [chat("I would like to see that other film as well.", ANN, at=served.world.now, id="v")]
    )
    stream.until(lambda: stream.events("state") > 0)
    told = json.loads(next(line for line in stream.lines if "StateChange" in line).removeprefix("data: "))
    [(account, types)] = told["changed"].items()
    assert set(types) == {"Mailbox", "Thread", "Email"}
    [[_, found, _]] = stream.partner.jmap(["Email/get", {"accountId": account, "ids": []}, "c"]).json()[
        "methodResponses"
    ]
    assert types["Email"] == found["state"]
    served.world.choose(ANN, Level.NONE, None)
    stream.until(lambda: stream.events("state") > 1)
    id = served.grant_id(stream.partner)
    served.world.store.write(grant.revoke, served.owner, id, served.world.now, served.world.id(), b"s" * 32)
    assert stream.ended.wait(20)


def test_closes_after_a_state_and_answers_a_state_that_is_old(served: Served) -> None:
    stream = Stream(served, "types=Email&closeafter=state&ping=0", **{"Last-Event-ID": "selsewhere"})
    assert stream.ended.wait(20)
    assert (
        stream.events("state") == 1
        and '"Email"' in "".join(stream.lines)
        and '"Thread"' not in "".join(stream.lines)
    )


@pytest.mark.parametrize(
    "query", ["", "types=*", "types=*&closeafter=never&ping=1", "types=*&closeafter=no&ping=-1"]
)
def test_refuses_what_the_standard_does_not_say(served: Served, query: str) -> None:
    assert served.authorized().ask("GET", f"{PATH}?{query}").status_code == 400
