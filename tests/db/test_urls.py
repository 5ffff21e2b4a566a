"""URLs as hosting providers of PostgreSQL give them out, for both drivers."""

import asyncio

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from tests.support.backends import on_postgresql
from tests.support.databases import postgres_url
from tiktok_accounts_gql.database_urls import SSL_MODES, normalize_url, to_asyncpg_arguments, to_libpq_url
from tiktok_accounts_gql.db.database import Database

WITHOUT_TLS = ("disable", "allow", "prefer")  # the tests' server has none
PARAMETERS = [
    *[f"sslmode={mode}" for mode in WITHOUT_TLS],
    "sslmode=prefer&channel_binding=prefer",
    "application_name=our%20app",
    "options=-c%20statement_timeout%3D12345",
    "connect_timeout=10",
    "target_session_attrs=read-write",
    "keepalives=1&keepalives_idle=30&keepalives_interval=5&keepalives_count=3&tcp_user_timeout=10000",
    "gssencmode=disable",
    "passfile=/nowhere/at/all",
    "client_encoding=utf8",
]


@on_postgresql
@pytest.mark.parametrize("parameters", PARAMETERS)
async def test_a_parameter_works_for_both_drivers(
    request: pytest.FixtureRequest, backend: str, parameters: str
) -> None:
    assert backend == "postgresql"
    plain = postgres_url(request.config)
    url = normalize_url(f"{plain}{'&' if '?' in plain else '?'}{parameters}")
    db = Database.open(url)
    async with db.read() as session:
        ours = await session.scalar(text("SELECT current_setting('statement_timeout')"))
        name = await session.scalar(text("SELECT current_setting('application_name')"))
    await db.close()
    assert (ours == "12345ms") is ("statement_timeout" in parameters)
    assert (name == "our app") is ("application_name" in parameters)

    def ask() -> object:
        engine = create_engine(to_libpq_url(url))
        with engine.connect() as connection:
            answer = connection.execute(text("SELECT 1")).scalar_one()
        engine.dispose()
        return answer

    assert await asyncio.to_thread(ask) == 1


@on_postgresql
async def test_several_hosts_are_tried_one_after_another(request: pytest.FixtureRequest, backend: str) -> None:
    assert backend == "postgresql"
    plain = make_url(postgres_url(request.config))
    host, port = plain.query.get("host", plain.host), plain.port or plain.query.get("port", 5432)
    url = normalize_url(
        plain.set(host=None, port=None, query={"host": f"127.0.0.1,{host}", "port": f"1,{port}"}).render_as_string(
            hide_password=False
        )
    )
    db = Database.open(url)
    await db.ping()
    await db.close()


@pytest.mark.parametrize("mode", SSL_MODES)
def test_every_sslmode_is_known(mode: str) -> None:
    url = normalize_url(f"postgresql://u:p@h/d?sslmode={mode}&channel_binding=require")
    assert f"sslmode={mode}" in to_asyncpg_arguments(url)[1]["dsn"]
    assert "channel_binding" not in to_asyncpg_arguments(url)[1]["dsn"]
    assert f"sslmode={mode}" in to_libpq_url(url)
    assert "channel_binding=require" in to_libpq_url(url)


def test_the_systems_certificates_are_checked() -> None:
    _, arguments = to_asyncpg_arguments(normalize_url("postgresql://u:p@h/d?sslmode=verify-full&sslrootcert=system"))
    assert arguments["ssl"].check_hostname


def test_several_hosts_may_precede_the_path() -> None:
    url = normalize_url("postgresql://u:p%40@one:1,two/d?sslmode=require")
    assert make_url(url).query == {"host": "one,two", "port": "1,5432", "sslmode": "require"}
    assert (make_url(url).username, make_url(url).password, make_url(url).database) == ("u", "p@", "d")


@pytest.mark.parametrize(
    ("query", "message"),
    [("colour=red&sslmode=require", "colour"), ("sslmode=perhaps", "sslmode"), ("host=a&host=b", "host")],
)
def test_an_invalid_parameter_is_named_in_one_line(query: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        normalize_url(f"postgresql://u@h/d?{query}")
    assert "\n" not in str(refused.value)
