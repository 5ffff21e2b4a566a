"""Everything that is sealed, sealed anew with the first key, while servers run.

Each row is opened with the key that sealed it and replaced only if it did not change meanwhile; a server's own write of
the same row is sealed with the first key already. A run that was interrupted is continued by the next one.
"""

from dataclasses import dataclass
from uuid import UUID

from tiktok_accounts_gql.crypto import Sealer
from tiktok_accounts_gql.db import sealed
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.sealed import SealedTable

BATCH = 200
BEFORE_ALL = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotation:
    """Needs a sealer with the new key first and the old ones behind it."""

    db: Database
    sealer: Sealer

    async def run(self) -> int:
        """Returns how many rows were sealed anew. Raises SealBroken for a value that none of the keys opens."""
        return sum([await self._table(table) for table in sealed.TABLES])

    async def _table(self, table: SealedTable) -> int:
        done, after = 0, BEFORE_ALL
        while True:
            async with self.db.transaction() as session:
                rows = await sealed.list_by_other_keys(
                    session, table, key_id=self.sealer.key_id, after=after, limit=BATCH
                )
                for row in rows:
                    done += await sealed.replace(session, table, row, self._anew(table, row))
            if not rows:
                return done
            after = getattr(rows[-1], table.id)

    def _anew(self, table: SealedTable, row: object) -> dict[str, bytes]:
        values = {name: getattr(row, name) for name in table.columns if getattr(row, name) is not None}
        places = {name: table.place(row, name) for name in values}
        return {
            name: self.sealer.seal(self.sealer.open(old, places[name]), places[name]) for name, old in values.items()
        }
