"""Idempotency keys: a repeated mutation answers as the first one did."""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import idempotency
from tiktok_accounts_gql.db.database import Session
from tiktok_accounts_gql.db.models import IdempotencyKey
from tiktok_accounts_gql.errors import IdempotencyKeyReused, InvalidInput
from tiktok_accounts_gql.services.viewer import Viewer

MAX_KEY_LENGTH = 255
KEY_LIFETIME = timedelta(hours=24)
FIELD = ("input", "idempotencyKey")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotentCall:
    """A mutation, its input, and the answer that it will have if its transaction commits."""

    operation: str
    input: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyService:
    """Stores each key in the transaction of the mutation: the key is stored if, and only if, that commits."""

    clock: Clock

    async def find_earlier_answer(
        self, session: Session, viewer: Viewer, key: str | None, call: IdempotentCall
    ) -> str | None:
        """Return the answer of the same call before; None if this is the first one, or has no key.

        Waits for a transaction of another process that holds the same key. Raises InvalidInput for a malformed key and
        IdempotencyKeyReused for a key that came with another input.
        """
        if not key:
            return None
        if len(key) > MAX_KEY_LENGTH or not key.isprintable():
            raise InvalidInput(f"`idempotencyKey` has {MAX_KEY_LENGTH} printable characters at most.", field=FIELD)
        now = self.clock()
        await idempotency.delete_before(session, viewer.id, now - KEY_LIFETIME)
        row = IdempotencyKey(
            viewer_id=viewer.id,
            key=key,
            operation=call.operation,
            input_hash=sha256(call.input.encode()).digest(),
            answer=call.answer,
            created_at=now,
        )
        earlier = await idempotency.reserve(session, row)
        if earlier is None:
            return None
        if (earlier.operation, earlier.input_hash) != (row.operation, row.input_hash):
            raise IdempotencyKeyReused(field=FIELD)
        return earlier.answer
