"""Keys by use and kid, the files they rest in, and signatures made and checked with them.

Rules of this file:

1. Three algorithms: ES256 (ours by default), EdDSA over Ed25519 (also by its newer name `Ed25519`, RFC 9864)
   and PS256 with RSA ≥ 2048, which partners may bring. `none`, HMAC and everything else is refused before a
   key is looked at; so are headers that would let a token choose its own key or rules (`crit`, `jku`, …).
2. A kid is the RFC 7638 thumbprint of the public key, for every key made here.
3. A private key file that others can read is refused with the remedy: a key that leaked once is no key.
4. Making a key is an act of its own, never a side effect of reading one. It is atomic and exclusive: two
   makers leave one file, a crash leaves no half file.
5. `rotate` keeps of the old key its public half alone, with `exp`: old signatures verify, new ones cannot be
   made. Whoever judges a signature says at what time.

Randomness for keys is the operating system's, taken by `cryptography`; secrets take it as an argument.
"""

from __future__ import annotations

import base64
import json
import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from byleave.errors import Code, Conflict, Invalid, Refused, one_line

Jwk: TypeAlias = dict[str, Any]

ALGORITHMS = ("ES256", "EdDSA", "Ed25519", "PS256")
MAX_TOKEN = 512 * 1024
"""Longest JWS that is looked at, in characters."""
MAX_KEYS = 32
"""Most keys of one JWK Set that are tried."""

