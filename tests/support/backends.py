"""Marks for tests that run on one database, where the other would test the same."""

import pytest

on_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True, scope="session")
on_postgresql = pytest.mark.parametrize("backend", ["postgresql"], indirect=True, scope="session")
