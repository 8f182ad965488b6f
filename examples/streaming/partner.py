"""A streaming service, whole: it gets leave, reads what it may, sends a card, counts clicks and answers for it.

    python examples/streaming/partner.py          # less than a minute, against a sandbox of its own

Read it from top to bottom: it is what a partner's developer writes. Everything else — the provider, the inbox's
owner, her friend — is played by `everybody.py` beside it, which a partner never sees. The clock of the sandbox is set,
because a fortnight is long. A partner that waits for many things at once takes `AsyncPartner`: the same methods, awaited.
A plain JMAP client reads the same inbox through `byleave proxy`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import uuid_utils

from byleave.exchange import arrival
from byleave.exchange import report as reports
from byleave.keys import read_jwk
from byleave.partner.client import Partner, new_key, registration

sys.path.insert(0, str(Path(__file__).parent))
from everybody import Everybody

ME = "streamflix"
CALLBACK = "https://streamflix.example/cb"
CATALOGUE = {"t100": "The Lighthouse", "t101": "Nine Harbours", "t102": "Slow Train", "t103": "Paper Comets"}


def main(folder: Path) -> dict[str, object]:
    began = time.monotonic()
    say = print

    # ── 1. Register: a key of our own, an agreement that both sides sign, a client under it ─────────────────
    key = new_key()
    key_file = folder / "streamflix.jwk"
    key_file.touch(mode=0o600)
    key_file.write_text(json.dumps(key.as_dict(private=True)))
    everybody = Everybody(folder)  # a sandbox whose clock stands at the agreement's first morning
    agreement = everybody.agree(ME, key_file, CALLBACK)
    everybody.add_client(registration("streamflix-web", agreement["id"], [CALLBACK], key))
    say(
        f"1  agreed: {agreement['id']}, {', '.join(p['purpose'] + ' at ' + p['level'] for p in agreement['purposes'])}"
    )

    with everybody.gateway() as gateway:
        # ── 2. Ask the owner: pushed, signed, bound to our key; she decides on the gateway's own page ───────
        partner = Partner(gateway.url, "streamflix-web", key, CALLBACK, clock=everybody.clock)
        pushed = partner.push(
            {"purpose": "tailoring", "level": "masked", "agreement": agreement["id"]},
            "inbox.read signals send",
        )
        token = partner.redeem(pushed, gateway.owner_says_yes(pushed.authorize_url))
        say(
            f"2  leave for {token.details['purpose']} at {token.details['level']} until {token.details['expires_at'][:10]}"
        )

        # ── 3. Signals, not words: who likes which title, as far as the owner and each sender said yes ───────
        signals = partner.signals(token)
        capabilities = partner.session(token)["accounts"][token.account_id]["accountCapabilities"]
        she = capabilities["https://byleave.example/ns/signals"]["personId"]
        friend = next(s["personId"] for s in signals if s["personId"] != she)
        known = {s["titleId"] for s in signals if s["personId"] == friend}
        chosen = [s["titleId"] for s in signals if s["personId"] == she and s["stance"] == "liked"]
        chosen = sorted(title for title in chosen if title in CATALOGUE and title not in known)
        best = partner.rankings(token, 1)[0]
        say(f"3  {len(signals)} signals; she likes {len(chosen)} titles that {friend[:9]}… has not spoken of")
        say(f"   for her own screen: {CATALOGUE.get(best['titleId'], best['titleId'])} ({best['reason']})")

        # ── 4. Recommend: the owner confirms each card, or once for thirty days ─────────────────────────────
        cells = [
            {"interface": "tv", "surface": "detail", "variant": "card-on_platform"},
            {"interface": "phone", "surface": "credits", "variant": "card-off_platform"},
        ]
        for number, title in enumerate(chosen):
            card = {
                "type": "recommendation",
                "title_ref": {"scheme": "streamflix", "id": title},
                "title": CATALOGUE[title],
                "text": "I thought of you.",
            }
            sent = partner.send(token, friend, card, cells[number % 2])
            if sent["state"] == "waiting":
                gateway.owner_confirms(sent["confirm_url"], and_the_next=True)
        own_records = [
            {"kind": "send", "day": s["day"], **s["cell"]}
            for s in partner.sends(token)
            if s["state"] == "accepted"
        ]
        say(f"4  {len(own_records)} cards sent in her name")

        # ── 5. Count arrivals at our own site, by `bl`: who clicked, we are never told ──────────────────────
        own = partner.own_token()
        bl_key = partner.arrivals_key(own)
        for landed_at in gateway.friend_clicks():
            arrived = arrival.read(bl_key, parse_qs(urlsplit(landed_at).query)["bl"][0])
            assert arrived is not None, "a visitor whose `bl` is not the gateway's is not counted"
            kind = {"first": "recipient_click", "repeat": "click"}.get(arrived.kind)
            if kind is not None:
                own_records.append({"kind": kind, "day": arrived.day.isoformat(), **arrived.cell._asdict()})
        say(f"5  {sum(r['kind'] == 'recipient_click' for r in own_records)} recipient clicks arrived")

    everybody.sleeps(timedelta(days=15.5))  # the fortnight ends; a day later the figures are final
    with everybody.gateway() as gateway:
        # ── 6. Build the report offline, and check it as the gateway will ───────────────────────────────────
        partner = Partner(gateway.url, "streamflix-web", key, CALLBACK, clock=everybody.clock)
        terms = reports.terms_of(agreement)
        now_ms = int(everybody.clock() * 1000)
        report = reports.build(
            reports.count((json.dumps(event).encode() for event in own_records), terms, 1), terms, sequence=1,
            report_id=str(uuid_utils.uuid7(nanoseconds=now_ms * 1_000_000)), generated_at_ms=now_ms,
            key=read_jwk(key.as_dict(private=True)), bot_filter_version="none", preparer="Reports desk",
        )  # fmt: skip
        verdict = reports.check(report.parcel("csv"), terms, [], now_ms)
        assert verdict.ok, verdict.violations
        say(f"6  report of period 1: {len(report.rows)} rows, {report.manifest['totals']}")

        # ── 7. Submit, keep the receipt, see both sides' figures ────────────────────────────────────────────
        own = partner.own_token()
        kept = partner.submit(own, report)
        assert partner.receipt(own, kept["report_id"]) == kept["receipt"]
        beside = partner.reconciliation(own, kept["report_id"])
        unlike = [cell for cell in beside["cells"] if cell["platform"] != cell["partner"]]
        say(
            f"7  accepted {kept['received_at']}; {len(unlike)} of {len(beside['cells'])} cells differ, {len(beside['findings'])} findings"
        )
        state = partner.reports(own)["periods"][0]["state"]
    seconds = round(time.monotonic() - began, 1)
    say(f"   the whole loop took {seconds} s")
    return {
        "totals": report.manifest["totals"],
        "unlike": len(unlike),
        "findings": beside["findings"],
        "state": state,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(made))
