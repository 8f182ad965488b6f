"""A card's picture: drawn anew without anything of its file, shown to sender and recipient alone; and every odd file is
one clear problem."""

from __future__ import annotations

import contextlib
import email
import hashlib
import io
import random
import struct
import zlib
from collections.abc import Iterator
from email import policy
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from byleave.errors import ByleaveError, Exhausted, Invalid
from byleave.exchange import picture
from byleave.partner.client import Refusal
from tests.exchange.world import ANN, BOB, CARD, URL, Exchanging

SECRET = b"GPS 52.5 13.4 and a name"


def png(size: tuple[int, int] = (40, 60), mode: str = "RGB", **more: Any) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(out, "PNG", **more)
    return out.getvalue()


def jpeg(size: tuple[int, int] = (40, 60), **more: Any) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, "JPEG", **more)
    return out.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb(width: int, height: int) -> bytes:
    """A small file that says that it is a large picture, and unpacks to one."""
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packed = zlib.compress(bytes(min(width * height // 8, 30_000_000)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def drawn(sent: bytes) -> picture.Picture:
    return picture.drawn(sent, hashlib.sha256(sent).digest())


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Exchanging]:
    made = Exchanging(tmp_path)
    yield made
    made.world.store.close()


# ── drawing ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_nothing_but_pixels_is_left() -> None:
    told = PngImagePlugin.PngInfo()
    told.add_text("Author", SECRET.decode())
    told.add_itxt("XML:com.adobe.xmp", SECRET.decode())
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    for sent in (
        png(pnginfo=told, exif=exif, icc_profile=SECRET * 40) + b"PK\x03\x04" + SECRET,
        jpeg(exif=exif, comment=SECRET, icc_profile=SECRET * 40) + SECRET,
    ):
        assert SECRET in sent
        made = drawn(sent)
        assert SECRET not in made.data
        with Image.open(io.BytesIO(made.data)) as shown:
            assert shown.size == (40, 60) and not shown.getexif() and "icc_profile" not in shown.info
            assert set(shown.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16"])
def test_every_kind_of_pixel(mode: str) -> None:
    sent = png(mode=mode if mode != "PA" else "P")
    made = drawn(sent)
    assert made.media == "image/png" and Image.open(io.BytesIO(made.data)).size == (40, 60)


def test_a_photograph_is_turned_upright_and_made_smaller() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    made = drawn(jpeg((1800, 600), exif=exif))
    assert made.media == "image/jpeg" and Image.open(io.BytesIO(made.data)).size == (400, 1200)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("empty", b""), ("text", b"no picture"), ("svg", b"<svg xmlns='x'><script/></svg>"), ("gif", b"GIF89a" + bytes(40)),
        ("webp", b"RIFF\0\0\0\0WEBPVP8 "), ("head alone", b"\x89PNG\r\n\x1a\n"), ("cut", png((200, 200))[:-30]),
        ("cut jpeg", jpeg((200, 200))[:200]), ("a gif called png", b"\x89PNG\r\n\x1a\nGIF89a" + bytes(99)),
        ("wide", bomb(60_000, 2)), ("high", bomb(2, 60_000)), ("a bomb", bomb(16_000, 15_000)), ("many", bomb(4_096, 4_096)),
        ("none wide", bomb(0, 10)), ("large", png()[:-12] + bytes(picture.MAX_BYTES)),
        ("a profile that unpacks to much", png()[:33] + chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(40_000_000), 9)) + png()[33:]),
        ("words that unpack to much", png()[:33] + chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(90_000_000), 9)) + png()[33:]),
    ],
)  # fmt: skip
def test_odd_files_are_one_problem(name: str, sent: bytes) -> None:
    """Refused, or (where only what is thrown away is odd) drawn without it; never anything else."""
    try:
        made = drawn(sent)
    except Invalid as error:
        assert error.detail and "\n" not in error.detail
    else:
        assert "unpack" in name and len(made.data) < 20_000


def test_a_jpeg_of_thousands_of_scans_is_refused_unread() -> None:
    whole = jpeg((200, 200), progressive=True)
    assert drawn(whole).media == "image/jpeg"
    start = whole.rindex(b"\xff\xda")
    with pytest.raises(Invalid, match="scans"):
        drawn(whole[:start] + whole[start:-2] * 70 + whole[-2:])


def test_what_moves_is_refused() -> None:
    out = io.BytesIO()
    frames = [Image.new("RGB", (9, 9), c) for c in ("red", "blue")]
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(Invalid, match="one frame"):
        drawn(out.getvalue())


