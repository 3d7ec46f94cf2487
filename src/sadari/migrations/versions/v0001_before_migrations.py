"""The tables that sadari 0.1 made by itself. They are left alone where they are."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # only an INTEGER may be the number of a row there


def _text(*names: str, optional: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=optional) for name in names]


def upgrade() -> None:
    """Make what is missing."""
    _log()
    _memory()
    _server()


def _log() -> None:
    op.create_table(
        "events",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=False),
        *_text("run"),
        sa.Column("seq", sa.Integer(), nullable=False),
        *_text("time", "kind"),
        *_text("body", optional=True),
        *_text("salt", "content", "hash"),
        sa.UniqueConstraint("run", "seq"),
        if_not_exists=True,
    )
    op.create_table(
        "runs",
        sa.Column("run", sa.Text(), primary_key=True),
        *_text("user_id", "agent", "parent", "status", "started", "updated"),
        sa.Column("events", sa.Integer(), nullable=False),
        *_text("owner", "until"),
        if_not_exists=True,
    )
    op.create_index("runs_by_user", "runs", ["user_id", "started"], if_not_exists=True)
    op.create_index("runs_by_status", "runs", ["status", "started"], if_not_exists=True)
    op.create_table(
        "spending",
        *_text("user_id", "day"),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("money", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "day"),
        if_not_exists=True,
    )
    op.create_table(
        "head",
        sa.Column("one", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("id", NUMBER, nullable=False),
        *_text("hash"),
        sa.Column("writes", NUMBER, nullable=False),
        if_not_exists=True,
    )
    op.execute("INSERT INTO head (one, id, hash, writes) VALUES (1, 0, '', 0) ON CONFLICT DO NOTHING")


def _memory() -> None:
    op.create_table(
        "facts",
        *_text("user_id", "key", "text", "run", "message", "date", "expires"),
        sa.Column("trusted", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "key"),
        if_not_exists=True,
    )
    op.create_table(
        "summaries", *_text("user_id", "key", "text", "date"), sa.PrimaryKeyConstraint("user_id", "key"), if_not_exists=True
    )


def _server() -> None:
    op.create_table(
        "serve_keys",
        sa.Column("key", sa.Text(), primary_key=True),
        *_text("hash", "user_id", "role", "labels", "created", "expires", "revoked"),
        sa.Column("per_minute", sa.Integer()),
        sa.Column("concurrent", sa.Integer()),
        if_not_exists=True,
    )
    op.create_table(
        "serve_questions",
        *_text("user_id", "key", "digest", "run"),
        sa.Column("after_event", sa.Integer(), nullable=False),
        *_text("created"),
        sa.PrimaryKeyConstraint("user_id", "key"),
        if_not_exists=True,
    )
