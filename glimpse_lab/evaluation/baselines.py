"""Gazes to compare a learned one with, each beside a classifier that is trained for it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from glimpse_envs.classifier import GlimpseClassifier
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.core import GlimpseCore
from glimpse_envs.metrics.information import log_probability
from glimpse_envs.strategies import (
    Centre,
    Fixed,
    Glance,
    Grid,
    ScriptedGaze,
    Uniform,
    reachable_zooms,
    scripted,
)


def baseline_strategies() -> dict[str, ScriptedGaze]:
    """Return the gazes that need no search, by name.

    Each follows the environment's own start.
    """
    return {"random": Uniform(), "centre": Centre(), "grid": Grid(2), "overview-random": Glance()}


def best_fixed(
    config: GlimpseConfig,
    classifier: GlimpseClassifier,
    *,
    n_images: int = 1000,
    spacing: float = 0.5,
    seed: int = 0,
    progress: bool = False,
) -> Fixed:
    """Find a good sequence of gazes that is the same for all images, greedily.

    Each next gaze is the one of a lattice (at every zoom that the agent reaches) after which the
    validation images' labels have the highest mean log-probability.

    :param config: the environment
    :param classifier: says the probabilities
    :param n_images: validation images to search with
    :param spacing: of the lattice's gazes, windows; of a retina, those of its finest scale
    :param seed: draws these images
    :param progress: show a progress bar: on a large canvas there are hundreds of gazes to try
    :return: as many gazes as the budget allows after the first glimpse
    """
    shown = scripted(replace(config, split="validation"), classifier)
    rng = np.random.default_rng(seed)
    index = np.sort(rng.permutation(len(shown.shown_split))[:n_images])
    core = GlimpseCore(shown, len(index))
    core.seed_all(seed)
    core.reset(core.lanes, index)
    candidates = lattice(config, spacing)
    chosen: list[tuple[float, float, float]] = []

    def everywhere(gaze: NDArray[np.float32]) -> NDArray[np.float32]:
        return core.geometry.to_frame(np.tile(gaze, (len(index), 1)))

    def score(gaze: NDArray[np.float32]) -> float:
        belief = core.lookahead(everywhere(gaze))
        return float(log_probability(belief[core.lanes, core.labels]).mean())

    steps = config.budget - 1
    with tqdm(
        total=steps * len(candidates), desc="best fixed", unit=" gazes", disable=not progress
    ) as bar:
        for _ in range(steps):
            scores = np.full(len(candidates), -np.inf)
            for number, gaze in enumerate(candidates):
                scores[number] = score(gaze)
                bar.update()
            best = candidates[int(scores.argmax())]
            core.step(everywhere(best))
            chosen.append(tuple(best.tolist()))
    return Fixed(tuple(chosen))


def lattice(config: GlimpseConfig, spacing: float = 0.5) -> NDArray[np.float32]:
    """Return gazes at most ``spacing`` windows apart at every zoom that the agent reaches, (n, 3).

    :raises ValueError: for a spacing that is not above 0
    """
    if not spacing > 0:
        raise ValueError(f"got spacing={spacing}; wanted a number of windows above 0")
    geometry = config.geometry
    gazes = []
    for zoom in reachable_zooms(config):
        corners = np.float32([[0.0, 0.0, zoom], [1.0, 1.0, zoom]])
        (left, top, _), (right, bottom, _) = geometry.clamp(corners).astype(float)
        side = geometry.windows(corners)[0, 2]
        apart = spacing * side
        columns = 1 + int(np.ceil((right - left) * geometry.width / apart - 1e-6))
        rows = 1 + int(np.ceil((bottom - top) * geometry.height / apart - 1e-6))
        for y in np.linspace(top, bottom, rows):
            gazes += [(x, y, zoom) for x in np.linspace(left, right, columns)]
    return np.float32(gazes)