def test_spoiled_bytes_never_raise_anything_else() -> None:
    draw = random.Random(5)
    for whole in (png((60, 60), "RGBA"), jpeg((60, 60)), png((60, 60), "P")):
        for _ in range(80):
            spoiled = bytearray(whole)
            for _ in range(draw.randint(1, 6)):
                spoiled[draw.randrange(8, len(spoiled))] = draw.randrange(256)
            with contextlib.suppress(Invalid):
                drawn(bytes(spoiled))


def test_a_wrong_hash_is_refused() -> None:
    with pytest.raises(Invalid, match="SHA-256"):
        picture.drawn(png(), bytes(32))


# ── sending and showing ─────────────────────────────────────────────────────────────────────────────────────
def test_a_picture_goes_with_its_card_to_both_and_to_nobody_else(it: Exchanging) -> None:
    it.takes_cards(ANN)
    it.takes_cards(BOB)
    sent = jpeg(comment=SECRET)
    name = it.partner.put_image(it.token, sent)
    assert it.partner.put_image(it.token, sent) == name == hashlib.sha256(sent).hexdigest()
    told = it.put(ANN, {**CARD, "image": name})
    me, ann, bob = it.session(it.owner), it.session(None, ANN), it.session(None, BOB)
    page = it.page(f"/me/sends/{told['id']}", me)
    assert (
        f'src="/me/sends/{told["id"]}/image"' in page.text
        and "img-src 'self'" in page.headers["content-security-policy"]
    )
    shown = it.page(f"/me/sends/{told['id']}/image", me)
    assert shown.headers["content-type"] == "image/jpeg" and SECRET not in shown.content
    assert it.page(f"/me/cards/{told['id']}/image", ann).status_code == 404, "nothing before the sender's yes"
    it.confirm(told)
    mine = it.page(f"/me/cards/{told['id']}/image", ann)
    assert mine.content == shown.content and mine.headers["x-content-type-options"] == "nosniff"
    assert f'src="/me/cards/{told["id"]}/image"' in it.page("/me/cards", ann).text
    for who in (bob, me):
        assert it.page(f"/me/cards/{told['id']}/image", who).status_code == 404
    assert it.http.get(f"/me/cards/{told['id']}/image").status_code == 401
    alone = it.page(f"/me/cards/{told['id']}", ann)
    assert f'src="{URL}/me/cards/{told["id"]}/image"' in alone.text
    letter = email.message_from_bytes(
        it.page(f"/me/cards/{told['id']}/mail", ann).content, policy=policy.default
    )
    [inside] = [part for part in letter.walk() if part.get_content_type() == "image/jpeg"]
    assert inside.get_content() == shown.content and inside["Content-ID"] == "<picture>"
    assert 'src="cid:picture"' in letter.get_body(("html",)).get_content()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("sent", "kind", "status"),
    [(png(), "image/jpeg", 400), (b"GIF89a", "image/gif", 400), (bytes(picture.MAX_BYTES + 1), "image/png", 413), (bomb(16_000, 15_000), "image/png", 413)],
)  # fmt: skip
def test_what_is_no_picture_is_one_problem(it: Exchanging, sent: bytes, kind: str, status: int) -> None:
    url = f"{URL}/sends/images/{hashlib.sha256(sent).hexdigest()}"
    answer = it.partner.request("PUT", url, it.token, sent, headers={"Content-Type": kind})
    assert answer.status_code == status and answer.headers["content-type"] == "application/problem+json"


def test_no_card_with_a_picture_that_was_not_sent(it: Exchanging) -> None:
    with pytest.raises(Refusal, match="send the picture first"):
        it.put(ANN, {**CARD, "image": "0" * 64})
    for path, token in ((f"{URL}/sends/images/{'0' * 64}", it.token), (f"{URL}/sends/images/x", it.token)):
        assert it.partner.request("PUT", path, token, png()).status_code == 400
    assert it.http.put(f"/sends/images/{'0' * 64}", content=png()).status_code == 401


def test_pictures_of_a_day_are_counted(it: Exchanging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "PER_DAY", 2)
    for n in range(2):
        it.partner.put_image(it.token, png((40, 41 + n)))
    it.partner.put_image(it.token, png((40, 41)))
    with pytest.raises(ByleaveError) as refused:
        it.partner.put_image(it.token, png((40, 50)))
    assert refused.value.status == 429  # type: ignore[attr-defined]
    with pytest.raises(Exhausted):
        it.world.store.write(picture.keep, it.agreement.id, b"h" * 32, "image/png", b"", it.now)
