"""Keys: what is made, what is accepted, and every way a token or a key file is refused."""

from __future__ import annotations

import hmac
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from byleave import keys
from byleave.errors import Code, Conflict, Invalid, Refused

# RFC 7638 §3.1 and RFC 8037 appendix A: published keys with their thumbprints.
RFC7638_N = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n"
    "3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgd"
    "AZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur"
    "-kEgU8awapJzKnqDKgw"
)
RFC8037 = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
RFC8037_JWS = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcN"
    "R4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


@pytest.fixture(scope="module")
def rsa() -> RSAKey:
    return RSAKey.generate_key(2048)


def refused(token: str, jwks: Any, **more: Any) -> str:
    with pytest.raises(Invalid) as caught:
        keys.verify_jws(token, jwks, **more)
    assert caught.value.code is Code.INVALID_SIGNATURE
    return caught.value.detail


def test_published_vectors() -> None:
    assert keys.public_key({"kty": "RSA", "n": RFC7638_N, "e": "AQAB"}).kid == (
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    )
    key = keys.read_jwk(RFC8037)
    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    header, payload = keys.verify_jws(RFC8037_JWS, [key])
    assert (header, payload) == ({"alg": "EdDSA"}, b"Example of Ed25519 signing")


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "PS256"])
def test_sign_and_verify(alg: str) -> None:
    key = keys.generate(alg)
    token = key.sign(b"payload", typ="byleave+test")
    header, payload = keys.verify_jws(token, {"keys": [key.public()]}, [alg])
    assert payload == b"payload" and header["kid"] == key.kid and header["typ"] == "byleave+test"
    assert not {"d", "p", "q", "k"} & key.public().keys()


def test_every_flipped_character_is_found() -> None:
    key = keys.generate()
    token = key.sign(b"a payload")
    for at, char in enumerate(token):
        other = "A" if char != "A" else "B"
        refused(token[:at] + other + token[at + 1 :], [key])
    refused(token + "=", [key])
    refused(token + ".", [key])
    refused(token[:-1], [key])


def test_a_client_library_signs_for_us(rsa: RSAKey) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for alg, key in (
            ("ES256", ECKey.generate_key("P-256")),
            ("Ed25519", OKPKey.generate_key("Ed25519")),
            ("EdDSA", OKPKey.generate_key("Ed25519")),
            ("PS256", rsa),
        ):
            token = jws.serialize_compact(
                {"alg": alg, "typ": "JWT", "x5t": "abc"}, b"{}", key, algorithms=[alg]
            )
            jwks = {"keys": [{"kty": "oct", "k": "AAAA"}, key.as_dict(private=False)]}
            assert keys.verify_jws(token, jwks, ["ES256", "EdDSA", "PS256"])[1] == b"{}"


