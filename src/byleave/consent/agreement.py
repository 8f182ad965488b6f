"""Agreements: the signed, public contract between a partner and a provider. Pure: no store, no clock.

Rules of this file (spec: consent.md "Agreement, grant, choice"; names.md has one in full):

1. Every field is known or the agreement is refused: a misspelt limit must not become no limit. Empty means
   none, never all.
2. What is signed is the RFC 8785 form of the JSON as it stands in the file, without `signatures`. The JWS
   carries those bytes as its payload, and they must be exactly ours: a signature over anything else is none.
3. A published agreement needs a signature by each side, by different keys. One signature counts for one side.
4. The partner's keys stand in it, public halves only; a private member refuses the whole file.
5. A destination or redirect matches as a whole origin and path: no userinfo, no fragment, no bare host that a
   longer host could begin with.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn
from urllib.parse import SplitResult, urlsplit

import msgspec

from byleave.consent.purpose import NAME, PURPOSES, Purpose, Who, split_place
from byleave.errors import Code, Conflict, Invalid, Refused
from byleave.keys import Jwk, Key, canonical, public_key, strict_json, verify_jws
from byleave.model import Level, Mode

SCHEMA = "byleave.agreement/1"
MAX_BYTES = 256 * 1024
MAX_CELLS = 64
MAX_SIGNATURES = 8
_CODE = re.compile(r"[a-z0-9_-]{1,40}")
_OPERATOR = re.compile(r"operator:[a-z0-9][a-z0-9._-]{0,62}")
_URL = re.compile(r"[!#-\[\]^_`a-z{|}~]{1,2000}", re.ASCII)
_MAIL = re.compile(r"[^@\s\"<>]{1,64}@[A-Za-z0-9.-]{1,253}")
_MOST = 2**53 - 1


class Jwks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    keys: tuple[dict[str, Any], ...]


class Partner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    name: str
    contact: str
    jwks: Jwks
    redirect_uris: tuple[str, ...] = ()
    operatives: Literal["named", "any"] = "named"
    """`named`: every token names who reads (claim `act`); `any`: the client may read in its own name."""


class PurposeTerm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    purpose: str
    level: str


class Budgets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    people_per_day: int
    new_people_per_day: int
    messages_per_day: int
    bytes_per_day: int


class DatedCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code that holds from `valid_from` to `valid_to`, both days included; None is without end."""

    code: str
    valid_from: datetime.date | None = None
    valid_to: datetime.date | None = None

    def holds(self, day: datetime.date) -> bool:
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_to is None or day <= self.valid_to
        )


class Dimensions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    interface: tuple[str | DatedCode, ...]
    surface: tuple[str | DatedCode, ...]
    variant: tuple[str | DatedCode, ...]

    def codes(self, day: datetime.date) -> dict[str, list[str]]:
        """The codes of each dimension that hold on `day`, in the agreement's order."""
        return {
            name: [c.code for c in map(_dated, getattr(self, name)) if c.holds(day)]
            for name in ("interface", "surface", "variant")
        }


class ReportTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    anchor: datetime.date
    dimensions: Dimensions
    valid_from: datetime.date
    valid_to: datetime.date | None = None
    grace_days: int = 3
    suspend_days: int = 7


