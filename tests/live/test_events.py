"""What a subscriber holds: merged, bounded, and never lost for good."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tiktok_accounts_gql.events import (
    CLOCK_MARGIN,
    AccountChanged,
    ChangeKind,
    Event,
    EventSubscription,
    Hub,
    JobChanged,
    Resync,
    hash_viewer,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CONNECTED, UPDATED, DISCONNECTED = ChangeKind
ACCOUNT, OTHER = uuid4(), uuid4()


def everything(event: Event) -> bool:
    return event is not None


def subscription(
    merge_window: float = 0, max_pending: int = 1000, matches: Callable[[Event], bool] = everything
) -> EventSubscription:
    return EventSubscription(
        clock=lambda: NOW, matches=matches, merge_window=timedelta(seconds=merge_window), max_pending=max_pending
    )


async def nothing_more(events: EventSubscription) -> bool:
    try:
        await asyncio.wait_for(anext(events), 0.05)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize(
    ("kinds", "sum_"),
    [
        ([UPDATED, UPDATED], UPDATED),
        ([CONNECTED, UPDATED], CONNECTED),
        ([UPDATED, DISCONNECTED], DISCONNECTED),
        ([CONNECTED, UPDATED, DISCONNECTED], DISCONNECTED),
        ([DISCONNECTED, CONNECTED, UPDATED], CONNECTED),
    ],
)
async def test_changes_of_one_account_become_one(kinds: list[ChangeKind], sum_: ChangeKind) -> None:
    events = subscription()
    for kind in kinds:
        events.push(AccountChanged(account_id=ACCOUNT, kind=kind))
    assert await anext(events) == AccountChanged(account_id=ACCOUNT, kind=sum_)
    assert await nothing_more(events)


async def test_an_event_is_held_for_as_long_as_others_may_join_it() -> None:
    events, loop = subscription(merge_window=0.2), asyncio.get_running_loop()
    started_at = loop.time()
    events.push(AccountChanged(account_id=ACCOUNT, kind=UPDATED))
    loop.call_later(0.1, events.push, AccountChanged(account_id=OTHER, kind=UPDATED))
    loop.call_later(0.15, events.push, AccountChanged(account_id=ACCOUNT, kind=UPDATED))
    seen = [(await anext(events), loop.time() - started_at) for _ in range(2)]
    assert [event.account_id for event, _ in seen if isinstance(event, AccountChanged)] == [ACCOUNT, OTHER]
    assert [at >= due for (_, at), due in zip(seen, (0.2, 0.3), strict=True)] == [True, True]
    assert await nothing_more(events)


async def test_who_is_too_far_behind_is_told_since_when() -> None:
    events = subscription(max_pending=3)
    sizes = []
    for _ in range(10_000):
        events.push(JobChanged(job_id=uuid4()))
        sizes.append(len(events))
    assert max(sizes) <= 3
    assert await anext(events) == Resync(since=NOW - CLOCK_MARGIN)


async def test_a_loss_is_told_once_and_takes_the_place_of_what_is_held() -> None:
    events = subscription()
    events.push(JobChanged(job_id=ACCOUNT))
    events.push_resync(NOW - timedelta(hours=1))
    events.push_resync(NOW)
    assert await anext(events) == Resync(since=NOW - timedelta(hours=1))
    assert await nothing_more(events)
    events.push(JobChanged(job_id=OTHER))
    assert await anext(events) == JobChanged(job_id=OTHER)


async def test_only_the_viewers_own_subscribers_are_told_what_they_want() -> None:
    hub = Hub(clock=lambda: NOW)
    event = JobChanged(job_id=ACCOUNT)
    with (
        hub.subscribe("me", matches=everything) as mine,
        hub.subscribe("me", matches=lambda event: isinstance(event, AccountChanged)) as accounts,
        hub.subscribe("you", matches=everything) as yours,
    ):
        hub.publish(hash_viewer("me"), event)
        assert (len(mine), len(accounts), len(yours)) == (1, 0, 0)
        assert (hub.subscriber_count(), hub.pending_count()) == (3, 1)
        hub.publish_resync(NOW)
        assert [await anext(one) for one in (mine, accounts, yours)] == [Resync(since=NOW - CLOCK_MARGIN)] + 2 * [
            Resync(since=NOW)
        ]
    assert hub.subscriber_count() == 0
