"""Triggers that keep the totals of each viewer's connected accounts, whoever changes an account, however many at once.

SQLite has one writer: a viewer's totals are one row, which every change adds to.

On PostgreSQL they are the sum of any number of rows, its parts: a row that every change had to update would make writers
wait for each other, and deadlock as soon as one of them changes two accounts. A change inserts a part, in which it folds
those parts that nobody else is folding at the moment (SKIP LOCKED). So it never waits, and a viewer has as many parts as
there were writers at the same time: one, mostly.
"""

VALUES = {
    "active_accounts": "CASE WHEN {row}.status = 'ACTIVE' THEN 1 ELSE 0 END",
    "inactive_accounts": "CASE WHEN {row}.status = 'INACTIVE' THEN 1 ELSE 0 END",
    "expired_accounts": "CASE WHEN {row}.status = 'EXPIRED' THEN 1 ELSE 0 END",
    "accounts_needing_action": "CASE WHEN {row}.health_action IN ('RECONNECT', 'GRANT_SCOPES') THEN 1 ELSE 0 END",
    "total_followers": "coalesce({row}.follower_count, 0)",
    "total_likes": "coalesce({row}.likes_count, 0)",
    "total_videos": "coalesce({row}.video_count, 0)",
}
COUNTED = ("viewer_id", "disconnected_at", "status", "health_action", "follower_count", "likes_count", "video_count")
COLUMNS = ", ".join(VALUES)
CHANGES = {"INSERT": {"new": 1}, "UPDATE": {"old": -1, "new": 1}, "DELETE": {"old": -1}}  # what counts, and how


def statements(dialect: str) -> list[str]:
    make = _on_sqlite if dialect == "sqlite" else _on_postgresql
    return [statement for change, rows in CHANGES.items() for statement in make(change, rows)]


def _values(row: str, sign: int) -> str:
    return ", ".join(f"{sign} * ({value.format(row=row)}) AS {name}" for name, value in VALUES.items())


def _on_sqlite(change: str, rows: dict[str, int]) -> list[str]:
    name = f"account_totals_after_{change.lower()}"
    event, condition = change, ""
    if change == "UPDATE":
        before, after = (", ".join(f"{row}.{column}" for column in COUNTED) for row in ("old", "new"))
        event, condition = f"UPDATE OF {', '.join(COUNTED)}", f"WHEN ({before}) IS NOT ({after}) "
    added = ", ".join(f"{column} = {column} + excluded.{column}" for column in VALUES)
    body = "; ".join(
        f"INSERT INTO account_totals (viewer_id, part, {COLUMNS}) "
        f"SELECT {row}.viewer_id, '{0:032}', {_values(row, sign)} WHERE {row}.disconnected_at IS NULL "
        f"ON CONFLICT (viewer_id, part) DO UPDATE SET {added}"
        for row, sign in rows.items()
    )
    return [f"CREATE TRIGGER {name} AFTER {event} ON accounts {condition}BEGIN {body}; END"]


def _on_postgresql(change: str, rows: dict[str, int]) -> list[str]:
    name = f"account_totals_after_{change.lower()}"
    tables = " ".join(f"{row.upper()} TABLE AS {row}_rows" for row in rows)
    each = " UNION ALL ".join(
        f"SELECT viewer_id, {_values(f'{row}_rows', sign)} FROM {row}_rows WHERE disconnected_at IS NULL"
        for row, sign in rows.items()
    )
    sums = ", ".join(f"sum({column}) AS {column}" for column in VALUES)
    differs = " OR ".join(f"sum({column}) <> 0" for column in VALUES)
    return [
        f"""CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            WITH changed AS (SELECT viewer_id, {sums} FROM ({each}) AS each GROUP BY viewer_id HAVING {differs}),
            folded AS (
                DELETE FROM account_totals WHERE (viewer_id, part) IN (
                    SELECT viewer_id, part FROM account_totals WHERE viewer_id IN (SELECT viewer_id FROM changed)
                    FOR UPDATE SKIP LOCKED
                ) RETURNING viewer_id, {COLUMNS}
            )
            INSERT INTO account_totals (viewer_id, part, {COLUMNS})
            SELECT viewer_id, gen_random_uuid(), {sums}
            FROM (SELECT * FROM changed UNION ALL SELECT * FROM folded) AS parts GROUP BY viewer_id;
            RETURN NULL;
        END $$""",
        f"CREATE TRIGGER {name} AFTER {change} ON accounts REFERENCING {tables} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()",
    ]


def functions() -> list[str]:
    return [f"account_totals_after_{change.lower()}" for change in CHANGES]
