"""Everybody but the partner: the provider's operator with the command line, the owner and her friend with browsers.

A partner never has anything of this. It drives the same verbs and pages that people use; nothing is called behind
the gateway's back.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

OWNER, FRIEND = "telegram:user1000", "telegram:user1001"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
TITLES = {
    "t100": ("The Lighthouse", 2019), "t101": ("Nine Harbours", 2014), "t102": ("Slow Train", 2021),
    "t103": ("Paper Comets", 2011), **{f"t{200 + n}": (f"Invented Evening {n}", 1990 + n) for n in range(1, 21)},
}  # fmt: skip
"""The provider's public catalogue: a partner cannot have anything looked for that is not in it."""
BYLEAVE = [sys.executable, "-c", "from byleave.cli import main; main()"]


class Everybody:
    """A sandbox in `folder`. Its clock stands at nine in the morning of `start` and moves on by itself."""

    def __init__(self, folder: Path, start: datetime | None = None) -> None:
        self.folder = folder
        self.store = folder / "sandbox.db"
        today = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)
        self._shift_s = ((start or today) - datetime.now(UTC)).total_seconds()
        self._inbox()

    def clock(self) -> float:
        """Seconds since 1970, by the sandbox's clock."""
        return time.time() + self._shift_s

    def sleeps(self, span: timedelta) -> None:
        self._shift_s += span.total_seconds()

    @property
    def _at(self) -> str:
        return datetime.fromtimestamp(self.clock(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    def verb(self, *arguments: str) -> Any:
        """One `byleave` verb; answers its JSON."""
        line = [*BYLEAVE, *arguments, "--store", str(self.store), "--json"]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"byleave {arguments[0]}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def _inbox(self) -> None:
        """An inbox of six messages: the friend agreed to masked tailoring, her brother was never asked."""
        said = [
            ("Mara", OWNER, "I watched the movie Nine Harbours (2014) again on Sunday, I loved it."),
            ("Ines", FRIEND, "The Lighthouse (2019) was a wonderful film, I loved that movie."),
            (
                "Jonas",
                "telegram:user1002",
                "This is nobody's business but ours. I hated the film Slow Train (2021).",
            ),
            ("Mara", OWNER, "Slow Train (2021) is a great film too, I loved that movie."),
            ("Ines", FRIEND, "Send me whatever they make next."),
            ("Mara", OWNER, "And the movie Paper Comets (2011), I loved that film as well."),
        ]
        begun = int(self.clock()) - 86_400
        messages = [
            {
                "id": n, "type": "message", "date": datetime.fromtimestamp(begun + n * 60, UTC).isoformat()[:19],
                "date_unixtime": str(begun + n * 60), "from": name, "from_id": handle.partition(":")[2], "text": text,
                "text_entities": [{"type": "plain", "text": text}],
            }
            for n, (name, handle, text) in enumerate(said, 1)
        ]  # fmt: skip
        export = self.folder / "result.json"
        export.write_text(
            json.dumps({"name": "Film evening", "type": "private_group", "id": 77, "messages": messages})
        )
        self.verb("init", "--mode", "sandbox", "--at", self._at)
        titles = self.folder / "titles.csv"
        titles.write_text(
            "\n".join(
                ["title_id,title,year", *(f"{id},{name},{year}" for id, (name, year) in TITLES.items())]
            )
        )
        self.verb("catalogue", "import", str(titles), "--at", self._at)
        self.verb("import", str(export), "--owner", "mara", "--me", OWNER)
        self.verb(
            "choice",
            "set",
            "--person",
            FRIEND,
            "--level",
            "masked",
            "--purpose",
            "tailoring",
            "--at",
            self._at,
        )

    def agree(self, partner: str, key: Path, callback: str) -> dict[str, Any]:
        """Both sides sign, the operator publishes; answers the agreement as it stands in the register."""
        deal = self.folder / "deal.json"
        line = [
            "agreement",
            "new",
            "--partner",
            partner,
            "--purpose",
            "tailoring:masked",
            "--key",
            str(key),
            "--out",
            str(deal),
        ]
        subprocess.run(
            [*BYLEAVE, *line, "--redirect-uri", callback, "--at", self._at, "--json"],
            check=True,
            capture_output=True,
        )
        self.verb("agreement", "sign", str(deal), "--key", str(key))
        self.verb("agreement", "sign", str(deal))
        self.verb("agreement", "add", str(deal), "--at", self._at)
        found: dict[str, Any] = json.loads(deal.read_text())
        return found

    def add_client(self, metadata: dict[str, Any]) -> None:
        file = self.folder / "client.json"
        file.write_text(json.dumps(metadata))
        self.verb("client", "add", str(file), "--at", self._at)

    @contextmanager
    def gateway(self) -> Iterator[Gateway]:
        """`byleave serve`, with its clock where the sandbox's is."""
        line = [
            *BYLEAVE,
            "serve",
            "--port",
            "0",
            "--workers",
            "1",
            "--store",
            str(self.store),
            "--at",
            self._at,
        ]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            if not said.startswith("listening on "):
                raise SystemExit("the gateway did not start")
            yield Gateway(self, said.removeprefix("listening on ").strip())
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)


class Gateway:
    """A running gateway, and the browsers of the people who use it."""

    def __init__(self, everybody: Everybody, url: str) -> None:
        self.url = url
        self._everybody = everybody

    @cached_property
    def _owner(self) -> httpx.Client:
        return self._browser("--owner", "mara")

    @cached_property
    def _friend(self) -> httpx.Client:
        """She takes cards of this partner, and lets clicks be counted."""
        browser = self._browser("--person", FRIEND)
        form = {
            "csrf": _csrf(browser.get("/me/cards").text),
            "partner": "streamflix",
            "cards": "yes",
            "clicks": "yes",
        }
        assert browser.post("/me/cards/choose", data=form).status_code == 303
        return browser

    def _browser(self, *who: str) -> httpx.Client:
        """Signs somebody in by a one-time link."""
        link = self._everybody.verb("signin", *who, "--base-url", self.url, "--at", self._everybody._at)[
            "url"
        ]
        browser = httpx.Client(base_url=self.url, headers={"User-Agent": AGENT}, timeout=30)
        browser.post(link, data={"next": "/me/"})
        return browser

    def owner_says_yes(self, authorize_url: str) -> str:
        """Her click on the consent page; answers where the gateway sends her."""
        page = self._owner.get(authorize_url).text
        fields = dict(re.findall(r'<input type="hidden" name="(dialogue|csrf)" value="([^"]*)"', page))
        answer = self._owner.post("/oauth/authorize", data={**fields, "decision": "allow"})
        return answer.headers["Location"]

    def owner_confirms(self, confirm_url: str, and_the_next: bool) -> None:
        """Her yes to one card, and with `and_the_next` to thirty days of them to the same friend."""
        form = {
            "csrf": _csrf(self._owner.get(confirm_url).text),
            **({"leave": "yes"} if and_the_next else {}),
        }
        assert self._friend is not None
        assert self._owner.post(f"{confirm_url}/confirm", data=form).status_code == 303

    def friend_clicks(self) -> list[str]:
        """She opens every card that she was sent; a robot that got hold of a link comes too. Answers where each
        visitor lands."""
        time.sleep(2.1)  # a click two seconds after the send is nobody's
        links = re.findall(
            r'<a href="(/c/[A-Za-z0-9_-]{46})" rel="noreferrer', self._friend.get("/me/cards").text
        )
        visitors = [(link, AGENT) for link in links] + [(links[0], "Otherbot/1.0"), (links[0], AGENT)]
        return [
            httpx.get(self.url + link, headers={"User-Agent": agent}).headers["Location"]
            for link, agent in visitors
        ]


def _csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]*)"', page)
    assert found is not None, "not signed in"
    return found[1]
