"""Where a secret could have left a trace, and in which shapes."""

import asyncio
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import make_url

from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.wiring import Running


def shapes(secret: str) -> set[bytes]:
    """In lower case: raw, hex, URL-encoded, and in base64 wherever in a longer text it stands."""
    raw = secret.encode()
    everywhere = "".join(f"%{byte:02x}" for byte in raw).encode()
    shown = {raw, raw.hex().encode(), quote(secret, safe="").encode(), everywhere}
    for before in range(3):
        length = before + len(raw)
        certain = slice((8 * before + 5) // 6, 8 * length // 6)  # characters that hold no bit of a neighbour
        shown |= {encode(bytes(before) + raw)[certain] for encode in (b64encode, urlsafe_b64encode)}
    return {shape.lower() for shape in shown}


def traces(secrets: Iterable[str], place: bytes) -> set[str]:
    """Which of the secrets stand in a place, in any shape."""
    lowered = place.lower()
    return {secret for secret in secrets if any(shape in lowered for shape in shapes(secret))}


async def stored_bytes(running: Running, settings: Settings) -> bytes:
    """Everything in the database: every value of every table, and SQLite's files as they are on the disk."""
    values = b"\n".join([value async for value in _values(running)])
    url = make_url(settings.database_url)
    if url.get_backend_name() != "sqlite":
        return values
    file = Path(str(url.database))
    return values + await on_disk(*sorted(file.parent.glob(f"{file.name}*")))


async def on_disk(*files: Path) -> bytes:
    """By another process: closing a file drops all locks that this process has on it, which SQLite relies on."""
    reader = await asyncio.create_subprocess_exec("cat", *files, stdout=asyncio.subprocess.PIPE)
    content, _ = await reader.communicate()
    assert reader.returncode == 0
    return content


async def _values(running: Running) -> AsyncGenerator[bytes]:
    async with running.db.read() as session:
        connection = await session.connection()
        for table in await connection.run_sync(_tables):
            for row in await session.execute(text(f"SELECT * FROM {table}")):
                for value in row:
                    yield value if isinstance(value, bytes) else str(value).encode()


def _tables(connection: Connection) -> list[str]:
    """Of all schemas: the job engine has one of its own on PostgreSQL."""
    inspector = inspect(connection)
    schemas = [name for name in inspector.get_schema_names() if name != "information_schema"]
    return [f'"{schema}"."{table}"' for schema in schemas for table in inspector.get_table_names(schema)]
