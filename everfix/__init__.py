"""Everfix finds what keeps failing, predicts its return, proves that a fix held, and reports it."""

__version__ = "0.1.0"
