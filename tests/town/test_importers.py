"""What the town writes, the importers read: every export of every inbox, to the message and to the handle."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from byleave.model import Record
from byleave.sources import Importer, Options
from byleave.sources.archive import Export
from byleave.town import plain
from byleave.town.world import Plan, build

IMPORTERS = {
    "mail": ("mail", "MailImporter"),
    "whatsapp": ("whatsapp", "WhatsAppImporter"),
    "telegram": ("telegram", "TelegramImporter"),
    "messenger": ("messenger", "MessengerImporter"),
    "instagram": ("messenger", "MessengerImporter"),
}


def importer(source: str) -> Importer:
    module, name = IMPORTERS[source]
    found: Importer = getattr(pytest.importorskip(f"byleave.sources.{module}"), name)()
    return found


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("town") / "out"
    build(Plan(people=12, seed=7, messages=1_500), out)
    return out, json.loads((out / "world.json").read_text("utf-8"))


@pytest.mark.parametrize("source", sorted(IMPORTERS))
def test_every_export_is_read_whole(source: str, town: tuple[Path, dict[str, Any]]) -> None:
    out, world = town
    reader = importer(source)
    seen = 0
    for inbox in world["inboxes"].values():
        for wanted in (e for e in inbox["exports"] if e["source"] == source):
            path = out / wanted["path"]
            export = Export(path)
            assert reader.sniff(export) is not None, wanted
            records = [r for r in reader.read(export, Options(zone=inbox["zone"])) if isinstance(r, Record)]
            # Notices stand without a sender or as a kind of their own; they are no messages.
            said = [r for r in records if r.kind not in ("member", "unsupported")]
            assert len(said) == wanted["messages"], wanted
            unknown = {r.sender for r in said if r.sender is not None} - set(inbox["handles"])
            assert not unknown, wanted
            nameless = [r for r in said if r.sender is None]
            doubled = len({p["name"] for p in world["people"]}) < len(world["people"])
            assert not nameless or (source == "messenger" and doubled), wanted
            seen += 1
    assert seen


def test_recognised_as_one_source(town: tuple[Path, dict[str, Any]]) -> None:
    sources = pytest.importorskip("byleave.sources")
    for module, _ in IMPORTERS.values():
        try:
            importlib.import_module(f"byleave.sources.{module}")
        except ImportError:
            pytest.skip(f"the importer {module} is not here yet")
    out, world = town
    for inbox in world["inboxes"].values():
        for wanted in inbox["exports"]:
            found = sources.recognise(Export(out / wanted["path"]))
            assert found.name == ("messenger" if wanted["source"] == "instagram" else wanted["source"])


@pytest.mark.parametrize("form", plain.FORMATS)
def test_plain_inboxes_are_read_whole(form: str, tmp_path: Path) -> None:
    reader = importer("mail" if form == "mbox" else form)
    plain.build(Plan(people=20, seed=7), tmp_path / "p", 2_000, form)
    world = json.loads((tmp_path / "p" / "world.json").read_text("utf-8"))
    (inbox,) = world["inboxes"].values()
    export = Export(tmp_path / "p" / inbox["exports"][0]["path"])
    records = [r for r in reader.read(export, Options()) if isinstance(r, Record)]
    known = {h for p in world["people"] for h in p["handles"]}
    assert len(records) == 2_000 and {r.sender for r in records} <= known
