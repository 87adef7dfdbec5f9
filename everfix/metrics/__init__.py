"""Metrics: every number that a dashboard, a report or the API shows comes from one catalogue of sources."""
