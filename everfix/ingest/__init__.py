"""Ingest: how failures come in. `events.accept` is the only door."""
