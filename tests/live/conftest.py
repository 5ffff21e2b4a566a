"""Whoever watches a job waits for its end."""

from tests.support.worked import http, server_url

__all__ = ["http", "server_url"]
