"""The errors of the house: what the caller can do about it, and no HTTP.

Rules of this file:

1. Every error carries a `Code`. `gateway/problem.py` is the only table that turns codes into wire errors.
2. Texts are built from codes, names of fields and numbers, never from the content of a message, a name or
   an address. A file name and a place in it are not content.
3. Inside a view there is no `Denied`: hidden, foreign and never existing are all `Absent` (DESIGN.md,
   invariant 3).
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """One word for each thing that can go wrong."""

    # input that people hand us
    UNKNOWN_FORMAT = "unknown-format"
    SEVERAL_FORMATS = "several-formats"
    AMBIGUOUS = "ambiguous"
    MALFORMED = "malformed"
    TRUNCATED = "truncated"
    UNSAFE_ARCHIVE = "unsafe-archive"
    TOO_LARGE = "too-large"
    EMPTY = "empty"
    NOT_FOUND = "not-found"
    WRONG_MODE = "wrong-mode"
    # protocol
    INVALID_REQUEST = "invalid-request"
    INVALID_ARGUMENTS = "invalid-arguments"
    INVALID_CLIENT = "invalid-client"
    INVALID_GRANT = "invalid-grant"
    INVALID_PROOF = "invalid-proof"
    USE_NONCE = "use-nonce"
    INVALID_TOKEN = "invalid-token"
    INVALID_SCOPE = "invalid-scope"
    INVALID_DETAILS = "invalid-authorization-details"
    INVALID_SIGNATURE = "invalid-signature"
    # state
    ABSENT = "absent"
    DENIED = "denied"
    SUSPENDED = "agreement-suspended"
    CONFLICT = "conflict"
    REPORT_OVERDUE = "report-overdue"
    INVALID_REPORT = "invalid-report"
    DUPLICATE_REPORT = "duplicate-report"
    BUDGET = "budget-exhausted"
    CROWDED = "too-many-at-once"
    UNAVAILABLE = "unavailable"


class ByleaveError(Exception):
    """Root of the tree. `str(error)` is one line that may be shown to whoever caused it."""

    def __init__(self, code: Code, detail: str = "", **facts: str | int) -> None:
        super().__init__(detail or code.value)
        self.code = code
        self.detail = detail or code.value
        self.facts = facts


class Refused(ByleaveError):
    """Input that we will not guess about: names the file, the place in it and the remedy."""

    def __init__(self, code: Code, file: str, place: str, problem: str, remedy: str) -> None:
        line = f"{file}: {place}: {problem}" if place else f"{file}: {problem}"
        super().__init__(code, one_line(f"{line}; {remedy}" if remedy else line))
        self.file, self.place, self.problem, self.remedy = file, place, problem, remedy


class Invalid(ByleaveError):
    """A request that breaks its protocol."""


class Denied(ByleaveError):
    """A refusal whose reason is public anyway (agreement suspended, output type not in the purpose)."""


class Absent(ByleaveError):
    """Not there: hidden, foreign and never existing alike."""


class Conflict(ByleaveError):
    """The state does not allow it (a code used twice, an idempotency key with another body)."""


class Exhausted(ByleaveError):
    """A budget is used up; `retry_after_s` seconds until the next one opens."""

    def __init__(self, code: Code, detail: str = "", *, retry_after_s: int, **facts: str | int) -> None:
        super().__init__(code, detail, **facts)
        self.retry_after_s = retry_after_s


class Unavailable(ByleaveError):
    """Try again: the writer is restarting, or consent moved three times during one answer."""


def one_line(text: str) -> str:
    """`text` without control, bidi or line-breaking characters, so that it can be printed as one line."""
    return "".join(c if c.isprintable() or c == " " else "�" for c in text)