_FORBIDDEN_HEADERS = frozenset({"crit", "jku", "x5u", "x5c", "jwk", "b64", "zip", "enc"})
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_KINDS: dict[str, tuple[str, str]] = {
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
    "PS256": ("RSA", ""),
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key, public or private. `exp`, in seconds since 1970, is set on a retired one."""

    kid: str
    alg: str
    private: bool
    exp: int | None
    _key: ECKey | OKPKey | RSAKey
    _stated: Mapping[str, Any]

    def public(self) -> Jwk:
        """The public JWK: key members, `kid`, `alg`, `use`, and `exp` where retired."""
        jwk: Jwk = {**self._key.as_dict(private=False), "kid": self.kid, "alg": self.alg, "use": "sig"}
        if self.exp is not None:
            jwk["exp"] = self.exp
        return jwk

    def thumbprint(self) -> str:
        """The RFC 7638 thumbprint, whatever kid the key states: what DPoP binds a token to (`jkt`)."""
        return self._key.thumbprint()

    def native(self) -> Any:
        """The public key as `cryptography` has it, for a hot path that verifies with it directly."""
        return self._key.public_key

    def to_private(self) -> Jwk:
        """The private JWK: for a key file, never for an answer or a log."""
        return {**self._key.as_dict(private=True), "kid": self.kid, "alg": self.alg, "use": "sig"}

    def sign(self, payload: bytes, **header: str) -> str:
        """`payload` as a compact JWS (RFC 7515 §7.1) under `alg`, `kid` and `header` (`typ`, …)."""
        protected = json.dumps({"alg": self.alg, "kid": self.kid, **header}, separators=(",", ":")).encode()
        signing_input = f"{b64url(protected)}.{b64url(payload)}"
        return f"{signing_input}.{b64url(self.sign_bytes(signing_input.encode()))}"

    def sign_bytes(self, message: bytes) -> bytes:
        """The bare signature of `message`: 64 bytes for ES256 (r ‖ s) and EdDSA."""
        if not self.private:
            raise Conflict(Code.CONFLICT, "this key is public or retired and cannot sign")
        return JWSRegistry.algorithms[self.alg].sign(message, self._key)

    def verify_bytes(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `message`."""
        try:
            return JWSRegistry.algorithms[self.alg].verify(message, signature, self._key)
        except (JoseError, ValueError):
            return False

    def ed25519_public(self) -> bytes:
        """The 32 bytes of an Ed25519 public key (RFC 8032 §5.1.5), for notes that name keys by them."""
        key = self._key.public_key if isinstance(self._key, OKPKey) else None
        if key is None:
            raise Invalid(Code.MALFORMED, "an Ed25519 key is needed here")
        return key.public_bytes(Encoding.Raw, PublicFormat.Raw)

    def fits(self, alg: str) -> bool:
        """Whether a signature under `alg` may be this key's: `alg`, `use` and `key_ops` all allow it."""
        ops = self._stated.get("key_ops")
        return (
            self.alg == ("EdDSA" if alg == "Ed25519" else alg)
            and self._stated.get("use", "sig") == "sig"
            and (ops is None or (isinstance(ops, list) and ("verify" in ops or "sign" in ops)))
        )


def generate(alg: str = "ES256") -> Key:
    """A new key pair for `alg` (ES256, EdDSA or PS256), with its thumbprint as kid."""
    if alg == "ES256":
        return _key(ECKey.generate_key("P-256"), alg, {})
    if alg in ("EdDSA", "Ed25519"):
        return _key(OKPKey.generate_key("Ed25519"), "EdDSA", {})
    if alg == "PS256":
        return _key(RSAKey.generate_key(3072), alg, {})
    raise Invalid(Code.MALFORMED, "keys are made for ES256, EdDSA or PS256")


def public_key(jwk: Mapping[str, Any]) -> Key:
    """The public key that `jwk` states.

    Raises Invalid(MALFORMED) for a private member (the key would be in the open), an unknown kind or curve,
    RSA < 2048 or > 8192 bits, an `alg` that does not belong to the key, or a kid that is no text.
    """
    if any(member in jwk for member in _PRIVATE_MEMBERS):
        raise Invalid(Code.MALFORMED, "the JWK holds private members; give the public key alone")
    return read_jwk(jwk)


def read_jwk(jwk: Mapping[str, Any]) -> Key:
    """As `public_key`, of a private JWK too. Raises Invalid(MALFORMED); its text never shows the key."""
    kind, curve = jwk.get("kty"), jwk.get("crv")
    alg = next((a for a, (k, c) in _KINDS.items() if k == kind and (not c or c == curve)), None)
    if alg is None:
        raise Invalid(Code.MALFORMED, "the JWK must be EC P-256, OKP Ed25519 or RSA")
    stated = jwk.get("alg", alg)
    if stated != alg and (stated, alg) != ("Ed25519", "EdDSA"):
        raise Invalid(Code.MALFORMED, f"the JWK's `alg` must be {alg} for this kind of key")
    kid, exp = jwk.get("kid"), jwk.get("exp")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= 255 and kid.isprintable()):
        raise Invalid(Code.MALFORMED, "the JWK's `kid` must be 1 to 255 printable characters")
    if exp is not None and (type(exp) is not int or exp < 0):
        raise Invalid(Code.MALFORMED, "the JWK's `exp` must be whole seconds since 1970")
    members = {
        name: value
        for name, value in jwk.items()
        if name in ("kty", "crv", "x", "y", "n", "e", *_PRIVATE_MEMBERS)
    }
    if not all(isinstance(value, str) and len(value) <= 2048 for value in members.values()):
        raise Invalid(Code.MALFORMED, "the JWK's members must be short base64url text")
    if kind == "RSA" and not (
        _bits(members.get("n", "")) in range(2048, 8193) and len(members.get("e", "")) <= 6
    ):
        raise Invalid(Code.MALFORMED, "an RSA key must have 2048 to 8192 bits and a small public exponent")
    try:
        if kind == "EC":
            return _key(ECKey.import_key(members), alg, jwk)
        if kind == "OKP":
            return _key(OKPKey.import_key(members), alg, jwk)
        return _key(RSAKey.import_key(members), alg, jwk)
    except (JoseError, ValueError, TypeError, KeyError, OverflowError):
        raise Invalid(Code.MALFORMED, "the JWK's members do not make a key") from None


def _key(key: ECKey | OKPKey | RSAKey, alg: str, stated: Mapping[str, Any]) -> Key:
    kid = stated.get("kid") or key.thumbprint()
    # Touching the public key makes the library build it now, so that a point off its curve fails here.
    assert key.public_key is not None
    if key.is_private and isinstance(key, OKPKey):
        _check_pair(key)
    return Key(kid, alg, key.is_private, stated.get("exp"), key, dict(stated))


def _check_pair(key: OKPKey) -> None:
    """An Ed25519 private JWK states its public half beside it, unchecked by the library; a wrong one would
    make signatures that give the private key away."""
    private = key.private_key
    if not isinstance(private, Ed25519PrivateKey) or b64url(
        private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    ) != key.as_dict(private=False).get("x"):
        raise ValueError("public and private half differ")


