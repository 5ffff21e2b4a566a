"""What viewers do while somebody watches: by the API, so that it happens in the server's own process."""

from typing import Any

from tests.support.server import Api
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.resolvers import ids

SYNC = "mutation S($id: ID!) { syncAccount(input: {id: $id}) { success userErrors { code } } }"
DISCONNECT = "mutation D($id: ID!) { disconnectAccount(input: {id: $id}) { userErrors { code } } }"
JOB = """
mutation J($target: SyncAccountsTarget!) {
  syncAccounts(input: {target: $target}) { job { id } userErrors { code } }
}
"""
START = "mutation { startAccountAuthorization(input: {}) { authorizationUrl } }"
CONNECT = """
mutation C($code: String!, $state: String!) {
  connectAccount(input: {code: $code, state: $state}) { reconnected account { id } userErrors { code } }
}
"""
WATCH_ACCOUNTS = "subscription { accountChanged { kind accountId account { id displayName status } } }"
WATCH_JOB = """
subscription W($id: ID!) {
  syncJobUpdated(id: $id) { id state totalCount succeededCount failedCount progress finishedAt }
}
"""


def global_id(key: Any) -> str:
    return ids.encode(ids.NodeKind.ACCOUNT, key)


async def sync(api: Api, account_id: str) -> None:
    await api.data(SYNC, id=account_id)


async def disconnect(api: Api, account_id: str) -> None:
    assert (await api.data(DISCONNECT, id=account_id))["disconnectAccount"]["userErrors"] == []


async def start_job(api: Api, **target: Any) -> str:
    payload = (await api.data(JOB, target=target))["syncAccounts"]
    job_id: str = payload["job"]["id"]
    return job_id


async def many(tiktok: TikTok, viewer: str, count: int) -> list[str]:
    return [global_id((await tiktok.connect(viewer)).id) for _ in range(count)]
