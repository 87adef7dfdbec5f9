"""What a writer made of one block: its sentences, and the ones fit for the summary and the takeaways."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Told:
    """`weight` orders takeaways; 0 says that the block held nothing worth one."""

    sentences: tuple[str, ...] = ()
    summary: str = ""
    takeaway: str = ""
    weight: float = 0.0
    more: str = ""  # a second takeaway, where there is one