def _bits(number: str) -> int:
    try:
        return int.from_bytes(unb64url(number)).bit_length()
    except ValueError:
        return 0


# -- signatures ---------------------------------------------------------------------------------------------


def verify_jws(
    token: str,
    jwks: Mapping[str, Any] | Iterable[Key],
    algs: Collection[str] = ALGORITHMS,
    *,
    at_s: int | None = None,
) -> tuple[Jwk, bytes]:
    """The protected header and the payload of `token`, if one of `jwks` signed it.

    `jwks` is a JWK Set of public keys or an iterable of `Key`; `at_s`, seconds since 1970, is the time at
    which retired keys (`exp`) are judged, None to accept them at any time. A kid in the header must name the
    key; without one each fitting key is tried. EdDSA and Ed25519 are one algorithm here.

    Raises Invalid(INVALID_SIGNATURE): not strict RFC 7515 compact form, an algorithm outside `algs`, a header
    that chooses keys or rules, no such key, a retired one, a wrong signature. Keys of the set that cannot be
    used are passed over: a partner may publish others beside those meant for us.
    """
    if not isinstance(token, str) or len(token) > MAX_TOKEN or token.count(".") != 2:
        raise _bad("not a compact JWS")
    head, body, tail = token.split(".")
    try:
        header = strict_json(unb64url(head))
        payload, signature = unb64url(body), unb64url(tail)
    except (Invalid, ValueError):
        raise _bad("not a compact JWS") from None
    if not isinstance(header, dict):
        raise _bad("the header must be an object")
    if _FORBIDDEN_HEADERS & header.keys():
        raise _bad("the header must not choose keys or rules (crit, jku, x5u, x5c, jwk, b64, zip, enc)")
    alg, kid = header.get("alg"), header.get("kid")
    allowed = set(algs) & set(ALGORITHMS)
    if allowed & {"EdDSA", "Ed25519"}:
        allowed |= {"EdDSA", "Ed25519"}
    if not isinstance(alg, str) or alg not in allowed:
        raise _bad("the algorithm is not allowed")
    if kid is not None and not isinstance(kid, str):
        raise _bad("the kid must be text")
    keys = _usable(jwks) if isinstance(jwks, Mapping) else list(jwks)
    keys = [key for key in keys if key.fits(alg) and (kid is None or key.kid == kid)][:MAX_KEYS]
    if not keys:
        raise _bad("no key for this kid and algorithm")
    keys = [key for key in keys if at_s is None or key.exp is None or at_s < key.exp]
    if not keys:
        raise _bad("the key is retired")
    signing_input = f"{head}.{body}".encode()
    if not any(key.verify_bytes(signing_input, signature) for key in keys):
        raise _bad("the signature is wrong")
    return header, payload


def _usable(jwks: Mapping[str, Any]) -> list[Key]:
    keys: list[Key] = []
    stated = jwks.get("keys")
    for jwk in stated[: MAX_KEYS * 4] if isinstance(stated, list) else []:
        if isinstance(jwk, dict):
            with suppress(Invalid):
                keys.append(public_key(jwk))
    return keys


def _bad(detail: str) -> Invalid:
    return Invalid(Code.INVALID_SIGNATURE, f"signature refused: {detail}")


