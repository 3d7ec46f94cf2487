"""What people judge and do beside asking: reviews, blind comparisons with their ratings, and acts of those who administer."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def upgrade() -> None:
    """Make what is new."""
    op.create_table(
        "serve_reviews",
        *_text("run"),
        sa.Column("question", sa.Integer(), nullable=False),
        *_text("who", "decision", "text", "picked", "time"),
        sa.PrimaryKeyConstraint("run", "question"),
        if_not_exists=True,
    )
    op.create_table(
        "serve_blind",
        sa.Column("name", sa.Text(), primary_key=True),
        *_text("title", "first", "second"),
        sa.Column("seed", sa.Integer(), nullable=False),
        *_text("made_by", "created", "pairs"),
        if_not_exists=True,
    )
    op.create_table(
        "serve_blind_ratings",
        *_text("comparison"),
        sa.Column("pair", sa.Integer(), nullable=False),
        *_text("rater", "choice", "first_right", "second_right", "note", "time"),
        sa.PrimaryKeyConstraint("comparison", "pair", "rater"),
        if_not_exists=True,
    )
    op.create_table(
        "serve_acts",
        sa.Column("id", sa.Text(), primary_key=True),
        *_text("time", "done_by", "act", "done_on", "detail"),
        if_not_exists=True,
    )
