"""The partner's and the operator's pages, and the cards of people, in real Chromium: wide and narrow, light and dark,
with a file chosen and submitted, by keyboard, without JavaScript."""

from __future__ import annotations

import hashlib
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.browser.test_pages import CONTRAST, SMALL, UNLABELLED
from tests.exchange import periods, world
from tests.exchange.test_picture import jpeg
from tests.exchange.world import ANN, BOB, CARD, Exchanging

from byleave.gateway import guard

AT = "/partner/agreements/streamflix-deal"
OVER = "/operator/agreements/streamflix-deal"


class Served:
    """An exchange behind a server: three periods accepted, the last with findings, the fourth overdue."""

    def __init__(self, it: Exchanging, base: str, waiting: str, card: str, report: str, folder: Path) -> None:
        self.it, self.base, self.waiting, self.card, self.report, self.folder = (
            it,
            base,
            waiting,
            card,
            report,
            folder,
        )

    def link(self, role: str, name: str) -> str:
        secret = secrets.token_urlsafe(9)
        hash = hashlib.sha256(secret.encode()).digest()
        self.it.world.store.write(guard.offer_desk, hash, role, name, None, None, self.it.now)
        return f"{self.base}/{role}/signin/{secret}"


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "URL", base)
        it = Exchanging(tmp_path_factory.mktemp("exchange"))
        for handle in (ANN, BOB):
            it.takes_cards(handle)
        image = it.partner.put_image(it.token, jpeg((600, 300)))
        card = it.put(ANN, {**CARD, "image": image})
        it.confirm(card)
        counts = {k: periods.happened(it, k) for k in range(1, 5)}
        for k in range(1, 4):
            it.now = it.world.now = periods.end_of(k)
            made = periods.report(it, k, counts[k], _inflated if k == 3 else None)
            it.partner.submit(it.partner.own_token(), made)
        it.now = it.world.now = periods.end_of(4, 4.2)
        it.renew()
        waiting = it.put(BOB, {**CARD, "image": image, "title": "A title that goes on and on " * 7})
        folder = tmp_path_factory.mktemp("files")
        fourth = periods.report(it, 4, counts[4])
        bad = periods.spoiled(fourth)
        for name, (rows, manifest) in {"bad": bad, "good": (fourth.csv(), fourth.manifest_json())}.items():
            (folder / f"{name}.csv").write_bytes(rows)
            (folder / f"{name}.manifest.json").write_bytes(manifest)
        server = uvicorn.Server(uvicorn.Config(it.app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Served(it, base, waiting["id"], card["id"], made.manifest["report_id"], folder)
        server.should_exit = True
        thread.join(10)


def _inflated(day: str, cell: Any, figures: list[int]) -> None:
    if cell.interface == "tv":
        figures[1], figures[2] = int(figures[1] * 1.2), int(figures[2] * 1.25)


def tab(chromium: Any, width: int, dark: bool = False, script: bool = True) -> tuple[Any, Any, list[str]]:
    context = chromium.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if dark else "light",
        java_script_enabled=script,
    )
    page, complaints = context.new_page(), []
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: complaints.append(str(e)))
    return context, page, complaints


def fits(page: Any, name: str, width: int, shots: Path) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.screenshot(path=str(shots / f"{name}-{width}.png"), full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    for check in (CONTRAST, UNLABELLED, SMALL):
        assert page.evaluate(check) == [], name
    assert page.locator("h1").count() == 1 and page.locator("main").count() == 1, name
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)"), name


