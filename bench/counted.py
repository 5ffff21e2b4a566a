"""Under callgrind: the application in process, without sockets; `counted.py DATABASE_URL`."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from bench.callgrind import Counter
from bench.documents import CASES, SUMMARY
from bench.load import Ask
from bench.ours import ask, bench_settings, list_ask
from tiktok_accounts_gql.app import create_app, tame_collector

VIEWERS = 4
WARM_UP, BATCH, BATCHES = 2 * VIEWERS, VIEWERS, 5  # of each operation; BATCH and WARM_UP in requests
ACCOUNT = "query Account($id: ID!) { account(id: $id) { id displayName username status followerCount lastSyncedAt } }"
DASHBOARD = Path(__file__).parents[1] / "operations" / "accounts.graphql"
Asks = list[Ask]


class InProcess:
    """A client of the application itself."""

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state

    async def data(self, one: Ask) -> Any:
        """What is answered. Raises RuntimeError for an answer with errors."""
        return json.loads(await self.answer(one))["data"]

    async def answer(self, one: Ask) -> bytes:
        """As it is sent: reading it is the client's work. Raises RuntimeError for an answer with errors."""
        sent: list[dict[str, Any]] = []
        body = one.body.encode()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(self._scope(one, body), receive, send)
        answer = b"".join(message.get("body", b"") for message in sent)
        if not answer.startswith(b'{"data":'):
            raise RuntimeError(f"{one.body} was answered by {answer.decode()}")
        return answer

    def _scope(self, one: Ask, body: bytes) -> dict[str, Any]:
        headers = {"host": "localhost:8000", "content-type": "application/json", "content-length": str(len(body))}
        headers[one.identity[0].lower()] = one.identity[1]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": one.method,
            "scheme": "http",
            "path": one.path,
            "raw_path": one.path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8000),
            "state": self._state.copy(),
        }


async def operations(client: InProcess) -> dict[str, Asks]:
    """Five, each asked by several viewers."""
    some = CASES[0]
    pages = [await client.data(list_ask(viewer, some, None)) for viewer in range(VIEWERS)]
    ids = [page["accounts"]["edges"][viewer]["node"]["id"] for viewer, page in enumerate(pages)]
    cursors = [page["accounts"]["edges"][-1]["cursor"] for page in pages]
    variables = {
        "filter": {"status": ["ACTIVE", "EXPIRED"]},
        "orderBy": {"field": "FOLLOWER_COUNT", "direction": "DESC"},
    }
    return {
        "list of 20": _each(lambda viewer: list_ask(viewer, some, cursors[viewer] if viewer % 2 else None)),
        "list of 50, totalCount": _each(
            lambda viewer: list_ask(viewer, CASES[3], cursors[viewer] if viewer % 2 else None)
        ),
        "account": _each(lambda viewer: ask(viewer, ACCOUNT, id=ids[viewer])),
        "accountsSummary": _each(lambda viewer: ask(viewer, SUMMARY)),
        "operations/accounts.graphql": _each(lambda viewer: ask(viewer, DASHBOARD.read_text(), **variables)),
    }


def _each(make: Callable[[int], Ask]) -> Asks:
    return [make(viewer) for viewer in range(VIEWERS)]


async def count(client: InProcess, counter: Counter) -> None:
    """Dumps batches of each operation. What was done once is over by then: imports, plans, statements, caches."""
    for name, asks in (await operations(client)).items():
        await _ask(client, asks, WARM_UP)
        tame_collector()  # as the server does: else a look at all objects falls into one batch or another
        for _ in range(BATCHES):
            await _ask(client, asks, 1)  # a dump takes its time: what came due meanwhile is done with before the batch
            counter.start()
            await _ask(client, asks, BATCH)
            counter.stop()
            counter.dump(name)


async def _ask(client: InProcess, asks: Asks, times: int) -> None:
    for number in range(times):
        await client.answer(asks[number % len(asks)])


async def main(database_url: str) -> None:
    app = create_app(bench_settings(database_url), worker=False)
    async with started(app) as state:
        await count(InProcess(app, state), Counter())


@asynccontextmanager
async def started(app: ASGIApp) -> AsyncGenerator[dict[str, Any]]:
    """The state of an application between its start and its end, which a server would tell it of."""
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    done: asyncio.Queue[Any] = asyncio.Queue()
    state: dict[str, Any] = {}
    living = asyncio.ensure_future(app({"type": "lifespan", "state": state}, told.get, done.put))
    told.put_nowait({"type": "lifespan.startup"})
    if (began := await done.get())["type"] != "lifespan.startup.complete":
        raise RuntimeError(began)
    yield state
    told.put_nowait({"type": "lifespan.shutdown"})
    await living


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
