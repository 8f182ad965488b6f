"""The tree against known roots and a slow tree; every proof for every size; names of tiles."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.errors import Absent, Invalid
from byleave.ledger import tiles
from byleave.ledger.tiles import Tile, Tiles, Tree, leaf_hash, node_hash, verify_consistency, verify_inclusion

PROFILE = settings(derandomize=True, max_examples=40, deadline=None)

# The leaves and roots that certificate-transparency and its descendants test with.
CT_LEAVES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def slow_root(entries: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word."""
    if not entries:
        return tiles.EMPTY_ROOT
    if len(entries) == 1:
        return leaf_hash(entries[0])
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return node_hash(slow_root(entries[:k]), slow_root(entries[k:]))


def grown(size: int, step: int | None = None) -> tuple[Tree, dict[str, bytes], list[bytes]]:
    tree, stored, entries = Tree(), {}, [i.to_bytes(3) * 11 for i in range(size)]
    for i, entry in enumerate(entries):
        assert tree.append(entry) == i
        if step and i % step == 0:
            stored.update((tile.name, data) for tile, data in tree.flush())
    stored.update((tile.name, data) for tile, data in tree.flush())
    return tree, stored, entries


def test_known_roots() -> None:
    tree = Tree()
    assert tree.root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for leaf, root in zip(CT_LEAVES, CT_ROOTS, strict=True):
        tree.append(bytes.fromhex(leaf))
        assert tree.root().hex() == root


def test_known_proofs() -> None:
    """Inclusion and consistency proofs of the same eight leaves, as RFC 6962 §2.1.3 draws them for seven."""
    hashes = [leaf_hash(bytes.fromhex(leaf)) for leaf in CT_LEAVES[:7]]
    a, b, c, d, _, _, j = hashes
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(hashes[4], hashes[5])
    k, m = node_hash(g, h), node_hash(i, j)
    stored = {"tile/0/000.p/7": b"".join(hashes)}
    log = Tiles(7, stored.__getitem__)
    assert log.inclusion(0) == [b, h, m]
    assert log.inclusion(3) == [c, g, m]
    assert log.inclusion(4) == [hashes[5], j, k]
    assert log.inclusion(6) == [i, k]
    assert log.consistency(3) == [c, d, g, m]
    assert log.consistency(4) == [m]
    assert log.consistency(6) == [i, j, k]


