"""TikTok's webhooks: stored before they are acknowledged, then processed any number of times with the same effect.

Source: TikTok for Developers, "Webhooks". Events have no id, so duplicates are recognized by the hash of the body. TikTok
repeats for up to 72 hours what was not acknowledged with 200, so hashes are stored for a week.
"""

import asyncio
import hmac
import re
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

import structlog

from tiktok_accounts_gql.clock import Clock
from tiktok_accounts_gql.db import webhooks
from tiktok_accounts_gql.db.database import Database
from tiktok_accounts_gql.db.models import WebhookEvent
from tiktok_accounts_gql.services import health
from tiktok_accounts_gql.services.failures import FailureKind, FailureLog
from tiktok_accounts_gql.services.removals import RemovalService
from tiktok_accounts_gql.services.webhook_bodies import parse_event_name, parse_removal
from tiktok_accounts_gql.tiktok.errors import TikTokError

RETENTION = timedelta(days=7)
RETRY_EVERY = timedelta(seconds=10)
MAX_CLOCK_SKEW = timedelta(minutes=1)  # between two servers
BATCH = 100
TIKTOK_RETRY_PERIOD = timedelta(hours=72)
MAX_ATTEMPTS = 30  # over some days: the pause between two grows to six hours
_SIGNATURE = re.compile(r"t=(\d{1,12}),s=([0-9a-f]{64})")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookService:
    """Receives and processes webhooks. `received` is set when there is something to process."""

    db: Database
    removals: RemovalService
    client_secret: str = field(repr=False)
    max_age: timedelta
    clock: Clock
    failures: FailureLog
    received: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def is_genuine(self, signature: str | None, body: bytes) -> bool:
        """Check the header's HMAC-SHA256 of `t.body`, keyed with the client secret, in constant time, and its age."""
        match = _SIGNATURE.fullmatch(signature or "")
        if match is None:
            return False
        expected = hmac.digest(self.client_secret.encode(), match[1].encode() + b"." + body, "sha256").hex()
        age = abs(self.clock().timestamp() - int(match[1]))
        return hmac.compare_digest(expected, match[2]) and age <= self.max_age.total_seconds()

    async def receive(self, body: bytes) -> None:
        """Store the webhook, which is durable when this returns, and have it processed soon."""
        event = WebhookEvent(body_hash=sha256(body).digest(), body=body, received_at=self.clock())
        async with self.db.transaction() as session:
            await webhooks.add(session, event)
        self.received.set()

    async def process_due(self) -> int:
        """Process everything that is due, and return how many were processed.

        A claim sets the time of the next attempt, later each time, before anything can fail. So an event that always fails
        waits behind the others.
        """
        now, count = self.clock(), 0
        while True:
            async with self.db.transaction() as session:
                events = await webhooks.claim_unprocessed(
                    session,
                    now=now,
                    latest=now + health.LONGEST_RETRY + MAX_CLOCK_SKEW,
                    next_attempt_at=lambda event, now: now + health.retry_in(event.attempts + 1),
                    limit=BATCH,
                )
            for event in events:
                with self.failures.suppress(FailureKind.WEBHOOK, body_hash=event.body_hash.hex()):
                    count += await self._process(event)
            if len(events) < BATCH:
                return count

    async def process_and_prune(self) -> None:
        """Process everything that is due, also what other processes left behind, and delete old events."""
        await self.process_due()
        async with self.db.transaction() as session:
            given_up = await webhooks.delete_before(session, self.clock() - RETENTION, attempts=MAX_ATTEMPTS)
        for body_hash in given_up:
            log.error("webhook given up", body_hash=body_hash.hex())

    async def _process(self, event: WebhookEvent) -> bool:
        """Process one event. Returns False if it stays for its next attempt, because TikTok has to answer first.

        An event that cannot be understood is logged and counts as processed: TikTok would only send it again unchanged.
        """
        try:
            removal = parse_removal(event.body)
            if removal is None:
                log.info("webhook ignored", webhook_event=parse_event_name(event.body))
            else:
                await self.removals.remove(removal.open_id, removal.reason, removal.occurred_at)
        except TikTokError as error:
            ids = {"body_hash": event.body_hash.hex(), "reason": error.message}
            if self.clock() - event.received_at < TIKTOK_RETRY_PERIOD:
                log.info("webhook waits for TikTok", **ids)
                return False
            log.warning("webhook given up", **ids)
        async with self.db.transaction() as session:
            await webhooks.mark_processed(session, event.body_hash, self.clock())
        return True
