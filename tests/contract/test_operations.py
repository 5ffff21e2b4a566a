"""Every saved operation runs, for somebody with accounts and for somebody without."""

import json

import pytest

from tests.support.server import Api
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.resolvers import ids
from tiktok_accounts_gql.web.graphiql.examples import ACCOUNT_ID, Example, load_examples


@pytest.mark.parametrize("example", load_examples(), ids=lambda example: example.name)
async def test_an_example_runs_as_graphiql_offers_it(api: Api, tiktok: TikTok, example: Example) -> None:
    account = await tiktok.connect(api.viewer)
    variables = example.variables.replace(ACCOUNT_ID, ids.encode(ids.NodeKind.ACCOUNT, account.id))
    data = await api.data(example.query, **json.loads(variables or "{}"))
    assert all(value is not None for value in data.values())
    assert all(not value.get("userErrors") for value in data.values() if isinstance(value, dict))
