"""`Partner` and `AsyncPartner`: one client of one gateway, for the whole loop, blocking or not.

It imports nothing of the house but errors and the report's format, so that a partner can take it as it is. What is
said to the gateway stands in `flows.py`, once; here is only who carries it. A `Partner` has one key and, where the
agreement says so, one named operative; a `Token` reads one inbox.

    partner = Partner("https://inbox.example", "streamflix-web", key, "https://streamflix.example/cb")
    pushed = partner.push({"purpose": "tailoring", "level": "masked", "agreement": "streamflix-2026"})
    …                                           # the owner decides at pushed.authorize_url
    token = partner.redeem(pushed, callback_url)
    emails = partner.emails(token, ["from", "preview"])

`AsyncPartner` has the same methods with the same arguments; each is awaited. examples/streaming shows all of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

import httpx

from byleave.errors import Code, Unavailable
from byleave.partner.flows import (
    Ask,
    Flow,
    Flows,
    PrivateKey,
    Pushed,
    Refusal,
    Token,
    new_key,
    registration,
)

__all__ = ["AsyncPartner", "Partner", "Pushed", "Refusal", "Token", "new_key", "registration"]

P = ParamSpec("P")
T = TypeVar("T")
TIMEOUT_S = 30


class _Carrier:
    """What both have: the flows, and what of them may be looked at."""

    def __init__(
        self, base_url: str, client_id: str, key: PrivateKey, redirect_uri: str, *, operative: str | None,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self.flows = Flows(base_url, client_id, key, redirect_uri, operative, clock)

    @property
    def base_url(self) -> str:
        """The gateway's address, without a slash behind it."""
        return self.flows.base_url

    @property
    def client_id(self) -> str:
        return self.flows.client_id


def _sync(
    flow: Callable[Concatenate[Flows, P], Flow[T]],
) -> Callable[Concatenate[Partner, P], T]:
    @wraps(flow)
    def carried(self: Partner, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(flow(self.flows, *args, **kwargs))

    return carried


def _async(
    flow: Callable[Concatenate[Flows, P], Flow[T]],
) -> Callable[Concatenate[AsyncPartner, P], Coroutine[Any, Any, T]]:
    @wraps(flow)
    async def carried(self: AsyncPartner, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.run(flow(self.flows, *args, **kwargs))

    return carried


class Partner(_Carrier):
    """One client of one gateway at `base_url`, blocking. `operative` names who of the partner asks; `http` is a client
    of your own (timeouts, proxies); `clock` gives seconds since 1970, for tests. Every method raises Unavailable where
    nothing answers."""

    def __init__(
        self, base_url: str, client_id: str, key: PrivateKey, redirect_uri: str, *, operative: str | None = None,
        http: httpx.Client | None = None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        super().__init__(base_url, client_id, key, redirect_uri, operative=operative, clock=clock)
        self._http = http or httpx.Client(timeout=TIMEOUT_S)

    def run(self, flow: Flow[T]) -> T:
        """Carries one flow to its end. Raises Unavailable."""
        try:
            ask = next(flow)
            while True:
                try:
                    answer = self._http.send(_request(self._http, ask))
                except httpx.HTTPError as error:
                    raise silence(ask, error) from None
                ask = flow.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Partner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    metadata = _sync(Flows.metadata)
    push = _sync(Flows.push)
    redeem = _sync(Flows.redeem)
    renew = _sync(Flows.renew)
    revoke = _sync(Flows.revoke)
    session = _sync(Flows.session)
    jmap = _sync(Flows.jmap)
    emails = _sync(Flows.emails)
    blob = _sync(Flows.blob)
    signals = _sync(Flows.signals)
    rankings = _sync(Flows.rankings)
    put_image = _sync(Flows.put_image)
    send = _sync(Flows.send)
    sends = _sync(Flows.sends)
    page_link = _sync(Flows.page_link)
    own_token = _sync(Flows.own_token)
    arrivals_key = _sync(Flows.arrivals_key)
    submit = _sync(Flows.submit)
    reports = _sync(Flows.reports)
    notices = _sync(Flows.notices)
    receipt = _sync(Flows.receipt)
    reconciliation = _sync(Flows.reconciliation)
    recalls = _sync(Flows.recalls)
    answer_recall = _sync(Flows.answer_recall)
    request = _sync(Flows.request)


class AsyncPartner(_Carrier):
    """As `Partner`, with methods that are awaited; one may be used by many tasks."""

    def __init__(
        self, base_url: str, client_id: str, key: PrivateKey, redirect_uri: str, *, operative: str | None = None,
        http: httpx.AsyncClient | None = None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        super().__init__(base_url, client_id, key, redirect_uri, operative=operative, clock=clock)
        self._http = http or httpx.AsyncClient(timeout=TIMEOUT_S)

    async def run(self, flow: Flow[T], *, stream: bool = False) -> T:
        """Carries one flow to its end; with `stream` no answer's body is read, and each but the last is closed.
        Raises Unavailable."""
        try:
            ask = next(flow)
            while True:
                try:
                    answer = await self._http.send(_request(self._http, ask), stream=stream)
                except httpx.HTTPError as error:
                    raise silence(ask, error) from None
                try:
                    ask = flow.send(answer)
                except StopIteration:
                    raise
                except BaseException:
                    await answer.aclose()
                    raise
                await answer.aclose()
        except StopIteration as done:
            result: T = done.value
            return result

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> AsyncPartner:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    metadata = _async(Flows.metadata)
    push = _async(Flows.push)
    redeem = _async(Flows.redeem)
    renew = _async(Flows.renew)
    revoke = _async(Flows.revoke)
    session = _async(Flows.session)
    jmap = _async(Flows.jmap)
    emails = _async(Flows.emails)
    blob = _async(Flows.blob)
    signals = _async(Flows.signals)
    rankings = _async(Flows.rankings)
    put_image = _async(Flows.put_image)
    send = _async(Flows.send)
    sends = _async(Flows.sends)
    page_link = _async(Flows.page_link)
    own_token = _async(Flows.own_token)
    arrivals_key = _async(Flows.arrivals_key)
    submit = _async(Flows.submit)
    reports = _async(Flows.reports)
    notices = _async(Flows.notices)
    receipt = _async(Flows.receipt)
    reconciliation = _async(Flows.reconciliation)
    recalls = _async(Flows.recalls)
    answer_recall = _async(Flows.answer_recall)
    request = _async(Flows.request)


def _request(http: httpx.Client | httpx.AsyncClient, ask: Ask) -> httpx.Request:
    return http.build_request(ask.method, ask.url, headers=ask.headers, content=ask.content)


def silence(ask: Ask, error: httpx.HTTPError) -> Unavailable:
    """What is raised where nothing answers: it names the server, never the URL or what was sent."""
    what = "does not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
    return Unavailable(Code.UNAVAILABLE, f"the gateway at {urlsplit(ask.url).netloc} {what}")
