"""Triggers by which the database refuses to change rows: a real error that no code expects."""

from uuid import UUID, uuid4

from sqlalchemy import text

from tiktok_accounts_gql.db.database import Database


def literal(db: Database, key: UUID) -> str:
    """Return a UUID as it is written in a statement."""
    return f"'{key.hex}'" if db.engines[0].dialect.name == "sqlite" else f"'{key}'::uuid"


async def refuse(db: Database, change: str, table: str, when: str) -> None:
    """Make the database refuse a change: INSERT, UPDATE or DELETE of the rows for which `when` is true, of NEW and OLD."""
    name = f"refused_{uuid4().hex}"
    if db.engines[0].dialect.name == "sqlite":
        statements = [
            f"CREATE TRIGGER {name} BEFORE {change} ON {table} WHEN {when} BEGIN SELECT RAISE(ABORT, 'broken row'); END"
        ]
    else:
        statements = [
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken row'; END $$",
            f"CREATE TRIGGER {name} BEFORE {change} ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()",
        ]
    async with db.transaction() as session:
        for statement in statements:
            await session.execute(text(statement))
