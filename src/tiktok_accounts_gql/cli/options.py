"""Options that several subcommands have."""

from typing import Annotated

import typer

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)]
JsonInsteadOfTable = Annotated[bool, typer.Option("--json", help="Print one JSON object in place of the table.")]
