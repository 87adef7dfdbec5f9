"""Fits the weights of everfix.failures.similarity on the learning parts of the public sets and prints them; never reads the reported parts.

Learning parts: the older half of ossfuzz, of gitbugs and of nodejs_excerpts (name masked), the projects Closure, Lang and Time of
defects4j. Failures are walked in order with the true groups given (teacher forcing). Each new failure yields one row per candidate group:
the mean evidence over the group's three most alike members, and whether it is the right group. For each kind of comparison a logistic
model with fixed signs is fitted, every set counting the same. The biases are then moved by SHIFT, chosen by eye from the table of pair
precision, recall and F1 that this prints for the learning parts: the best F1 where precision is at least 0.8, else the best F1.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from everfix.failures import fingerprint, grouping, similarity, sources  # noqa: E402 - the checkout is put on the path first
from everfix.failures.fingerprint import Failure  # noqa: E402
from everfix.failures.scopes import Scope  # noqa: E402
from tests.shared import folder  # noqa: E402

Items = list[tuple[str, Failure, str]]
NAMES = list(similarity.NAMES)
# What a kind of comparison never meets in the learning parts keeps a small weight set by hand; and how far each bias is moved, see `main`.
UNSEEN = {
    "difference": 1.0,
    "plain_difference": 0.5,
    "type_bits": 0.1,
    "type_words": 0.3,
    "service_bits": 0.1,
    "hours": 0.1,
    "quiet_hours": 0.1,
    "same_moment": -4.0,
    "long_ago": -0.3,
}
SHIFT = {"check": 1.5, "crash": 2.15, "text": -0.5}
SIGNS = np.array([-1.0 if n in similarity.AGAINST else 1.0 for n in NAMES])


def read(items: str, truth: str) -> Items:
    path = folder() / "data" / truth
    opener = gzip.open if truth.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as file:
        true = dict(list(csv.reader(file))[1:])
    read = (grouping.read(line) for line in grouping.opened(str(folder() / "data" / items)))
    return [(i, failure, true[i]) for i, failure in read]


def learning() -> dict[str, Items]:
    d4j = read("defects4j/items.jsonl.gz", "defects4j/truth.csv")
    halves = {n: read(f"{n}/items.jsonl.gz", f"{n}/truth.csv") for n in ("ossfuzz", "gitbugs")}
    halves["masked"] = read("nodejs_excerpts/items-masked.jsonl.gz", "nodejs_excerpts/truth.csv")
    # Closure is larger than the other two together: as sets of their own they count the same, and no project's habits rule.
    projects = {"Closure": ("Closure",), "Lang, Time": ("Lang", "Time")}
    return {
        **{name: [x for x in d4j if x[1].scope in scopes] for name, scopes in projects.items()},
        **{n: x[: len(x) // 2] for n, x in halves.items()},
    }


def rows(items: Items) -> dict[str, tuple[np.ndarray, np.ndarray]]:  # noqa: C901 - one walk, told in order
    """Return evidence, and right or wrong, of every candidate met on the way, by the model that compares them."""
    scopes: dict[str, Scope] = defaultdict(Scope)
    out: dict[str, tuple[list[list[float]], list[float]]] = {}
    for _, failure, true in items:
        scope, found = scopes[failure.scope], fingerprint.of(failure)
        bag = sources.Bag(found.features)
        if found.key not in scope.exact:
            if scope.source.telling(bag):
                for group in scope.index.candidates(bag, scope.source):
                    scored = sorted(
                        ((similarity.score(bag, o, scope.source)[0], o) for o in scope.exemplars.get(group, ())), key=lambda s: -s[0]
                    )[: grouping.ALIKE]
                    if not scored:
                        continue
                    parts: dict[str, float] = defaultdict(float)
                    for _, other in scored:
                        for name, value in similarity.evidence(bag, other, scope.source).items():
                            parts[name] += value / len(scored)
                    x, y = out.setdefault(similarity.kind(bag, scored[0][1]), ([], []))
                    x.append([parts.get(n, 0.0) for n in NAMES])
                    y.append(float(group == true))
            grouping._placed(scope, found, bag, grouping.Assignment(true, {}, 1.0, None))  # noqa: SLF001 - the very bookkeeping of the product
            scope.source.observe(bag)
        elif found.key in scope.once:
            scope.once.discard(found.key)
            if scope.source.telling(bag) and found.features.at is not None:
                scope.source.repeat(scope.last.get(true) == found.features.at)
        scope.source.arrive(found.features.at)
        scope.index.touch(true)
        if found.features.at is not None:
            scope.last[true] = found.features.at
    return {kind: (np.array(x), np.array(y)) for kind, (x, y) in out.items()}


def fit(sets: Iterable[tuple[np.ndarray, np.ndarray]], l2: float = 0.003) -> tuple[np.ndarray, float]:
    parts = [(x * SIGNS, y, np.full(len(y), 1 / len(y))) for x, y in sets]
    x, y, w = (np.concatenate([p[i] for p in parts]) for i in range(3))
    w = w / len(parts)
    scale = np.abs(x).mean(0) + x.std(0)
    unseen = scale < 1e-9
    scale[unseen] = 1.0

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        z = np.clip(x @ (theta[:-1] / scale) + theta[-1], -40, 40)
        p = 1 / (1 + np.exp(-z))
        value = -(w * (y * np.log(p + 1e-12) + (1 - y) * np.log(1 - p + 1e-12))).sum() + l2 * float((theta[:-1] ** 2).sum()) * float(
            w[y == 1].sum()
        )
        grad = w * (p - y)
        return value * 100, 100 * np.append(x.T @ grad / scale + 2 * l2 * w[y == 1].sum() * theta[:-1], grad.sum())

    bounds = [(0.0, None)] * len(NAMES) + [(None, None)]
    found = minimize(loss, np.append(np.full(len(NAMES), 0.1), -3.0), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 800})
    weights = np.where(unseen, [UNSEEN.get(n, 0.0) for n in NAMES], found.x[:-1] / scale * SIGNS)
    return weights, float(found.x[-1])


def agreement(items: Items) -> tuple[float, float, float]:
    """Return pair precision, recall and F1 of the product's own grouping."""
    grouper = grouping.Grouper()
    for i, failure, _ in items:
        grouper.assign(i, failure)
    final, true = grouper.finish(), {i: t for i, _, t in items}

    def pairs(counts: Iterable[int]) -> float:
        return sum(n * (n - 1) / 2 for n in counts)

    both, mine, real = (
        pairs(Counter((final[i], true[i]) for i in final).values()),
        pairs(Counter(final.values()).values()),
        pairs(Counter(true.values()).values()),
    )
    p, r = both / mine if mine else 1.0, both / real if real else 1.0
    return p, r, 2 * p * r / (p + r) if p + r else 0.0


def main() -> None:
    sets = learning()
    for _ in range(3):
        made = {name: rows(items) for name, items in sets.items()}
        for kind in similarity.MODELS:
            weights, bias = fit(m[kind] for m in made.values() if kind in m and m[kind][1].sum() >= 20)
            found = {n: round(float(v), 3) for n, v in zip(NAMES, weights, strict=True) if abs(v) >= 0.002}
            similarity.MODELS[kind] = {"bias": round(bias, 2), **found}
            print(kind, {n: (len(m[kind][1]), int(m[kind][1].sum())) for n, m in made.items() if kind in m}, file=sys.stderr)
    for shift in (-1.0, -0.5, 0.0, 0.5, 1.0):
        fitted = {kind: dict(model) for kind, model in similarity.MODELS.items()}
        for kind, model in similarity.MODELS.items():
            model["bias"] = round(model["bias"] + SHIFT[kind] + shift, 2)
        said = {name: agreement(items) for name, items in sets.items()}
        print(shift, {n: tuple(round(v, 3) for v in s) for n, s in said.items()}, flush=True)
        if not shift:
            for kind, model in similarity.MODELS.items():
                print(f'    "{kind}": {model},')
        similarity.MODELS.update(fitted)


if __name__ == "__main__":
    main()
