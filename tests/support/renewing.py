"""A process that needs access tokens: for each line `VIEWER ACCOUNT-ID` on stdin, one line with the token on stdout.

Its settings come from the environment. It ends with stdin, or is killed.
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from tests.cli.serving import environment_variables
from tiktok_accounts_gql.db.models import Account
from tiktok_accounts_gql.services.viewer import Viewer
from tiktok_accounts_gql.settings import Settings, load_settings
from tiktok_accounts_gql.wiring import Running, open_services

READY = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewer:
    """A process that needs access tokens, from outside."""

    process: asyncio.subprocess.Process

    async def ask(self, account: Account) -> str:
        """Return the token, or the error's name; an empty text if the process died."""
        await self.send(account)
        return await self.answer()

    async def send(self, account: Account) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{account.viewer_id} {account.id}\n".encode())
        await self.process.stdin.drain()

    async def answer(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 60)).decode().strip()

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def renewer(settings: Settings) -> AsyncGenerator[Renewer]:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "tests.support.renewing")
    environment = {**os.environ, **environment_variables(settings)}
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environment)
    outside = Renewer(process=process)
    try:
        assert await outside.answer() == READY
        yield outside
    finally:
        if process.returncode is None:
            await outside.kill()


async def _serve(running: Running) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        viewer, account_id = line.split()
        try:
            answer = await running.tokens.get_access_token(Viewer(id=viewer), UUID(account_id))
        except Exception as error:  # noqa: BLE001 - its name is the answer
            answer = type(error).__name__
        print(answer, flush=True)  # noqa: T201


async def _main() -> None:
    async with open_services(load_settings()) as running:
        print(READY, flush=True)  # noqa: T201
        await _serve(running)


if __name__ == "__main__":
    asyncio.run(_main())