def test_every_size_up_to_300() -> None:
    tree, stored, entries = grown(300)
    log = Tiles(300, stored.__getitem__)
    roots = [slow_root(entries[:size]) for size in range(301)]
    assert tree.root() == roots[300]
    for size in range(301):
        assert log.root(size) == roots[size]
        path = log.consistency(size)
        assert verify_consistency(size, 300, roots[size], roots[300], path)
        assert not verify_consistency(size, 300, roots[size - 1], roots[300], path)
        for index in {0, 1, size // 3, size // 2, size - 2, size - 1} if size > 1 else range(size):
            steps = log.inclusion(index, size)
            assert verify_inclusion(entries[index], index, size, steps, roots[size])
            assert not verify_inclusion(entries[index] + b"x", index, size, steps, roots[size])
            if size > 1:
                assert not verify_inclusion(entries[index], (index + 1) % size, size, steps, roots[size])
                assert not verify_inclusion(entries[index], index, size, steps[:-1], roots[size])
                assert not verify_inclusion(entries[index], index, size, [*steps, steps[0]], roots[size])


@PROFILE
@given(st.data())
def test_consistency_between_any_two_sizes(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 700))
    tree, stored, entries = grown(size)
    old = data.draw(st.integers(0, size))
    log = Tiles(size, stored.__getitem__)
    before, after, path = slow_root(entries[:old]), tree.root(), log.consistency(old)
    assert verify_consistency(old, size, before, after, path)
    if path:
        step, bit = divmod(data.draw(st.integers(0, len(path) * 256 - 1)), 256)
        bent = list(path)
        bent[step] = bytes(b ^ (1 << bit % 8 if i == bit // 8 else 0) for i, b in enumerate(path[step]))
        assert not verify_consistency(old, size, before, after, bent)
    # Every tree continues the empty one.
    assert verify_consistency(old, size, before, bytes(32), path) == (old == 0)


def test_odd_proofs_are_false_not_errors() -> None:
    root = bytes(32)
    assert not verify_inclusion(b"", 0, 0, [], root)
    assert not verify_inclusion(b"", -1, 5, [], root)
    assert not verify_inclusion(b"", 0, 2, [b"short"], root)
    assert not verify_consistency(5, 3, root, root, [])
    assert not verify_consistency(-1, 3, root, root, [])
    assert not verify_consistency(2, 3, root, root, [b"short"])
    assert not verify_consistency(3, 7, root, root, [])
    assert not verify_consistency(4, 4, root, bytes(31) + b"1", [])
    assert not verify_consistency(0, 4, root, root, [])
    assert not verify_consistency(0, 0, root, root, [])


@PROFILE
@given(st.integers(0, 1500), st.integers(1, 300))
def test_a_tree_goes_on_where_it_stopped(first: int, more: int) -> None:
    tree, stored, _ = grown(first, step=101)
    again = Tree.restore(first, stored.__getitem__, tree.root())
    for i in range(more):
        tree.append(b"%d" % i)
        again.append(b"%d" % i)
    assert again.root() == tree.root()
    assert dict(again.flush()) == dict(tree.flush())


def test_restoring_from_wrong_tiles() -> None:
    tree, stored, _ = grown(600)
    stored["tile/0/002.p/88"] = bytes(32) + stored["tile/0/002.p/88"][32:]
    with pytest.raises(Invalid):
        Tree.restore(600, stored.__getitem__, tree.root())
    stored["tile/0/002.p/88"] = b"short"
    with pytest.raises(Invalid):
        Tree.restore(600, stored.__getitem__)
    del stored["tile/0/002.p/88"]
    with pytest.raises(Absent):
        Tree.restore(600, stored.__getitem__)


def test_tiles_of_70_000() -> None:
    """The example of tlog-tiles."""
    names = [tile for tile in tiles.tiles_of(70_000) if tile.level >= 0]
    widths = {level: [t.width for t in names if t.level == level] for level in range(3)}
    assert widths == {0: [256] * 273 + [112], 1: [256, 17], 2: [1]}
    assert [t.name for t in tiles.tiles_of(256)] == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]
    assert list(tiles.tiles_of(0)) == []
    later = [t.name for t in tiles.tiles_of(600, after=300)]
    assert later == [
        "tile/entries/001",
        "tile/entries/002.p/88",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
    ]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 600])
def test_flush_gives_what_must_be_stored(size: int) -> None:
    tree, stored, _ = grown(size)
    assert sorted(stored) == sorted(tile.name for tile in tiles.tiles_of(size))
    assert tree.flush() == []


def test_a_partial_tile_is_read_from_the_full_one() -> None:
    _, stored, entries = grown(300)
    log = Tiles(200, stored.__getitem__)
    assert log.root() == slow_root(entries[:200])
    assert log.entries(0) == entries[:200]


def test_names() -> None:
    assert Tile(0, 1234067).name == "tile/0/x001/x234/067"
    assert Tile(63, 999, 1).name == "tile/63/999.p/1"
    assert Tile(-1, 1000, 255).name == "tile/entries/x001/000.p/255"
    for tile in (Tile(0, 1234067), Tile(63, 999, 1), Tile(-1, 1000, 255), Tile(1, 0)):
        assert Tile.named(tile.name) == tile
    for odd in (
        "",
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/001",
        "tile/0/001/x234",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000/",
        "tile/0/../000",
        "tile/0/000\n",
        "tile/0/٠٠٠",
        "tile/data/000",
        "tile/0/" + "x000/" * 200 + "000",
    ):
        with pytest.raises(Invalid):
            Tile.named(odd)


@PROFILE
@given(st.lists(st.binary(max_size=300), max_size=20), st.binary(max_size=3))
def test_bundles(entries: list[bytes], more: bytes) -> None:
    packed = tiles.pack_bundle(entries)
    assert tiles.unpack_bundle(packed, len(entries)) == entries
    for odd, width in (
        (packed + b"\0", len(entries)),
        (packed, len(entries) + 1),
        (packed[:-1], len(entries)),
    ):
        if odd or width:
            with pytest.raises(Invalid):
                tiles.unpack_bundle(odd, width)


def test_an_entry_that_is_too_long() -> None:
    with pytest.raises(Invalid):
        Tree().append(bytes(65_536))
    with pytest.raises(Invalid):
        tiles.pack_bundle([bytes(65_536)])
    with pytest.raises(Invalid):
        Tiles(5, dict[str, bytes]().__getitem__).inclusion(5)
