"""`after: ""` and `before: ""`, which Apollo's client makes of the null cursor of an empty page."""

from typing import Any

import pytest

from tests.support.rows import account, store
from tests.support.server import Api
from tests.support.sync_jobs import START
from tiktok_accounts_gql.wiring import Running

PAGE = "edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
ARGUMENTS = "first: $first, after: $after, last: $last, before: $before"
VARIABLES = "$first: Int, $after: String, $last: Int, $before: String"
CONNECTIONS = [
    pytest.param(f"accounts({ARGUMENTS}) {{ {PAGE} }}", id="accounts"),
    pytest.param(f"accounts({ARGUMENTS}, orderBy: {{ field: FOLLOWER_COUNT }}) {{ {PAGE} }}", id="accounts-in-order"),
    pytest.param(f"syncJobs({ARGUMENTS}) {{ {PAGE} }}", id="jobs"),
    pytest.param(f"syncJobs(first: 3) {{ edges {{ node {{ results({ARGUMENTS}) {{ {PAGE} }} }} }} }}", id="results"),
    pytest.param(f"auditEvents({ARGUMENTS}, filter: {{ changesOnly: true }}) {{ {PAGE} }}", id="audit-events"),
]
PAGES: list[Any] = [
    pytest.param({"after": ""}, {}, id="after"),
    pytest.param({"before": ""}, {}, id="before"),
    pytest.param({"after": "", "before": ""}, {}, id="both"),
    pytest.param({"first": 2, "after": ""}, {"first": 2}, id="first-after"),
    pytest.param({"last": 2, "before": ""}, {"last": 2}, id="last-before"),
    pytest.param({"last": 1, "after": "", "before": None}, {"last": 1}, id="last-after"),
]


@pytest.fixture(params=["", "__schema { queryType { name } } "], ids=["compiled", "graphql-core"])
def beside(request: pytest.FixtureRequest) -> str:
    """What makes graphql-core answer: no plan has introspection."""
    return str(request.param)


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize(("sent", "meant"), PAGES)
async def test_an_empty_cursor_is_none(
    api: Api, running: Running, connection: str, sent: dict[str, Any], meant: dict[str, Any], beside: str
) -> None:
    await store(running.db, *[account(api.viewer, number) for number in range(4)])
    await api.data(START, input={"target": {"ids": ["a", "b", "c"]}})
    query = f"query Q({VARIABLES}) {{ {beside}{connection} }}"
    with_empty_ones, without = await api.data(query, **sent), await api.data(query, **meant)
    assert with_empty_ones == without
    assert '"cursor"' in str(without).replace("'", '"')


@pytest.mark.parametrize("cursor", [" ", "0", "null", "\u0000"])
async def test_what_is_not_empty_and_no_cursor_is_refused(api: Api, cursor: str) -> None:
    error = await api.error("query Q($after: String) { accounts(after: $after) { edges { cursor } } }", after=cursor)
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
