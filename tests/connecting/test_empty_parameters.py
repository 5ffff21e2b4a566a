"""An empty parameter is an absent one: at the callback, in connectAccount, and wherever else a text may be left out."""

from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from tests.connecting import flows, stored
from tests.support.server import Api
from tests.support.tiktok import TikTok
from tiktok_accounts_gql.settings import CALLBACK_PATH
from tiktok_accounts_gql.wiring import Running

DENIED = {
    "code empty": "code=&error=access_denied&state={state}",
    "code empty, at the end": "state={state}&error=access_denied&code=",
    "code without a value": "code&error=access_denied&state={state}",
    "all doubled, once empty": "state=&state={state}&error=&error=access_denied&code=&code=",
    "the same twice": "state={state}&state={state}&error=access_denied&error=access_denied",
    "a description": "code=&error=access_denied&error_description=&error_type=&state={state}&scopes=",
}
CONSENTED = {
    "error empty": "error=&state={state}&code={code}",
    "error doubled and empty": "error=&error=&code={code}&state={state}",
    "code doubled, once empty": "code={code}&code=&state={state}",
    "the same code twice": "code={code}&code={code}&state={state}",
}
UNUSABLE = {
    "neither": "state={state}",
    "both empty": "code=&error=&state={state}",
    "both": "code={code}&error=access_denied&state={state}",
    "two codes": "code={code}&code=other&state={state}",
    "two errors": "error=access_denied&error=server_error&state={state}",
    "a code of 5,000 characters": "code=" + "c" * 5000 + "&state={state}",
}
NO_STATE = {
    "state empty": "state=&code={code}",
    "state absent": "code={code}",
    "two states": "state={state}&state=other&code={code}",
    "nothing": "",
}


@pytest.fixture
def open_id() -> str:
    return f"user-{uuid4().hex}"


async def come_back(http: httpx.AsyncClient, query: str, answer: flows.CallbackQuery) -> httpx.Response:
    values = {name: quote(value, safe="") for name, value in answer.items()}
    return await http.get(f"{CALLBACK_PATH}?{query.format(**values)}")


async def begun(api: Api, **input: Any) -> flows.CallbackQuery:
    return {"state": await flows.get_state_at_tiktok(api, **input), "code": "c"}


@pytest.mark.parametrize("query", DENIED.values(), ids=DENIED)
async def test_a_denial_goes_back_to_the_app(http: httpx.AsyncClient, api: Api, running: Running, query: str) -> None:
    response = await come_back(http, query, await begun(api, returnTo=f"{flows.APP_ORIGIN}/"))
    assert (response.status_code, flows.redirect_query(response)) == (303, {"error": ["AUTHORIZATION_DENIED"]})
    assert await stored.reasons(running, api.viewer) == ["AUTHORIZATION_DENIED"]
    [attempt] = await stored.attempts(running, api.viewer)
    assert (attempt.error, attempt.used_at is not None) == ("AUTHORIZATION_DENIED", True)


@pytest.mark.parametrize("query", CONSENTED.values(), ids=CONSENTED)
async def test_a_consent_connects(
    http: httpx.AsyncClient, api: Api, running: Running, open_id: str, query: str
) -> None:
    answer = await flows.authorize(api, open_id, returnTo=f"{flows.APP_ORIGIN}/")
    response = await come_back(http, query, answer)
    assert flows.redirect_query(response).keys() == {"accountId"}
    [account] = await stored.accounts(running, api.viewer)
    assert account.open_id == open_id


@pytest.mark.parametrize("query", UNUSABLE.values(), ids=UNUSABLE)
async def test_what_says_nothing_goes_back_to_the_app_and_uses_nothing_up(
    http: httpx.AsyncClient, api: Api, running: Running, open_id: str, query: str
) -> None:
    answer = await flows.authorize(api, open_id, returnTo=f"{flows.APP_ORIGIN}/")
    response = await come_back(http, query, answer)
    assert (response.status_code, flows.redirect_query(response)) == (303, {"error": ["INVALID_INPUT"]})
    assert await stored.reasons(running, api.viewer) == ["INVALID_INPUT"]
    assert flows.redirect_query(await flows.send_callback(http, answer)).keys() == {"accountId"}


@pytest.mark.parametrize("query", NO_STATE.values(), ids=NO_STATE)
async def test_without_a_state_a_page_says_how_to_go_on(
    http: httpx.AsyncClient, api: Api, running: Running, open_id: str, query: str
) -> None:
    answer = await flows.authorize(api, open_id, returnTo=f"{flows.APP_ORIGIN}/")
    page = await come_back(http, query, answer)
    assert (page.status_code, "go back to the app" in page.text) == (400, True)
    assert await stored.accounts(running, api.viewer) == []
    assert flows.redirect_query(await flows.send_callback(http, answer)).keys() == {"accountId"}


@pytest.mark.parametrize(
    ("brought", "codes"),
    [
        ({"code": "", "error": "access_denied"}, ["AUTHORIZATION_DENIED"]),
        ({"code": None, "error": "access_denied"}, ["AUTHORIZATION_DENIED"]),
        ({"code": "", "error": "server_error"}, ["TIKTOK_UNAVAILABLE"]),
        ({"code": "", "error": ""}, ["INVALID_INPUT"]),
        ({"code": "c", "error": "access_denied"}, ["INVALID_INPUT"]),
    ],
    ids=str,
)
async def test_the_mutation_reads_them_alike(
    api: Api, running: Running, brought: dict[str, Any], codes: list[str]
) -> None:
    payload = await flows.connect(api, {"state": (await begun(api))["state"], **brought})
    assert flows.error_codes(payload) == codes
    assert await stored.reasons(running, api.viewer) == codes


async def test_the_mutation_connects_beside_an_empty_error(api: Api, running: Running, open_id: str) -> None:
    payload = await flows.connect(api, {**await flows.authorize(api, open_id), "error": ""})
    assert flows.error_codes(payload) == []
    assert len(await stored.accounts(running, api.viewer)) == 1


async def test_a_repeated_denial_is_the_same_however_it_is_written(
    http: httpx.AsyncClient, api: Api, running: Running
) -> None:
    answer = await begun(api, returnTo=f"{flows.APP_ORIGIN}/")
    responses = [await come_back(http, query, answer) for query in DENIED.values()]
    assert {response.headers["location"] for response in responses} == {
        f"{flows.APP_ORIGIN}/?error=AUTHORIZATION_DENIED"
    }
    assert await stored.reasons(running, api.viewer) == ["AUTHORIZATION_DENIED"]


async def test_an_empty_account_of_a_filter_is_none(api: Api, tiktok: TikTok) -> None:
    await tiktok.connect(api.viewer)
    query = "query A($id: ID) { auditEvents(filter: { accountId: $id }) { edges { node { action } } } }"
    assert (await api.data(query, id=""))["auditEvents"]["edges"] != []
