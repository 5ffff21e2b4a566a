"""The servers of a demo: the API and a TikTok sandbox in one process."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from socket import socket
from urllib.parse import urlencode

import uvicorn

from tiktok_accounts_gql.app import create_app
from tiktok_accounts_gql.demo.folder import AUDIENCE, CLIENT_KEY, ISSUER, DemoFolder
from tiktok_accounts_gql.demo.seeding import ACCOUNTS_PER_VIEWER, CONNECTED_OPEN_ID, DemoSeeder
from tiktok_accounts_gql.logs import configure_logs
from tiktok_accounts_gql.sandbox.app import Sandbox, create_sandbox
from tiktok_accounts_gql.sandbox.server import SandboxServer, listen
from tiktok_accounts_gql.sandbox.users import DEFAULT_OPEN_IDS
from tiktok_accounts_gql.server import server_options
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.web import webhooks
from tiktok_accounts_gql.web.authentication import issue_token
from tiktok_accounts_gql.web.graphiql.examples import load_examples
from tiktok_accounts_gql.wiring import migrate_everything, open_services

TOKEN_LIFETIME = timedelta(days=30)
START_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoLinks:
    """URLs of a demo, and each viewer's JWT."""

    endpoint: str
    graphiql: str
    sandbox: str
    tokens: Mapping[str, str]


def run_demo(*, host: str, port: int, data_dir: Path, reset: bool, on_started: Callable[[DemoLinks], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; the sandbox takes the next port. Raises OSError if a port is in use."""
    configure_logs("development")
    listener = listen(host, port)  # first: where the port is in use, the folder stays as it is
    folder = DemoFolder.open(data_dir, reset=reset)
    public_url = f"http://{host}:{listener.getsockname()[1]}"
    sandbox = create_sandbox(
        client_key=CLIENT_KEY,
        client_secret=folder.secrets.client_secret,
        path=folder.sandbox_file,
        webhook_url=f"{public_url}{webhooks.PATH}",
        open_ids=(*DEFAULT_OPEN_IDS, CONNECTED_OPEN_ID),
    )
    with SandboxServer(sandbox, host=host, port=port + 1 if port else 0) as sandbox_url:
        settings = folder.to_settings(public_url=public_url, sandbox_url=sandbox_url)
        with suppress(KeyboardInterrupt):
            asyncio.run(_prepare(folder, settings, sandbox))
            asyncio.run(_serve(settings, listener, on_started))


async def _prepare(folder: DemoFolder, settings: Settings, sandbox: Sandbox) -> None:
    await migrate_everything(settings.database_url)
    async with open_services(settings) as running:
        if not folder.is_seeded:
            await DemoSeeder(running, sandbox).seed()
    folder.mark_seeded()


async def _serve(settings: Settings, listener: socket, on_started: Callable[[DemoLinks], None]) -> None:
    server = uvicorn.Server(uvicorn.Config(create_app(settings), **server_options(settings)))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has an attribute and no event
        await asyncio.sleep(START_POLL_SECONDS)
    if server.started:
        on_started(_create_links(settings))
    await serving


def _create_links(settings: Settings) -> DemoLinks:
    if settings.jwt_secret is None:
        raise ValueError("The demo signs its own tokens.")
    tokens = {
        viewer: issue_token(
            settings.jwt_secret, subject=viewer, issuer=ISSUER, audience=AUDIENCE, lifetime=TOKEN_LIFETIME
        )
        for viewer in ACCOUNTS_PER_VIEWER
    }
    example = load_examples()[0]
    prefilled = urlencode(
        {
            "query": example.query,
            "variables": example.variables,
            "headers": json.dumps({"Authorization": f"Bearer {tokens['alice']}"}),
        }
    )
    endpoint = f"{settings.public_url}/graphql"
    return DemoLinks(
        endpoint=endpoint, graphiql=f"{endpoint}?{prefilled}", sandbox=settings.tiktok_api_url, tokens=tokens
    )