class Term(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    from_: datetime.date = msgspec.field(name="from")
    to: datetime.date


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agreement's fields, as names.md shows them."""

    schema: str
    id: str
    version: int
    partner: Partner
    purposes: tuple[PurposeTerm, ...]
    budgets: Budgets
    retention_days: int
    term: Term
    approved_by: tuple[str, ...]
    report: ReportTerms | None = None
    link_destinations: tuple[str, ...] = ()
    interests: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Agreement:
    """A checked agreement: its `terms`, and the `document`, the JSON object that was read and is signed."""

    terms: Terms
    document: Mapping[str, Any]

    @property
    def id(self) -> str:
        return self.terms.id

    @property
    def version(self) -> int:
        return self.terms.version

    def payload(self) -> bytes:
        """The bytes that each side signs: RFC 8785 over the document without `signatures`."""
        return canonical({name: value for name, value in self.document.items() if name != "signatures"})

    def encode(self) -> bytes:
        """The agreement as a file: indented JSON, UTF-8, a newline at the end."""
        return json.dumps(self.document, indent=2, ensure_ascii=False).encode() + b"\n"

    def level(self, purpose: str) -> Level:
        """The level agreed for `purpose`; NONE for one that does not stand here."""
        return next((Level.named(t.level) for t in self.terms.purposes if t.purpose == purpose), Level.NONE)

    def runs(self, day: datetime.date) -> bool:
        """Whether `day` (UTC) lies in the term, both ends included."""
        return self.terms.term.from_ <= day <= self.terms.term.to

    def jwks(self) -> Jwk:
        """The partner's public keys as a JWK Set."""
        return {"keys": list(self.terms.partner.jwks.keys)}

    def approved_in(self, mode: Mode) -> bool:
        """Whether `approved_by` is what a store of `mode` asks for: two operators, the owner, `sandbox`."""
        approved = self.terms.approved_by
        if mode is Mode.PROVIDER:
            return len(approved) >= 2 and approved[0].startswith("operator:")
        return approved == (("sandbox",) if mode is Mode.SANDBOX else ("owner",))


@dataclass(frozen=True, slots=True)
class Signatures:
    """Who has signed: the kid of each side's key, None where there is no valid signature."""

    partner: str | None
    provider: str | None
    problems: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether the agreement may be published: both signed, and nothing that is no signature stands by."""
        return self.partner is not None and self.provider is not None and not self.problems


# -- reading ------------------------------------------------------------------------------------------------


def decode(data: bytes, file: str = "agreement", purposes: Mapping[str, Purpose] = PURPOSES) -> Agreement:
    """The agreement in `data` (JSON), checked in every field against `purposes`.

    Raises Refused naming file, field and remedy. Signatures are not judged here: see `check`.
    """
    if len(data) > MAX_BYTES:
        raise Refused(Code.TOO_LARGE, file, "", "an agreement has at most 256 KiB", "shorten it")
    try:
        document = strict_json(data)
    except Invalid as error:
        raise Refused(Code.MALFORMED, file, "", error.detail, "write plain JSON, each name once") from None
    return from_document(document, file, purposes)


def from_document(
    document: Any, file: str = "agreement", purposes: Mapping[str, Purpose] = PURPOSES
) -> Agreement:
    """As `decode`, from parsed JSON."""
    try:
        terms = msgspec.convert(document, Terms)
        agreement = Agreement(terms, document)
        agreement.payload()
    except (msgspec.ValidationError, Invalid) as error:
        problem, place = split_place(str(error))
        raise Refused(Code.MALFORMED, file, place, problem, "compare docs/agreements") from None
    _Check(file).agreement(terms, purposes)
    return agreement


class _Check:
    """The rules beyond types, field by field; the first one broken is raised."""

    def __init__(self, file: str) -> None:
        self.file = file

    def refuse(self, place: str, problem: str, remedy: str) -> NoReturn:
        raise Refused(Code.MALFORMED, self.file, place, problem, remedy)

    def agreement(self, a: Terms, purposes: Mapping[str, Purpose]) -> None:
        if a.schema != SCHEMA:
            self.refuse("schema", "unknown schema", f"write {SCHEMA}")
        self.name("id", a.id)
        self.number("version", a.version, 1)
        self.partner(a.partner)
        self.purposes(a.purposes, purposes)
        for budget in ("people_per_day", "new_people_per_day", "messages_per_day", "bytes_per_day"):
            self.number(f"budgets.{budget}", getattr(a.budgets, budget), 1)
        if a.budgets.new_people_per_day > a.budgets.people_per_day:
            self.refuse("budgets.new_people_per_day", "more than people_per_day", "lower it")
        if a.report is not None:
            self.report(a.report)
        for i, url in enumerate(a.link_destinations):
            place = f"link_destinations[{i}]"
            parts = self.url(place, url, loopback=False)
            if not parts.path or "?" in url:
                self.refuse(place, "a destination is an origin and a path", "end it with a slash, no query")
            if re.search(r"//|/\.\.?(/|$)|%2[ef]|%5c", parts.path, re.IGNORECASE):
                self.refuse(place, "the path climbs or is encoded", "write the plain path")
        self.number("retention_days", a.retention_days, 0, 3650)
        if a.term.from_ > a.term.to:
            self.refuse("term.to", "before term.from", "give a later day")
        for i, tie in enumerate(a.interests):
            self.text(f"interests[{i}]", tie, 500)
        self.approved(a.approved_by)
        if len(a.signatures) > MAX_SIGNATURES:
            self.refuse("signatures", f"more than {MAX_SIGNATURES}", "keep one a side")

    def partner(self, p: Partner) -> None:
        self.name("partner.id", p.id)
        self.text("partner.name", p.name, 100)
        self.text("partner.contact", p.contact, 320)
        if not _MAIL.fullmatch(p.contact):
            self.url("partner.contact", p.contact, loopback=False)
        keys: dict[str, Key] = {}
        if not 1 <= len(p.jwks.keys) <= 16:
            self.refuse("partner.jwks.keys", "1 to 16 keys are needed", "add the partner's public key")
        for i, jwk in enumerate(p.jwks.keys):
            place = f"partner.jwks.keys[{i}]"
            try:
                key = public_key(jwk)
            except Invalid as error:
                self.refuse(place, error.detail, "make a key pair with `byleave keys new`")
            if "kid" not in jwk or key.kid in keys:
                self.refuse(place, "no `kid`, or one that stands twice", "give every key a kid of its own")
            keys[key.kid] = key
        for i, uri in enumerate(p.redirect_uris):
            self.url(f"partner.redirect_uris[{i}]", uri, loopback=True)
        if len(set(p.redirect_uris)) != len(p.redirect_uris):
            self.refuse("partner.redirect_uris", "one stands twice", "list each once")

    def purposes(self, stated: tuple[PurposeTerm, ...], registry: Mapping[str, Purpose]) -> None:
        if not stated:
            self.refuse("purposes", "no purpose is agreed", "name at least one")
        if len({term.purpose for term in stated}) != len(stated):
            self.refuse("purposes", "a purpose stands twice", "list each once")
        for i, term in enumerate(stated):
            place = f"purposes[{i}]"
            purpose = registry.get(term.purpose)
            if purpose is None or purpose.who is not Who.PARTNER:
                partners = ", ".join(n for n, p in registry.items() if p.who is Who.PARTNER)
                self.refuse(f"{place}.purpose", "not a purpose for partners", f"choose from {partners}")
            if term.level not in ("signals", "masked", "text", "full"):
                self.refuse(f"{place}.level", "not a level", "write signals, masked, text or full")
            if Level.named(term.level) > purpose.highest:
                self.refuse(
                    f"{place}.level", "higher than the purpose allows", f"at most {purpose.highest.word}"
                )

    def report(self, r: ReportTerms) -> None:
        if r.valid_to is not None and r.valid_to < r.valid_from:
            self.refuse("report.valid_to", "before report.valid_from", "give a later day or null")
        self.number("report.grace_days", r.grace_days, 0, 3650)
        self.number("report.suspend_days", r.suspend_days, 0, 3650)
        if r.suspend_days < r.grace_days:
            self.refuse("report.suspend_days", "fewer than grace_days", "suspend after the grace")
        days = {r.valid_from}
        for name in ("interface", "surface", "variant"):
            place = f"report.dimensions.{name}"
            codes = [_dated(code) for code in getattr(r.dimensions, name)]
            if not 1 <= len(codes) <= 256:
                self.refuse(place, "1 to 256 codes are needed", "list the codes")
            for i, code in enumerate(codes):
                if not _CODE.fullmatch(code.code):
                    self.refuse(
                        f"{place}[{i}]", "not a code", "use a to z, 0 to 9, _ and -, at most 40 characters"
                    )
                if code.valid_from and code.valid_to and code.valid_to < code.valid_from:
                    self.refuse(f"{place}[{i}]", "valid_to before valid_from", "give a later day")
                days |= {code.valid_from} if code.valid_from else set()
            if any(a.code == b.code and _overlap(a, b) for i, a in enumerate(codes) for b in codes[:i]):
                self.refuse(place, "a code stands twice on one day", "list each once")
        # The number of active cells can only grow on a day when a code begins.
        for day in days:
            active = r.dimensions.codes(day)
            cells = len(active["interface"]) * len(active["surface"]) * len(active["variant"])
            if cells > MAX_CELLS:
                self.refuse("report.dimensions", f"{cells} active cells", f"at most {MAX_CELLS} on any day")

    def approved(self, by: tuple[str, ...]) -> None:
        if by in (("sandbox",), ("owner",)):
            return
        if len(by) < 2 or len(set(by)) != len(by) or not all(_OPERATOR.fullmatch(one) for one in by):
            self.refuse(
                "approved_by",
                "not two operators",
                'name two as "operator:<id>", or "owner" or "sandbox" alone',
            )

    def name(self, place: str, value: str) -> None:
        if not NAME.fullmatch(value):
            self.refuse(
                place, "not an id", "use a to z, 0 to 9, dot, dash and underscore, at most 63 characters"
            )

    def text(self, place: str, value: str, longest: int) -> None:
        if not (0 < len(value) <= longest and value.isprintable() and value == value.strip()):
            self.refuse(place, "empty, too long or not printable", f"write 1 to {longest} plain characters")

    def number(self, place: str, value: int, least: int, most: int = _MOST) -> None:
        if not least <= value <= most:
            self.refuse(place, "out of range", f"write a whole number from {least} to {most}")

    def url(self, place: str, value: str, *, loopback: bool) -> SplitResult:
        remedy = "write https://host/path" + (", or http on a loopback address" if loopback else "")
        if not _URL.fullmatch(value) or "#" in value or "\\" in value:
            self.refuse(place, "not a plain URL, or one with a fragment", remedy)
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError:
            self.refuse(place, "not a URL", remedy)
        local = loopback and parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
        if parts.scheme != "https" and not local:
            self.refuse(place, "neither https nor loopback", remedy)
        if not parts.hostname or "@" in parts.netloc or "*" in parts.netloc or port == 0:
            self.refuse(place, "no host, or one with a user, a wildcard or port 0", remedy)
        return parts


def _dated(code: str | DatedCode) -> DatedCode:
    return code if isinstance(code, DatedCode) else DatedCode(code=code)


def _overlap(a: DatedCode, b: DatedCode) -> bool:
    first = max(a.valid_from or datetime.date.min, b.valid_from or datetime.date.min)
    return first <= min(a.valid_to or datetime.date.max, b.valid_to or datetime.date.max)


# -- making, signing, judging -------------------------------------------------------------------------------


def new(
    partner: str,
    purposes: Iterable[tuple[str, str]],
    jwks: Iterable[Jwk],
    *,
    today: datetime.date,
    id: str | None = None,
    name: str | None = None,
    contact: str | None = None,
    redirect_uris: Iterable[str] = (),
    link_destinations: Iterable[str] = (),
    operatives: str = "any",
    approved_by: Iterable[str] = ("sandbox",),
    registry: Mapping[str, Purpose] = PURPOSES,
) -> Agreement:
    """An unsigned agreement of one year from `today`, with the budgets and report dimensions of names.md.

    `purposes` are (purpose, level) pairs. What is left out is filled with the partner's id at a reserved
    domain (`<partner>.example`), to be edited before anybody signs. Raises Refused as `decode` does.
    """
    host = re.sub(r"[^a-z0-9]+", "-", partner.lower()).strip("-") + ".example"
    day = today.isoformat()
    try:
        end = today.replace(year=today.year + 1) - datetime.timedelta(days=1)
    except ValueError:  # 29 February
        end = today + datetime.timedelta(days=365)
    document = {
        "schema": SCHEMA,
        "id": id or f"{partner[:58]}-{today.year}",
        "version": 1,
        "partner": {
            "id": partner,
            "name": name or partner.replace("-", " ").title().strip(),
            "contact": contact or f"privacy@{host}",
            "jwks": {"keys": list(jwks)},
            "redirect_uris": list(redirect_uris) or [f"https://{host}/cb"],
            "operatives": operatives,
        },
        "purposes": [{"purpose": purpose, "level": level} for purpose, level in purposes],
        "budgets": {
            "people_per_day": 500,
            "new_people_per_day": 50,
            "messages_per_day": 20_000,
            "bytes_per_day": 50_000_000,
        },
        "report": {
            "anchor": day,
            "dimensions": {
                "interface": ["tv", "web", "phone"],
                "surface": ["detail", "credits"],
                "variant": ["card-on_platform", "card-off_platform"],
            },
            "valid_from": day,
            "valid_to": None,
            "grace_days": 3,
            "suspend_days": 7,
        },
        "link_destinations": list(link_destinations) or [f"https://{host}/title/"],
        "retention_days": 30,
        "term": {"from": day, "to": end.isoformat()},
        "interests": [],
        "approved_by": list(approved_by),
        "signatures": [],
    }
    return from_document(document, "new agreement", registry)


def sign(agreement: Agreement, key: Key) -> Agreement:
    """`agreement` with one signature more, by `key`; unchanged where that key has signed it already."""
    payload = agreement.payload()
    if any(_signed(token, key, payload, None) for token in agreement.terms.signatures):
        return agreement
    if len(agreement.terms.signatures) >= MAX_SIGNATURES:
        raise Conflict(Code.CONFLICT, f"the agreement has {MAX_SIGNATURES} signatures already")
    signatures = [*agreement.terms.signatures, key.sign(payload)]
    return from_document({**agreement.document, "signatures": signatures}, "agreement")


def check(agreement: Agreement, provider_jwks: Mapping[str, Any], *, at_s: int | None = None) -> Signatures:
    """Which side has signed `agreement`: the partner by a key that stands in it, the provider by one of
    `provider_jwks`. `at_s`, seconds since 1970, judges retired keys; None accepts them.

    A key that is both sides' counts for neither. A bad signature raises nothing: `problems` names its index.
    """
    payload = agreement.payload()
    partner, provider = _by_thumbprint(agreement.jwks()), _by_thumbprint(provider_jwks)
    shared = partner.keys() & provider.keys()
    problems = ["one key stands for both sides"] if shared else []
    signed: dict[str, str] = {}
    for i, token in enumerate(agreement.terms.signatures):
        for side, keys in (("partner", partner), ("provider", provider)):
            kid = next(
                (k.kid for t, k in keys.items() if t not in shared and _signed(token, k, payload, at_s)), None
            )
            if kid is not None:
                signed.setdefault(side, kid)
                break
        else:
            problems.append(f"signatures[{i}] is neither side's over these terms")
    return Signatures(signed.get("partner"), signed.get("provider"), tuple(problems))


def _signed(token: str, key: Key, payload: bytes, at_s: int | None) -> bool:
    try:
        return verify_jws(token, [key], at_s=at_s)[1] == payload
    except Invalid:
        return False


def _by_thumbprint(jwks: Mapping[str, Any]) -> dict[str, Key]:
    found: dict[str, Key] = {}
    for jwk in jwks.get("keys", ()):
        try:
            key = public_key(jwk)
        except Invalid:
            continue
        found[public_key({name: v for name, v in jwk.items() if name != "kid"}).kid] = key
    return found


def succeed(new: Agreement, old: Agreement) -> tuple[str, ...]:
    """What `new` raises over `old`, as names of fields, for the ledger; empty where it only narrows.

    Raises Conflict unless `new` is the next version of the same agreement with the same partner.
    """
    if (new.id, new.terms.partner.id) != (old.id, old.terms.partner.id) or new.version != old.version + 1:
        raise Conflict(
            Code.CONFLICT,
            f"version {old.version + 1} of the same id and partner must follow",
            version=old.version,
        )
    raised = [
        f"purposes.{t.purpose}" for t in new.terms.purposes if new.level(t.purpose) > old.level(t.purpose)
    ]
    for name in ("people_per_day", "new_people_per_day", "messages_per_day", "bytes_per_day"):
        if getattr(new.terms.budgets, name) > getattr(old.terms.budgets, name):
            raised.append(f"budgets.{name}")
    if new.terms.retention_days > old.terms.retention_days:
        raised.append("retention_days")
    if new.terms.term.to > old.terms.term.to:
        raised.append("term.to")
    if (old.terms.partner.operatives, new.terms.partner.operatives) == ("named", "any"):
        raised.append("partner.operatives")
    for name, before, after in (
        ("partner.redirect_uris", old.terms.partner.redirect_uris, new.terms.partner.redirect_uris),
        ("link_destinations", old.terms.link_destinations, new.terms.link_destinations),
    ):
        if set(after) - set(before):
            raised.append(name)
    if _by_thumbprint(new.jwks()).keys() - _by_thumbprint(old.jwks()).keys():
        raised.append("partner.jwks")
    return tuple(raised)
