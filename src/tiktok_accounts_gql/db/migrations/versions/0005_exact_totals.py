"""Totals that cannot overflow, and what was stored beyond what the contract can tell.

A counter is added up in two parts: its lower 40 bits, which are all of any real one, and the rest. Neither sum overflows
with fewer than eight million accounts, whatever the counters are, and what goes in comes out again: a sum that overflowed
broke PostgreSQL's trigger, and made SQLite's total a rounded number for good. Totals that are wrong already are counted
anew. Counters beyond 2^53 - 1 or below 0, and links that are not https, become null.
"""

import sqlalchemy as sa
from alembic import op

from tiktok_accounts_gql.db.migrations import account_totals
from tiktok_accounts_gql.db.types import byte_ordered

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COUNTERS = {"followers": "follower_count", "likes": "likes_count", "videos": "video_count"}
LOWER_BITS = 40
LARGEST = 2**53 - 1

COUNTS = {
    "active_accounts": "CASE WHEN {row}.status = 'ACTIVE' THEN 1 ELSE 0 END",
    "inactive_accounts": "CASE WHEN {row}.status = 'INACTIVE' THEN 1 ELSE 0 END",
    "expired_accounts": "CASE WHEN {row}.status = 'EXPIRED' THEN 1 ELSE 0 END",
    "accounts_needing_action": "CASE WHEN {row}.health_action IN ('RECONNECT', 'GRANT_SCOPES') THEN 1 ELSE 0 END",
}
LOWER = {f"total_{name}": f"(coalesce({{row}}.{column}, 0) & {2**LOWER_BITS - 1})" for name, column in COUNTERS.items()}
UPPER = {f"total_{name}_upper": f"(coalesce({{row}}.{column}, 0) >> {LOWER_BITS})" for name, column in COUNTERS.items()}
VALUES = {**COUNTS, **LOWER, **UPPER}
COUNTED = ("viewer_id", "disconnected_at", "status", "health_action", "follower_count", "likes_count", "video_count")
CHANGES = {"INSERT": {"new": 1}, "UPDATE": {"old": -1, "new": 1}, "DELETE": {"old": -1}}  # what counts, and how
NAMES = ", ".join(VALUES)
NO_PART = {"sqlite": f"'{0:032}'", "postgresql": "gen_random_uuid()"}


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    begin(dialect)
    if dialect == "sqlite":
        create_table(VALUES)
    else:
        for name in UPPER:
            op.add_column("account_totals", sa.Column(name, sa.BigInteger(), nullable=False))
    for statement in on_sqlite() if dialect == "sqlite" else on_postgresql():
        op.execute(statement)
    mend()
    count_anew(dialect, VALUES)


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    begin(dialect)
    if dialect == "sqlite":
        create_table(account_totals.VALUES)
    else:
        for name in UPPER:
            op.drop_column("account_totals", name)
    for statement in account_totals.statements(dialect):
        if dialect == "sqlite":
            op.execute(statement)
        elif statement.startswith("CREATE FUNCTION"):  # the triggers stay
            op.execute(statement.replace("CREATE", "CREATE OR REPLACE", 1))
    count_anew(dialect, account_totals.VALUES)


def begin(dialect: str) -> None:
    """Nobody changes an account until this commits: on SQLite nobody can, once something was written."""
    if dialect == "postgresql":
        op.execute("LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE")
        op.execute("DELETE FROM account_totals")  # or the triggers would add to totals that are wrong
    else:
        for change in CHANGES:
            op.execute(f"DROP TRIGGER account_totals_after_{change.lower()}")
        op.drop_table("account_totals")  # SQLite keeps the words of an ALTER TABLE


def create_table(values: dict[str, str]) -> None:
    op.create_table(
        "account_totals",
        sa.Column("viewer_id", byte_ordered(255), nullable=False),
        sa.Column("part", sa.Uuid(), nullable=False),
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in values],
        sa.PrimaryKeyConstraint("viewer_id", "part"),
    )


def mend() -> None:
    for table in ("accounts", "snapshots"):
        for column in ("follower_count", "following_count", "likes_count", "video_count"):
            op.execute(f"UPDATE {table} SET {column} = NULL WHERE {column} > {LARGEST} OR {column} < 0")
    op.execute("UPDATE accounts SET profile_url = NULL WHERE lower(profile_url) NOT LIKE 'https://%'")


def count_anew(dialect: str, values: dict[str, str]) -> None:
    sums = ", ".join(f"sum({value.format(row='accounts')})" for value in values.values())
    op.execute("DELETE FROM account_totals")
    op.execute(
        f"INSERT INTO account_totals (viewer_id, part, {', '.join(values)}) SELECT viewer_id, {NO_PART[dialect]}, {sums} "
        "FROM accounts WHERE disconnected_at IS NULL GROUP BY viewer_id"
    )


def added(row: str, sign: int) -> str:
    return ", ".join(f"{sign} * ({value.format(row=row)}) AS {name}" for name, value in VALUES.items())


def on_sqlite() -> list[str]:
    sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in VALUES)
    before, after = (", ".join(f"{row}.{column}" for column in COUNTED) for row in ("old", "new"))
    events = {"UPDATE": f"UPDATE OF {', '.join(COUNTED)}"}
    conditions = {"UPDATE": f"WHEN ({before}) IS NOT ({after}) "}
    return [
        f"CREATE TRIGGER account_totals_after_{change.lower()} AFTER {events.get(change, change)} ON accounts "
        f"{conditions.get(change, '')}BEGIN "
        + "; ".join(
            f"INSERT INTO account_totals (viewer_id, part, {NAMES}) "
            f"SELECT {row}.viewer_id, {NO_PART['sqlite']}, {added(row, sign)} WHERE {row}.disconnected_at IS NULL "
            f"ON CONFLICT (viewer_id, part) DO UPDATE SET {sums}"
            for row, sign in rows.items()
        )
        + "; END"
        for change, rows in CHANGES.items()
    ]


def on_postgresql() -> list[str]:
    """As before, in other words: parts that nobody else is folding are folded. The triggers stay."""
    sums = ", ".join(f"sum({name}) AS {name}" for name in VALUES)
    differs = " OR ".join(f"sum({name}) <> 0" for name in VALUES)
    statements = []
    for change, rows in CHANGES.items():
        each = " UNION ALL ".join(
            f"SELECT viewer_id, {added(f'{row}_rows', sign)} FROM {row}_rows WHERE disconnected_at IS NULL"
            for row, sign in rows.items()
        )
        statements.append(
            f"""CREATE OR REPLACE FUNCTION account_totals_after_{change.lower()}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                WITH changed AS (SELECT viewer_id, {sums} FROM ({each}) AS each GROUP BY viewer_id HAVING {differs}),
                folded AS (
                    DELETE FROM account_totals WHERE (viewer_id, part) IN (
                        SELECT viewer_id, part FROM account_totals WHERE viewer_id IN (SELECT viewer_id FROM changed)
                        FOR UPDATE SKIP LOCKED
                    ) RETURNING viewer_id, {NAMES}
                )
                INSERT INTO account_totals (viewer_id, part, {NAMES})
                SELECT viewer_id, gen_random_uuid(), {sums}
                FROM (SELECT * FROM changed UNION ALL SELECT * FROM folded) AS parts GROUP BY viewer_id;
                RETURN NULL;
            END $$"""
        )
    return statements
