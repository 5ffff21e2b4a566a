"""Triggers that tell of every change of a viewer's accounts, whoever makes it: `db/changes.py` hears of it.

On SQLite they count the changes, a row for each viewer. On PostgreSQL, where such a row would make writers wait for each
other, they send a message, which leaves with the commit; messages that are equal are one.
"""

CHANNEL = "account_changes"
CHANGES = {"INSERT": ("new",), "UPDATE": ("old", "new"), "DELETE": ("old",)}  # whose rows are somebody's


def statements(dialect: str) -> list[str]:
    make = _on_sqlite if dialect == "sqlite" else _on_postgresql
    return [statement for change, rows in CHANGES.items() for statement in make(change, rows)]


def functions() -> list[str]:
    return [f"account_changes_after_{change.lower()}" for change in CHANGES]


def _on_sqlite(change: str, rows: tuple[str, ...]) -> list[str]:
    body = "; ".join(
        f"INSERT INTO account_changes (viewer_id, number) VALUES ({row}.viewer_id, 1) "
        "ON CONFLICT (viewer_id) DO UPDATE SET number = number + 1"
        for row in rows
    )
    return [f"CREATE TRIGGER account_changes_after_{change.lower()} AFTER {change} ON accounts BEGIN {body}; END"]


def _on_postgresql(change: str, rows: tuple[str, ...]) -> list[str]:
    """The address is `events.hash_viewer`."""
    name = f"account_changes_after_{change.lower()}"
    tables = " ".join(f"{row.upper()} TABLE AS {row}_rows" for row in rows)
    viewers = " UNION ".join(f"SELECT viewer_id FROM {row}_rows" for row in rows)
    address = "left(encode(sha256(convert_to(viewer_id, 'UTF8')), 'hex'), 32)"
    return [
        f"""CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_notify('{CHANNEL}', {address}) FROM ({viewers}) AS viewers;
            RETURN NULL;
        END $$""",
        f"CREATE TRIGGER {name} AFTER {change} ON accounts REFERENCING {tables} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()",
    ]
