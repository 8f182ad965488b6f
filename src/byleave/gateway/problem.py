"""One table: what went wrong inside → what each protocol says outside.

Rules of this file:

1. Every `Code` has one row here, and a row has a word for each protocol: RFC 9457 problem, JMAP method error
   (RFC 8620 §3.6.2), OAuth error (RFC 6749 §5.2 and its extensions). A test demands it.
2. What is no `ByleaveError` becomes 500 / serverFail with an incident id. Its text never leaves, and the log
   gets the kind of error and the place in our code, never its text: that may quote content.
3. Texts come from `ByleaveError.detail`, which is built from codes and numbers alone (errors.py, rule 2).
"""

from __future__ import annotations

import logging
import traceback
from typing import Any, NamedTuple

import orjson

from byleave.errors import ByleaveError, Code, Exhausted, one_line

PROBLEMS = "https://byleave.example/problems/"
JMAP_ERRORS = "urn:ietf:params:jmap:error:"
CONTENT_TYPE = "application/problem+json"
_log = logging.getLogger("byleave")


class Row(NamedTuple):
    """How one code is told. `status` is the HTTP status outside OAuth's own endpoints, `oauth_status`
    there."""

    status: int
    jmap: str
    oauth: str
    oauth_status: int
    title: str


TABLE: dict[Code, Row] = {
    Code.UNKNOWN_FORMAT: Row(400, "invalidArguments", "invalid_request", 400, "The format is not known"),
    Code.SEVERAL_FORMATS: Row(400, "invalidArguments", "invalid_request", 400, "Several formats fit"),
    Code.AMBIGUOUS: Row(400, "invalidArguments", "invalid_request", 400, "It can be read in several ways"),
    Code.MALFORMED: Row(400, "invalidArguments", "invalid_request", 400, "It cannot be read"),
    Code.TRUNCATED: Row(400, "invalidArguments", "invalid_request", 400, "It ends too early"),
    Code.UNSAFE_ARCHIVE: Row(400, "invalidArguments", "invalid_request", 400, "The archive is not safe"),
    Code.TOO_LARGE: Row(413, "requestTooLarge", "invalid_request", 413, "It is too large"),
    Code.EMPTY: Row(400, "invalidArguments", "invalid_request", 400, "There is nothing in it"),
    Code.NOT_FOUND: Row(404, "notFound", "invalid_request", 404, "Not found"),
    Code.WRONG_MODE: Row(403, "forbidden", "access_denied", 403, "Not in a store of this mode"),
    Code.INVALID_REQUEST: Row(
        400, "invalidArguments", "invalid_request", 400, "The request breaks its protocol"
    ),
    Code.INVALID_ARGUMENTS: Row(400, "invalidArguments", "invalid_request", 400, "An argument is not valid"),
    Code.INVALID_CLIENT: Row(401, "forbidden", "invalid_client", 401, "The client is not known"),
    Code.INVALID_GRANT: Row(400, "forbidden", "invalid_grant", 400, "The grant is not valid"),
    Code.INVALID_PROOF: Row(401, "forbidden", "invalid_dpop_proof", 400, "The proof is not valid"),
    Code.USE_NONCE: Row(401, "forbidden", "use_dpop_nonce", 400, "The proof needs this server's nonce"),
    Code.INVALID_TOKEN: Row(401, "forbidden", "invalid_token", 401, "The token is not valid"),
    Code.INVALID_SCOPE: Row(403, "forbidden", "invalid_scope", 400, "The scope is not valid"),
    Code.INVALID_DETAILS: Row(
        400,
        "invalidArguments",
        "invalid_authorization_details",
        400,
        "The authorization details are not valid",
    ),
    Code.INVALID_SIGNATURE: Row(400, "forbidden", "invalid_client", 401, "The signature is not valid"),
    Code.ABSENT: Row(404, "notFound", "invalid_request", 404, "Not found"),
    Code.DENIED: Row(403, "forbidden", "access_denied", 403, "Refused"),
    Code.SUSPENDED: Row(403, "forbidden", "access_denied", 403, "The agreement is suspended"),
    Code.CONFLICT: Row(409, "stateMismatch", "invalid_request", 409, "The state does not allow it"),
    Code.REPORT_OVERDUE: Row(403, "forbidden", "access_denied", 403, "A fortnightly report is overdue"),
    Code.INVALID_REPORT: Row(422, "invalidArguments", "invalid_request", 400, "The report breaks its rules"),
    Code.DUPLICATE_REPORT: Row(
        409, "stateMismatch", "invalid_request", 409, "Another report stands in its place"
    ),
    Code.BUDGET: Row(429, "forbidden", "slow_down", 429, "The budget is used up"),
    Code.CROWDED: Row(429, "forbidden", "slow_down", 429, "Too many at once"),
    Code.UNAVAILABLE: Row(503, "serverUnavailable", "temporarily_unavailable", 503, "Try again"),
}

