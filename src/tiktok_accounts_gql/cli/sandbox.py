"""`tiktok-accounts sandbox`: a TikTok sandbox alone."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from tiktok_accounts_gql.cli.console import report_errors
from tiktok_accounts_gql.cli.options import Host, Port
from tiktok_accounts_gql.sandbox.defaults import ACCESS_TOKEN_SECONDS, REFRESH_TOKEN_SECONDS, REQUESTS_PER_MINUTE


@report_errors
def sandbox(  # noqa: PLR0913, PLR0917 - one for each option
    host: Host = "127.0.0.1",
    port: Port = 8001,
    client_key: Annotated[str, typer.Option(help="The client key that it accepts.")] = "sandbox-client-key",
    client_secret: Annotated[str, typer.Option(help="The client secret that it accepts.")] = "sandbox-client-secret",  # noqa: S107 - of no worth anywhere else
    data: Annotated[Path | None, typer.Option(help="File that keeps its grants; in memory without it.")] = None,
    access_seconds: Annotated[
        int, typer.Option(help="Lifetime of access tokens; 86400 on TikTok's older pages.", min=1)
    ] = ACCESS_TOKEN_SECONDS,
    refresh_seconds: Annotated[
        int, typer.Option(help="Lifetime of refresh tokens; 31536000 on TikTok's older pages.", min=1)
    ] = REFRESH_TOKEN_SECONDS,
    requests_per_minute: Annotated[
        int, typer.Option(help="Calls per sliding minute and endpoint that are answered.", min=1)
    ] = REQUESTS_PER_MINUTE,
    webhook_url: Annotated[
        str | None, typer.Option(help="Where it posts webhooks, such as http://127.0.0.1:8000/webhooks/tiktok.")
    ] = None,
) -> None:
    from tiktok_accounts_gql.sandbox.app import create_sandbox
    from tiktok_accounts_gql.sandbox.control import PAGE_PATH
    from tiktok_accounts_gql.sandbox.server import SandboxServer

    server = SandboxServer(
        create_sandbox(
            client_key=client_key,
            client_secret=client_secret,
            path=data,
            access_seconds=access_seconds,
            refresh_seconds=refresh_seconds,
            requests_per_minute=requests_per_minute,
            webhook_url=webhook_url,
        ),
        host=host,
        port=port,
    )
    typer.echo(f"TikTok sandbox: {server.url}")
    typer.echo(f"Accounts, calls, faults: {server.url}{PAGE_PATH}")
    with suppress(KeyboardInterrupt):  # uvicorn has ended by then, and raises the signal again
        server.serve()
