"""What TikTok tells us: stored before it is answered, processed after, both any number of times with one effect.

Source: TikTok for Developers, "Webhooks". There is no event id: duplicates are known by the hash of the body. TikTok
repeats for up to 72 hours what was not answered with 200, so hashes are kept for a week.
"""

import asyncio
import hmac
import re
from datetime import datetime, timedelta
from hashlib import sha256

import structlog

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import webhooks
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import WebhookEvent
from tiktok_accounts_gql.services import health
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog
from tiktok_accounts_gql.services.removals import RemovalService
from tiktok_accounts_gql.services.webhook_bodies import event_name, read_removal
from tiktok_accounts_gql.tiktok.errors import TikTokError

KEPT = timedelta(days=7)
RETRY_EVERY = timedelta(seconds=10)
CLOCKS_DIFFER = timedelta(minutes=1)
BATCH = 100
ASKED_FOR = timedelta(hours=72)  # as long as TikTok itself would try
MOST_ATTEMPTS = 30  # over some days: the pause between two grows to six hours
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
        failures: FailureLog,
    ) -> None:
        self._failures = failures
        self._db = db
        self._removals = removals
        self._secret = client_secret.encode()
        self._max_age = max_age
        self._clock = clock
        self.arrived = asyncio.Event()

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
        """Everything that was received and is due; returns how many were processed.

        A claim sets the next attempt, later each time: what is broken waits behind the others, whatever happens here.
        """
        now, processed = self._clock(), 0
        while True:
            async with self._db.transaction() as session:
                waiting = await webhooks.claim_waiting(
                    session,
                    now=now,
                    latest=now + health.LONGEST_RETRY + CLOCKS_DIFFER,
                    next_attempt_at=_next_attempt_at,
                    limit=BATCH,
                )
            for event in waiting:
                with self._failures.suppress(FailureKind.WEBHOOK, body_hash=event.body_hash.hex()):
                    processed += await self._process_one(event)
            if len(waiting) < BATCH:
                return processed

    async def process_all(self) -> None:
        """What this process received, and what another one left behind."""
        await self.process_waiting()
        async with self._db.transaction() as session:
            given_up = await webhooks.forget_before(session, self._clock() - KEPT, attempts=MOST_ATTEMPTS)
        for body_hash in given_up:
            log.error("webhook given up", body_hash=body_hash.hex())

    async def _process_one(self, event: WebhookEvent) -> bool:
        """False if it waits for its next attempt: TikTok has to be asked about it, and does not answer."""
        try:
            await self._process(event.body)
        except TikTokError as error:
            ids = {"body_hash": event.body_hash.hex(), "reason": error.message}
            if self._clock() - event.received_at < ASKED_FOR:
                log.info("webhook waits for TikTok", **ids)
                return False
            log.warning("webhook given up", **ids)
        async with self._db.transaction() as session:
            await webhooks.mark_processed(session, event.body_hash, self._clock())
        return True

    async def _process(self, body: bytes) -> None:
        """What makes no sense is logged and done with: TikTok would send it again as it is."""
        removal = read_removal(body)
        if removal is None:
            log.info("webhook ignored", webhook_event=event_name(body))
            return
        await self._removals.remove(removal.open_id, removal.reason, removal.occurred_at)


def _next_attempt_at(event: WebhookEvent, now: datetime) -> datetime:
    return now + health.retry_in(event.attempts + 1)
