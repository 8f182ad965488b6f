"""What has expired goes, in steps, and nothing before its time."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, insert, select

from byleave.store import asking, expiry, prepare
from tests.worlds import NOW, World

_SESSION = prepare(insert(asking.session))
_PROOF = prepare(insert(asking.proof_used))
_SESSIONS = prepare(select(func.count()).select_from(asking.session))
_PROOFS = prepare(select(func.count()).select_from(asking.proof_used))


def fill(tx: object, count: int, at: int) -> None:
    for n in range(count):
        hash = b"%8d" % n
        tx.run(_PROOF, hash=hash, expires_at=at)  # type: ignore[attr-defined]
        tx.run(
            _SESSION,
            hash=hash,
            kind="page",
            owner_id=None,
            handle=None,
            grant_id=None,
            csrf="",
            expires_at=at,
        )  # type: ignore[attr-defined]


def test_goes_once_it_has_expired(tmp_path: Path) -> None:
    store = World(tmp_path).store
    store.write(fill, expiry.STEP + 1, NOW)

    def left() -> tuple[int, int]:
        with store.read() as snapshot:
            return snapshot.value(_SESSIONS), snapshot.value(_PROOFS)

    run = expiry.job()
    assert store.write(run, NOW) is False and left() == (expiry.STEP + 1, expiry.STEP + 1)
    assert store.write(run, NOW + 1) is False, "it has just looked"
    later = NOW + expiry.EVERY_MS
    assert store.write(run, later) is True and left() == (expiry.STEP + 1, 1)
    assert store.write(run, later) is False and left() == (expiry.STEP + 1, 0)
    later = NOW + expiry.GRACE_MS + 2 * expiry.EVERY_MS
    assert store.write(run, later) is True and store.write(run, later) is False
    assert left() == (0, 0)
