"""`tiktok-accounts demo`: the API, a TikTok sandbox and seeded accounts on one machine."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiktok_accounts_gql.cli.console import report_errors
from tiktok_accounts_gql.cli.options import Host, JsonInsteadOfTable, Port

if TYPE_CHECKING:
    from tiktok_accounts_gql.demo.server import DemoLinks

EXAMPLE_BODY = '{"query":"{ accounts(first: 3) { totalCount edges { node { displayName status followerCount } } } }"}'


@report_errors
def demo(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    data_dir: Annotated[Path, typer.Option(help="Where the demo keeps its data.")] = Path(".data/demo"),
    reset: Annotated[bool, typer.Option("--reset", help="Forget what the last demo left.")] = False,
    as_json: JsonInsteadOfTable = False,
) -> None:
    from tiktok_accounts_gql.demo.server import run_demo

    run_demo(
        host=host, port=port, data_dir=data_dir, reset=reset, on_started=print_links_as_json if as_json else print_links
    )


def print_links_as_json(links: "DemoLinks") -> None:
    typer.echo(json.dumps(asdict(links)))


def print_links(links: "DemoLinks") -> None:
    from rich.console import Console
    from rich.table import Table

    from tiktok_accounts_gql.demo.seeding import ACCOUNTS_PER_VIEWER
    from tiktok_accounts_gql.sandbox.control import PAGE_PATH

    table = Table("", "", show_header=False, box=None, pad_edge=False)
    table.add_row("GraphQL", links.endpoint)
    table.add_row("TikTok sandbox", f"{links.sandbox}{PAGE_PATH}")
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    console.print(f"\nGraphiQL, as alice:\n{links.graphiql}\n", markup=False)
    for viewer, token in links.tokens.items():
        console.print(f"JWT of {viewer} ({ACCOUNTS_PER_VIEWER[viewer]} accounts):\n{token}\n", markup=False)
    authorization = f"Authorization: Bearer {links.tokens['alice']}"
    console.print("Try it:", markup=False)
    typer.echo(f"curl -s {links.endpoint} -H 'Content-Type: application/json' -H '{authorization}' -d '{EXAMPLE_BODY}'")
    console.print("\nCtrl-C ends it.", markup=False)
