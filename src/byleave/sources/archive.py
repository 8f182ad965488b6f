"""An export as a file, a folder or a zip, read in place, with caps.

Rules of this file:

1. `Export` shows all three alike: `names` (relative, `/`-separated, sorted), `open(name)` for a binary
   stream, `head(name)` for its first bytes. A single file is an export with one name. Nothing is ever
   unpacked to disk.
2. What could reach outside the export or hide in it is refused before a byte is read: symbolic links,
   absolute names, `..`, names twice, encrypted members, members that overlap, anything that is no regular
   file.
3. Bombs are refused by the archive's own figures (members, bytes, ratio), and a member that yields more than
   it declared is refused while it is read.
4. What operating systems leave behind (`__MACOSX`, `.DS_Store`, `._*`, `Thumbs.db`, `desktop.ini`) does not
   exist.
5. Every error of zipfile, zlib and the operating system becomes `Refused`.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from byleave.errors import Code, Refused

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_MEMBERS = 500_000
MAX_BYTES = 64 << 30
MAX_RATIO = 200
"""Unpacked bytes a packed byte. Chats pack 5 to 30 to 1; deflate's own limit is 1,032."""
RATIO_FREE_BYTES = 1 << 20
"""Members up to this size may have any ratio: they cannot hurt."""

_LITTER = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_LOCAL_HEADER = 30
_BUFFER = 1 << 18


