"""Alembic's entry: runs the revisions over the connection that `upgrade` hands in."""

from alembic import context

from byleave.store import bodies, tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=[tables.metadata, bodies.metadata],
)
with context.begin_transaction():
    context.run_migrations()
