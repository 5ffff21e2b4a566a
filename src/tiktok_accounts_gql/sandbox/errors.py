"""Errors as TikTok sends them, in two formats: that of its OAuth endpoints, and that of its Open API."""

import secrets
import time
from collections.abc import Mapping

from starlette.responses import JSONResponse, Response


class ApiError(Exception):
    """An error with TikTok's code."""

    def __init__(self, status: int, code: str, description: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.description, self.headers = status, code, description, headers


def to_oauth_response(error: ApiError) -> Response:
    body = {"error": error.code, "error_description": error.description, "log_id": create_log_id()}
    return JSONResponse(body, error.status, error.headers)


def to_open_api_response(error: ApiError) -> Response:
    body = {"data": {}, "error": {"code": error.code, "message": error.description, "log_id": create_log_id()}}
    return JSONResponse(body, error.status, error.headers)


def create_log_id() -> str:
    return time.strftime("%Y%m%d%H%M%S", time.gmtime()) + secrets.token_hex(8).upper()
