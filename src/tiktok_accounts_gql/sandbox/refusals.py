"""Errors as TikTok tells them: in the envelope of its OAuth endpoints, and in that of its Open API."""

import secrets
import time
from collections.abc import Mapping

from starlette.responses import JSONResponse, Response


class Refused(Exception):
    """An error as TikTok names it."""

    def __init__(self, status: int, code: str, description: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.description, self.headers = status, code, description, headers


def oauth_error(refused: Refused) -> Response:
    body = {"error": refused.code, "error_description": refused.description, "log_id": log_id()}
    return JSONResponse(body, refused.status, refused.headers)


def open_api_error(refused: Refused) -> Response:
    error = {"code": refused.code, "message": refused.description, "log_id": log_id()}
    return JSONResponse({"data": {}, "error": error}, refused.status, refused.headers)


def log_id() -> str:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime()) + secrets.token_hex(8).upper()
