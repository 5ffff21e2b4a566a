"""Repeated calls that answer as the first one did."""

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
LIFETIME = timedelta(hours=24)
FIELD = ("input", "idempotencyKey")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A mutation with its input, and what it will answer if it succeeds."""

    operation: str
    input: str
    answer: str


class IdempotencyService:
    """Remembers calls in the transaction of what they do: the key is kept if, and only if, that commits."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    async def earlier_answer(self, session: Session, viewer: Viewer, key: str | None, call: Call) -> str | None:
        """What the same call answered before; None if this is the first one, or has no key.

        A call in another process is waited for. Raises InvalidInput for a key that is none, IdempotencyKeyReused for one that
        came with another input.
        """
        if not key:
            return None
        if len(key) > MAX_KEY_LENGTH or not key.isprintable():
            raise InvalidInput(f"`idempotencyKey` has {MAX_KEY_LENGTH} printable characters at most.", field=FIELD)
        now = self._clock()
        await idempotency.delete_before(session, viewer.id, now - LIFETIME)
        mine = IdempotencyKey(
            viewer_id=viewer.id,
            key=key,
            operation=call.operation,
            input_hash=sha256(call.input.encode()).digest(),
            answer=call.answer,
            created_at=now,
        )
        earlier = await idempotency.reserve(session, mine)
        if earlier is not None and (earlier.operation, earlier.input_hash) != (mine.operation, mine.input_hash):
            raise IdempotencyKeyReused(field=FIELD)
        return None if earlier is None else earlier.answer
