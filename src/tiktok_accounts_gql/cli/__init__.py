"""The `tiktok-accounts` command: a file per subcommand.

What `--help` imports stays small: a subcommand imports SQLAlchemy, Strawberry, DBOS or uvicorn when it runs.
"""

from tiktok_accounts_gql.cli.main import app

__all__ = ["app"]
