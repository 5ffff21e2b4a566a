"""What TikTok tells us: stored before it is answered, processed after, both any number of times with one effect.

Source: TikTok for Developers, "Webhooks". There is no event id: duplicates are known by the hash of the body. TikTok
repeats for up to 72 hours what was not answered with 200, so hashes are kept for a week.
"""

import asyncio
import hmac
import re
from datetime import timedelta
from hashlib import sha256

import structlog

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import webhooks
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import WebhookEvent
from tiktok_accounts_gql.errors import ServiceUnavailable
from tiktok_accounts_gql.services.removals import RemovalService
from tiktok_accounts_gql.services.webhook_bodies import event_name, read_removal
from tiktok_accounts_gql.tiktok.errors import TikTokError

KEPT = timedelta(days=7)
RETRY_EVERY = timedelta(seconds=10)
BATCH = 100
ASKED_FOR = timedelta(hours=72)  # as long as TikTok itself would try
LONGEST_PAUSE = timedelta(minutes=10)
_SIGNATURE = re.compile(r"t=(\d{1,12}),s=([0-9a-f]{64})")

log = structlog.get_logger()


class WebhookService:
    """Receives and processes them."""

    def __init__(
        self,
        *,
        db: Database,
        removals: RemovalService,
        client_secret: str,
        max_age: timedelta,
        clock: Clock,
    ) -> None:
        self._db = db
        self._removals = removals
        self._secret = client_secret.encode()
        self._max_age = max_age
        self._clock = clock
        self.arrived = asyncio.Event()
        self._pauses: dict[bytes, tuple[timedelta, float]] = {}

    def is_genuine(self, signature: str | None, body: bytes) -> bool:
        """HMAC-SHA256, keyed with the client secret, over `t.body`; compared in constant time, then the age."""
        match = _SIGNATURE.fullmatch(signature or "")
        if match is None:
            return False
        expected = hmac.digest(self._secret, match[1].encode() + b"." + body, "sha256").hex()
        age = abs(self._clock().timestamp() - int(match[1]))
        return hmac.compare_digest(expected, match[2]) and age <= self._max_age.total_seconds()

    async def receive(self, body: bytes) -> None:
        """Durable when this returns; processed soon after."""
        event = WebhookEvent(body_hash=sha256(body).digest(), body=body, received_at=self._clock())
        async with self._db.transaction() as session:
            await webhooks.add(session, event)
        self.arrived.set()

    async def process_waiting(self) -> int:
        """Everything that was received and not processed; returns how many."""
        async with self._db.read() as session:
            waiting = await webhooks.list_waiting(session, limit=BATCH)
        if len(waiting) < BATCH:  # all there are: what another process has done needs no pause any more
            self._pauses = {
                one.body_hash: self._pauses[one.body_hash] for one in waiting if one.body_hash in self._pauses
            }
        return sum([await self._done(event) for event in waiting])

    async def process_all(self) -> None:
        """What this process received, and what another one left behind."""
        while await self.process_waiting() == BATCH:
            pass
        async with self._db.transaction() as session:
            await webhooks.forget_before(session, self._clock() - KEPT)

    async def _done(self, event: WebhookEvent) -> bool:
        """What fails unexpectedly waits for the next round, and holds up nothing behind it."""
        if self._pauses.get(event.body_hash, (None, 0.0))[1] > asyncio.get_running_loop().time():
            return False
        try:
            await self._process(event.body)
        except ServiceUnavailable:
            raise
        except TikTokError as error:
            if self._clock() - event.received_at < ASKED_FOR:
                self._pause(event.body_hash)
                return False
            log.warning("webhook given up", body_hash=event.body_hash.hex(), reason=error.message)
        except Exception:
            log.exception("webhook not processed", body_hash=event.body_hash.hex())
            return False
        self._pauses.pop(event.body_hash, None)
        async with self._db.transaction() as session:
            await webhooks.mark_processed(session, event.body_hash, self._clock())
        return True

    def _pause(self, body_hash: bytes) -> None:
        """TikTok had to be asked and did not answer: each pause is twice as long. Another process has pauses of its own."""
        last, _ = self._pauses.get(body_hash, (RETRY_EVERY / 2, 0.0))
        pause = min(last * 2, LONGEST_PAUSE)
        self._pauses[body_hash] = pause, asyncio.get_running_loop().time() + pause.total_seconds()

    async def _process(self, body: bytes) -> None:
        """What makes no sense is logged and done with: TikTok would send it again as it is."""
        removal = read_removal(body)
        if removal is None:
            log.info("webhook ignored", webhook_event=event_name(body))
            return
        await self._removals.remove(removal.open_id, removal.reason, removal.occurred_at)
