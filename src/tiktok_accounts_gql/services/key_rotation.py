"""Seals every stored secret again with the first key, while servers run.

Each row is opened with the key that sealed it, and replaced only if it has not changed in between: a running server seals
its own writes with the first key already. An interrupted run is continued by the next one. A value that does not open is
left as it is, because its key may be configured again.
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
class RotationResult:
    """The number of rows that were sealed again, and the table and account of each value that did not open."""

    count: int = 0
    unreadable: list[tuple[str, UUID | None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotation:
    """Seals all rows again. Its sealer has the new key first and the old ones behind it."""

    db: Database
    sealer: Sealer

    async def run(self) -> RotationResult:
        result = RotationResult()
        for table in sealed_tables.TABLES:
            await self._rotate_table(table, result)
        return result

    async def _rotate_table(self, table: SealedTable, result: RotationResult) -> None:
        after = BEFORE_ALL
        while True:
            async with self.db.transaction() as session:
                rows = await sealed_tables.list_by_other_keys(
                    session, table, key_id=self.sealer.key_id, after=after, limit=BATCH
                )
                sealed_rows = [(row, self._seal_again(table, row, result)) for row in rows]
                replaced = [
                    await sealed_tables.replace(session, table, row, values) for row, values in sealed_rows if values
                ]
            result.count += sum(replaced)
            if not rows:
                return
            after = getattr(rows[-1], table.id)

    def _seal_again(self, table: SealedTable, row: Any, result: RotationResult) -> Mapping[str, bytes]:
        """Return the row's values that open, sealed with the first key, by column."""
        values = {}
        for column in table.columns:
            if (value := getattr(row, column)) is None:
                continue
            place = table.get_location(row, column)
            try:
                values[column] = self.sealer.seal(self.sealer.open(value, place), place)
            except SealBroken:
                if not result.unreadable or result.unreadable[-1] != (table.name, row.account_id):
                    result.unreadable.append((table.name, row.account_id))
        return values
