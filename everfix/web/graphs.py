"""Graphs: where the nodes of a small graph stand, so that what is tied is near and nothing overlaps; drawn by the template.

Springs pull tied nodes together and all nodes push each other away (Fruchterman and Reingold, 1991), from places on a circle, so that one
graph always looks the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEPS = 120


@dataclass(frozen=True, slots=True)
class Drawn:
    """Places of nodes, in their order, inside a width and a height."""

    width: int
    height: int
    places: tuple[tuple[float, float], ...]


def place(count: int, edges: Sequence[tuple[int, int, float]], width: int, height: int, margin: int) -> Drawn:
    """Return where `count` nodes stand; an edge is (one, other, weight)."""
    if count == 0:
        return Drawn(width, height, ())
    turns = np.arange(count) * 2 * math.pi / count
    at = np.stack([np.cos(turns), np.sin(turns)], axis=1) * 0.5 + 0.5
    pull = np.zeros((count, count))
    most = max((weight for _, _, weight in edges), default=1.0) or 1.0
    for one, other, weight in edges:
        pull[one, other] = pull[other, one] = max(0.3, weight / most)
    room = 1.0 / math.sqrt(count)
    for step in range(STEPS):
        at = _moved(at, pull, room, 0.1 * (1 - step / STEPS))
    low, high = at.min(axis=0), at.max(axis=0)
    spread = np.where(high - low < 1e-9, 1.0, high - low)
    scaled = np.where(high - low < 1e-9, 0.5, (at - low) / spread) * [width - 2 * margin, height - 2 * margin] + margin
    return Drawn(width, height, tuple((round(float(x), 1), round(float(y), 1)) for x, y in scaled))


def _moved(at: NDArray[np.float64], pull: NDArray[np.float64], room: float, most: float) -> NDArray[np.float64]:
    """Return the places after one step, each node moved by `most` at the utmost."""
    apart = at[:, None, :] - at[None, :, :]
    far = np.maximum(np.hypot(apart[..., 0], apart[..., 1]), 1e-6)
    force = room * room / far - pull * far * far / room
    np.fill_diagonal(force, 0.0)
    shift: NDArray[np.float64] = (apart / far[..., None] * force[..., None]).sum(axis=1)
    length = np.maximum(np.hypot(shift[:, 0], shift[:, 1]), 1e-9)
    return at + shift / length[:, None] * np.minimum(length, most)[:, None]
