"""A TikTok of our own, as strict as the real one: Login Kit's authorization, the token endpoints, user info, webhooks.

What the real one has not is below `/sandbox/`: pictures, faults on request, and the truth about every call.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette

from tiktok_accounts_gql.sandbox.api import Api
from tiktok_accounts_gql.sandbox.consent import Consent
from tiktok_accounts_gql.sandbox.control import Control
from tiktok_accounts_gql.sandbox.faults import Faults
from tiktok_accounts_gql.sandbox.pictures import Pictures
from tiktok_accounts_gql.sandbox.state import SandboxState
from tiktok_accounts_gql.sandbox.users import PEOPLE
from tiktok_accounts_gql.sandbox.webhooks import Webhooks

TWO_HOURS, HALF_A_YEAR = 7200, 15_552_000
REQUESTS_PER_MINUTE = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """`state` tells tests the truth and lets them end grants; `faults` makes calls fail."""

    client_key: str
    client_secret: str = field(repr=False)
    state: SandboxState
    requests_per_minute: int
    webhooks: Webhooks
    people: Sequence[str] = PEOPLE
    faults: Faults = field(default_factory=Faults)

    @property
    def app(self) -> Starlette:
        pictures = Pictures(key=self.client_secret.encode(), state=self.state)
        api = Api(
            client_key=self.client_key,
            client_secret=self.client_secret,
            state=self.state,
            faults=self.faults,
            webhooks=self.webhooks,
            pictures=pictures,
            requests_per_minute=self.requests_per_minute,
        )
        consent = Consent(client_key=self.client_key, state=self.state, people=self.people)
        control = Control(state=self.state, faults=self.faults, webhooks=self.webhooks)
        return Starlette(routes=[*api.routes(), *consent.routes(), *pictures.routes(), *control.routes()])


def create_sandbox(  # noqa: PLR0913 - what can be chosen about it
    *,
    client_key: str,
    client_secret: str,
    path: Path | None = None,
    access_seconds: int = TWO_HOURS,
    refresh_seconds: int = HALF_A_YEAR,
    requests_per_minute: int = REQUESTS_PER_MINUTE,
    webhook_url: str | None = None,
    people: Sequence[str] = PEOPLE,
    clock: Callable[[], float] = time.time,
) -> Sandbox:
    """`path`: a file in which it remembers its grants; in memory without it. Limits are per endpoint.

    `people`: open ids of those whom the consent page offers.
    """
    state = SandboxState(path, access_seconds=access_seconds, refresh_seconds=refresh_seconds, clock=clock)
    return Sandbox(
        client_key=client_key,
        client_secret=client_secret,
        state=state,
        requests_per_minute=requests_per_minute,
        webhooks=Webhooks(url=webhook_url, client_key=client_key, client_secret=client_secret, clock=clock),
        people=people,
    )
