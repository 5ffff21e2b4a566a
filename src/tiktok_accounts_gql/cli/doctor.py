"""`tiktok-accounts doctor`: checks of a server's settings and of what they name."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from tiktok_accounts_gql.cli.console import report_errors
from tiktok_accounts_gql.cli.options import JsonInsteadOfTable

if TYPE_CHECKING:
    from tiktok_accounts_gql.doctor.results import CheckResult

MAX_TABLE_WIDTH = 100
STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


@report_errors
def doctor(as_json: JsonInsteadOfTable = False) -> None:
    from tiktok_accounts_gql.doctor.checks import check_environment

    results = asyncio.run(check_environment())
    is_healthy = all(result.finding.state != "failed" for result in results)
    if as_json:
        typer.echo(
            json.dumps(
                {"ok": is_healthy, "checks": [{"name": result.name, **asdict(result.finding)} for result in results]}
            )
        )
    else:
        print_results(results)
    if not is_healthy:
        raise typer.Exit(1)


def print_results(results: "Sequence[CheckResult]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.width = min(console.width, MAX_TABLE_WIDTH)
    table = Table("Check", "State", "Result, and how to fix it")
    for result in results:
        finding = result.finding
        text = Text(finding.message)  # no markup: a setting may have square brackets
        if finding.fix is not None:
            text.append(f"\n→ {finding.fix}", style="italic")
        table.add_row(result.name, Text(finding.state, style=STYLES[finding.state]), text)
    console.print(table)
