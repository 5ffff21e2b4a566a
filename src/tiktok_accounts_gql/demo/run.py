"""`tiktok-accounts demo`: the whole product on one machine, with a TikTok of our own."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from socket import socket
from urllib.parse import urlencode

import typer
import uvicorn
from rich.console import Console
from rich.table import Table

from tiktok_accounts_gql.app import create_app
from tiktok_accounts_gql.demo.environment import AUDIENCE, CLIENT_KEY, ISSUER, Folder
from tiktok_accounts_gql.demo.seeding import ALREADY_CONNECTED, VIEWERS, Seeder
from tiktok_accounts_gql.logs import configure_logs
from tiktok_accounts_gql.sandbox.app import Sandbox, create_sandbox
from tiktok_accounts_gql.sandbox.control import PAGE_PATH
from tiktok_accounts_gql.sandbox.server import SandboxServer, listen
from tiktok_accounts_gql.sandbox.users import PEOPLE
from tiktok_accounts_gql.server import server_options
from tiktok_accounts_gql.settings import Settings
from tiktok_accounts_gql.web import webhooks
from tiktok_accounts_gql.web.authentication import issue_token
from tiktok_accounts_gql.web.graphiql.examples import load_examples
from tiktok_accounts_gql.wiring import migrate_everything, open_services

TOKEN_LIFETIME = timedelta(days=30)
TRY = '{"query":"{ accounts(first: 3) { totalCount edges { node { displayName status followerCount } } } }"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What `--json` prints."""

    endpoint: str
    graphiql: str
    sandbox: str
    tokens: Mapping[str, str]


def run_demo(*, host: str, port: int, data_dir: Path, reset: bool, as_json: bool) -> None:
    """Until Ctrl-C or SIGTERM. Raises OSError if a port is taken."""
    configure_logs("development")
    listening = listen(host, port)  # first: a start that is refused leaves the folder as it is
    folder = Folder.open(data_dir, reset=reset)
    public_url = f"http://{host}:{listening.getsockname()[1]}"
    sandbox = create_sandbox(
        client_key=CLIENT_KEY,
        client_secret=folder.secrets.client_secret,
        path=folder.sandbox_file,
        webhook_url=f"{public_url}{webhooks.PATH}",
        people=(*PEOPLE, ALREADY_CONNECTED),
    )
    with SandboxServer(sandbox, host=host, port=port + 1 if port else 0) as sandbox_url:
        settings = folder.settings(public_url=public_url, sandbox_url=sandbox_url)
        with suppress(KeyboardInterrupt):
            asyncio.run(_prepare(folder, settings, sandbox))
            asyncio.run(_serve(settings, listening, _links(settings), as_json=as_json))


async def _prepare(folder: Folder, settings: Settings, sandbox: Sandbox) -> None:
    await migrate_everything(settings.database_url)
    async with open_services(settings) as running:
        if not folder.seeded:
            await Seeder(running, sandbox).seed()
    folder.mark_seeded()


async def _serve(settings: Settings, listening: socket, links: Links, *, as_json: bool) -> None:
    config = uvicorn.Config(create_app(settings), **server_options(settings))
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn tells by an attribute
        await asyncio.sleep(0.01)
    if server.started:
        _show(links, as_json=as_json)
    await serving


def _links(settings: Settings) -> Links:
    tokens = {viewer: _token(settings, viewer) for viewer in VIEWERS}
    first = load_examples()[0]
    prefilled = urlencode(
        {
            "query": first.query,
            "variables": first.variables,
            "headers": json.dumps({"Authorization": f"Bearer {tokens['alice']}"}),
        }
    )
    endpoint = f"{settings.public_url}/graphql"
    return Links(endpoint=endpoint, graphiql=f"{endpoint}?{prefilled}", sandbox=settings.tiktok_api_url, tokens=tokens)


def _token(settings: Settings, viewer: str) -> str:
    if settings.jwt_secret is None:
        raise ValueError("The demo signs its own tokens.")
    return issue_token(settings.jwt_secret, subject=viewer, issuer=ISSUER, audience=AUDIENCE, lifetime=TOKEN_LIFETIME)


def _show(links: Links, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(links)))
        return
    table = Table("", "", show_header=False, box=None, pad_edge=False)
    table.add_row("GraphQL", links.endpoint)
    table.add_row("TikTok sandbox", f"{links.sandbox}{PAGE_PATH}")
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    console.print(f"\nGraphiQL, as alice:\n{links.graphiql}\n", markup=False)
    for viewer, token in links.tokens.items():
        console.print(f"JWT of {viewer} ({VIEWERS[viewer]} accounts):\n{token}\n", markup=False)
    authorization = f"Authorization: Bearer {links.tokens['alice']}"
    console.print("Try it:", markup=False)
    typer.echo(f"curl -s {links.endpoint} -H 'Content-Type: application/json' -H '{authorization}' -d '{TRY}'")
    console.print("\nCtrl-C ends it.", markup=False)
