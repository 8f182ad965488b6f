"""Notes and checkpoints against Go's published note, and every bit of them flipped."""

from __future__ import annotations

import base64

import pytest

from byleave import keys
from byleave.errors import Code, Invalid
from byleave.ledger.checkpoint import Checkpoint, Proof, Verifier, open_note, sign_note
from byleave.ledger.tiles import Tiles, Tree

# golang.org/x/mod/sumdb/note, example_test.go: key, text and signed note.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
GO_NOTE = f"{GO_TEXT}\n— PeterNeumann {GO_SIGNATURE}\n".encode()

ORIGIN = "log.example/one"
KEY, WITNESS = keys.generate("EdDSA"), keys.generate("EdDSA")
VERIFIER = Verifier.of(ORIGIN, KEY)
POINT = Checkpoint(ORIGIN, 5, bytes(range(32)))


def refused(note: bytes, *verifiers: Verifier) -> None:
    with pytest.raises(Invalid) as caught:
        Checkpoint.open(note, verifiers or (VERIFIER,))
    assert caught.value.code is Code.INVALID_SIGNATURE


def test_the_note_of_go() -> None:
    verifier = Verifier.parse(GO_KEY)
    assert open_note(GO_NOTE, [verifier]) == (GO_TEXT, ("PeterNeumann",))
    assert verifier.vkey == GO_KEY
    public = keys.b64url(verifier.public)
    key = keys.read_jwk({"kty": "OKP", "crv": "Ed25519", "d": keys.b64url(GO_SEED), "x": public})
    assert sign_note(GO_TEXT, "PeterNeumann", key) == GO_NOTE


def test_checkpoint_comes_back() -> None:
    note = POINT.sign(KEY)
    assert note.startswith(
        b"log.example/one\n5\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n\xe2\x80\x94 log.example/one "
    )
    assert Checkpoint.open(note, [VERIFIER], ORIGIN) == POINT
    assert Checkpoint.open(note, [VERIFIER, Verifier.of("w.example", WITNESS)]) == POINT
    with pytest.raises(Invalid):
        Checkpoint.open(note, [VERIFIER], "log.example/two")


def test_every_flipped_bit_is_found() -> None:
    note = POINT.sign(KEY)
    for at in range(len(note) * 8):
        bent = bytearray(note)
        bent[at // 8] ^= 1 << at % 8
        refused(bytes(bent))
    for cut in range(len(note)):
        refused(note[:cut])


def test_other_lines() -> None:
    note = POINT.sign(KEY)
    cosigned = note + sign_note(POINT.text(), "w.example", WITNESS).partition(b"\n\n")[2]
    witness = Verifier.of("w.example", WITNESS)
    assert open_note(cosigned, [VERIFIER, witness])[1] == (ORIGIN, "w.example")
    # A stranger's line is passed over; a known witness's wrong one refuses all; a witness is not the log.
    assert Checkpoint.open(cosigned, [VERIFIER]) == POINT
    other = Checkpoint(ORIGIN, 6, POINT.root)
    wrong = note + sign_note(other.text(), "w.example", WITNESS).partition(b"\n\n")[2]
    refused(wrong, VERIFIER, witness)
    refused(cosigned, witness)
    refused(note, Verifier.of(ORIGIN, WITNESS))
    # The same key under another name is another key.
    refused(note, Verifier.of("log.example/two", KEY))


@pytest.mark.parametrize(
    "text",
    [
        "log.example/one\n05\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "log.example/one\n-5\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "log.example/one\n٥\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "log.example/one\n5\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=\n",
        "log.example/one\n5\nAAEC\n",
        "log.example/one\n5\n",
        "\n5\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "log.example/one\n5\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\nmore\n",
    ],
)
def test_texts_that_are_no_checkpoints(text: str) -> None:
    refused(sign_note(text, ORIGIN, KEY))


def test_extension_lines_are_passed_over() -> None:
    assert Checkpoint.open(sign_note(POINT.text() + "more\n", ORIGIN, KEY), [VERIFIER]) == POINT


def test_names_and_keys() -> None:
    for name in ("", "a b", "a+b", "a\u2003b", "a\nb"):
        with pytest.raises(Invalid):
            Verifier.of(name, KEY)
    with pytest.raises(Invalid):
        Verifier.of("a", keys.generate("ES256"))
    for vkey in ("", "a", "a+b", GO_KEY[:-4], GO_KEY.replace("c74f", "c74e"), "x" + GO_KEY, GO_KEY + "+"):
        with pytest.raises(Invalid):
            Verifier.parse(vkey)
    with pytest.raises(Invalid):
        sign_note("no newline", ORIGIN, KEY)


def test_proofs_verify_offline() -> None:
    tree, stored = Tree(), {}
    entries = [bytes([i]) * 34 for i in range(300 % 256)]
    for entry in entries:
        tree.append(entry)
    stored.update((tile.name, data) for tile, data in tree.flush())
    log, note = (
        Tiles(len(entries), stored.__getitem__),
        Checkpoint(ORIGIN, len(entries), tree.root()).sign(KEY),
    )
    for index, extra in ((0, b""), (7, b"event and salt"), (len(entries) - 1, b"")):
        proof = Proof(index, tuple(log.inclusion(index)), note, extra)
        data = proof.encode()
        assert Proof.decode(data) == proof
        assert proof.verify(entries[index], [VERIFIER], ORIGIN).size == len(entries)
        for bad in (entries[index] + b"x", entries[index - 1]):
            with pytest.raises(Invalid):
                proof.verify(bad, [VERIFIER])
        start = len(data) - len(note)
        for at in range(start * 8):
            bent = bytearray(data)
            bent[at // 8] ^= 1 << at % 8
            try:
                read = Proof.decode(bytes(bent))
                read.verify(entries[index], [VERIFIER])
            except Invalid:
                continue
            # Only the context that nobody vouches for may differ.
            assert (read.index, read.path) == (proof.index, proof.path)
    one = Proof(0, (), Checkpoint(ORIGIN, 1, Tiles(1, lambda _: b"").root(0)).sign(KEY))
    assert Proof.decode(one.encode()) == one


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"c2sp.org/tlog-proof@v1\n\n",
        b"c2sp.org/tlog-proof@v2\nindex 0\n\nx",
        b"c2sp.org/tlog-proof@v1\nindex 00\n\nx",
        b"c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\nx",
        b"c2sp.org/tlog-proof@v1\nextra \nindex 0\n\nx",
        b"c2sp.org/tlog-proof@v1\nextra !\nindex 0\n\nx",
        b"c2sp.org/tlog-proof@v1\nextra AAAA\n\nx",
        b"c2sp.org/tlog-proof@v1\nindex \xff\n\nx",
    ],
)
def test_files_that_are_no_proofs(data: bytes) -> None:
    with pytest.raises(Invalid):
        Proof.decode(data)
