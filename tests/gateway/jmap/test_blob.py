"""Downloads: hidden, foreign and invented are one answer; names and types that are safe to send."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.errors import Absent
from byleave.gateway.jmap.blob import download, safe_name
from tests.gateway.jmap.conftest import Place


def test_absent_alike(place: Place) -> None:
    own = place.masked.emails("blobId", "id", "threadId")[0]
    foreign = place.owner.emails("blobId")
    told = set()
    with place.world.store.read() as snapshot:
        view = place.masked.view(snapshot)
        for account_id, blob_id in [
            *((place.masked.id, f["blobId"]) for f in foreign),
            (place.owner.id, own["blobId"]),
            ("", own["blobId"]),
            (place.masked.id, own["id"]),
            (place.masked.id, own["threadId"]),
            (place.masked.id, ""),
            (place.masked.id, "b" * 27),
            (place.masked.id, view.part_blob_ids(own["id"], 7)[6]),
        ]:
            with pytest.raises(Absent) as caught:
                download(view, account_id, blob_id, "x", None)
            told.add((caught.value.code, str(caught.value)))
    assert len(told) == 1


def test_parts_and_types(place: Place) -> None:
    [found] = [e for e in place.owner.emails("attachments") if e["attachments"]]
    id = found["attachments"][0]["blobId"]
    with place.world.store.read() as snapshot:
        view = place.owner.view(snapshot)
        assert download(view, place.owner.id, id, "menü.pdf", None) == (
            b"Hello PDF",
            "application/pdf",
            "menü.pdf",
        )
        assert download(view, place.owner.id, id, "a", "image/png")[1] == "image/png"
        for strange in ("", "text", "text/html; charset=x", "a/b\r\nX: y", "*/*"):
            assert download(view, place.owner.id, id, "a", strange)[1] == "application/octet-stream"
        assert view.reading.borns and "blob" in view.reading.endpoints


@settings(derandomize=True, max_examples=200)
@given(st.text(max_size=200))
def test_names(name: str) -> None:
    safe = safe_name(name)
    assert safe and safe.isprintable() and len(safe) <= 120 and not safe.startswith(".")
    assert not set(safe) & set('/\\:*?"<>|;%')
