"""The town: same seed, same bytes; its exports are what they say; nothing in it can reach anybody."""

from __future__ import annotations

import csv
import email
import hashlib
import json
import mailbox
import re
import zipfile
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from byleave.errors import Refused
from byleave.town import plain
from byleave.town.choices import choose, leanings
from byleave.town.films import catalogue
from byleave.town.people import draw, settle
from byleave.town.world import Plan, build

FICTION = re.compile(
    r"\+44 ?7700 ?900\d{3}$|\+1 ?\(?\d{3}\)? ?555[ -]?01\d\d$"
    r"|\+49 ?30 ?23125\d{3}$|\+33 ?6 ?39 ?98 ?\d\d ?\d\d$"
)
WHATSAPP = re.compile(
    r"^\[?(\d{2,4})[/.-](\d\d)[/.-](\d{2,4}), \d\d:\d\d(?::\d\d)?(?:\] | - )([^:\n]+): (.*)$"
)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("town") / "out"
    build(Plan(people=12, seed=7), out)
    return out, json.loads((out / "world.json").read_text("utf-8"))


def digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def everything(folder: Path) -> str:
    texts = []
    for path in folder.rglob("*"):
        if path.suffix == ".zip":
            texts.append(zipfile.ZipFile(path).read("_chat.txt").decode())
        elif path.is_file():
            texts.append(re.sub(r"=\r?\n", "", path.read_text("utf-8")))  # quoted-printable's soft breaks
    return "\n".join(texts)


