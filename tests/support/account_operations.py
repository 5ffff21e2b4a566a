"""GraphQL mutations of one account."""

from typing import Any

from tests.support.server import Api
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.resolvers import ids

DISCONNECT = """
mutation Disconnect($input: DisconnectAccountInput!) {
  disconnectAccount(input: $input) {
    disconnectedAccountId
    userErrors { code message field }
    query { accountsSummary { totalAccounts } }
  }
}
"""
SYNC = """
mutation Sync($id: ID!) {
  syncAccount(input: { id: $id }) {
    success syncedAt
    account { id displayName status followerCount likesCount lastSyncedAt lastError }
    userErrors { code message field retryAfterSeconds }
    query { accountsSummary { totalAccounts expiredAccounts totalFollowers } }
  }
}
"""


def to_global_id(account: Account) -> str:
    return ids.encode(ids.NodeKind.ACCOUNT, account.id)


async def disconnect_account(api: Api, account: Account, key: str | None = None) -> dict[str, Any]:
    data = await api.data(DISCONNECT, input={"id": to_global_id(account), "idempotencyKey": key})
    payload: dict[str, Any] = data["disconnectAccount"]
    return payload


async def sync_account(api: Api, account: Account) -> dict[str, Any]:
    payload: dict[str, Any] = (await api.data(SYNC, id=to_global_id(account)))["syncAccount"]
    return payload
