"""`byleave demo`: the story over real HTTP, and what `make run` starts.

Nothing here bypasses what a real partner goes through: the partner is a process of its own that has its key and
HTTP (`byleave.partner.story`); the operator's steps are the command line's own verbs; the owner's click is made
by a scripted client on the real consent page, and the output says so. Nobody's real words are read by a
simulated yes: with `--inbox` the steps that need others' yes run in a sandbox of their own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urljoin

import httpx
import lxml.html
import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from byleave.cli.importing import ask_who, bring_in, fill_all, progress, settled
from byleave.cli.ledger import catch_up
from byleave.cli.options import StoreOption, fresh_id, now, salt, store_path
from byleave.cli.stores import offer_link
from byleave.cli.town import move_in
from byleave.consent import choice, grant, identity, token
from byleave.errors import Code, Refused, Unavailable
from byleave.ingest import publish
from byleave.ingest.gather import gather
from byleave.ingest.workers import Workers, usual
from byleave.installation import Installation, create, open_installation
from byleave.ledger import sequence
from byleave.model import Level, Mode
from byleave.sources import Options, recognise
from byleave.sources.archive import Export
from byleave.town import world
from byleave.view import export as view_export
from byleave.view import open_view, told

PORT = 8420
AGREEMENT, CLIENT, OPERATIVE = "streamflix-demo", "streamflix-demo", "employee-17"
REDIRECT = "http://127.0.0.1/streamflix/callback"
PLAN = world.Plan(people=12, seed=7)


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Run the story in a temporary folder and exit.")
    ] = False,
    inbox: Annotated[
        Path | None, typer.Option("--inbox", help="Your own mail or chats: the store is then personal.")
    ] = None,
    me: Annotated[
        list[str] | None, typer.Option("--me", help="Which senders are you: a handle. May be repeated.")
    ] = None,
    date_order: Annotated[
        str | None, typer.Option(help="dmy, mdy or ymd, where the file does not tell.")
    ] = None,
    zone: Annotated[str, typer.Option("--tz", help="IANA zone for times without one.")] = "UTC",
    store: StoreOption = None,
    port: Annotated[int, typer.Option(help="Where the gateway listens; the next free one if taken.")] = PORT,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout (with --once).")] = False,
) -> None:
    """The whole story on a sample inbox: a partner asks, an owner grants, senders choose, and one says no.

    Examples: byleave demo        byleave demo --once --json        byleave demo --inbox result.json --me telegram:user42
    """
    options = settled(date_order, zone)
    console = Console(stderr=as_json)
    started = time.monotonic()
    if once:
        with tempfile.TemporaryDirectory(prefix="byleave-") as folder:
            if inbox is not None:
                personal = Path(folder) / "personal.db"
                result = _own_inbox(console, personal, inbox, me or [], options, 0, once=True)
            else:
                result = _story_in(Path(folder), console, 0)
            result["seconds"] = round(time.monotonic() - started, 1)
        if as_json:
            print(orjson.dumps(result).decode())
        return
    if inbox is not None:
        _own_inbox(console, store_path(store), inbox, me or [], options, port)
        return
    path = store_path(store)
    fresh = not path.exists()
    installation = _sandbox(path, console) if fresh else open_installation(path)
    if installation.mode is not Mode.SANDBOX:
        raise Refused(
            Code.WRONG_MODE,
            path.name,
            "",
            "this is not a sandbox",
            "give another --store, or serve it: byleave serve",
        )
    with Gateway(path, port) as gateway:
        _doors(console, installation, gateway.url, _first_owner(installation))
        if fresh:
            story = Story(path.parent, installation, gateway.url, console)
            story.run()
            story.tell()
            _everybody_chooses(path.parent / "town", installation)
        console.print("\nUp until Ctrl-C.")
        gateway.wait()


# ── the stores ──────────────────────────────────────────────────────────────────────────────────────────────
def _sandbox(path: Path, console: Console) -> Installation:
    """A sandbox with the town's first inbox in it; nobody has chosen anything yet."""
    town = path.parent / "town"
    shutil.rmtree(town, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    console.print("Making a sandbox: a small town of invented people, films and quarrels about them.")
    with progress(not console.is_terminal) as show:
        world.build(PLAN, town, lambda done, total: show("building", done))
        made = orjson.loads((town / "world.json").read_bytes())
        return move_in(town, path, only=made["town"]["owner"], choices=False)


def _everybody_chooses(town: Path, installation: Installation) -> None:
    """After the story the town's own choices stand, so that the pages have something to show."""
    made = orjson.loads((town / "world.json").read_bytes())
    for act in made["choices"]:
        for handle in act["handles"]:
            installation.store.write(
                choice.choose, installation.people, fresh_id(), identity.parse(handle), int(Level.named(act["level"])),
                act["purpose"], act["partner"], act["conversation"], now(), "self", None, salt(),
            )  # fmt: skip
    fill_all(installation)


def _first_owner(installation: Installation) -> tuple[str, bytes]:
    with installation.store.read() as snapshot:
        return next(iter(publish.owners(snapshot).items()))


def _own_grant(installation: Installation, owner_id: bytes, purpose: str) -> grant.Grant | None:
    with installation.store.read() as snapshot:
        return next(
            (g for g in grant.of_owner(snapshot, owner_id) if g.purpose == purpose and g.revoked_at is None),
            None,
        )


def _assistant(installation: Installation, owner_id: bytes) -> grant.Grant:
    """The owner's grant for their own assistant, made on the console of their own store."""
    found = _own_grant(installation, owner_id, "own-agent")
    if found is None:
        values: dict[str, Any] = {
            "owner_id": owner_id, "grant_id": fresh_id(), "purpose": "own-agent", "level": int(Level.TEXT),
            "agreement_id": None, "partner": None, "client_id": None, "conversations": '{"mode":"all","of":[]}',
            "period_from": None, "period_to": None, "unanswered": int(Level.NONE), "created_at": now(),
            "expires_at": now() + grant.lifetime("own-agent"), "revoked_at": None, "seq": 0, "applied": 0,
            "filled_policy": 0,
        }  # fmt: skip
        installation.store.write(grant.create, values, fresh_id(), salt())
        fill_all(installation, owner_id)
        found = _own_grant(installation, owner_id, "own-agent")
    assert found is not None
    return found


# ── the gateway ─────────────────────────────────────────────────────────────────────────────────────────────
class Gateway:
    """`byleave serve` in a process of its own, ended with the story."""

    def __init__(self, store: Path, port: int) -> None:
        self._store = store
        self._port = port
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Gateway:
        command = [
            *_byleave(),
            "serve",
            "--store",
            str(self._store),
            "--port",
            str(_free(self._port)),
            "--workers",
            "2",
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            self.__exit__()
            raise Unavailable(Code.UNAVAILABLE, "the gateway did not start")
        self.url = found[0].rstrip("/")
        return self

    def wait(self) -> None:
        assert self._process is not None
        try:
            self._process.wait()
        except KeyboardInterrupt:
            return

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()


def _byleave() -> list[str]:
    return [sys.executable, "-c", "from byleave.cli import main; main()"]


def _free(port: int) -> int:
    """`port`, or the next one that nobody listens on; 0 is any."""
    for candidate in range(port, port + 20) if port else ():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            if candidate != port:
                print(f"port {port} is taken; using {candidate}", file=sys.stderr)
            return candidate
    return 0


# ── what is printed first ───────────────────────────────────────────────────────────────────────────────────
def _doors(console: Console, installation: Installation, url: str, owner: tuple[str, bytes]) -> None:
    name, owner_id = owner
    found = _own_grant(installation, owner_id, "owner")
    assert found is not None
    secret = token.fresh()
    installation.store.write(
        token.issue, token.hash_of(secret), owner_id, found.grant_id, None, None, None, "inbox.read", now()
    )
    link = offer_link(installation, owner_id, None, url, now())
    assistant = _assistant(installation, owner_id).grant_id.hex()
    store = os.path.relpath(installation.store.path)
    rows = (
        ("sign in as " + name, f"{link}   (once, within 15 minutes)"),
        ("agreements", f"{url}/agreements"),
        ("your mail client", f"{url}/.well-known/jmap   bearer {secret}"),
        ("your AI assistant", f"{program()} mcp --grant {assistant} --store {store}   (first open a session: add --open 12h)"),
        ("a partner's developer", f"{url}/.well-known/oauth-authorization-server"),
        ("", f"{program()} keys new --out partner.jwk && {program()} agreement new --partner you --purpose tailoring:masked --key partner.jwk --out deal.json"),
        ("", f"{program()} agreement sign deal.json --key partner.jwk && {program()} agreement sign deal.json && {program()} agreement add deal.json"),
    )  # fmt: skip
    console.print(f"\n[bold]Byleave[/bold] at {url}  ·  a {installation.mode.value} store in {store}")
    for what, where in rows:
        console.print(Text(f"  {what:<28}", style="dim"), Text(where), sep="", soft_wrap=True)


def program() -> str:
    """`byleave` as whoever reads the line can type it: a new .venv is not on the shell's path."""
    found = shutil.which("byleave")
    mine = Path(sys.argv[0])
    if mine.name != "byleave" or (found is not None and Path(found).resolve() == mine.resolve()):
        return "byleave"
    return os.path.relpath(mine)


# ── the story ───────────────────────────────────────────────────────────────────────────────────────────────
class Story:
    """A partner asks; what it sees and what it is refused, step by step."""

    def __init__(self, folder: Path, installation: Installation, url: str, console: Console) -> None:
        self.folder = folder
        self.installation = installation
        self.url = url
        self.console = console
        self.owner, self.owner_id = _first_owner(installation)
        self.steps: list[dict[str, Any]] = []
        self.refused: list[dict[str, str]] = []
        self._partner = subprocess.Popen(
            [sys.executable, "-m", "byleave.partner.story"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self) -> None:
        try:
            self._agree()
            self._grant()
            self._read("own words only: nobody else has said yes")
            first, second = self._two_senders()
            for person in (first, second):
                self._choose(person, Level.MASKED)
            self._read("after two senders agreed")
            seen = self._ids()
            self._choose(first, Level.NONE)
            self._read("after one of them said no")
            gone = [id for id in seen if id not in self._ids()][:3]
            self._try("an id it was shown before the no", "hidden id", ids=gone)
            self._try("an id that never was", "hidden id", ids=["m" + "a" * 26])
            self._try("who has the number +44 7700 900123?", "number")
            self._try("is ann@example.test known here?", "directory")
            self._try("its token with a second key", "second key")
            self._end()
            self._try("reading after the grant ended", "read")
        finally:
            if self._partner.stdin is not None:
                self._partner.stdin.close()
            self._partner.wait(10)

    def tell(self) -> None:
        """The table, and where each person finds each reading."""
        seen = Table(title="\nWhat Streamflix saw", title_justify="left", box=None, header_style="bold")
        for column in ("step", "visible", "for example"):
            seen.add_column(column)
        for step in self.steps:
            seen.add_row(step["step"], str(step["visible"]), Text((step.get("lines") or [""])[0][:60]))
        tried = Table(
            title="\nWhat it tried and was refused", title_justify="left", box=None, header_style="bold"
        )
        tried.add_column("tried")
        tried.add_column("answer")
        for one in self.refused:
            tried.add_row(one["tried"], one["answer"])
        self.console.print(seen, tried)
        self.console.print(f"\nEvery reading is on the pages of those it touched: {self.url}/me/readings")
        self.console.print(
            f"  as {self.owner}: the sign-in link above.  As a sender: {program()} signin --person HANDLE"
        )

    # steps
    def _agree(self) -> None:
        """The partner makes its key and signs; the operator publishes: real verbs, shown."""
        key, deal, client = (
            self.folder / n for n in ("streamflix.jwk", "streamflix-deal.json", "streamflix-client.json")
        )
        for file in (key, deal, client):
            file.unlink(missing_ok=True)
        jwk = self._tell_partner("key_file", file=str(key))["jwk"]
        self.console.print(
            "\n[bold]A partner[/bold], in a process of its own, makes its key and signs an agreement: tailoring, at masked."
        )
        self._verb(
            "agreement", "new", "--partner", "streamflix", "--id", AGREEMENT, "--name", "Streamflix", "--purpose", "tailoring:masked",
            "--key", str(key), "--operatives", "named", "--redirect-uri", REDIRECT, "--out", str(deal),
        )  # fmt: skip
        self._verb("agreement", "sign", str(deal), "--key", str(key))
        self.console.print("The operator:")
        self._verb("agreement", "sign", str(deal), shown=True)
        self._verb("agreement", "add", str(deal), shown=True)
        client.write_text(
            json.dumps(
                {
                    "client_id": CLIENT,
                    "agreement": AGREEMENT,
                    "redirect_uris": [REDIRECT],
                    "jwks": {"keys": [self._agreed_key(deal, jwk)]},
                }
            )
        )
        self._verb("client", "add", str(client), shown=True)

    def _agreed_key(self, deal: Path, jwk: dict[str, Any]) -> dict[str, Any]:
        keys = json.loads(deal.read_text())["partner"]["jwks"]["keys"]
        return next(k for k in keys if k["x"] == jwk["x"])

    def _grant(self) -> None:
        """PAR, the owner's click on the real consent page by a scripted client, the token."""
        details = {"purpose": "tailoring", "level": "masked", "agreement": AGREEMENT}
        pushed = self._tell_partner(
            "push",
            base_url=self.url,
            client_id=CLIENT,
            redirect_uri=REDIRECT,
            operative=OPERATIVE,
            details=details,
        )
        self.console.print(
            f"It pushes its request. {self.owner} is asked on the consent page; the click is made by a scripted client."
        )
        link = offer_link(self.installation, self.owner_id, None, self.url, now())
        with httpx.Client(follow_redirects=False, timeout=30) as browser:
            _submit(browser, _page(browser, link))
            callback = _submit(browser, _page(browser, pushed["authorize_url"]), decision="allow")
        self._tell_partner("redeem", callback_url=callback)

    def _end(self) -> None:
        with self.installation.store.read() as snapshot:
            found = next(
                g
                for g in grant.of_owner(snapshot, self.owner_id)
                if g.agreement_id == AGREEMENT and g.revoked_at is None
            )
        self._verb("grant", "revoke", found.grant_id.hex())
        self._read("after the grant ended")

    def _two_senders(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Two people of the town who said yes there, the most talkative first."""
        made = orjson.loads((self.folder / "town" / "world.json").read_bytes())
        with self.installation.store.read() as snapshot:
            counts = Counter[str]()
            for handle, messages in view_export.counts(snapshot, self.owner_id):
                counts[handle] += messages
        people = [p for p in made["people"] if p["id"] != self.owner]
        yes = {act["person"] for act in made["choices"] if act["level"] != "none"}
        ranked = sorted(
            people, key=lambda p: (p["id"] in yes, sum(counts[h] for h in _handles(p, made))), reverse=True
        )
        chosen = [
            {**p, "handles": sorted(_handles(p, made))}
            for p in ranked
            if any(counts[h] for h in _handles(p, made))
        ]
        return chosen[0], chosen[1]

    def _choose(self, person: dict[str, Any], level: Level) -> None:
        word = "says no" if level is Level.NONE else f"says yes, at {level.word}"
        self.console.print(f"{person['name']} {word}.")
        for handle in person["handles"]:
            purpose = [] if level is Level.NONE else ["--purpose", "tailoring"]
            self._verb("choice", "set", "--person", handle, "--level", level.word, *purpose)

    def _read(self, step: str) -> None:
        answer = self._tell_partner("read", refused=True)
        self.steps.append(
            {"step": step, "visible": answer.get("visible", 0), "lines": answer.get("lines", [])}
        )

    def _ids(self) -> list[str]:
        return list(self._tell_partner("ids"))

    def _try(self, tried: str, what: str, **arguments: Any) -> None:
        answer = self._tell_partner("attempt", refused=True, what=what, **arguments)
        self.refused.append({"tried": tried, "answer": answer.get("answer") or answer.get("error", "")})

    # inside
    def _tell_partner(self, step: str, *, refused: bool = False, **arguments: Any) -> Any:
        assert self._partner.stdin is not None and self._partner.stdout is not None
        self._partner.stdin.write(orjson.dumps([step, arguments]) + b"\n")
        self._partner.stdin.flush()
        line = self._partner.stdout.readline()
        if not line:
            raise Unavailable(Code.UNAVAILABLE, "the partner's process has ended")
        answer = orjson.loads(line)
        if isinstance(answer, dict) and "error" in answer and not refused:
            raise Unavailable(Code.UNAVAILABLE, f"the partner could not {step}: {answer['error']}")
        return answer

    def _verb(self, *words: str, shown: bool = False) -> None:
        if shown:
            self.console.print(
                Text(
                    f"  $ {program()} {' '.join(Path(w).name if '/' in w and not w.startswith('http') else w for w in words)}",
                    style="cyan",
                )
            )
        done = subprocess.run(
            [*_byleave(), *words, *(() if words[:2] == ("agreement", "new") else ("--store", str(self.installation.store.path)))],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise Unavailable(Code.UNAVAILABLE, f"byleave {words[0]} {words[1]}: {done.stderr.strip()}")


def _handles(person: dict[str, Any], made: dict[str, Any]) -> set[str]:
    inbox = made["inboxes"][made["town"]["owner"]]
    return {handle for handle, who in inbox["handles"].items() if who == person["id"]}


def _page(browser: httpx.Client, url: str) -> tuple[str, bytes]:
    answer = browser.get(url)
    while answer.status_code in (302, 303):
        url = urljoin(url, answer.headers["Location"])
        answer = browser.get(url)
    if answer.status_code != 200:
        raise Unavailable(Code.UNAVAILABLE, f"the gateway answers {answer.status_code} on a page")
    return url, answer.content


def _submit(browser: httpx.Client, page: tuple[str, bytes], **pressed: str) -> str:
    """Fills in the page's main form as it stands, presses the button; answers where it leads."""
    url, content = page
    forms = lxml.html.fromstring(content, base_url=url).forms
    name = next(iter(pressed.items()), None)
    form = next((f for f in forms if name is None or f.xpath(f'.//*[@name="{name[0]}"]')), forms[0])
    values = [(k, v) for k, v in form.form_values() if k not in pressed] + list(pressed.items())
    answer = browser.post(urljoin(url, form.action or url), data=_grouped(values))
    if answer.status_code != 303:
        raise Unavailable(Code.UNAVAILABLE, f"the page answers {answer.status_code} to the click")
    return urljoin(url, answer.headers["Location"])


def _grouped(values: list[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in values:
        grouped.setdefault(name, []).append(value)
    return grouped


def _story_in(folder: Path, console: Console, port: int) -> dict[str, Any]:
    """The whole story in `folder`; answers what `demo --once --json` prints, but for the seconds."""
    path = folder / "sandbox.db"
    installation = _sandbox(path, console)
    with Gateway(path, port) as gateway:
        story = Story(folder, installation, gateway.url, console)
        story.run()
        story.tell()
    catch_up(installation, now())
    verdict = sequence.verify_store(installation.store, installation.keyring)
    with installation.store.read() as snapshot:
        readings = told.of_owner(snapshot, story.owner_id)
        imported = view_export.sources(snapshot, story.owner_id)
    return {
        "imported": imported,
        "steps": [{"step": s["step"], "visible": s["visible"]} for s in story.steps],
        "refused": story.refused,
        "readings": len(readings),
        "ledger": {"size": verdict.size, "root": verdict.root, "verified": verdict.ok},
    }


# ── one's own inbox ─────────────────────────────────────────────────────────────────────────────────────────
def _own_inbox(
    console: Console,
    path: Path,
    inbox: Path,
    me: list[str],
    options: Options,
    port: int,
    *,
    once: bool = False,
) -> dict[str, Any]:
    """A personal store on the person's own file; the steps that need others' yes run in a sandbox. Answers as
    `_story_in`, `imported` being of the person's own file."""
    own = [identity.parse(h) for text in me for h in text.split(",") if h.strip()]
    export = Export(inbox)
    importer = recognise(export)
    personal = path.with_name("personal.db") if path.name == "byleave.db" else path
    with Workers(usual()) as crew:
        with progress(not console.is_terminal) as show:
            found = gather(lambda: importer.read(export, options), show, crew.start)
        if not own:
            own = ask_who(console, found)
        installation = (
            open_installation(personal) if personal.exists() else create(personal, Mode.PERSONAL, now())
        )
        with progress(not console.is_terminal) as show:
            name, result = bring_in(
                installation, importer, export, options, found, None, own, show, workers=crew
            )
    console.print(
        f"Imported {result.added} messages ({result.updated} updated, {result.unchanged} unchanged) into your own store."
    )
    _, owner_id = name, _first_owner(installation)[1]
    assistant = _assistant(installation, owner_id)
    with installation.store.read() as snapshot:
        view = open_view(
            snapshot, grant.find(snapshot, owner_id, assistant.grant_id), installation.ids, now()
        )
        visible = 0 if view is None else sum(m.total_emails for m in view.mailboxes())
    console.print(
        f"[bold]On your own file:[/bold] your assistant may read your own words, {visible} of {found.records} messages."
    )
    console.print(
        "Others' words it sees once they say yes, or masked if you raise unanswered senders yourself."
    )
    console.print(
        "\n[bold]In a sandbox of invented people[/bold], because it needs others' yes: what a partner would see."
    )
    with tempfile.TemporaryDirectory(prefix="byleave-") as folder:
        answer = _story_in(Path(folder), console, 0)
    with installation.store.read() as snapshot:
        answer["imported"] = view_export.sources(snapshot, owner_id)
    if once:
        return answer
    with Gateway(personal, port) as gateway:
        _doors(console, installation, gateway.url, (name, owner_id))
        console.print("\nUp until Ctrl-C.")
        gateway.wait()
    return answer
