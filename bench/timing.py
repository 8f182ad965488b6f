"""Does the time of an answer tell what is hidden? A permutation test over two worlds that differ in hidden messages.

    PYTHONPATH=src python bench/timing.py --pairs 2000

Three installations with the same visible messages: two that are alike (`A`, `B`) and one that holds HIDDEN times as
many messages by people who said nothing or no (`with`). Requests of the kinds most at risk go to all three in an order
drawn anew for each round, as ASGI calls in this process: no socket, whose noise would only help to hide. A pair is one
round's two times. The statistic is the difference of the 20 % trimmed means of the logarithms; its distribution under
"no difference" comes from exchanging the two times of a pair at random (5,000 times).

Two clocks: the CPU time of the process, which no other load blurs and which sees more than any caller could, and the
wall. Columns: medians of CPU in µs; Δ median; AUC, the share of pairs in which the world with hidden messages was the
slower one (.50 = nothing to see); p; p by Holm; `sees`, the shift in µs that this test finds at alpha .01 with a power of
.90; then p, Δ and `sees` of the wall.
`A/B p` is the same test between the two worlds that are alike: what the method itself makes up. `delayed p` is the test
with 2 % added to one side: the method finds what is there. Wanted: p > .01 (by Holm over all kinds) and
|Δ| < 1 ms on the CPU clock; on a busy machine the wall's own `sees` says how little it can tell.
`hidden id` asks, in the world `with`, for ids by which another partner may read messages that are hidden here, beside
ids that nobody was ever given.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.laws import twins
from tests.laws.twins import ANN, ANN_MAIL, BOB, BOB_MAIL, CAT, Dice, Twin
from tests.worlds import DAY, NOW, chat, mail

from byleave.view.shape import Ids

WORDS = ("harbour", "film", "lighthouse", "ticket", "sunday", "supper", "train", "garden", "winter", "letter")
ALPHA, POWER, FLIPS = 0.01, 0.90, 5000
Times = np.ndarray[Any, np.dtype[np.float64]]


def talk(n: int, senders: tuple[str, ...], mails: str, mark: str, every: str) -> list[Any]:
    """`n` messages, half mails; drawn from `mark` alone, so that both worlds have the same visible ones."""
    draw, found = random.Random(mark), []
    for i in range(n):
        words = " ".join(draw.choice(WORDS) for _ in range(draw.randint(6, 30)))
        at = NOW - 200 * DAY + draw.randrange(190 * DAY)
        text = f"I think that we should talk about the {words} again, {every}."
        if i % 2:
            found.append(
                chat(text, draw.choice(senders), at=at, id=f"{mark}{i}", place=f"c{draw.randint(1, 2)}")
            )
        else:
            found.append(
                mail(
                    text,
                    mails,
                    at=at,
                    id=f"{mark}{i}@example.test",
                    subject=f"About the {draw.choice(WORDS)}",
                )
            )
    return found


class Large(Twin):
    """A twin with `visible` messages that a partner may see and `unseen` that it may not."""

    visible, unseen = 2000, 8000

    def put(self, after: int) -> None:
        super().put(after)
        if after:
            return
        more = talk(self.visible, (twins.ME, ANN), ANN_MAIL, "v", "as before")
        if self.hidden:
            more += talk(self.unseen, (BOB, CAT), BOB_MAIL, "h", "secretly")
        self.world.put(self.owner_id, more, own=[twins.ME, twins.MY_MAIL])


class Caller:
    """Calls one world's application as its partner."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.proofs = 0

    def scope(self, method: str, path: str) -> dict[str, Any]:
        self.proofs += 1
        claims = {"iat": self.twin.world.now // 1000, "jti": f"timed {self.proofs} {secrets.token_hex(8)}"}
        place, _, query = path.partition("?")
        token = self.twin.partner.token
        proof = self.twin.partner.proof(method, place, token=token, claims=claims)
        headers = [
            (b"host", b"127.0.0.1:8420"), (b"content-type", b"application/json"),
            (b"authorization", f"DPoP {token}".encode()), (b"dpop", proof.encode()),
        ]  # fmt: skip
        return {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": place, "raw_path": place.encode(), "query_string": query.encode(), "headers": headers,
            "client": ("192.0.2.7", 1), "server": ("127.0.0.1", 8420), "root_path": "",
        }  # fmt: skip

    async def call(self, method: str, path: str, body: bytes) -> tuple[tuple[float, float], bytes]:
        """((CPU, wall) in µs until the last byte of the answer, the answer)."""
        scope = self.scope(method, path)
        told: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            told.append(message.get("body", b"") or str(message.get("status", "")).encode())

        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        await self.twin.app(scope, receive, send)
        took = (time.process_time_ns() - cpu) / 1000, (time.perf_counter_ns() - wall) / 1000
        return took, b"".join(told)


def jmap(*calls: list[Any]) -> tuple[str, str, bytes]:
    using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"]
    return "POST", "/jmap/api", json.dumps({"using": using, "methodCalls": calls}).encode()


Request = tuple[str, str, bytes]


def kinds(account: str, ids: list[str], state: str) -> dict[str, Callable[[random.Random], Request]]:
    """name → one request of that kind, drawn anew each time."""
    me = {"accountId": account}

    def query(**given: Any) -> Request:
        return jmap(["Email/query", {**me, "limit": 50, "calculateTotal": True, **given}, "c"])

    def unknown(d: random.Random) -> str:
        return "m" + "".join(d.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(25)) + "a"

    download = f"/jmap/download/{account}/"
    return {
        "search, a word of all": lambda d: query(filter={"text": d.choice(WORDS)}),
        "search, a word of hidden ones": lambda d: query(filter={"text": "secretly"}),
        "search, a word of nobody": lambda d: query(filter={"body": "".join(d.sample("qxzjkvwb", 7))}),
        "query, position": lambda d: query(position=d.randrange(1000)),
        "query, a sender": lambda d: query(filter={"from": d.choice(("bob", "ann", "cat"))}),
        "get, a page": lambda d: jmap(["Email/get", {**me, "ids": d.sample(ids, 20), "properties": ["id", "subject", "preview"]}, "c"]),
        "get, an unknown id": lambda d: jmap(["Email/get", {**me, "ids": [unknown(d) for _ in range(20)]}, "c"]),
        "thread, mailboxes": lambda d: jmap(["Mailbox/get", {**me, "ids": None}, "c"], ["Thread/get", {**me, "ids": [unknown(d)]}, "d"]),
        "changes": lambda d: jmap(["Email/changes", {**me, "sinceState": state}, "c"], ["Mailbox/changes", {**me, "sinceState": state}, "d"]),
        "snippet": lambda d: jmap(["SearchSnippet/get", {**me, "filter": {"text": "secretly"}, "emailIds": d.sample(ids, 5)}, "c"]),
        "blob": lambda d: ("GET", download + "b" + d.choice(ids)[1:] + "/a?accept=message/rfc822", b""),
        "session": lambda d: ("GET", "/jmap/session", b""),
    }  # fmt: skip


def statistic(a: Times, b: Times) -> Times:
    """Of rows of logarithms of times."""
    return np.asarray(stats.trim_mean(b, 0.2, axis=-1) - stats.trim_mean(a, 0.2, axis=-1))


def permuted(a: Times, b: Times, draw: np.random.Generator, flips: int = FLIPS) -> tuple[float, float]:
    """(p, two-sided; the standard error of the statistic where there is no difference)."""
    one, other = np.log(a), np.log(b)
    seen, found = abs(float(statistic(one, other))), []
    for at in range(0, flips, 500):
        swap = draw.integers(0, 2, (min(500, flips - at), len(a))).astype(bool)
        found.append(statistic(np.where(swap, other, one), np.where(swap, one, other)))
    flipped = np.concatenate(found)
    return float((1 + np.sum(np.abs(flipped) >= seen)) / (flips + 1)), float(flipped.std())


def holm(p: list[float]) -> list[float]:
    """p values adjusted for their number (Holm 1979)."""
    order, adjusted, high = np.argsort(p), [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        high = max(high, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = high
    return adjusted


async def measure(
    callers: dict[str, Caller], draws: list[Callable[[random.Random], Request]], pairs: int, seed: int
) -> list[Times]:
    """Times of `pairs` rounds of each of `callers` in turn; what is asked is the same for all within a round, or one
    of `draws` for each."""
    draw, order = random.Random(seed), list(range(len(callers)))
    timed = [np.empty((2, pairs)) for _ in callers]
    each = list(callers.values())
    for n in range(-20, pairs):
        mark = draw.random()
        asked = [draws[i % len(draws)](random.Random(mark)) for i in order]
        draw.shuffle(order)
        for i in order:
            took, _ = await each[i].call(*asked[i])
            if n >= 0:
                timed[i][:, n] = took
    return timed


async def run(worlds: dict[str, Twin], pairs: int) -> int:
    callers = {name: Caller(twin) for name, twin in worlds.items()}
    one = next(iter(callers.values()))
    _, told = await one.call("GET", "/jmap/session", b"")
    [account] = json.loads(told.removeprefix(b"200"))["accounts"]
    _, told = await one.call(*jmap(["Email/query", {"accountId": account, "limit": 500}, "c"], ["Email/get", {"accountId": account, "ids": []}, "d"]))  # fmt: skip
    answers = json.loads(told.removeprefix(b"200"))["methodResponses"]
    ids, state = answers[0][1]["ids"], answers[1][1]["state"]
    rows: list[tuple[str, Times, Times, Times]] = []
    gc.collect()
    gc.freeze()
    for name, drawn in kinds(account, ids, state).items():
        a, b, having = await measure(callers, [drawn], pairs, len(rows))
        rows.append((name, a, b, having))
    foreign = hidden_ids(worlds["with"])
    me = {"accountId": account}
    asks: list[Callable[[random.Random], Request]] = [
        lambda d: jmap(["Email/get", {**me, "ids": ["m" + "".join(d.choice("abcdefgh234567") for _ in range(25)) + "a" for _ in range(20)]}, "c"]),
        lambda d: jmap(["Email/get", {**me, "ids": d.sample(foreign, 20)}, "c"]),
    ]  # fmt: skip
    same = {str(n): callers["with"] for n in range(3)}
    a, having, b = await measure(same, asks, pairs, 99)
    rows.append(("hidden id / unknown id", a, b, having))
    return report(rows, pairs)


def hidden_ids(twin: Twin) -> list[str]:
    """Ids that another partner's grant gives for messages that are hidden from the one who asks."""
    other = Ids(twin.world.installation.ids, twin.agent.grant_id)
    return other.give("m", range(1, 400))


def sees(a: Times, error: float) -> float:
    """The shift in µs that the test finds with `POWER`."""
    wide = stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(POWER)
    return float(np.median(a) * (np.exp(wide * error) - 1))


def report(rows: list[tuple[str, Times, Times, Times]], pairs: int) -> int:
    draw = np.random.default_rng(7)
    print(f"{pairs} pairs a kind; {Large.visible} messages visible, {Large.unseen} hidden in `with`")
    print(
        f"{'kind':<30}{'without':>9}{'with':>8}{'Δ µs':>8}{'AUC':>6}{'p':>8}{'Holm':>7}{'sees':>7}{'A/B p':>8}{'delayed':>9} | {'wall p':>7}{'Δ µs':>8}{'sees':>8}"
    )
    tested = [permuted(a[0], having[0], draw) for _, a, _, having in rows]
    adjusted = holm([p for p, _ in tested])
    far = bad = 0
    for (name, a, b, having), (p, error), corrected in zip(rows, tested, adjusted, strict=True):
        (cpu, wall), (other, other_wall) = a, having
        shift, wall_shift = (
            float(np.median(y) - np.median(x)) for x, y in ((cpu, other), (wall, other_wall))
        )
        auc = float(np.mean(other > cpu) + np.mean(other == cpu) / 2)
        control, delayed = permuted(cpu, b[0], draw, 2000)[0], permuted(cpu, b[0] * 1.02, draw, 2000)[0]
        wall_p, wall_error = permuted(wall, other_wall, draw, 2000)
        far += abs(shift) >= 1000
        bad += corrected <= ALPHA
        print(
            f"{name:<30}{np.median(cpu):>9.0f}{np.median(other):>8.0f}{shift:>8.1f}{auc:>6.2f}{p:>8.3f}{corrected:>7.2f}"
            f"{sees(cpu, error):>7.1f}{control:>8.3f}{delayed:>9.4f} | {wall_p:>7.3f}{wall_shift:>8.1f}{sees(wall, wall_error):>8.1f}"
        )
    print(f"{len(rows)} kinds: {bad} with p <= {ALPHA} (CPU, Holm), {far} with |Δ| >= 1 ms (CPU)")
    return int(bool(bad or far))


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--pairs", type=int, default=2000)
    options.add_argument("--visible", type=int, default=2000)
    options.add_argument("--hidden", type=int, default=8000)
    given = options.parse_args()
    Large.visible, Large.unseen = given.visible, given.hidden
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        dice = Dice(patch)
        worlds: dict[str, Twin] = {}
        for name in ("A", "B", "with"):
            dice.n = 0
            worlds[name] = Large(Path(folder) / name, name == "with")
            worlds[name].installation.store.count_steps(None)
        try:
            return asyncio.run(run(worlds, given.pairs))
        finally:
            for twin in worlds.values():
                twin.close()


if __name__ == "__main__":
    sys.exit(main())