def strict_json(data: bytes) -> Any:
    """The value of `data` as RFC 8259 JSON in which no object has a name twice (I-JSON, RFC 7493 §2.3).
    Raises Invalid(MALFORMED)."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except (ValueError, RecursionError):
        raise Invalid(Code.MALFORMED, "not strict JSON in UTF-8 with each name once") from None


def _no_constants(name: str) -> NoReturn:
    raise ValueError("JSON has no NaN and no Infinity")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def canonical(value: Any) -> bytes:
    """`value` as RFC 8785 canonical JSON. Raises Invalid(MALFORMED) for what that form cannot carry (integers
    beyond 2⁵³, NaN, lone surrogates)."""
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError):
        raise Invalid(Code.MALFORMED, "the value has no canonical JSON form") from None


def b64url(data: bytes) -> str:
    """`data` in base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text: str) -> bytes:
    """The bytes of strict base64url without padding: one text for one value. Raises ValueError."""
    if not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError("not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64url(data) != text:
        raise ValueError("not canonical base64url")
    return data


# -- files --------------------------------------------------------------------------------------------------


class Keyring:
    """The keys of one store: a folder with one JWK Set a use (`agreement.json`, `ledger.json`, …), the active
    key first, retired public ones behind it, and one `oct` JWK a secret (`ids.secret.json`).

    Nothing is cached: a rotation by another process is seen at the next call. Hold on to the `Key`s on a hot
    path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, use: str) -> bool:
        """Whether a key pair or a secret of that name exists."""
        return self._file(use).exists() or self._file(use, secret=True).exists()

    def create(self, use: str, alg: str = "ES256") -> Key:
        """Make the first key of `use`. Raises Conflict if there is one."""
        key = generate(alg)
        write_private(self._file(use), {"keys": [key.to_private()]})
        return key

    def create_secret(self, name: str, entropy: Callable[[int], bytes]) -> bytes:
        """Make a secret of 32 bytes (HMAC, AES-256) out of `entropy(32)`. Raises Conflict if there is one."""
        value = entropy(32)
        if len(value) != 32:
            raise Invalid(Code.MALFORMED, "a secret has 32 bytes")
        write_private(self._file(name, secret=True), {"kty": "oct", "k": b64url(value), "kid": name})
        return value

    def active(self, use: str) -> Key:
        """The private key that signs for `use`. Raises Refused where there is none or it is not safe."""
        return self._load(use)[0]

    def all(self, use: str) -> list[Key]:
        """The active key and behind it the retired ones (public halves)."""
        return self._load(use)

    def secret(self, name: str) -> bytes:
        """The 32 bytes of the secret `name`. Raises Refused as `active` does."""
        path = self._file(name, secret=True)
        try:
            value = unb64url(str(read_private(path).get("k")))
        except ValueError:
            value = b""
        if len(value) != 32:
            raise Refused(
                Code.MALFORMED, path.name, "k", "not a secret of 32 bytes", "restore it from the backup"
            )
        return value

    def rotate(self, use: str, *, now_s: int, keep_s: int, alg: str | None = None) -> Key:
        """Make a new active key for `use`; the old one's public half verifies for `keep_s` seconds more.

        Raises Conflict while another process rotates the same key.
        """
        path = self._file(use)
        with _exclusively(path) as write:
            old = self._load(use)
            new = generate(alg or old[0].alg)
            retired = [{**old[0].public(), "exp": now_s + keep_s}, *(key.public() for key in old[1:])]
            write({"keys": [new.to_private(), *retired]})
        return new

    def public(self, use: str, *, at_s: int | None = None) -> Jwk:
        """The public JWK Set of `use`, without keys whose `exp` lies before `at_s`."""
        return {
            "keys": [
                key.public() for key in self._load(use) if at_s is None or key.exp is None or at_s < key.exp
            ]
        }

    def sign(self, use: str, payload: bytes, **header: str) -> str:
        """`payload` as a compact JWS by the active key of `use`."""
        return self.active(use).sign(payload, **header)

    def verify(self, use: str, token: str, *, at_s: int | None = None) -> tuple[Jwk, bytes]:
        """As `verify_jws`, against the keys of `use`."""
        return verify_jws(token, self._load(use), at_s=at_s)

    def _file(self, name: str, *, secret: bool = False) -> Path:
        if not _NAME.fullmatch(name):
            raise Invalid(Code.MALFORMED, "a key's name is a to z, 0 to 9 and dashes, at most 32 characters")
        return self.folder / (f"{name}.secret.json" if secret else f"{name}.json")

    def _load(self, use: str) -> list[Key]:
        path = self._file(use)
        stated = read_private(path).get("keys")
        if not isinstance(stated, list) or not all(isinstance(jwk, dict) for jwk in stated):
            raise Refused(Code.MALFORMED, path.name, "keys", "not a JWK Set", "restore it from the backup")
        keys = [_read(jwk, path, f"keys[{i}]") for i, jwk in enumerate(stated)]
        if [key.private for key in keys] != [True] + [False] * (len(keys) - 1):
            raise Refused(
                Code.MALFORMED, path.name, "keys", "not one private key first", "restore it from the backup"
            )
        return keys


def read_key(path: Path) -> Key:
    """The private key in the file `path`: a JWK, what `keys new` answers ({kid, jwk}), or the JWK Set of a
    Keyring, of which the active key is taken.

    Raises Refused: no such file, readable by others, not JSON, no private key.
    """
    key = _read(_unwrap(read_private(path)), path, "")
    if not key.private:
        remedy = "give the file that `byleave keys new --out` wrote"
        raise Refused(Code.MALFORMED, path.name, "", "a private key is needed here", remedy)
    return key


def read_public_key(path: Path) -> Key:
    """The key in the file `path`, to be shown to others: a public JWK from any file, or the key of a private
    one, which must then be safe as in `read_key`. Use `.public()` of the answer. Raises Refused."""
    try:
        value = strict_json(path.read_bytes()[: 1 << 20])
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise Refused(Code.NOT_FOUND, path.name, "", problem, "make one with `byleave keys new`") from None
    except Invalid:
        value = None
    jwk = _unwrap(value) if isinstance(value, dict) else {}
    return read_key(path) if _PRIVATE_MEMBERS & jwk.keys() else _read(jwk, path, "")


def _unwrap(value: Jwk) -> Jwk:
    inner = value.get("jwk")
    if isinstance(inner, dict):
        return inner
    inner = value.get("keys")
    if isinstance(inner, list) and inner and isinstance(inner[0], dict):
        return inner[0]
    return value


def _read(jwk: Jwk, path: Path, place: str) -> Key:
    try:
        return read_jwk(jwk)
    except Invalid as error:
        raise Refused(
            error.code, path.name, place, error.detail, "make one with `byleave keys new`"
        ) from None


def read_private(path: Path) -> Jwk:
    """The JSON object in a file that nobody but its owner may read. Raises Refused as `read_key` does."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Refused(Code.MALFORMED, path.name, "", "not a file", "name a key file")
            if os.name == "posix" and status.st_mode & 0o077:
                raise Refused(
                    Code.DENIED,
                    path.name,
                    f"mode {stat.S_IMODE(status.st_mode):o}",
                    "others on this machine can read the key",
                    f"run `chmod 600 {path.name}`, and make a new key if others may have read it",
                )
            value = strict_json(file.read(1 << 20))
    except FileNotFoundError:
        raise Refused(
            Code.NOT_FOUND, path.name, "", "no such key file", "make one with `byleave keys new`"
        ) from None
    except OSError as error:
        raise Refused(
            Code.NOT_FOUND,
            path.name,
            "",
            f"cannot be read ({error.strerror})",
            "check the path and its owner",
        ) from None
    except Invalid:
        raise Refused(
            Code.MALFORMED, path.name, "", "not a JSON object", "restore it from the backup"
        ) from None
    if not isinstance(value, dict):
        raise Refused(Code.MALFORMED, path.name, "", "not a JSON object", "restore it from the backup")
    return value


def write_private(path: Path, value: Jwk) -> None:
    """Write `value` as a new file of mode 600, whole or not at all. Raises Conflict if it exists."""
    with _exclusively(path) as write:
        if path.exists() or path.is_symlink():
            raise Conflict(
                Code.CONFLICT, f"{one_line(path.name)}: exists already; a key is never overwritten"
            )
        write(value)


@contextmanager
def _exclusively(path: Path) -> Iterator[Callable[[Jwk], None]]:
    """Hold `path` against other makers by a draft beside it that only one can create (O_EXCL). The yielded
    function writes the draft durably and moves it into place."""
    name, draft = one_line(path.name), path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        remedy = f"if none is, remove {one_line(draft.name)} and try again"
        raise Conflict(Code.CONFLICT, f"{name}: another process is making it; {remedy}") from None
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise Refused(Code.NOT_FOUND, name, "", problem, "check the folder") from None

    moved: list[bool] = []

    def write(value: Jwk) -> None:
        with os.fdopen(fd, "wb", closefd=False) as file:
            file.write(json.dumps(value, indent=1).encode() + b"\n")
            file.flush()
            os.fsync(fd)
        draft.replace(path)
        moved.append(True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    try:
        yield write
    finally:
        os.close(fd)
        if not moved:  # once moved, a draft of that name is another maker's
            draft.unlink(missing_ok=True)
