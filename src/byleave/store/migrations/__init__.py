"""One history of the schema for both databases (Alembic). `upgrade` brings a store to the newest revision."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection

PAGE_BYTES = 8192
"""A key order table keeps a row in its page up to a quarter of it: with SQLite's 4096 most fragments spill."""


def upgrade(path: Path) -> None:
    """Makes or upgrades the SQLite store at `path` to the newest revision; one transaction a revision."""
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _settings(raw: object, _: object) -> None:
        raw.execute(f"PRAGMA page_size={PAGE_BYTES}")  # type: ignore[attr-defined]
        raw.execute("PRAGMA journal_mode=WAL")  # type: ignore[attr-defined]

    with engine.begin() as connection:
        command.upgrade(_config(connection), "head")
    engine.dispose()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config
