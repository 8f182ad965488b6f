"""Tables of recalls: what a partner was shown, must delete, and says that it has."""

from __future__ import annotations

from sqlalchemy import PrimaryKeyConstraint

from byleave.store.schema import blob, number, table, words

recall = table(
    "recall",
    blob("owner_id"),
    blob("recall_id"),
    blob("grant_id"),
    words("agreement_id"),
    words("partner"),
    number("by_owner"),  # 1: the owner ended the grant
    number("messages"),
    number("made_at"),
    number("due_at"),
    words("notice"),  # compact JWS by the provider
    number("answered_at", null=True),
    words("answer", null=True),  # compact JWS by the partner
    PrimaryKeyConstraint("owner_id", "recall_id"),
)
recall_of = table(
    "recall_of",
    blob("owner_id"),
    number("handle"),
    blob("recall_id"),
    number("messages"),
    PrimaryKeyConstraint("owner_id", "handle", "recall_id"),
)
"""Whose words a recall is about, inbox by inbox."""

recall_place = table(
    "recall_place",
    words("agreement_id"),
    blob("recall_id"),
    blob("owner_id"),
    PrimaryKeyConstraint("agreement_id", "recall_id"),
    kind="session",
)
"""Whose part of the store a recall lies in: a partner lists its own over all inboxes."""

recalled = table(
    "recalled",
    blob("owner_id"),
    blob("grant_id"),
    number("seq"),  # rows that died up to here have been looked at
    number("ended"),  # 1: the owner ended it, and all of it was called back
    number("read_until"),  # readings up to this time are in `shown`
    blob("shown"),  # zlib of a bit for every number of the grant that a reading named
    PrimaryKeyConstraint("owner_id", "grant_id"),
)
"""How far the follower of recalls has come with a grant."""
