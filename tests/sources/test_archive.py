"""Files, folders and zips shown alike; what is unsafe is refused by name."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.errors import Code, Refused
from byleave.sources import archive, recognise
from byleave.sources.archive import Export


def packed(path: Path, members: dict[str, bytes], **kwargs: int) -> Path:
    with zipfile.ZipFile(path, "w", kwargs.get("method", zipfile.ZIP_DEFLATED)) as zipped:
        for name, data in members.items():
            zipped.writestr(name, data)
    return path


def refusal(path: Path) -> Refused:
    with pytest.raises(Refused) as caught:
        export = Export(path)
        for name in export.names:
            with export.open(name) as stream:
                while stream.read(1 << 20):
                    pass
    line = str(caught.value)
    assert line.startswith(path.name) and line.isprintable() and str(path.parent) not in line
    return caught.value


def test_file_folder_and_zip_show_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "b.txt").write_bytes(b"one")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._b.txt").write_bytes(b"x")
    zipped = packed(tmp_path / "x.zip", {"a/b.txt": b"one", "__MACOSX/a/._b.txt": b"x", "a/.DS_Store": b"x"})
    for path in (folder, zipped):
        export = Export(path)
        assert export.names == ["a/b.txt"]
        assert export.head("a/b.txt", 2) == b"on" and export.size("a/b.txt") == 3
    single = Export(folder / "a" / "b.txt")
    assert single.names == ["b.txt"] and single.head("b.txt") == b"one" and single.bytes_read == 3


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "..\\x", "C:\\x", "C:/x"])
def test_names_that_lead_outside(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        zipped.writestr(info, b"x")
    assert refusal(path).code is Code.UNSAFE_ARCHIVE


def test_links_devices_twins_and_encryption(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as zipped:
        zipped.writestr(link, "/etc/hostname")
    assert "symbolic link" in str(refusal(tmp_path / "link.zip"))

    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as zipped, pytest.warns(UserWarning, match="Duplicate"):
        zipped.writestr("a", b"1")
        zipped.writestr("a", b"2")
    assert "twice" in str(refusal(tmp_path / "twice.zip"))

    data = bytearray(packed(tmp_path / "locked.zip", {"a": b"1"}).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    assert "encrypted" in str(refusal(tmp_path / "locked.zip"))

    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "out").symlink_to("/etc")
    assert "symbolic link" in str(refusal(folder))
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe").code is Code.UNSAFE_ARCHIVE
    assert refusal(tmp_path / "none").code is Code.NOT_FOUND


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = packed(tmp_path / "bomb.zip", {"a.json": b"0" * (8 << 20)})
    assert refusal(bomb).code is Code.TOO_LARGE
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    assert refusal(packed(tmp_path / "many.zip", {str(i): b"x" for i in range(4)})).code is Code.TOO_LARGE


def test_overlapping_members(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", {"a": b"x" * 200, "b": b"y" * 200}, method=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = struct.pack("<I", 0)  # the second member starts where the first does
    path.write_bytes(data)
    assert refusal(path).code is Code.UNSAFE_ARCHIVE


def test_a_lying_size_is_refused_while_reading(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", {"a": os.urandom(5000)})
    data = bytearray(path.read_bytes())
    central = data.rindex(b"PK\x01\x02")
    data[central + 24 : central + 28] = struct.pack("<I", 100)
    path.write_bytes(data)
    assert refusal(path).code is Code.TRUNCATED


@given(st.binary(max_size=400), st.integers(0, 399), st.integers(0, 255))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_any_bytes_refuse_or_read(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes, at: int, byte: int
) -> None:
    """Damaged zips and bytes that only begin like one never end in anything but Refused."""
    path = tmp_path_factory.mktemp("any") / "x.zip"
    good = bytearray(packed(path, {"a.txt": b"abc" * 20, "b/c.json": b"{}"}).read_bytes())
    good[at % len(good)] = byte
    for data in (b"PK\x03\x04" + tail, bytes(good), bytes(good[: at % len(good)])):
        path.write_bytes(data)
        try:
            export = Export(path)
            for name in export.names:
                with export.open(name) as stream:
                    stream.read()
            recognise(export)
        except Refused as refused:
            assert str(refused).isprintable()
