"""The only room that speaks to a database. It knows no meaning.

Six verbs: `Store.open`, `read`, `write`, `stream`, `watch`, `close`. Statements are Core expressions, module
constants of the room that gives them meaning, compiled to text once (`prepare.py`). This package never names
the body tables: who cannot name a table cannot read a body (`bodies.py`, protected by contract).
"""

from byleave.store.prepare import Prepared, among, compile_all, prepare
from byleave.store.sqlite import Snapshot, Store, Transaction

__all__ = ["Prepared", "Snapshot", "Store", "Transaction", "among", "compile_all", "prepare"]
