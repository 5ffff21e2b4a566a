"""The definitions of a database's tables and indexes, in a canonical form."""

import re

from sqlalchemy import text

from tiktok_accounts_gql.db.database import Database

OUTER_COMMA = re.compile(r", (?![^()]*\))")
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
    """Return the lines of each definition by its name."""
    async with db.read() as session:
        rows = await session.execute(text(queries[db.engines[0].dialect.name]))
        return {name: lines(definition or "") for name, definition in rows}


def lines(definition: str) -> set[str]:
    """Split a definition into lines, so that definitions with the same columns and constraints are equal."""
    before, opening, body = definition.partition("(")
    if not before.startswith("CREATE TABLE"):
        return {" ".join(line.split()).removesuffix(",").rstrip() for line in definition.splitlines()}
    parts, depth = [before], 0
    for char in opening + body:
        depth += (char == "(") - (char == ")")
        if depth == 1 and char in "(,":
            parts.append("")
        else:
            parts[-1] += char
    parts[-1] = parts[-1].rstrip().removesuffix(")")
    return {" ".join(part.split()) for part in parts}
