"""What Alembic runs: the revisions in versions/, on the connection that ksmith hands over.

There is no alembic.ini: ksmith/store/migrate.py makes the configuration in code, so that a
checkout and an installed wheel behave the same.
"""

from alembic import context
from sqlmodel import SQLModel

from ksmith.store import tables

assert tables.NodeTable.metadata is SQLModel.metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,  # SQLite cannot alter most things: the table is copied
)
# No transaction of its own: the caller's holds the change and the record that it was made.
context.run_migrations()
