"""Everything that is sealed, sealed anew with the first key, while servers run.

Each row is opened with the key that sealed it and replaced only if it did not change meanwhile; a server's own write of
the same row is sealed with the first key already. A run that was interrupted is continued by the next one. A value that
does not open stays as it is: its key may come back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tiktok_accounts_gql.crypto import SealBroken, Sealer
from tiktok_accounts_gql.db import sealed_tables
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.sealed_tables import SealedTable

BATCH = 200
BEFORE_ALL = UUID(int=0)


@dataclass(slots=True, kw_only=True)
class Rotated:
    """How many rows were sealed anew, and which have a value that does not open: by table and account."""

    count: int = 0
    unreadable: list[tuple[str, UUID | None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotation:
    """Needs a sealer with the new key first and the old ones behind it."""

    db: Database
    sealer: Sealer

    async def run(self) -> Rotated:
        rotated = Rotated()
        for table in sealed_tables.TABLES:
            await self._table(table, rotated)
        return rotated

    async def _table(self, table: SealedTable, rotated: Rotated) -> None:
        after = BEFORE_ALL
        while True:
            async with self.db.transaction() as session:
                rows = await sealed_tables.list_by_other_keys(
                    session, table, key_id=self.sealer.key_id, after=after, limit=BATCH
                )
                anew = [self._anew(table, row, rotated) for row in rows]
                done = [
                    await sealed_tables.replace(session, table, row, new)
                    for row, new in zip(rows, anew, strict=True)
                    if new
                ]
            rotated.count += sum(done)
            if not rows:
                return
            after = getattr(rows[-1], table.id)

    def _anew(self, table: SealedTable, row: Any, rotated: Rotated) -> Mapping[str, bytes]:
        """Those of the row's values that open, sealed by the first key."""
        values = {}
        for name in table.columns:
            if (old := getattr(row, name)) is None:
                continue
            try:
                values[name] = self._sealed_anew(table, row, name, old)
            except SealBroken:
                if not rotated.unreadable or rotated.unreadable[-1] != (table.name, row.account_id):
                    rotated.unreadable.append((table.name, row.account_id))
        return values

    def _sealed_anew(self, table: SealedTable, row: Any, name: str, old: bytes) -> bytes:
        place = table.get_location(row, name)
        return self.sealer.seal(self.sealer.open(old, place), place)