FAILED = Row(500, "serverFail", "server_error", 500, "It failed here")


class Answer(NamedTuple):
    """An error as HTTP carries it."""

    status: int
    body: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()


def type_of(code: Code) -> str:
    """The problem type URI of a code (RFC 9457 §3.1.1)."""
    return PROBLEMS + code.value


def answer(error: ByleaveError, status: int | None = None) -> Answer:
    """`error` as a problem (RFC 9457), with Retry-After where it says when."""
    row = TABLE[error.code]
    code = status or row.status
    body = {"type": type_of(error.code), "title": row.title, "status": code, "detail": one_line(error.detail)}
    return Answer(code, orjson.dumps(body), CONTENT_TYPE, _retry(error))


def plain(status: int, slug: str, title: str, **more: Any) -> Answer:
    """A problem that no code stands for: a path, a method or a feature that is not there."""
    body = {"type": PROBLEMS + slug, "title": title, "status": status, **more}
    return Answer(status, orjson.dumps(body), CONTENT_TYPE)


def oauth(error: ByleaveError) -> Answer:
    """`error` as OAuth's endpoints tell it (RFC 6749 §5.2); a fact `oauth` says it more closely than its
    code."""
    row = TABLE[error.code]
    body = {"error": error.facts.get("oauth", row.oauth), "error_description": ascii_only(error.detail)}
    return Answer(row.oauth_status, orjson.dumps(body), "application/json", _retry(error))


def method_error(error: ByleaveError) -> dict[str, Any]:
    """`error` as the arguments of a JMAP `error` response (RFC 8620 §3.6.2)."""
    return {"type": TABLE[error.code].jmap, "description": one_line(error.detail)}


def challenge(error: ByleaveError | None, metadata: str, algorithms: tuple[str, ...]) -> str:
    """WWW-Authenticate of a 401 at the resource (RFC 9449 §7.1; `resource_metadata`: RFC 9728 §5.1)."""
    parts = []
    if error is not None:
        parts.append(f'error="{TABLE[error.code].oauth}"')
        parts.append(f'error_description="{ascii_only(error.detail)}"')
    parts.append(f'algs="{" ".join(algorithms)}"')
    parts.append(f'resource_metadata="{metadata}"')
    return "DPoP " + ", ".join(parts)


def incident(error: BaseException, id: str) -> Answer:
    """Anything else: 500 with an incident id. The log gets the id, the kind of error and where in our
    code."""
    note_incident(error, id)
    body = {
        "type": PROBLEMS + "incident",
        "title": FAILED.title,
        "status": FAILED.status,
        "detail": f"tell the operator this number: {id}",
        "instance": f"urn:byleave:incident:{id}",
    }
    return Answer(FAILED.status, orjson.dumps(body), CONTENT_TYPE)


def incident_method_error(error: BaseException, id: str) -> dict[str, Any]:
    """As `incident`, inside a JMAP response."""
    note_incident(error, id)
    return {"type": FAILED.jmap, "description": f"incident {id}"}


def note_incident(error: BaseException, id: str) -> None:
    """One line in the log: id, kind of error, files and lines. Never the error's text."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = " < ".join(f"{f.filename.rsplit('/', 2)[-1]}:{f.lineno}" for f in reversed(frames))
    _log.error("incident %s: %s at %s", id, type(error).__name__, where)


def ascii_only(text: str) -> str:
    """What may stand in error_description (RFC 6749 §5.2: %x20-21 / %x23-5B / %x5D-7E)."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "'" if c in "\"'`" else "?" for c in text)


def _retry(error: ByleaveError) -> tuple[tuple[str, str], ...]:
    if isinstance(error, Exhausted):
        return (("Retry-After", str(error.retry_after_s)),)
    return (("Retry-After", "1"),) if error.code is Code.UNAVAILABLE else ()
