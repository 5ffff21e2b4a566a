"""Tokens without an audience, whose client is known: those of Amazon Cognito and of some set-ups of Keycloak."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.backends import on_sqlite
from tests.support.server import serving
from tests.web.forging import (
    AUDIENCE,
    EXPIRED,
    ISSUER,
    NOT_ACCEPTED,
    SECRET,
    changed,
    claims,
    forged,
    hs256,
    in_seconds,
    refusal,
)
from tiktok_accounts_gql.app import create_authenticator
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.web.authentication import Authenticator

SIGNED = hs256(SECRET.get_secret_value().encode())
COGNITO = {"aud": ..., "client_id": "1h57kf5cpq17m0eml12EXAMPLE", "token_use": "access", "scope": "openid"}
KEYCLOAK = {"aud": ..., "azp": "web-app", "typ": "Bearer"}
CLIENTS = ("1h57kf5cpq17m0eml12EXAMPLE", "web-app")


def token(changes: dict[str, Any], typ: Any = "JWT") -> str:
    return forged(changed({"alg": "HS256", "typ": typ}, {}), claims(**changes), SIGNED)


@pytest.fixture
def lenient() -> Authenticator:
    return Authenticator(issuer=ISSUER, audience=AUDIENCE, secret=SECRET, client_ids=CLIENTS)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(token(COGNITO, ...), id="Cognito"),
        pytest.param(token(KEYCLOAK), id="Keycloak"),
        pytest.param(token(COGNITO, "application/at+jwt"), id="RFC 9068"),
        pytest.param(token({**COGNITO, "azp": "another"}), id="client_id before azp"),
        pytest.param(token({}), id="with the audience"),
        pytest.param(token({"azp": "another"}), id="with the audience, of another client"),
    ],
)
async def test_a_token_of_a_known_client_needs_no_audience(lenient: Authenticator, sent: str) -> None:
    for _ in range(2):  # the second time it is known
        assert await lenient.authenticate(f"Bearer {sent}") == "alice"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"aud": ...}, NOT_ACCEPTED, id="no client"),
        pytest.param({"aud": ..., "azp": "another"}, NOT_ACCEPTED, id="another client"),
        pytest.param({"aud": ..., "azp": "WEB-APP"}, NOT_ACCEPTED, id="another case"),
        pytest.param({"aud": ..., "azp": ""}, NOT_ACCEPTED, id="an empty client"),
        pytest.param({"aud": ..., "azp": None}, NOT_ACCEPTED, id="a client that is null"),
        pytest.param({"aud": ..., "azp": ["web-app"]}, NOT_ACCEPTED, id="a list of clients"),
        pytest.param({"aud": ..., "client_id": {"web-app": 1}}, NOT_ACCEPTED, id="an object"),
        pytest.param({"aud": ..., "client_id": "another", "azp": "web-app"}, NOT_ACCEPTED, id="azp beside client_id"),
        pytest.param({**KEYCLOAK, "aud": "account"}, NOT_ACCEPTED, id="another audience"),
        pytest.param({**KEYCLOAK, "aud": None}, NOT_ACCEPTED, id="an audience that is null"),
        pytest.param({**KEYCLOAK, "aud": []}, NOT_ACCEPTED, id="an empty audience"),
        pytest.param({**KEYCLOAK, "aud": ""}, NOT_ACCEPTED, id="an audience without a name"),
        pytest.param({**KEYCLOAK, "iss": "https://other"}, NOT_ACCEPTED, id="another issuer"),
        pytest.param({**KEYCLOAK, "sub": ...}, NOT_ACCEPTED, id="no subject"),
        pytest.param({**KEYCLOAK, "exp": ...}, NOT_ACCEPTED, id="without an end"),
        pytest.param({**KEYCLOAK, "exp": in_seconds(-60)}, EXPIRED, id="expired"),
        pytest.param({**KEYCLOAK, "nbf": in_seconds(1800)}, NOT_ACCEPTED, id="not yet"),
    ],
)
async def test_everything_else_is_checked(lenient: Authenticator, changes: dict[str, Any], why: str) -> None:
    assert why in await refusal(lenient, f"Bearer {token(changes)}")


async def test_it_is_off_unless_it_is_set(settings: Settings) -> None:
    strict = create_authenticator(settings.model_copy(update={"jwt_issuer": ISSUER, "jwt_secret": SECRET}))
    assert settings.jwt_client_ids == ()
    for one in (COGNITO, KEYCLOAK, {"aud": ..., "azp": ""}):
        assert NOT_ACCEPTED in await refusal(strict, f"Bearer {token(one)}")


@pytest_asyncio.fixture
async def own_http(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    own = {"jwt_client_ids": CLIENTS, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwt_secret": SECRET}
    async with (
        serving(settings.model_copy(update=own)) as url,
        httpx.AsyncClient(base_url=url, verify=get_ssl_context()) as client,
    ):
        yield client


@on_sqlite
async def test_the_setting_reaches_the_server(own_http: httpx.AsyncClient) -> None:
    async def ask(sent: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {sent}"}
        return await own_http.post("/graphql", json={"query": "{ viewer { userId } }"}, headers=headers)

    assert (await ask(token(COGNITO, "application/at+jwt"))).json()["data"] == {"viewer": {"userId": "alice"}}
    refused = await ask(token({"aud": ..., "azp": "another"}))
    assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")
