"""Download of a blob (RFC 8620 §6.2): a message of the view, or one of its parts.

What is hidden, foreign or never existed is one answer, `Absent`. The caller sends it as an attachment with
`Cache-Control: no-store`: a copy in a cache would outlive a no.
"""

from __future__ import annotations

import re

from byleave.errors import Absent, Code
from byleave.sources.parts import Message
from byleave.view import View

_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
_UNSAFE = re.compile(r"[/\\:*?\"<>|;%\x00-\x1f\x7f]")


def download(
    view: View, account_id: str, blob_id: str, name: str, accept: str | None
) -> tuple[bytes, str, str]:
    """(bytes, content type, file name). The type asked for is the type sent; without one it is the part's
    own. The name is the client's, safe to stand in a header and in a folder. Raises Absent."""
    blob = view.blob(blob_id) if account_id == view.account_id else None
    if blob is None:
        raise _absent()
    content, own = blob.message, "message/rfc822"
    if blob.part:
        message = Message(blob.message)
        if blob.part > message.count:
            raise _absent()
        part = message.leaves[blob.part - 1]
        content, own = message.content(part), part.type
    kind = accept if accept is not None else own
    return content, kind if _TYPE.fullmatch(kind) else "application/octet-stream", safe_name(name)


def _absent() -> Absent:
    return Absent(Code.ABSENT, "no such blob")


def safe_name(name: str) -> str:
    """`name` without what a header or a file system takes for something else; never empty, never a dot
    file."""
    clean = _UNSAFE.sub("_", "".join(c if c.isprintable() else "_" for c in name)).strip(". ")[:120]
    return clean or "download"
