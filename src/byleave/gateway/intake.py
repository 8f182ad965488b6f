"""Reports as they come in over HTTP, from a program or from a page: forms taken apart, and one way to be accepted.

Rules of this file:

1. Bytes in, parts out; nothing is decoded but names. A form that is not whole is refused.
2. A report is judged against what was accepted by now; where another was accepted meanwhile it is judged anew.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import orjson
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from uuid_utils import uuid7

from byleave.errors import Code, Conflict, Invalid
from byleave.exchange import delivery
from byleave.exchange import report as reports
from byleave.exchange.terms import Terms
from byleave.installation import Installation
from byleave.model import Ms

JSON = "application/json"
MOST_PARTS = 8


async def submit(
    installation: Installation, terms: Terms, client_id: str, parcel: reports.Parcel, now: Ms
) -> tuple[reports.Verdict, delivery.Kept | None]:
    """The verdict on a report, and what was kept of it; None where it has violations. Raises Conflict where
    another report stands in its place."""
    store = installation.store
    for again in range(4):
        with store.read() as snapshot:
            other = delivery.in_its_place(snapshot, terms.agreement_id, parcel)
            history = delivery.every(snapshot, terms.agreement_id, now)
            approved = delivery.approved(snapshot, terms.agreement_id)
        if other == "other":
            raise Conflict(
                Code.DUPLICATE_REPORT,
                "another report of this sequence and revision was accepted; send a revision",
            )
        verdict = await asyncio.to_thread(delivery.judged, terms, parcel, history, approved, now)
        if not verdict.ok:
            return verdict, None
        facts = delivery.receipt_of(verdict, now)
        receipt = installation.keyring.sign("receipt", orjson.dumps(facts), typ="byleave-receipt+jwt")
        ids, salts = [uuid7().bytes for _ in range(2)], [secrets.token_bytes(32) for _ in range(2)]
        try:
            await store.write_soon(
                delivery.accept, terms.agreement_id, facts, parcel.form, parcel.rows, parcel.manifest, receipt,
                client_id, len(history), now, ids, salts,
            )  # fmt: skip
            break
        except Conflict as error:
            if error.code is not Code.CONFLICT or again == 3:
                raise
    with store.read() as snapshot:
        return verdict, delivery.find(snapshot, terms.agreement_id, facts["report_id"])


def parcel(media: str, content_type: str, body: bytes) -> reports.Parcel:
    """The report in a body of `media`, whose whole header is `content_type`. Raises Invalid."""
    if media == JSON:
        return reports.Parcel("json", body)
    if media != "multipart/form-data":
        raise Invalid(
            Code.INVALID_REQUEST, f"send {JSON}, or multipart/form-data with the parts manifest and rows"
        )
    found = parts(content_type, body)
    if found.keys() != {"manifest", "rows"}:
        raise Invalid(Code.INVALID_REQUEST, "the parts are manifest and rows, each once")
    return of_files(found["rows"], found["manifest"])


def of_files(rows: bytes, manifest: bytes | None) -> reports.Parcel:
    """The report in its files, told apart by their first bytes: without a manifest it is the JSON form."""
    if manifest is None:
        return reports.Parcel("json", rows)
    return reports.Parcel("parquet" if rows[:4] == b"PAR1" else "csv", rows, manifest)


def parts(content_type: str, body: bytes) -> dict[str, bytes]:
    """The parts of a form by name (RFC 7578), at most eight. Raises Invalid."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    found: dict[str, bytes] = {}
    name, value = bytearray(), bytearray()
    state: dict[str, Any] = {"part": None, "data": bytearray(), "count": 0, "ended": False}

    def begin() -> None:
        state.update(part=None, data=bytearray(), count=state["count"] + 1)
        if state["count"] > MOST_PARTS:
            raise FormParserError("too many parts")

    def header_end() -> None:
        if bytes(name).lower() == b"content-disposition":
            part = parse_options_header(bytes(value))[1].get(b"name")
            state["part"] = None if part is None else part.decode("utf-8", "replace")
        name.clear()
        value.clear()

    def end() -> None:
        part = state["part"]
        if part is None or part in found:
            raise FormParserError("a part without a name, or one that stands twice")
        found[part] = bytes(state["data"])

    def finish() -> None:
        state["ended"] = True

    callbacks: Any = {
        "on_part_begin": begin, "on_header_field": lambda data, start, stop: name.extend(data[start:stop]),
        "on_header_value": lambda data, start, stop: value.extend(data[start:stop]), "on_header_end": header_end,
        "on_part_data": lambda data, start, stop: state["data"].extend(data[start:stop]), "on_part_end": end,
        "on_end": finish,
    }  # fmt: skip
    try:
        if not boundary:
            raise FormParserError("no boundary")
        MultipartParser(boundary, callbacks).write(body)
        if not state["ended"]:
            raise FormParserError("it ends too early")
    except (FormParserError, ValueError):
        raise Invalid(
            Code.INVALID_REQUEST, "the form cannot be read: multipart/form-data of RFC 7578"
        ) from None
    return found
