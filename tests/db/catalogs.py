"""What a database says about its tables, in an order that depends on nothing."""

import re

from sqlalchemy import text

from tiktok_accounts_gql.db.database import Database

OTHERS = "'alembic_version', 'sqlite_stat1', 'sqlite_stat4'"
INDEXES = {
    "sqlite": f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name NOT IN ({OTHERS})",
    "postgresql": f"SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT IN ({OTHERS})",
}
CONSTRAINTS = {
    "sqlite": f"SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT IN ({OTHERS})",
    "postgresql": "SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint "
    f"WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT IN ({OTHERS})",
}
COLUMNS = {
    "sqlite": "SELECT t.name || '.' || c.name, json_array(c.type, c.\"notnull\", c.dflt_value, c.pk) "
    f"FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT IN ({OTHERS})",
    "postgresql": "SELECT table_name || '.' || column_name, json_build_array(data_type, character_maximum_length, "
    "collation_name, is_nullable, column_default)::text FROM information_schema.columns "
    f"WHERE table_schema = 'public' AND table_name NOT IN ({OTHERS})",
}


async def read(db: Database, queries: dict[str, str]) -> dict[str, set[str]]:
    """Name -> lines of its definition."""
    async with db.read() as session:
        found = await session.execute(text(queries[db.engines[0].dialect.name]))
        return {name: lines(definition or "") for name, definition in found}


def lines(definition: str) -> set[str]:
    """The same for tables whose columns and constraints are the same, in whatever order.

    SQLite writes columns that were added later behind the last constraint, on its line.
    """
    apart = re.sub(r"\), (?=[a-z_]+ [A-Z])", ")\n", definition)
    separate = re.sub(r"(?<=[A-Z0']), (?=[a-z_]+ [A-Z])", "\n", apart)
    return {" ".join(line.split()).removesuffix(",").rstrip() for line in separate.splitlines()}