@pytest.mark.parametrize(("width", "dark"), [(390, True), (390, False), (1280, False), (1280, True)])
def test_every_page_fits_reads_and_complains_of_nothing(
    chromium: Any, exchange: Served, shots: Path, width: int, dark: bool
) -> None:
    context, page, complaints = tab(chromium, width, dark)
    page.goto(exchange.link("partner", "streamflix"))
    fits(page, "partner-signin", width, shots)
    page.click("main button")
    for name, path in {
        "partner": "/partner/", "agreement": AT, "figure": f"{AT}?figure=clicks_total", "sends": f"{AT}/sends",
        "file": f"{AT}/file", "report": f"{AT}/reports/{exchange.report}",
        "cell": f"{AT}/reports/{exchange.report}?figure=recipient_clicks&cell=tv/detail/card-on_platform",
    }.items():  # fmt: skip
        assert page.goto(exchange.base + path).status == 200, path
        fits(page, f"partner-{name}", width, shots)
    page.goto(exchange.link("operator", "operator:a"))
    page.click("main button")
    for name, path in {
        "operator": "/operator/",
        "agreement": OVER,
        "report": f"{OVER}/reports/{exchange.report}",
    }.items():
        assert page.goto(exchange.base + path).status == 200, path
        fits(page, f"operator-{name}", width, shots)
    for who, handle, paths in (
        (exchange.it.owner, None, ("/me/sends", f"/me/sends/{exchange.waiting}")), (None, ANN, ("/me/cards",)),
    ):  # fmt: skip
        session = exchange.it.session(who, handle)
        context.add_cookies([{"name": "byleave", "value": session["byleave"], "url": exchange.base}])
        for i, path in enumerate(paths):
            assert page.goto(exchange.base + path).status == 200, path
            fits(page, f"{'me' if who else 'ann'}{i}", width, shots)
    assert complaints == []
    context.close()


def test_a_file_is_chosen_checked_and_submitted_without_javascript(
    chromium: Any, exchange: Served, shots: Path
) -> None:
    context, page, complaints = tab(chromium, 390, script=False)
    page.goto(exchange.link("partner", "streamflix"))
    page.click("main button")
    page.goto(f"{exchange.base}{AT}/file")
    for name in ("bad", "good"):
        page.set_input_files("#rows", exchange.folder / f"{name}.csv")
        page.set_input_files("#manifest", exchange.folder / f"{name}.manifest.json")
        page.locator("button[value=check]").focus()
        page.keyboard.press("Enter")
        page.get_by_text("5 violations" if name == "bad" else "Nothing is wrong with it").wait_for()
        page.screenshot(path=str(shots / f"{name}.png"), full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Submit this report").press("Enter")
    page.get_by_text("Accepted.").wait_for()
    page.goto(exchange.base + AT)
    assert page.locator("tr").filter(has_text="2026-10-19").get_by_text("accepted").count() == 1
    assert complaints == []
    context.close()


def test_a_waiver_by_keyboard_and_a_card_sent_by_click(chromium: Any, exchange: Served) -> None:
    context, page, complaints = tab(chromium, 1280, script=False)
    page.goto(exchange.link("operator", "operator:a"))
    page.get_by_role("button", name="Sign in").press("Enter")
    page.get_by_role("link", name="Streamflix").first.wait_for()
    page.get_by_label("Since").fill("2026-11-01T10:00")
    page.get_by_label("Until").fill("2026-11-01T12:00")
    page.get_by_role("button", name="Enter the outage").press("Enter")
    page.get_by_text("The outage stands in the ledger").wait_for()
    session = exchange.it.session(exchange.it.owner)
    context.add_cookies([{"name": "byleave", "value": session["byleave"], "url": exchange.base}])
    page.goto(f"{exchange.base}/me/sends/{exchange.waiting}")
    boxes = [
        page.get_by_role("button", name=name).bounding_box() for name in ("No, don’t send", "Yes, send it")
    ]
    assert abs(boxes[0]["width"] - boxes[1]["width"]) < 0.1 and boxes[0]["height"] == boxes[1]["height"]
    page.get_by_role("button", name="Yes, send it").click()
    page.get_by_text("Sent in your name.").wait_for()
    session = exchange.it.session(None, ANN)
    context.add_cookies([{"name": "byleave", "value": session["byleave"], "url": exchange.base}])
    page.goto(f"{exchange.base}/me/cards")
    page.get_by_role("button", name="No more from Streamflix").click()
    page.get_by_text("No more cards of theirs come to you").wait_for()
    page.get_by_text("You take no more cards from Streamflix").wait_for()
    assert complaints == []
    context.close()
