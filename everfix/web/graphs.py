"""Graphs: where the nodes of a small graph stand, so that what is tied is near and nothing overlaps; drawn by the template.

By networkx's springs (Fruchterman and Reingold, 1991), from places on a circle, so that one graph always looks the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import networkx as nx
import numpy as np

STEPS = 120


def place(count: int, edges: Sequence[tuple[int, int, float]], width: int, height: int, margin: int) -> list[tuple[float, float]]:
    """Return where `count` nodes stand within a width and a height; an edge is (one, other, weight)."""
    if count == 0:
        return []
    most = max((weight for _, _, weight in edges), default=1.0) or 1.0
    graph = nx.Graph()
    graph.add_nodes_from(range(count))
    graph.add_weighted_edges_from((one, other, max(0.3, weight / most)) for one, other, weight in edges)
    found = nx.spring_layout(graph, pos=nx.circular_layout(graph), k=1 / math.sqrt(count), iterations=STEPS, seed=0)
    at = np.array([found[node] for node in range(count)])
    low, spread = at.min(axis=0), np.ptp(at, axis=0)
    flat = spread < 1e-6  # places are of single precision
    scaled = np.where(flat, 0.5, (at - low) / np.where(flat, 1.0, spread)) * [width - 2 * margin, height - 2 * margin] + margin
    return [(round(float(x), 1), round(float(y), 1)) for x, y in scaled]
