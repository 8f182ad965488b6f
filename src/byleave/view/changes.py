"""What has changed in a view since a state: by the grant's own sequence, which only visible changes move.

Numbers above `since` are read in order from the rows that came and the rows that went, so a client that asks in
steps never hears of something created after it was destroyed (RFC 8620 §5.2).
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import bindparam, func, select

from byleave.store import Snapshot, prepare
from byleave.store.tables import view_gone, view_row

_CAME = prepare(
    select(view_row.c.born, view_row.c.thread, view_row.c.mailbox)
    .where(
        view_row.c.owner_id == bindparam("owner_id"), view_row.c.grant_id == bindparam("grant_id"),
        view_row.c.born > bindparam("since"),
    )
    .order_by(view_row.c.born)
    .limit(bindparam("n"))
)  # fmt: skip
_WENT = prepare(
    select(view_gone.c.died, view_gone.c.born, view_gone.c.thread, view_gone.c.mailbox)
    .where(
        view_gone.c.owner_id == bindparam("owner_id"), view_gone.c.grant_id == bindparam("grant_id"),
        view_gone.c.died > bindparam("since"),
    )
    .order_by(view_gone.c.died)
    .limit(bindparam("n"))
)  # fmt: skip
_LEFT_IN_THREAD = prepare(
    select(func.count(), func.min(view_row.c.born)).where(
        view_row.c.owner_id == bindparam("owner_id"), view_row.c.grant_id == bindparam("grant_id"),
        view_row.c.thread == bindparam("thread"),
    )
)  # fmt: skip


class Changes(msgspec.Struct, frozen=True):
    """Numbers (born, thread or mailbox) that came, changed and went; `seq` is the state they lead to."""

    created: list[int]
    updated: list[int]
    destroyed: list[int]
    seq: int
    more: bool


def of_emails(snapshot: Snapshot, mine: dict[str, Any], since: int, seq: int, most: int) -> Changes:
    """Rows that came and went after `since`, at most `most` of them."""
    if since == seq:
        return Changes([], [], [], seq, False)
    came = snapshot.all(_CAME, **mine, since=since, n=most + 1)
    went = snapshot.all(_WENT, **mine, since=since, n=most + 1)
    acts = sorted([(b, "came", b) for b, *_ in came] + [(d, "went", b) for d, b, *_ in went])
    more = len(acts) > most
    to = acts[most - 1][0] if more else seq
    created = [b for n, act, b in acts if n <= to and act == "came"]
    destroyed = [b for n, act, b in acts if n <= to and act == "went" and b <= since]
    return Changes(created, [], destroyed, to, more)


def of_threads(snapshot: Snapshot, mine: dict[str, Any], since: int, seq: int, most: int) -> Changes | None:
    """Threads that came, changed and went; None where there are more than `most`."""
    return _groups(snapshot, mine, since, seq, most)


def _groups(snapshot: Snapshot, mine: dict[str, Any], since: int, seq: int, most: int) -> Changes | None:
    if since == seq:
        return Changes([], [], [], seq, False)
    came = snapshot.all(_CAME, **mine, since=since, n=-1)
    went = snapshot.all(_WENT, **mine, since=since, n=-1)
    touched = {t for _, t, _ in came} | {t for _, b, t, _ in went}
    lost_before = {t for _, b, t, _ in went if b <= since}
    created, updated, destroyed = [], [], []
    for thread in sorted(touched):
        left, oldest = snapshot.one(_LEFT_IN_THREAD, **mine, thread=thread) or (0, None)
        was = thread in lost_before or (left and oldest <= since)
        if left and was:
            updated.append(thread)
        elif left:
            created.append(thread)
        elif was:
            destroyed.append(thread)
    if len(touched) > most:
        return None
    return Changes(created, updated, destroyed, seq, False)
