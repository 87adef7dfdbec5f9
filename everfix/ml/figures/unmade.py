"""The one error of this package: a figure cannot be made from these data, and why; a report prints the reason in the figure's place."""

from __future__ import annotations


class Unmade(ValueError):
    """These data do not give this figure."""