def test_same_seed_same_bytes(town: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    build(Plan(people=12, seed=7), tmp_path / "again")
    assert digest(tmp_path / "again") == digest(town[0])
    build(Plan(people=12, seed=8), tmp_path / "other")
    assert digest(tmp_path / "other") != digest(town[0])


def test_the_owner_has_four_exports_and_about_1500_messages(town: tuple[Path, dict[str, Any]]) -> None:
    out, world = town
    inbox = world["inboxes"][world["town"]["owner"]]
    assert sorted(e["source"] for e in inbox["exports"]) == ["mail", "messenger", "telegram", "whatsapp"]
    assert 1_400 <= inbox["messages"] <= 1_600
    assert all(e["messages"] > 150 for e in inbox["exports"])
    for other in world["inboxes"].values():
        for export in other["exports"]:
            assert (out / export["path"]).exists()


def test_mail_parses_and_threads(town: tuple[Path, dict[str, Any]]) -> None:
    out, world = town
    inbox = world["inboxes"][world["town"]["owner"]]
    (export,) = (e for e in inbox["exports"] if e["source"] == "mail")
    box = mailbox.mbox(out / export["path"])
    mails = [email.message_from_bytes(m.as_bytes(), policy=default) for m in box]
    assert len(mails) == export["messages"]
    ids = {m["Message-ID"] for m in mails}
    assert len(ids) == len(mails)
    quoted = alternative = 0
    for mail in mails:
        assert not mail.defects and mail["Date"].datetime and mail["From"].addresses
        assert mail["In-Reply-To"] is None or mail["In-Reply-To"] in ids
        body = mail.get_body(("plain",))
        assert body is not None
        text = body.get_content()
        quoted += "\n> " in text
        alternative += mail.get_body(("html",)) is not None
    assert quoted > 50 and alternative > 50
    assert {"mail"} <= {h.split(":")[0] for h in inbox["me"]}


def test_telegram_parses(town: tuple[Path, dict[str, Any]]) -> None:
    out, world = town
    inbox = world["inboxes"][world["town"]["owner"]]
    (export,) = (e for e in inbox["exports"] if e["source"] == "telegram")
    chats = json.loads((out / export["path"]).read_text("utf-8"))["chats"]["list"]
    messages = [m for c in chats for m in c["messages"] if m["type"] == "message"]
    assert len(messages) == export["messages"] and len(chats) == export["conversations"]
    for chat in chats:
        ids = [m["id"] for m in chat["messages"]]
        assert ids == sorted(set(ids))
        for message in chat["messages"]:
            assert message.get("reply_to_message_id", ids[0]) in ids
    for message in messages:
        assert f"telegram:{message['from_id']}" in inbox["handles"]
        parts = message["text"] if isinstance(message["text"], list) else [message["text"]]
        spelt = "".join(p if isinstance(p, str) else p["text"] for p in parts)
        assert spelt == "".join(e["text"] for e in message["text_entities"])
    assert any("forwarded_from" in m for m in messages) and any("reactions" in m for m in messages)
    assert any("edited_unixtime" in m for m in messages)


def test_whatsapp_names_its_senders_and_its_date_order(town: tuple[Path, dict[str, Any]]) -> None:
    out, world = town
    seen_ios = False
    for inbox in world["inboxes"].values():
        for export in (e for e in inbox["exports"] if e["source"] == "whatsapp"):
            path = out / export["path"]
            seen_ios |= path.suffix == ".zip"
            text = (
                zipfile.ZipFile(path).read("_chat.txt").decode()
                if path.suffix == ".zip"
                else path.read_text("utf-8")
            )
            title = path.stem.removeprefix("WhatsApp Chat with ").removeprefix("WhatsApp Chat - ")
            heads = [m for line in text.split("\n") if (m := WHATSAPP.match(line.strip("\r\u200e")))]
            names = {m[4].strip("\u202a\u202c") for m in heads} - {title}
            for name in names:
                handle = (
                    f"tel:+{re.sub(r'[^0-9]', '', name)}" if name[0] == "+" else f"whatsapp:{title}/{name}"
                )
                assert handle in inbox["handles"]
            assert any(int(m[1]) > 12 for m in heads)
    assert seen_ios


def test_messenger_is_spelt_as_meta_spells_it(town: tuple[Path, dict[str, Any]]) -> None:
    out, world = town
    inbox = world["inboxes"][world["town"]["owner"]]
    (export,) = (e for e in inbox["exports"] if e["source"] == "messenger")
    files = sorted((out / export["path"]).rglob("message_*.json"))
    count = accents = 0
    doubled = False
    for path in files:
        document = json.loads(path.read_bytes())
        thread = document["thread_path"].removeprefix("inbox/")
        assert thread == path.parent.name
        names = [p["name"].encode("latin-1").decode() for p in document["participants"]]
        doubled |= len(set(names)) < len(names)
        times = [m["timestamp_ms"] for m in document["messages"]]
        assert times == sorted(times, reverse=True)
        count += len(times)
        for message in document["messages"]:
            name = message["sender_name"].encode("latin-1").decode()
            accents += not name.isascii()
            message.get("content", "").encode("latin-1").decode()
            if names.count(name) == 1:
                assert f"messenger:{thread}/{name}" in inbox["handles"]
    assert count == export["messages"] and accents and doubled


def test_nothing_reaches_anybody_real(town: tuple[Path, dict[str, Any]]) -> None:
    text = everything(town[0])
    numbers = re.findall(r"\+\d[\d ()-]{8,}\d", text)
    assert len(numbers) > 100
    assert not [n for n in numbers if not FICTION.search(n)]
    for tel in (h for p in town[1]["people"] for h in p["handles"] if h.startswith("tel:")):
        assert FICTION.fullmatch(tel.removeprefix("tel:"))
    domains = set(re.findall(r"[\w.+-]@([\w-]+(?:\.[\w-]+)+)", text)) | set(
        re.findall(r"https?://([\w.-]+)", text)
    )
    assert domains and all(d.endswith((".example", ".test")) for d in domains)


def test_one_yes_in_five_and_clustered() -> None:
    town = settle(400, 3)
    yes = {c.resident for c in choose(town, 1_800_000_000_000) if c.level > 0}
    assert 0.15 <= len(yes) / 400 <= 0.25
    edges = [(a, b) for a in range(400) for b in town.friends(a)]
    both = sum(a in yes and b in yes for a, b in edges) / len(edges)
    share = sum(a in yes for a, _ in edges) / len(edges)
    assortativity = (both - share**2) / (share - share**2)  # Newman's r for a property of two values
    assert assortativity > 0.3
    rng = draw(0, "shuffle")
    order = list(range(400))
    rng.shuffle(order)
    shuffled = {order[i] for i in yes}
    chance = sum(a in shuffled and b in shuffled for a, b in edges) / len(edges)
    assert both > 1.5 * chance
    assert sorted(leanings(town))[-1] == 1.0


def test_minds_change_before_and_after_the_end(town: tuple[Path, dict[str, Any]]) -> None:
    until = town[1]["town"]["until"]
    people = 200
    acts = choose(settle(people, 7), 1_793_491_200_000)
    said_yes: set[int] = set()
    changed = [0, 0]
    for act in acts:
        if act.level > 0:
            said_yes.add(act.resident)
        elif act.purpose and act.resident in said_yes:
            changed[act.at >= 1_793_491_200_000] += 1
    assert all(changed)
    assert any(c["at"] > until for c in town[1]["choices"])


def test_stances_are_what_people_think(town: tuple[Path, dict[str, Any]]) -> None:
    out, world = town
    opinions = {p["id"]: p["opinions"] for p in world["people"]}
    rows = list(csv.DictReader((out / "catalogue.csv").open(encoding="utf-8", newline="")))
    titles = {r["title_id"]: r for r in rows}
    assert (
        len(rows) == 300
        and any(r["sensitive"] == "1" for r in rows)
        and "Up North" in {r["title"] for r in rows}
    )
    assert len({r["title"] for r in rows}) < len(rows)
    mine = [s for s in world["stances"] if world["town"]["owner"]]
    assert len(mine) > 200 and {"liked", "disliked", "wants"} <= {s["stance"] for s in mine}
    for stance in world["stances"]:
        assert stance["title_id"] in titles
        assert opinions[stance["person"]].get(stance["title_id"], "neutral") == stance["stance"]


def test_two_people_of_one_name(town: tuple[Path, dict[str, Any]]) -> None:
    names = [p["name"] for p in town[1]["people"]]
    assert len(set(names)) < len(names)


def test_talk_does_not_repeat_itself(town: tuple[Path, dict[str, Any]]) -> None:
    out, world = town
    (export,) = (e for e in world["inboxes"][world["town"]["owner"]]["exports"] if e["source"] == "telegram")
    chats = json.loads((out / export["path"]).read_text("utf-8"))["chats"]["list"]
    texts = ["".join(e["text"] for e in m["text_entities"]) for c in chats for m in c["messages"]]
    long = [t.lower() for t in texts if len(t) > 25]
    assert len(set(long)) / len(long) > 0.97
    assert not [t for t in texts if re.search(r"[{}|]|\[\]|^\d+: ", t)]


def test_taints_and_quotes(tmp_path: Path) -> None:
    build(Plan(people=12, seed=7, quotes=0.3, taints=True), tmp_path / "t")
    world = json.loads((tmp_path / "t" / "world.json").read_text("utf-8"))
    taints = {p["id"]: p["taint"] for p in world["people"]}
    assert len(set(taints.values())) == 12 and len({len(t) for t in taints.values()}) == 1
    owner = world["town"]["owner"]
    inbox = world["inboxes"][owner]
    carrying = total = 0
    for export in inbox["exports"]:
        path = tmp_path / "t" / export["path"]
        if export["source"] == "mail":
            for mail in mailbox.mbox(path):
                parsed = email.message_from_bytes(mail.as_bytes(), policy=default)
                author = inbox["handles"][f"mail:{parsed['From'].addresses[0].addr_spec}"]
                body = parsed.get_body(("plain",))
                assert body is not None
                text = body.get_content()
                assert taints[author] in text
                total += 1
                carrying += any(t in text for p, t in taints.items() if p != author)
        elif export["source"] == "telegram":
            for chat in json.loads(path.read_text("utf-8"))["chats"]["list"]:
                for message in (m for m in chat["messages"] if m["type"] == "message"):
                    author = inbox["handles"][f"telegram:{message['from_id']}"]
                    text = "".join(e["text"] for e in message["text_entities"])
                    assert taints[author] in text or "forwarded_from" in message
                    total += 1
                    carrying += any(t in text for p, t in taints.items() if p != author)
    assert carrying / total >= 0.3


def test_messages_option_sets_the_size(tmp_path: Path) -> None:
    made = build(Plan(people=30, seed=1, messages=6_000), tmp_path / "s")
    assert 5_400 <= made.messages <= 6_600
    assert made.files == sum(p.is_file() for p in (tmp_path / "s").rglob("*"))


@pytest.mark.parametrize("form", plain.FORMATS)
def test_plain_inboxes(form: str, tmp_path: Path) -> None:
    made = plain.build(Plan(people=20, seed=7), tmp_path / "p", 12_000, form)
    assert made.messages == 12_000
    world = json.loads((tmp_path / "p" / "world.json").read_text("utf-8"))
    (inbox,) = world["inboxes"].values()
    path = tmp_path / "p" / inbox["exports"][0]["path"]
    if form == "telegram":
        (chat,) = json.loads(path.read_text("utf-8"))["chats"]["list"]
        assert [m["id"] for m in chat["messages"]] == list(range(1, 12_001))
    elif form == "whatsapp":
        assert sum(bool(WHATSAPP.match(line)) for line in path.read_text("utf-8").split("\n")) == 12_000
    elif form == "messenger":
        pages = [json.loads(p.read_bytes()) for p in sorted(path.rglob("message_*.json"))]
        assert sum(len(p["messages"]) for p in pages) == 12_000
    else:
        assert sum(1 for _ in mailbox.mbox(path)) == 12_000


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    for plan, out in (
        (Plan(people=1, seed=1), tmp_path / "a"),
        (Plan(people=5, seed=1, until="yesterday"), tmp_path / "a"),
        (Plan(people=5, seed=1, quotes=2.0), tmp_path / "a"),
        (Plan(people=5, seed=1, messages=0), tmp_path / "a"),
        (Plan(people=5, seed=1), tmp_path / "full"),
    ):
        with pytest.raises(Refused):
            build(plan, out)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("people", [2, 3, 5, 9, 11, 47])
def test_towns_of_any_size(people: int, tmp_path: Path) -> None:
    made = build(Plan(people=people, seed=people, messages=400), tmp_path / "t")
    assert made.people == made.inboxes == people and made.messages > 0


def test_catalogue_does_not_tell_clusters_by_order() -> None:
    films = catalogue(7)
    ranks = [f.popularity for f in films]
    assert ranks != sorted(ranks) and ranks != sorted(ranks, reverse=True)
