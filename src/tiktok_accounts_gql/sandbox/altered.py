"""Replies that are odd at the side: of a call that is carried out, with other fields, status, headers or body.

Fields are named by paths: `data.user.likes_count` in a reply of user info, `expires_in` in one of tokens.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from starlette.responses import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Alteration:
    """`fields` are set to values, `raw` to JSON in these words (`NaN`, `1e400`), and those in `remove` are gone.

    `body` replaces the whole, as text or as `body_base64`; `status` and `headers` replace what the call would have had.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    body: str | None = None
    body_base64: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def apply(self, response: Response) -> Response:
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        return Response(
            self._content(bytes(response.body)), self.status or response.status_code, {**headers, **self.headers}
        )

    def _content(self, body: bytes) -> bytes:
        if self.body_base64 is not None:
            return base64.b64decode(self.body_base64)
        if self.body is not None:
            return self.body.encode()
        return self._altered(json.loads(body or b"{}"))

    def _altered(self, values: dict[str, Any]) -> bytes:
        marks = {path: uuid4().hex for path in self.raw}
        for path, value in {**self.fields, **marks}.items():
            parent, name = _place(values, path)
            parent[name] = value
        for path in self.remove:
            parent, name = _place(values, path)
            parent.pop(name, None)
        text = json.dumps(values)
        for path, mark in marks.items():
            text = text.replace(f'"{mark}"', self.raw[path])
        return text.encode()


def _place(values: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    """The object in which a path ends, made on the way where there is none."""
    *parents, name = path.split(".")
    for parent in parents:
        inner = values.get(parent)
        values[parent] = inner if isinstance(inner, dict) else {}
        values = values[parent]
    return values, name
