"""Replies of TikTok that cannot be read, and batches of accounts of which some get them."""

from tests.support.batches import Scene
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.sandbox.faults import Fault
from tiktok_accounts_gql.tiktok.client import USER_INFO_PATH

READABLE_COUNT = 5
UNREADABLE_BODIES: dict[str, bytes] = {
    "data is null": b'{"data": null, "error": {"code": "ok"}}',
    "HTML": b"<html><body>maintenance</body></html>",
    "no open_id": b'{"data": {"user": {"follower_count": -977433948}}, "error": {"code": "ok"}}',
    "cut off": b'{"data": {"user": {"open_id": "',
    "a list": b"[]",
    "nothing": b"",
    "a text": b'"ok"',
}


def answer(scene: Scene, account: Account, body: bytes, *, status: int = 200) -> None:
    """Make TikTok answer every request about this account with this body."""
    scene.sandbox.faults.add(Fault(path=USER_INFO_PATH, open_id=account.open_id, status=status, body=body, times=None))


async def add_accounts(scene: Scene, viewer: str) -> tuple[list[Account], list[Account]]:
    """Add a batch of accounts; return those about which TikTok's replies cannot be read, and the others."""
    accounts = await scene.accounts(viewer, len(UNREADABLE_BODIES) + READABLE_COUNT)
    bad, good = accounts[: len(UNREADABLE_BODIES)], accounts[len(UNREADABLE_BODIES) :]
    for account, body in zip(bad, UNREADABLE_BODIES.values(), strict=True):
        answer(scene, account, body)
    return bad, good
