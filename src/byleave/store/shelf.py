"""Tables of titles and signals: the shelf (catalogues, sensitive flags) and what each grant's view knows of titles.

Words: an `edition` is one state of one catalogue; `catalogue` says which one stands, so that a new one is written
beside the old and takes its place in one step. A sitting is what people said to each other at a stretch: one UTC
day of a chat (days since 1970), or a whole mail conversation (-1).
"""

from __future__ import annotations

from sqlalchemy import Index, PrimaryKeyConstraint

from byleave.store.schema import blob, number, table, words

catalogue = table(
    "catalogue",
    words("partner"),  # "" is the store's own: the titles that are looked for
    number("edition"),
    number("at"),
    blob("digest"),  # of the file's titles: the same file again changes nothing
    number("titles"),
    words("format"),
    PrimaryKeyConstraint("partner"),
    kind="reference",
)
title = table(
    "title",
    number("edition"),
    words("title_id"),
    words("title"),
    number("year"),
    words("names"),  # JSON: its titles in other languages
    words("popularity"),  # a decimal number
    PrimaryKeyConstraint("edition", "title_id"),
    kind="reference",
)
partner_title = table(
    "partner_title",
    words("partner"),
    number("edition"),
    words("title_id"),  # as the partner names it
    words("same_as"),  # the store's own title_id
    PrimaryKeyConstraint("partner", "edition", "title_id"),
    Index("partner_title_same", "partner", "edition", "same_as"),
    kind="reference",
)
title_flag = table(
    "title_flag",
    number("number"),
    words("title_id"),
    words("theme"),
    number("on"),
    words("by_one"),  # two operators, never the same
    words("by_two"),
    number("at"),
    PrimaryKeyConstraint("number"),
    kind="reference",
)
"""Every change of a sensitive flag, in order."""

view_signal = table(
    "view_signal",
    blob("owner_id"),
    blob("grant_id"),
    number("born"),  # of the grant's own sequence
    number("conversation"),
    number("sitting"),
    number("handle"),
    words("title_id"),
    words("stance"),
    words("confidence"),
    number("day"),
    PrimaryKeyConstraint("owner_id", "grant_id", "born"),
    Index("view_signal_sitting", "owner_id", "grant_id", "conversation", "sitting"),
)
"""What a grant knows of titles: written by `view.signals`, from what it may see and nothing else."""

view_signal_gone = table(
    "view_signal_gone",
    blob("owner_id"),
    blob("grant_id"),
    number("died"),
    number("born"),
    PrimaryKeyConstraint("owner_id", "grant_id", "died", "born"),
)
view_signal_of = table(
    "view_signal_of",
    blob("owner_id"),
    blob("grant_id"),
    number("born"),
    blob("id"),
    number("handle"),
    PrimaryKeyConstraint("owner_id", "grant_id", "born", "id"),
)
"""The messages behind a signal and who wrote them. They stay when it goes: a reading of it is told to everybody
whose words it came from."""

view_signal_voice = table(
    "view_signal_voice",
    blob("owner_id"),
    blob("grant_id"),
    number("handle"),
    number("conversation"),
    number("sitting"),
    PrimaryKeyConstraint("owner_id", "grant_id", "handle", "conversation", "sitting"),
    Index("view_signal_voice_sitting", "owner_id", "grant_id", "conversation", "sitting"),
)
"""Whose visible words a sitting was judged by: what goes with a no of theirs."""

signal_due = table(
    "signal_due",
    blob("owner_id"),
    blob("grant_id"),
    number("conversation"),
    number("sitting"),
    PrimaryKeyConstraint("owner_id", "grant_id", "conversation", "sitting"),
)
"""Sittings whose signals a grant has still to make."""

signal_correction = table(
    "signal_correction",
    blob("owner_id"),  # the person whom the signals are of
    words("title_id"),
    words("stance"),  # "" where it is removed
    number("at"),
    PrimaryKeyConstraint("owner_id", "title_id"),
)
"""What a person says of their own signals: it stands in every grant's view."""

ranked_today = table(
    "ranked_today",
    blob("owner_id"),
    words("partner"),
    number("day"),
    number("rankings"),
    PrimaryKeyConstraint("owner_id", "partner", "day"),
)
