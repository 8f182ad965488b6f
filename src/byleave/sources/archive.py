"""An export as a file, a folder or a zip, read in place, with caps.

`Export` shows all three alike: `names` (relative, `/`-separated, sorted), `open(name)` for a binary stream,
`head(name)` for its first bytes. A single file is an export with one name. Nothing is ever unpacked to disk;
symbolic links, absolute names, `..`, bombs and encrypted members are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO


class Export:
    """One path that a person handed us."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    @property
    def names(self) -> list[str]:
        """Members, sorted; for a single file its own name."""
        raise NotImplementedError

    def open(self, name: str) -> BinaryIO:
        """A stream over one member."""
        raise NotImplementedError

    def head(self, name: str, size: int = 65536) -> bytes:
        """The first `size` bytes of one member."""
        with self.open(name) as stream:
            return stream.read(size)

    def size(self, name: str) -> int:
        """Bytes of one member as it will be read (for progress)."""
        raise NotImplementedError
