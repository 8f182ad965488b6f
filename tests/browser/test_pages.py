"""The pages in real Chromium: wide and narrow, light and dark, by keyboard alone, without JavaScript."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.browser.people import ANN, Open, asks
from tests.gateway.pages.site import Site

OWNERS = [
    "/me/",
    "/me/inbox",
    "/me/inbox?q=harbour",
    "/me/readings",
    "/me/readings?who=all",
    "/me/grants",
    "/me/choices",
    "/agreements",
    "/agreements/streamflix-deal",
    "chat",
    "mail",
    "consent",
]
SENDERS = ["/me/", "/me/readings", "/me/choices", "/agreements"]

# Every text against what stands behind it: the ratio of WCAG 2.2 §1.4.3, measured where it is drawn.
CONTRAST = """() => {
  const parse = c => { const m = c.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m };
  const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const lum = rgb => [.2126, .7152, .0722].reduce((sum, part, i) => sum + part * linear(rgb[i] / 255), 0);
  const behind = e => {
    for (let n = e; n; n = n.parentElement) {
      const c = parse(getComputedStyle(n).backgroundColor);
      if (c[3] > .99) return c;
    }
    return [255, 255, 255, 1];
  };
  const poor = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    const box = e.getBoundingClientRect();
    if (!own || box.width < 2 || box.height < 2) continue;
    const style = getComputedStyle(e), size = parseFloat(style.fontSize), bold = +style.fontWeight >= 700;
    const a = lum(parse(style.color)), b = lum(behind(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    const wanted = size >= 24 || (size >= 18.66 && bold) ? 3 : 4.5;
    if (ratio < wanted) poor.push([e.tagName, e.className, ratio.toFixed(2)]);
  }
  return poor;
}"""
UNLABELLED = """() => [...document.querySelectorAll('input:not([type=hidden]), select, textarea')]
  .filter(e => !e.labels.length && !e.getAttribute('aria-label')).map(e => e.outerHTML)"""
SMALL = """() => {
  const all = document.querySelectorAll('button, input:not([type=hidden]), select, summary, nav a');
  const pressed = e => e.type === 'radio' || e.type === 'checkbox' ? e.closest('label') : e;
  return [...all].map(e => [e, pressed(e).getBoundingClientRect()])
    .filter(([e, r]) => r.width && (r.height < 24 || r.width < 24)).map(([e]) => e.outerHTML);
}"""
FOCUSED = """() => {
  const e = document.activeElement;
  return {
    text: e.textContent.trim(), name: e.name || '', value: e.value || '',
    ring: getComputedStyle(e).outlineStyle,
    place: [...document.querySelectorAll('*')].indexOf(e)
  };
}"""


def resolve(tab: Open, path: str) -> str:
    """An address that depends on the ids of the view."""
    if path == "consent":
        return asks(tab.site)
    if path in ("chat", "mail"):
        tab.go("/me/inbox")
        wanted = "/c/" if path == "chat" else "/t/"
        return str(tab.page.locator(f"main a[href*='{wanted}']").first.get_attribute("href"))
    return path


@pytest.mark.parametrize(("width", "dark"), [(360, False), (390, True), (1280, False), (1280, True)])
def test_every_page_fits_reads_and_complains_of_nothing(
    chromium: Any, served: Site, shots: Path, width: int, dark: bool
) -> None:
    for handle, paths in ((None, OWNERS), (ANN, SENDERS)):
        with Open(chromium, served, handle=handle, width=width, dark=dark, script=True) as tab:
            for i, path in enumerate(paths):
                answer = tab.go(resolve(tab, path))
                assert answer.status == 200, path
                tab.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
                tab.page.screenshot(
                    path=str(shots / f"{'sender' if handle else 'owner'}{i}-{width}.png"), full_page=True
                )
                assert tab.page.evaluate("document.documentElement.scrollWidth") <= width, path
                assert tab.page.evaluate(CONTRAST) == [], path
                assert tab.page.evaluate(UNLABELLED) == [], path
                assert tab.page.evaluate(SMALL) == [], path
                assert tab.page.locator("h1").count() == 1 and tab.page.locator("main").count() == 1
                assert tab.page.evaluate(
                    "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
                ), path
            assert tab.complaints == []
            assert all(url.startswith(served.base) for url in tab.asked)


def test_consent_by_keyboard_alone_and_without_javascript(chromium: Any, served: Site) -> None:
    with Open(chromium, served) as tab:
        tab.go(asks(served))
        keys, seen = tab.page.keyboard, []
        keys.press("Tab")
        assert _focused(tab)["text"] == "Skip to the content"
        keys.press("Enter")
        for _ in range(40):
            keys.press("Tab")
            now = _focused(tab)
            seen.append(now["name"] or now["text"])
            if now["value"] == "allow":
                break
        assert "decision" in seen and seen.index("level") < seen.index("scope") < seen.index(
            "until"
        ) < seen.index("decision")
        assert _focused(tab)["ring"] != "none"
        keys.press("Enter")
        tab.page.wait_for_url("**/cb?*")
        assert "code=" in tab.page.url and tab.complaints == []


def test_no_is_one_key_nearer_and_shares_nothing(chromium: Any, served: Site) -> None:
    with Open(chromium, served) as tab:
        tab.go(asks(served))
        boxes = [tab.page.locator(f"button[value={v}]").bounding_box() for v in ("deny", "allow")]
        assert abs(boxes[0]["width"] - boxes[1]["width"]) < 0.1 and boxes[0]["height"] == boxes[1]["height"]
        tab.page.locator("button[value=deny]").focus()
        tab.page.keyboard.press("Enter")
        tab.page.wait_for_url("**/cb?*")
        assert "error=access_denied" in tab.page.url


def _focused(tab: Open) -> dict[str, Any]:
    """The element that has the focus, asked through the browser's own protocol: the page runs no script."""
    found: dict[str, Any] = tab.page.evaluate(FOCUSED)
    return found


@pytest.mark.parametrize("path", ["/me/", "/me/grants", "/me/choices", "/me/inbox"])
def test_the_tab_order_is_the_order_of_the_page(chromium: Any, served: Site, path: str) -> None:
    with Open(chromium, served) as tab:
        tab.go(path)
        places: list[int] = []
        for _ in range(25):
            tab.page.keyboard.press("Tab")
            at = _focused(tab)["place"]
            if places and at <= places[-1]:
                break
            places.append(at)
        assert len(places) >= 8 and places == sorted(places)


def test_a_grant_ends_by_one_click(chromium: Any, served: Site) -> None:
    with Open(chromium, served) as tab:
        tab.go("/me/grants")
        tab.page.locator("input[name=level][value=text]").check()
        tab.page.get_by_role("button", name="Connect my assistant").click()
        first = tab.page.locator("article.card").first
        id = first.get_attribute("id")
        first.get_by_role("button", name="End this grant now").click()
        tab.page.locator(f"tr#{id}").wait_for()
        assert tab.page.locator(f"article#{id}").count() == 0 and tab.page.locator(f"tr#{id}").count() == 1


def test_a_sender_decides_and_withdraws_by_click(chromium: Any, served: Site) -> None:
    with Open(chromium, served, handle="telegram:user77") as tab:
        tab.go("/me/choices")
        tab.page.get_by_label("Yes, masked").check()
        tab.page.get_by_role("button", name="Set this choice").click()
        assert tab.page.get_by_role("status").inner_text() == "Your yes is set."
        tab.page.get_by_role("button", name="Withdraw").click()
        assert "Withdrawn" in tab.page.get_by_role("status").inner_text()
        tab.page.get_by_role("button", name="No to everything").click()
        tab.page.locator(".tag.no").nth(4).wait_for()  # counting does not wait for the page behind the click
        assert tab.page.locator(".tag.no").count() == 5
