"""`python -m everfix` is the command line."""

from everfix.cli import app

app()
