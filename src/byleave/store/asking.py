"""Who is asking: tokens, sessions, the dialogue of authorisation, proofs used. Short-lived, found by a secret's hash,
joined with nothing."""

from __future__ import annotations

from sqlalchemy import Index, PrimaryKeyConstraint

from byleave.store.schema import blob, number, table, words

token = table(
    "token",
    blob("hash"),
    blob("owner_id"),
    blob("grant_id"),
    words("client_id", null=True),
    words("audience"),  # jmap, mcp
    words("jkt", null=True),  # RFC 7638 thumbprint of the DPoP key; null: bearer
    words("operative", null=True),
    words("scope"),
    number("issued_at"),
    number("expires_at"),
    number("revoked_at", null=True),
    PrimaryKeyConstraint("hash"),
    Index("token_of_grant", "owner_id", "grant_id"),
    Index("token_expiry", "expires_at"),
    kind="session",
)
session = table(
    "session",
    blob("hash"),
    words("kind"),  # signin (one-time link), page (cookie), agent (byleave mcp)
    blob("owner_id", null=True),
    words("handle", null=True),
    blob("grant_id", null=True),
    words("csrf"),
    number("expires_at"),
    PrimaryKeyConstraint("hash"),
    Index("session_expiry", "expires_at"),
    kind="session",
)
desk = table(
    "desk",
    blob("hash"),
    words("role"),  # partner, operator
    words("stage"),  # link (one-time), open (cookie)
    words("name"),  # the partner's id, the operator's name
    words("client_id", null=True),  # whose key asked for the link; null: the console made it
    words("operative", null=True),
    words("csrf"),
    number("expires_at"),
    PrimaryKeyConstraint("hash"),
    Index("desk_expiry", "expires_at"),
    kind="session",
)
"""Who is signed in to a page and is nobody of an inbox: a partner's developer, an operator."""

dialogue = table(
    "dialogue",
    blob("hash"),
    words("kind"),  # par, code, consent
    words("client_id"),
    words("body"),  # JSON
    number("expires_at"),
    number("used_at", null=True),
    PrimaryKeyConstraint("hash"),
    Index("dialogue_expiry", "expires_at"),
    kind="session",
)
"""Pushed requests and codes: found by the hash of the secret, used once."""

proof_used = table(
    "proof_used",
    blob("hash"),
    number("expires_at"),
    PrimaryKeyConstraint("hash"),
    Index("proof_used_expiry", "expires_at"),
    kind="session",
)
"""`jti`s of DPoP proofs and client assertions: unique over all workers (RFC 9449 §11.1)."""