class Export:
    """One path that a person handed us. Raises Refused where it is missing, unsafe or unreadable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name or path.resolve().name or "."
        self.bytes_read = 0
        """Bytes handed out so far over all streams, for progress."""
        self._files: dict[str, tuple[Path, int]] = {}
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._zip: zipfile.ZipFile | None = None
        with self._refusing(""):
            mode = path.stat().st_mode
            self.is_folder = stat.S_ISDIR(mode)
            if self.is_folder:
                self._list_folder()
            elif not stat.S_ISREG(mode):
                raise self.refused(
                    Code.UNSAFE_ARCHIVE, "", "is no regular file", "hand over a file, folder or zip"
                )
            elif _is_zip(path):
                self._list_zip()
            else:
                self._files[self.name] = (path, path.stat().st_size)
        self._names = sorted(self._members if self._zip else self._files)

    @property
    def is_zip(self) -> bool:
        return self._zip is not None

    @property
    def names(self) -> list[str]:
        """Members, sorted; for a single file its own name."""
        return self._names

    def open(self, name: str) -> BinaryIO:
        """A buffered stream over one member; its reads raise Refused. KeyError for an unknown name."""
        with self._refusing(name):
            raw: IO[bytes]
            if self._zip is not None:
                info = self._members[name]
                raw = self._zip.open(info)
            else:
                path, _ = self._files[name]
                raw = path.open("rb", buffering=0)
                if not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):  # swapped since it was listed
                    raise self.refused(Code.UNSAFE_ARCHIVE, name, "is no regular file", "")
        return cast(BinaryIO, io.BufferedReader(_Stream(self, name, raw), _BUFFER))

    def head(self, name: str, size: int = 65536) -> bytes:
        """The first `size` bytes of one member."""
        with self.open(name) as stream:
            return stream.read(size)

    def size(self, name: str) -> int:
        """Bytes of one member as it will be read (for progress)."""
        return self._members[name].file_size if self._zip is not None else self._files[name][1]

    def refused(self, code: Code, name: str, problem: str, remedy: str, place: str = "") -> Refused:
        """A refusal that names the member inside the export, if there is more than one to name."""
        inside = name if name and (self.is_folder or self._zip is not None) else ""
        return Refused(code, self.name, ", ".join(p for p in (inside, place) if p), problem, remedy)

    # -- listing --

    def _list_folder(self) -> None:
        total = 0
        for folder, folders, files in os.walk(self.path, onerror=_raise):
            folders[:] = sorted(f for f in folders if not _is_litter(f))
            for name in folders + sorted(files):
                path = Path(folder) / name
                relative = path.relative_to(self.path).as_posix()
                mode = path.lstat().st_mode
                if stat.S_ISDIR(mode) or _is_litter(relative):
                    continue
                if not stat.S_ISREG(mode):
                    what = "is a symbolic link" if stat.S_ISLNK(mode) else "is no regular file"
                    raise self.refused(Code.UNSAFE_ARCHIVE, relative, what, "take it out of the folder")
                size = path.lstat().st_size
                total += size
                self._files[relative] = (path, size)
                if len(self._files) > MAX_MEMBERS or total > MAX_BYTES:
                    raise self.refused(Code.TOO_LARGE, "", "holds too much", _too_much())

    def _list_zip(self) -> None:
        self._zip = archive = zipfile.ZipFile(self.path)
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS:
            raise self.refused(Code.TOO_LARGE, "", "holds too many members", _too_much())
        packed_size = self.path.stat().st_size
        total, end = 0, 0
        for info in sorted(infos, key=lambda i: i.header_offset):
            name = info.filename.replace("\\", "/")
            self._check_member(info, name)
            # Two members in the same bytes: how the densest bombs are built, and never what a zipper writes.
            if info.header_offset < end or info.header_offset + info.compress_size > packed_size:
                raise self.refused(
                    Code.UNSAFE_ARCHIVE, name, "overlaps another member", "pack the export anew"
                )
            end = info.header_offset + _LOCAL_HEADER + info.compress_size
            total += info.file_size
            if name.endswith("/") or _is_litter(name):
                continue
            if name in self._members:
                raise self.refused(
                    Code.UNSAFE_ARCHIVE, name, "stands in the zip twice", "pack the export anew"
                )
            self._members[name] = info
        if total > MAX_BYTES or (total > 64 * RATIO_FREE_BYTES and total > MAX_RATIO * packed_size):
            raise self.refused(Code.TOO_LARGE, "", "unpacks to too much", _too_much())

    def _check_member(self, info: zipfile.ZipInfo, name: str) -> None:
        parts = name.rstrip("/").split("/")
        if name.startswith("/") or ".." in parts or not name.strip("/") or ":" in parts[0][1:2]:
            raise self.refused(
                Code.UNSAFE_ARCHIVE, name, "has a name that leads outside", "pack the export anew"
            )
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise self.refused(
                Code.UNSAFE_ARCHIVE, name, "is a symbolic link or device", "pack the export anew"
            )
        if info.flag_bits & _ENCRYPTED:
            raise self.refused(Code.UNSAFE_ARCHIVE, name, "is encrypted", "unpack it with its password first")
        if info.compress_type not in _METHODS:
            raise self.refused(
                Code.UNSAFE_ARCHIVE,
                name,
                "is packed in a way we do not read",
                "unpack it and hand over the folder",
            )
        if info.file_size > max(RATIO_FREE_BYTES, MAX_RATIO * info.compress_size):
            raise self.refused(
                Code.TOO_LARGE,
                name,
                f"unpacks to more than {MAX_RATIO} times its size",
                "unpack it and hand over the folder, if you trust it",
            )

    @contextmanager
    def _refusing(self, name: str) -> Iterator[None]:
        """Turns what the zip reader and the operating system raise into Refused."""
        try:
            yield
        except FileNotFoundError:
            raise self.refused(Code.NOT_FOUND, name, "is not there", "check the path") from None
        except PermissionError:
            raise self.refused(Code.NOT_FOUND, name, "may not be read", "check its permissions") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, struct.error):
            raise self.refused(Code.TRUNCATED, name, "is a damaged zip", "fetch the export again") from None
        except (NotImplementedError, RuntimeError):
            raise self.refused(
                Code.UNSAFE_ARCHIVE,
                name,
                "is packed in a way we do not read",
                "unpack it and hand over the folder",
            ) from None
        except (OSError, ValueError, UnicodeError) as error:
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "unreadable"
            raise self.refused(Code.MALFORMED, name, f"could not be read ({why})", "") from None


class _Stream(io.RawIOBase):
    """One member, with errors turned into Refused and bytes counted."""

    def __init__(self, export: Export, name: str, raw: IO[bytes]) -> None:
        self._export, self._name, self._raw = export, name, raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        with self._export._refusing(self._name):
            piece = self._raw.read(len(view))
        view[: len(piece)] = piece
        self._export.bytes_read += len(piece)
        return len(piece)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def _is_litter(name: str) -> bool:
    parts = name.split("/")
    return "__MACOSX" in parts or parts[-1].startswith("._") or parts[-1].lower() in _LITTER


def _raise(error: OSError) -> None:
    raise error


def _too_much() -> str:
    return f"at most {MAX_MEMBERS} members and {MAX_BYTES >> 30} GiB; import the part that you mean"
