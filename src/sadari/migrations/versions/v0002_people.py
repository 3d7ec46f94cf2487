"""People who sign in, their sessions, and keys with a scope and limits of a day."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def upgrade() -> None:
    """Add to the keys; make what is new."""
    op.add_column("serve_keys", sa.Column("tokens_per_day", sa.BigInteger()))
    op.add_column("serve_keys", sa.Column("money_per_day", sa.Double()))
    op.add_column("serve_keys", sa.Column("scope", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "serve_key_days",
        *_text("key", "day"),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("money", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", "day"),
    )
    op.create_table(
        "serve_people",
        sa.Column("user_id", sa.Text(), primary_key=True),
        *_text("hash", "role", "labels"),
        sa.Column("disabled", sa.Integer(), nullable=False),
        *_text("stamp", "subject", "created"),
    )
    op.create_table("serve_sessions", sa.Column("hash", sa.Text(), primary_key=True), *_text("user_id", "stamp", "used", "expires"))
