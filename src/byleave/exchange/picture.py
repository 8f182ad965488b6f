"""A card's picture: what a partner sent, drawn anew by us, and kept under the hash of what was sent.

Rules of this file:

1. PNG or JPEG, one frame, at most 200 kB; how large it is drawn is judged before a pixel is. Nothing of the file
   itself is shown to anybody: no metadata, no colour profile, nothing behind its end.
2. Whatever is wrong is one `Invalid`. No byte that a stranger sends can raise anything else.
3. Pictures belong to an agreement. Who asks by the hash of another's finds nothing.
"""

from __future__ import annotations

import hashlib
import warnings
from io import BytesIO
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, insert, select

from byleave.errors import Code, Exhausted, Invalid
from byleave.model import Ms
from byleave.store import Snapshot, Transaction, prepare
from byleave.store.tables import card_image

MAX_BYTES = 200_000
MAX_SIDE, MAX_PIXELS = 4_096, 4_194_304
MAX_SCANS = 64
"""Each scan of a progressive JPEG goes over the whole picture again; encoders write about ten."""
SHOWN_SIDE = 1_200
"""A picture is drawn no larger than this."""
MAX_DRAWN = 1_000_000
PER_DAY = 500
"""New pictures of one agreement in 24 hours."""
DAY_MS = 86_400_000
MEDIA = {"PNG": "image/png", "JPEG": "image/jpeg"}
_HEADS = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG"}

_ONE = prepare(
    select(card_image.c.media, card_image.c.data).where(
        card_image.c.agreement_id == bindparam("agreement_id"), card_image.c.sha256 == bindparam("sha256")
    )
)
_COUNT = prepare(
    select(func.count()).where(
        card_image.c.agreement_id == bindparam("agreement_id"), card_image.c.at > bindparam("since")
    )
)
_KEEP = prepare(insert(card_image))


class Picture(NamedTuple):
    """A picture as it is shown."""

    media: str
    data: bytes


def drawn(sent: bytes, sha256: bytes) -> Picture:
    """The picture in `sent`, whose hash must be `sha256`, drawn anew. Raises Invalid."""
    if len(sent) > MAX_BYTES:
        raise Invalid(Code.TOO_LARGE, f"a picture has at most {MAX_BYTES} bytes")
    if hashlib.sha256(sent).digest() != sha256:
        raise Invalid(Code.INVALID_ARGUMENTS, "the address is not the SHA-256 of the body")
    form = next((form for head, form in _HEADS.items() if sent.startswith(head)), None)
    if form is None:
        raise Invalid(Code.INVALID_ARGUMENTS, "a picture is PNG or JPEG")
    if form == "JPEG" and sent.count(b"\xff\xda") > MAX_SCANS:
        raise Invalid(Code.TOO_LARGE, f"a picture has at most {MAX_SCANS} scans")
    from PIL import Image, ImageOps  # most workers never draw one

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(BytesIO(sent), formats=(form,)) as opened:
                _judge(opened)
                turned = ImageOps.exif_transpose(opened)
                made = turned.convert("RGBA" if turned.has_transparency_data else "RGB")
            made.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
            bare = Image.frombytes(made.mode, made.size, made.tobytes())  # pixels, and nothing beside them
            out = BytesIO()
            if form == "PNG":
                bare.save(out, "PNG", optimize=True)
            else:
                bare.convert("RGB").save(out, "JPEG", quality=85)
    except Invalid:
        raise
    except Image.DecompressionBombError:
        raise _large() from None
    except Exception:  # a decoder on a stranger's bytes: whatever it says, the picture is none
        raise Invalid(Code.INVALID_ARGUMENTS, f"not a whole {form} file") from None
    if out.tell() > MAX_DRAWN:
        raise Invalid(Code.TOO_LARGE, "drawn anew the picture is too large; send a smaller or simpler one")
    return Picture(MEDIA[form], out.getvalue())


def _judge(opened: Any) -> None:
    """What the head of a file says, before anything of it is unpacked."""
    width, height = opened.size
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise _large()
    if getattr(opened, "n_frames", 1) > 1:
        raise Invalid(Code.INVALID_ARGUMENTS, "a picture has one frame: nothing on a card moves")


def _large() -> Invalid:
    return Invalid(
        Code.TOO_LARGE, f"a picture has at most {MAX_PIXELS} pixels, and {MAX_SIDE} on either side"
    )


def keep(tx: Transaction, agreement_id: str, sha256: bytes, media: str, data: bytes, now: Ms) -> bool:
    """Procedure: keeps a drawn picture; False where it is there already. Raises Exhausted."""
    if tx.one(_ONE, agreement_id=agreement_id, sha256=sha256) is not None:
        return False
    if int(tx.value(_COUNT, agreement_id=agreement_id, since=now - DAY_MS) or 0) >= PER_DAY:
        raise Exhausted(Code.BUDGET, f"{PER_DAY} new pictures in a day are all there are", retry_after_s=3600)
    tx.run(_KEEP, agreement_id=agreement_id, sha256=sha256, media=media, data=data, at=now)
    return True


def find(snapshot: Snapshot, agreement_id: str, sha256: str) -> Picture | None:
    """The picture that an agreement's partner sent under this hash (hex); None where there is none."""
    row = snapshot.one(_ONE, agreement_id=agreement_id, sha256=bytes.fromhex(sha256))
    return None if row is None else Picture(row[0], row[1])
