"""The parts that tests run against: both databases, a TikTok sandbox and the server, all of them real.

Tests share a server and keep apart by their viewers: every test has viewers of its own, and no answer shows another
viewer's data. What a test needs alone (settings, a clock, a process) it builds by the same functions as the product.
"""

import base64
import gc
import os
import pkgutil
import sys
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
import structlog
from pydantic import SecretStr

import tiktok_accounts_gql
from tests.support import postgres
from tests.support.databases import own_database
from tests.support.server import Api, serving
from tests.support.tiktok import CLIENT_KEY, CLIENT_SECRET, TikTok
from tiktok_accounts_gql.sandbox.app import Sandbox, create_sandbox
from tiktok_accounts_gql.sandbox.server import SandboxServer
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.tls import get_ssl_context
from tiktok_accounts_gql.wiring import Running, open_services

COVERAGE_IN_PROCESSES = "COVERAGE_PROCESS_CONFIG"
POSTGRESQL_CASES = 2
_TRACED: pytest.StashKey[set[str]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until everything is collected: it would look at thousands of tests again and again
    postgres.configure(config)
    # By itself structlog lays a traceback out with all locals, which takes half a second.
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    postgres.hand_over(node)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Trace the import of the whole package, for its coverage, but not the collection of thousands of tests."""
    trace = sys.gettrace()
    if trace is None:
        return (yield)
    for module in pkgutil.walk_packages(tiktok_accounts_gql.__path__, "tiktok_accounts_gql."):
        if ".migrations" not in module.name:
            import_module(module.name)
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(trace)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count attacks, and the cases of a test on PostgreSQL beyond its first two, as proofs.

    `make test` runs all cases on SQLite: what TikTok or a client sends is read by the same code before either database.
    Tests whose subject is a database's own behaviour keep all their cases.
    """
    cases: Counter[str] = Counter()
    for item in items:
        if item.path.parent.name == "abuse":
            item.add_marker(pytest.mark.proof)
        callspec = getattr(item, "callspec", None)
        if callspec is None or callspec.params.get("backend") != "postgresql" or len(callspec.params) == 1:
            continue
        if item.path.parent.name in ("db", "contract"):
            continue
        function = item.nodeid.partition("[")[0]
        cases[function] += 1
        if cases[function] > POSTGRESQL_CASES:
            item.add_marker(pytest.mark.proof)


def pytest_collection_finish() -> None:
    """What was imported and collected stays: no collection of garbage looks at it again."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    postgres.unconfigure(config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Record coverage for the first case of each test, on SQLite: other cases run the same code, and tracing nearly doubles
    what a test takes.

    Nor is it recorded where a test is marked `untraced`: it takes long, and covers nothing that others do not.
    """
    if _is_traced(item):
        return (yield)
    in_processes = os.environ.pop(COVERAGE_IN_PROCESSES, None)
    here, in_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)  # `Coverage.stop` would only go on with the one that this process was started with
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(here)
        threading.settrace(in_threads)
        if in_processes is not None:
            os.environ[COVERAGE_IN_PROCESSES] = in_processes


def _is_traced(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    is_on_postgresql = callspec is not None and callspec.params.get("backend") == "postgresql"
    if is_on_postgresql or item.get_closest_marker("untraced"):
        return False
    traced = item.config.stash.setdefault(_TRACED, set())
    function = item.nodeid.partition("[")[0]
    is_first = function not in traced
    traced.add(function)
    return is_first


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture(scope="session")
async def database_url(
    backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[str]:
    """A migrated database that no other test process uses."""
    async with own_database(backend, request.config, tmp_path_factory.mktemp("db")) as url:
        yield url


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    return create_sandbox(client_key=CLIENT_KEY, client_secret=CLIENT_SECRET, requests_per_minute=1_000_000)


@pytest.fixture(scope="session")
def sandbox_url(sandbox: Sandbox) -> Iterator[str]:
    tracing = threading.gettrace()
    threading.settrace(None)  # tests of the sandbox start their own, whose coverage is recorded
    with SandboxServer(sandbox, port=0) as url:
        threading.settrace(tracing)
        yield url


@pytest.fixture(scope="session")
def settings(database_url: str, sandbox_url: str) -> Settings:
    return Settings.model_validate(
        {
            "database_url": database_url,
            "jwt_secret": SecretStr("a secret of tests, of 32 bytes and more"),
            "jwt_issuer": "https://issuer.test",
            "jwt_audience": "accounts",
            "encryption_keys": base64.urlsafe_b64encode(bytes(range(32))).decode(),
            "tiktok_client_key": CLIENT_KEY,
            "tiktok_client_secret": SecretStr(CLIENT_SECRET),
            "tiktok_authorize_url": f"{sandbox_url}/v2/auth/authorize/",
            "tiktok_api_url": sandbox_url,
            "tiktok_avatar_hosts": sandbox_url,
            "tiktok_timeout_seconds": 2,
            "tiktok_requests_per_minute": 60_000,
            "tiktok_failures_before_pause": 1_000_000,  # tests make calls fail; those about the pause set their own
            "public_url": "http://localhost:8000",
            "allowed_origins": "https://app.example.com",
            "environment": "development",
            "compiled_operations": os.environ.get("TEST_COMPILED", "1") != "0",
        }
    )


@pytest_asyncio.fixture
async def own_settings(
    backend: str, settings: Settings, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncGenerator[Settings]:
    """Of a database that one test has for itself."""
    async with own_database(backend, request.config, tmp_path) as url:
        yield settings.model_copy(update={"database_url": url})


@pytest_asyncio.fixture(scope="session")
async def server_url(settings: Settings) -> AsyncGenerator[str]:
    async with serving(settings) as url:
        yield url


@pytest_asyncio.fixture(scope="session")
async def http(server_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server_url, verify=get_ssl_context(), timeout=30) as client:
        yield client


@pytest_asyncio.fixture(scope="session")
async def running(settings: Settings) -> AsyncGenerator[Running]:
    """Services of a second process, as it were: beside those of the server, on the same database."""
    async with open_services(settings) as services:
        yield services


@pytest.fixture(scope="session")
def tiktok(sandbox: Sandbox, settings: Settings, running: Running) -> TikTok:
    return TikTok(sandbox=sandbox, settings=settings, running=running)


@pytest.fixture
def viewer() -> str:
    return f"viewer-{uuid4().hex}"


@pytest.fixture
def api_of(http: httpx.AsyncClient, settings: Settings) -> Callable[[str], Api]:
    return lambda viewer: Api(http=http, settings=settings, viewer=viewer)


@pytest.fixture
def api(api_of: Callable[[str], Api], viewer: str) -> Api:
    return api_of(viewer)


@pytest.fixture
def stranger(api_of: Callable[[str], Api]) -> Api:
    return api_of(f"stranger-{uuid4().hex}")
