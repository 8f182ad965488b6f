"""One installation: a store, the keys beside it, and the mode that says who may decide for whom.

`create` makes both or neither; the mode is the first entry of the ledger (consent.md, "Stores"). The keys lie
in a folder beside the store, `byleave.db` → `byleave.keys/`, in files of mode 600.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
from sqlalchemy import bindparam, insert, select
from uuid_utils import uuid7

from byleave.errors import Code, Conflict, Refused
from byleave.keys import Keyring
from byleave.ledger import log
from byleave.model import Mode, Ms
from byleave.store import Store, Transaction, prepare, sqlite
from byleave.store.sqlite import Remote
from byleave.store.tables import setting, version

KEY_USES = {"agreement": "ES256", "ledger": "EdDSA", "receipt": "ES256"}
SECRETS = ("ids", "people")
"""`ids`: sub-keys of every grant's ids; `people`: persons and record ids."""

_SET = prepare(insert(setting))
_COUNTER = prepare(insert(version))
_GET = prepare(select(setting.c.value).where(setting.c.name == bindparam("name")))


class Installation(msgspec.Struct, frozen=True):
    """What every verb and the gateway work with."""

    store: Store
    keyring: Keyring
    mode: Mode
    ids: bytes
    """Secret that ids of grants are sealed with (32 bytes)."""
    people: bytes
    """Secret that persons and record ids are drawn with (32 bytes)."""


def keys_folder(path: Path) -> Path:
    return path.with_suffix(".keys")


def create(path: Path, mode: Mode, now: Ms, entropy: Callable[[int], bytes] = os.urandom) -> Installation:
    """Makes a store and its keys. Raises Conflict where one stands already; leaves nothing behind on
    failure."""
    from byleave.store import migrations

    folder = keys_folder(path)
    if path.exists() or folder.exists():
        raise Conflict(Code.CONFLICT, f"{path.name}: there is a store already; choose another --store")
    making = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        keyring = Keyring(folder)
        for use, algorithm in KEY_USES.items():
            keyring.create(use, algorithm)
        for name in SECRETS:
            keyring.create_secret(name, entropy)
        making.unlink(missing_ok=True)
        migrations.upgrade(making)
        connection = sqlite.connect(making)
        with sqlite.transaction(connection) as tx:
            _found(tx, mode, now, uuid7().bytes, entropy(32))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        making.replace(path)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):
                Path(f"{making}{suffix}").unlink()
        if isinstance(error, OSError | sqlite3.OperationalError):
            problem = (
                f"cannot be written ({getattr(error, 'strerror', None) or 'no store can be made there'})"
            )
            raise Refused(Code.NOT_FOUND, path.name, "", problem, "choose another --store") from None
        raise
    return open_installation(path)


def _found(tx: Transaction, mode: Mode, now: Ms, entry_id: bytes, salt: bytes) -> None:
    tx.run(_SET, name="mode", value=mode.value)
    tx.run(_SET, name="created_at", value=str(now))
    tx.run(_COUNTER, name="consent", number=0)
    tx.run(_COUNTER, name="claims", number=0)
    log.append(tx, log.STORE_OWNER, entry_id, "store", now, {"mode": mode.value}, salt)


def open_installation(path: Path, remote: Remote | None = None) -> Installation:
    """Opens a store and its keys. Raises Unavailable (no store), Refused (keys missing, unsafe or a foreign
    file)."""
    try:
        store = Store.open(path, remote)
        with store.read() as snapshot:
            mode = snapshot.value(_GET, name="mode")
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        mode = None
    if mode is None:
        raise Refused(
            Code.MALFORMED, path.name, "", "this is no store of byleave", "make one with `byleave init`"
        )
    keyring = Keyring(keys_folder(path))
    return Installation(store, keyring, Mode(mode), keyring.secret("ids"), keyring.secret("people"))