def test_algorithms_outside_the_list(rsa: RSAKey) -> None:
    jwks = {"keys": [rsa.as_dict(private=False)]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for alg in ("RS256", "PS384", "none"):
            key = None if alg == "none" else rsa
            token = jws.serialize_compact({"alg": alg}, b"{}", key, algorithms=[alg])
            assert "algorithm" in refused(token, jwks)
    # The oldest trick: HMAC with the public key as the secret.
    signing_input = keys.b64url(b'{"alg":"HS256"}') + "." + keys.b64url(b"{}")
    mac = hmac.digest(rsa.as_pem(private=False), signing_input.encode(), "sha256")
    confused = f"{signing_input}.{keys.b64url(mac)}"
    assert "algorithm" in refused(confused, jwks, algs=["HS256", "RS256", "none"])
    ours = keys.generate()
    assert "algorithm" in refused(ours.sign(b""), [ours], algs=["EdDSA"])


@pytest.mark.parametrize("name", ["crit", "jku", "x5u", "x5c", "jwk", "b64", "zip"])
def test_headers_that_choose(name: str) -> None:
    key = keys.generate()
    assert "header" in refused(key.sign(b"{}", **{name: "x"}), [key])


def test_odd_tokens() -> None:
    key = keys.generate()
    twice = keys.b64url(b'{"alg":"none","alg":"ES256"}')
    deep = keys.b64url(b"[" * 100_000)
    for token in (
        "",
        "..",
        "a.b.c",
        "x" * 600_000,
        twice + "..",
        deep + "..",
        keys.b64url(b"[]") + "..",
        "é.é.é",
    ):
        refused(token, [key])
    refused(keys.b64url(b'{"alg":["ES256"]}') + "..", [key])
    refused(keys.b64url(b'{"alg":"ES256","kid":5}') + "..", [key])
    refused(key.sign(b""), {"keys": "no"})
    refused(key.sign(b""), {})


def test_kid_use_and_key_ops_bind() -> None:
    one, other = keys.generate(), keys.generate()
    token = one.sign(b"")
    refused(token, {"keys": [{**one.public(), "kid": "else"}]})
    refused(token, {"keys": [{**other.public(), "kid": one.kid}]})
    refused(token, {"keys": [{**one.public(), "use": "enc"}]})
    refused(token, {"keys": [{**one.public(), "key_ops": ["encrypt"]}]})
    keys.verify_jws(token, {"keys": [{**one.public(), "key_ops": ["verify"]}]})
    # Two keys under one kid: the right one is found.
    keys.verify_jws(token, {"keys": [{**other.public(), "kid": one.kid}, one.public()]})


def test_retired_keys_are_judged_at_a_time() -> None:
    key = keys.generate()
    token, jwks = key.sign(b"x"), {"keys": [{**key.public(), "exp": 1000}]}
    keys.verify_jws(token, jwks, at_s=999)
    keys.verify_jws(token, jwks)
    assert "retired" in refused(token, jwks, at_s=1000)


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": keys.b64url(b"\1" * 32), "y": keys.b64url(b"\1" * 32)},
        {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256"},
        {"kty": "OKP", "crv": "X25519", "x": keys.b64url(b"\1" * 32)},
        {"kty": "OKP", "crv": "Ed25519", "x": keys.b64url(b"\1" * 31)},
        {"kty": "RSA", "n": keys.b64url(b"\xff" * 128), "e": "AQAB"},
        {"kty": "RSA", "n": keys.b64url(b"\xff" * 2000), "e": "AQAB"},
        {"kty": "RSA", "n": keys.b64url(b"\xff" * 256), "e": keys.b64url(b"\xff" * 64)},
        {"kty": "RSA", "n": 5, "e": "AQAB"},
        {"kty": ["EC"]},
        {**RFC8037},
    ],
)
def test_keys_that_are_no_public_keys(jwk: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        keys.public_key(jwk)
    assert caught.value.code is Code.MALFORMED


def test_private_jwk_with_another_public_half() -> None:
    other = keys.generate("EdDSA").public()["x"]
    with pytest.raises(Invalid):
        keys.read_jwk({**RFC8037, "x": other})
    a, b = keys.generate().to_private(), keys.generate().to_private()
    with pytest.raises(Invalid):
        keys.read_jwk({**a, "x": b["x"], "y": b["y"]})


def test_keyring(tmp_path: Path) -> None:
    ring = keys.Keyring(tmp_path / "keys")
    assert not ring.has("agreement")
    with pytest.raises(Refused) as missing:
        ring.active("agreement")
    assert missing.value.code is Code.NOT_FOUND
    made = ring.create("agreement")
    assert ring.has("agreement") and ring.active("agreement").kid == made.kid
    assert (tmp_path / "keys" / "agreement.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0
    with pytest.raises(Conflict):
        ring.create("agreement")
    assert ring.active("agreement").kid == made.kid
    assert ring.verify("agreement", ring.sign("agreement", b"x"))[1] == b"x"
    for name in ("", "../agreement", "A", "a/b", "a" * 33):
        with pytest.raises(Invalid):
            ring.create(name)


def test_rotation(tmp_path: Path) -> None:
    ring = keys.Keyring(tmp_path)
    first = ring.create("ledger", "EdDSA")
    old = ring.sign("ledger", b"old")
    second = ring.rotate("ledger", now_s=1000, keep_s=60)
    assert second.kid != first.kid and second.alg == "EdDSA"
    assert ring.verify("ledger", old, at_s=1059)[1] == b"old"
    with pytest.raises(Invalid):
        ring.verify("ledger", old, at_s=1060)
    assert [k["kid"] for k in ring.public("ledger", at_s=1059)["keys"]] == [second.kid, first.kid]
    assert [k["kid"] for k in ring.public("ledger", at_s=1060)["keys"]] == [second.kid]
    # The old private half is gone from the disk, and the retired key signs no more.
    assert first.to_private()["d"] not in (tmp_path / "ledger.json").read_text()
    with pytest.raises(Conflict):
        ring.all("ledger")[1].sign(b"x")
    third = ring.rotate("ledger", now_s=2000, keep_s=60, alg="ES256")
    assert [key.exp for key in ring.all("ledger")] == [None, 2060, 1060]
    assert ring.active("ledger").alg == "ES256" == third.alg


def test_two_makers_leave_one(tmp_path: Path) -> None:
    ring = keys.Keyring(tmp_path)
    (tmp_path / ".agreement.json.new").touch()
    with pytest.raises(Conflict) as busy:
        ring.create("agreement")
    assert ".agreement.json.new" in busy.value.detail
    assert not ring.has("agreement")


def test_secrets(tmp_path: Path) -> None:
    ring = keys.Keyring(tmp_path)
    assert ring.create_secret("ids", lambda n: bytes(range(n))) == bytes(range(32)) == ring.secret("ids")
    with pytest.raises(Conflict):
        ring.create_secret("ids", bytes)
    with pytest.raises(Invalid):
        ring.create_secret("short", lambda n: b"short")
    (tmp_path / "ids.secret.json").write_text('{"k": "AAAA"}')
    with pytest.raises(Refused):
        ring.secret("ids")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o610])
def test_a_file_others_can_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "k.json"
    keys.write_private(path, keys.generate().to_private())
    keys.read_key(path)
    path.chmod(mode)
    with pytest.raises(Refused) as caught:
        keys.read_key(path)
    assert "chmod 600" in str(caught.value)


@pytest.mark.parametrize(
    "content", ["", "[]", "5", "{", "{}", '{"kty":"EC","kty":"EC"}', "\x00", "[" * 100_000]
)
def test_files_that_are_no_keys(tmp_path: Path, content: str) -> None:
    path = tmp_path / "k.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(Refused):
        keys.read_key(path)
    (tmp_path / "agreement.json").write_text(json.dumps({"keys": [keys.generate().public()]}))
    (tmp_path / "agreement.json").chmod(0o600)
    with pytest.raises(Refused):
        keys.Keyring(tmp_path).active("agreement")
    with pytest.raises(Refused):
        keys.read_key(tmp_path)


def test_public_file_is_no_private_key(tmp_path: Path) -> None:
    keys.write_private(tmp_path / "k.json", keys.generate().public())
    with pytest.raises(Refused):
        keys.read_key(tmp_path / "k.json")


def test_canonical() -> None:
    assert keys.canonical({"b": 1, "a": "é", "€": None}) == '{"a":"é","b":1,"€":null}'.encode()
    for odd in (2**53, float("nan"), "\ud800"):
        with pytest.raises(Invalid):
            keys.canonical({"a": odd})
