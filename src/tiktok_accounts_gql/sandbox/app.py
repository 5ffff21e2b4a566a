"""A TikTok of our own, as strict as the real one: Login Kit's authorization, the token endpoints, user info, webhooks.

What the real one does not have is below `/sandbox/`: pictures, faults on request, and a record of every call.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette

from tiktok_accounts_gql.sandbox.api import Api
from tiktok_accounts_gql.sandbox.consent import ConsentEndpoint
from tiktok_accounts_gql.sandbox.control import ControlApi
from tiktok_accounts_gql.sandbox.defaults import ACCESS_TOKEN_SECONDS, REFRESH_TOKEN_SECONDS, REQUESTS_PER_MINUTE
from tiktok_accounts_gql.sandbox.faults import Faults
from tiktok_accounts_gql.sandbox.pictures import PictureEndpoint
from tiktok_accounts_gql.sandbox.state import SandboxState
from tiktok_accounts_gql.sandbox.users import DEFAULT_OPEN_IDS
from tiktok_accounts_gql.sandbox.webhooks import WebhookSender


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """The parts of a sandbox. Tests read `state` and end grants in it; `faults` makes calls fail."""

    client_key: str
    client_secret: str = field(repr=False)
    state: SandboxState
    requests_per_minute: int
    webhooks: WebhookSender
    open_ids: Sequence[str] = DEFAULT_OPEN_IDS
    faults: Faults = field(default_factory=Faults)

    @property
    def app(self) -> Starlette:
        pictures = PictureEndpoint(key=self.client_secret.encode(), state=self.state)
        api = Api(
            client_key=self.client_key,
            client_secret=self.client_secret,
            state=self.state,
            faults=self.faults,
            webhooks=self.webhooks,
            pictures=pictures,
            requests_per_minute=self.requests_per_minute,
        )
        consent = ConsentEndpoint(client_key=self.client_key, state=self.state, open_ids=self.open_ids)
        control = ControlApi(state=self.state, faults=self.faults, webhooks=self.webhooks)
        return Starlette(routes=[*api.routes(), *consent.routes(), *pictures.routes(), *control.routes()])


def create_sandbox(  # noqa: PLR0913 - what can be chosen about it
    *,
    client_key: str,
    client_secret: str,
    path: Path | None = None,
    access_seconds: int = ACCESS_TOKEN_SECONDS,
    refresh_seconds: int = REFRESH_TOKEN_SECONDS,
    requests_per_minute: int = REQUESTS_PER_MINUTE,
    webhook_url: str | None = None,
    open_ids: Sequence[str] = DEFAULT_OPEN_IDS,
    clock: Callable[[], float] = time.time,
) -> Sandbox:
    """Create a sandbox, which keeps its grants in the file `path`, or in memory without one.

    `requests_per_minute`: for each endpoint. `open_ids`: the users that the consent page offers. `webhook_url`: without it
    no webhooks are sent.
    """
    state = SandboxState(path, access_seconds=access_seconds, refresh_seconds=refresh_seconds, clock=clock)
    return Sandbox(
        client_key=client_key,
        client_secret=client_secret,
        state=state,
        requests_per_minute=requests_per_minute,
        webhooks=WebhookSender(url=webhook_url, client_key=client_key, client_secret=client_secret, clock=clock),
        open_ids=open_ids,
    )
