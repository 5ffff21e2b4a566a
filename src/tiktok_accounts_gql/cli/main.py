"""The Typer application, with all subcommands."""

import typer

from tiktok_accounts_gql.cli.demo import demo
from tiktok_accounts_gql.cli.docs import docs_app
from tiktok_accounts_gql.cli.doctor import doctor
from tiktok_accounts_gql.cli.migrate import migrate
from tiktok_accounts_gql.cli.rotate_keys import rotate_keys
from tiktok_accounts_gql.cli.sandbox import sandbox
from tiktok_accounts_gql.cli.schema import schema_app
from tiktok_accounts_gql.cli.serve import serve
from tiktok_accounts_gql.cli.sync import sync
from tiktok_accounts_gql.cli.token import token
from tiktok_accounts_gql.cli.worker import worker

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The command line: `tiktok-accounts`.", rich_markup_mode=None
)
# Help texts are arguments and not docstrings, which `python -OO` removes.
app.command(help="Serve the API. Everything else is set by environment variables: see docs/configuration.md.")(serve)
app.command(
    help="Work on sync jobs and the schedule, without serving the API. Any number of workers share one PostgreSQL."
)(worker)
app.command(
    help="Sync a viewer's accounts as a job, and follow it to its end; exit code 1 if an account could not be read."
)(sync)
app.command(
    help="Run everything on this machine: an embedded database, a TikTok sandbox, three viewers with accounts, the API."
)(demo)
app.command(help="Run the TikTok sandbox alone. Its page at /sandbox/ shows accounts and calls, and makes calls fail.")(
    sandbox
)
app.command(help="Bring the database's tables up to this version. Nothing happens if they are.")(migrate)
app.command(
    help="Check settings, database, keys, sign-in and TikTok, and say how to fix what is wrong; exit code 1 if a check fails."
)(doctor)
app.command(
    "rotate-keys",
    help="Encrypt everything again with the first of ACCOUNTS_ENCRYPTION_KEYS, while servers run; can be interrupted.",
)(rotate_keys)
app.command(
    help="Print a JWT for a viewer. Only where ACCOUNTS_JWT_SECRET is set: keys behind a JWKS URL are not ours."
)(token)
app.add_typer(schema_app, name="schema")
app.add_typer(docs_app, name="docs")
