"""What Kubernetes, load balancers and Prometheus ask by the address of a process: no name of ours is in the request."""

import asyncio

import pytest

from tests.support.server import Api

HOSTS = [
    pytest.param("10.1.2.3:8000", id="a-pod's-address"),
    pytest.param("10.1.2.3", id="without-a-port"),
    pytest.param("[fd00::1]:8000", id="an-address-of-IPv6"),
    pytest.param("ip-10-1-2-3.ec2.internal", id="a-machine's-name"),
    pytest.param("", id="empty"),
    pytest.param(None, id="none"),
]


async def asked(api: Api, method: str, path: str, host: str | None, *headers: str) -> tuple[int, bytes]:
    """The status and the body of an answer to what is written by hand."""
    reader, writer = await asyncio.open_connection(api.http.base_url.host, api.http.base_url.port)
    version = "1.0" if host is None else "1.1"
    named = [] if host is None else [f"Host: {host}"]
    lines = [f"{method} {path} HTTP/{version}", *named, *headers, "Connection: close", "", ""]
    writer.write("\r\n".join(lines).encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_a_probe_is_answered_by_any_address(api: Api, path: str, host: str | None) -> None:
    status, body = await asked(api, "GET", path, host, "User-Agent: kube-probe/1.31")
    assert status == 200
    assert b"accounts_operations_total" in body if path == "/metrics" else body == b'{"status":"ok"}'
    assert (await asked(api, "HEAD", path, host))[0] == 200


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    "path",
    ["/graphql", "/", "/livez/more", "/livez%2F..%2Fgraphql", "/oauth/tiktok/callback", "/avatars/x/y", "/LIVEZ"],
)
async def test_everything_else_is_for_hosts_of_ours(api: Api, path: str, host: str | None) -> None:
    status, body = await asked(api, "GET", path, host, f"Authorization: Bearer {api.token}")
    assert (status, b"does not serve the host" in body) == (400, True)


async def test_a_page_of_a_foreign_name_cannot_read_a_probe(api: Api) -> None:
    answer = await api.http.get("/metrics", headers={"Host": "evil.example", "Origin": "https://evil.example"})
    assert (answer.status_code, answer.headers.get("Access-Control-Allow-Origin")) == (200, None)
