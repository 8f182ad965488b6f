"""Does a mail's provider vouch for its author? Authentication-Results (RFC 8601), of one provider that the person names.

Rules of this file (consent.md, "Sender authentication"):

1. Only the topmost field of that authserv-id is read: the provider writes above what came in, and takes out what came
   in under its own name (RFC 8601 §5). Fields of anybody else are words of strangers.
2. A mail is aligned where DMARC passed for the very domain of its From, or DKIM by a signature of that domain. SPF alone
   says who handed the mail over, not who wrote it. One result that says otherwise, and nothing is believed.
3. In doubt it is claimed: a field that does not parse, two authors, no domain.
"""

from __future__ import annotations

import re

_TOKEN = r"[A-Za-z0-9!#$%&'*+\-.^_`{|}~/@:]+"
_ID = re.compile(rf"\s*(?:\"([^\"\\]{{1,255}})\"|({_TOKEN}))(?:\s+\d+)?\s*\Z")
_METHOD = re.compile(r"\s*([A-Za-z0-9-]+)(?:\s*/\s*\d+)?\s*=\s*([A-Za-z0-9-]+)(?=\s|\Z)")
_PROPERTY = re.compile(
    rf"\s+([A-Za-z0-9-]+)\s*\.\s*([A-Za-z0-9-]+)\s*=\s*(?:\"([^\"\\]*)\"|({_TOKEN}))(?=\s|\Z)"
)
_REASON = re.compile(rf"\s+reason\s*=\s*(?:\"[^\"\\]*\"|{_TOKEN})(?=\s|\Z)")
LONGEST = 16_384


def aligned(fields: list[str], authserv_id: str, domain: str) -> bool:
    """Does the topmost of `fields` (values of Authentication-Results, unfolded, topmost first) that bears `authserv_id`
    vouch for an author at `domain` (lower case)?"""
    for field in fields:
        pieces = _pieces(field)
        named = _ID.match(pieces[0]) if pieces else None
        if named is not None and (named[1] or named[2]).lower() == authserv_id.lower():
            return bool(domain) and pieces is not None and _vouched(pieces[1:], domain)
        if pieces is None and authserv_id.lower() in field.lower():
            return False  # it may be the provider's, and cannot be read
    return False


def _vouched(results: list[str], domain: str) -> bool:
    """DMARC's word where there is one, else DKIM's."""
    dmarc: list[bool] = []
    dkim = False
    for result in results:
        found = _METHOD.match(result)
        if found is None:
            if result.strip().lower() in ("", "none"):
                continue
            return False
        method, verdict = found[1].lower(), found[2].lower()
        properties = _properties(result[found.end() :])
        if properties is None:
            return False
        if method == "dmarc":
            dmarc.append(verdict == "pass" and properties.get("header.from") == domain)
        elif method == "dkim":
            signer = properties.get("header.d") or properties.get("header.i", "").rpartition("@")[2]
            dkim |= verdict == "pass" and signer == domain
    return all(dmarc) if dmarc else dkim


def _properties(text: str) -> dict[str, str] | None:
    """ptype.property → value, lower case; None for what is no list of them."""
    found: dict[str, str] = {}
    at = 0
    while text[at:].strip():
        if reason := _REASON.match(text, at):
            at = reason.end()
            continue
        one = _PROPERTY.match(text, at)
        if one is None:
            return None
        name = f"{one[1]}.{one[2]}".lower()
        value = (one[3] if one[3] is not None else one[4]).lower()
        if found.setdefault(name, value) != value:
            return None
        at = one.end()
    return found


def _pieces(field: str) -> list[str] | None:
    """The field cut at its semicolons, comments out; None where quotes or comments do not close."""
    if len(field) > LONGEST:
        return None
    out: list[str] = [""]
    depth, quoted, escaped = 0, False, False
    for character in field:
        if escaped:
            escaped = False
        elif character == "\\" and (depth or quoted):
            escaped = True
        elif character == '"' and not depth:
            quoted = not quoted
        elif character == "(" and not quoted:
            depth += 1
        elif character == ")" and depth:
            depth -= 1
            out[-1] += " "
            continue
        elif character == ";" and not depth and not quoted:
            out.append("")
            continue
        if not depth:
            out[-1] += character
    return None if depth or quoted else out
