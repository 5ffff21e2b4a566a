"""WebSockets on which a client says more than anybody has to say."""

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from tests.support.backends import on_sqlite
from tests.support.neighbours import STILL, neighbour
from tests.support.server import Api
from tests.support.sockets import PROTOCOL, Socket, address, connected
from tiktok_accounts_gql.server.sockets import MAX_BURST

pytestmark = [on_sqlite, pytest.mark.untraced]

MANY = 20_000
PING = '{"type":"ping"}'


def frames(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True) * MANY


@pytest.mark.parametrize("signed_in", [True, False])
@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(frames(Opcode.TEXT, PING.encode()), id="pings-of-the-protocol"),
        pytest.param(frames(Opcode.TEXT, b'{"type":"pong"}'), id="pongs-of-the-protocol"),
        pytest.param(frames(Opcode.PING, b""), id="pings"),
        pytest.param(frames(Opcode.PONG, b""), id="pongs"),
        pytest.param(
            Frame(Opcode.TEXT, b"{", fin=False).serialize(mask=True) + frames(Opcode.CONT, b"", fin=False), id="pieces"
        ),
    ],
)
async def test_a_flood_ends_the_socket_and_the_neighbour_notices_nothing(
    attacked: Api, flood: bytes, signed_in: bool
) -> None:
    async with connect(address(attacked), subprotocols=[Subprotocol(PROTOCOL)], proxy=None) as connection:
        socket = Socket(connection=connection)
        if signed_in:
            await socket.init(attacked.token)
        with neighbour(attacked) as watched:
            await asyncio.to_thread(watched.report, at_least=20)
            connection.transport.write(flood)
            assert await socket.closed() == (4429, "Too many messages")
            during = await asyncio.to_thread(watched.report, at_least=50)
    print(during)  # noqa: T201
    assert during.failed == 0
    assert during.stood_still < STILL


async def test_what_a_client_says_in_a_burst_is_answered(attacked: Api) -> None:
    async with connected(attacked) as socket:
        for _ in range(MAX_BURST - 5):
            await socket.send(type="ping")
        for _ in range(MAX_BURST - 5):
            assert await socket.receive() == {"type": "pong"}


async def test_ten_messages_a_second_are_answered_for_as_long_as_they_come(attacked: Api) -> None:
    async with connected(attacked) as socket:
        for _ in range(MAX_BURST - 5):
            await socket.send(type="ping")
            await socket.receive()
        for _ in range(30):
            await asyncio.sleep(0.1)
            await socket.send(type="ping")
            assert await socket.receive() == {"type": "pong"}
