"""Searches for traces of secrets, in every common encoding, in the database and in files."""

import asyncio
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import make_url

from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import Running


def encode_variants(secret: str) -> set[bytes]:
    """Return the secret in lower case: raw, hex, URL-encoded, and in base64 at each offset within a longer text."""
    raw = secret.encode()
    percent_encoded = "".join(f"%{byte:02x}" for byte in raw).encode()
    variants = {raw, raw.hex().encode(), quote(secret, safe="").encode(), percent_encoded}
    for offset in range(3):
        length = offset + len(raw)
        own_characters = slice((8 * offset + 5) // 6, 8 * length // 6)  # characters that hold no bit of a neighbour
        variants |= {encode(bytes(offset) + raw)[own_characters] for encode in (b64encode, urlsafe_b64encode)}
    return {variant.lower() for variant in variants}


def find_traces(secrets: Iterable[str], content: bytes) -> set[str]:
    """Return those of the secrets that the content has, in any encoding."""
    lowered = content.lower()
    return {secret for secret in secrets if any(variant in lowered for variant in encode_variants(secret))}


async def read_database(running: Running, settings: Settings) -> bytes:
    """Return every value of every table, and SQLite's files as they are on the disk."""
    values = b"\n".join([value async for value in _iterate_values(running)])
    url = make_url(settings.database_url)
    if url.get_backend_name() != "sqlite":
        return values
    file = Path(str(url.database))
    return values + await read_files(*sorted(file.parent.glob(f"{file.name}*")))


async def read_files(*files: Path) -> bytes:
    """Read files by another process: closing a file drops all locks of this process on it, which SQLite relies on."""
    reader = await asyncio.create_subprocess_exec("cat", *files, stdout=asyncio.subprocess.PIPE)
    content, _ = await reader.communicate()
    assert reader.returncode == 0
    return content


async def _iterate_values(running: Running) -> AsyncGenerator[bytes]:
    async with running.db.read() as session:
        connection = await session.connection()
        for table in await connection.run_sync(_list_tables):
            for row in await session.execute(text(f"SELECT * FROM {table}")):
                for value in row:
                    yield value if isinstance(value, bytes) else str(value).encode()


def _list_tables(connection: Connection) -> list[str]:
    """List the tables of all schemas: the job engine has its own schema on PostgreSQL."""
    inspector = inspect(connection)
    schemas = [name for name in inspector.get_schema_names() if name != "information_schema"]
    return [f'"{schema}"."{table}"' for schema in schemas for table in inspector.get_table_names(schema)]
