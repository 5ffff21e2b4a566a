"""Measurements. `make bench` runs them all; `bench/README.md` says what they are and how they are kept fair."""
