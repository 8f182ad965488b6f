"""The first schema.

Until the first release this revision follows `tables.py` and `bodies.py`; from then on it is frozen and every
change is a revision of its own.
"""

from alembic import op

from byleave.store import bodies, planner, shelf, tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    assert shelf.catalogue.metadata is tables.metadata
    for part in (tables.metadata, bodies.metadata):
        part.create_all(op.get_bind())
    planner.plant(op.get_bind())


def downgrade() -> None:
    raise NotImplementedError("a store is never downgraded; restore a backup")
