"""Pictures of a run of inverse action modelling: examples, and how the reward grew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.inverse import InverseConfig, InverseCore
from glimpse_envs.inverse.frames import draw_frame
from glimpse_envs.render.drawing import LIGHT
from glimpse_lab.inverse.rollout import Choose, episodes
from glimpse_lab.plots.style import BLUE, ORANGE, finish, new_figure, save


def draw_examples(
    choose: Choose, config: InverseConfig, index: NDArray[np.int64], *, seed: int = 0
) -> list[NDArray[np.uint8]]:
    """Draw images before, after, and before, transformed by what was told, uint8 (H, W, 3) each.

    Of episodes of several actions as the canvas is at the end.

    :param choose: such as of :func:`glimpse_lab.inverse.rollout.agent`
    :param config: the environment, with the split to show
    :param index: images of the split, int64 (n,)
    :param seed: as of :func:`glimpse_lab.inverse.rollout.evaluate`
    """
    drawn = [np.zeros(0, np.uint8)] * len(index)
    said: list[list[str]] = [[] for _ in index]
    for core, running, actions in episodes(choose, config, index, seed):
        if actions is None:
            continue
        for lane in running.nonzero()[0]:
            kind, parameter = core.last[lane]
            said[lane].append(config.actions.describe(int(kind), parameter))
            drawn[lane] = draw_frame(
                core.first[lane],
                core.after[lane],
                core.before[lane],
                f"true {true_words(core, lane)}; told {', '.join(said[lane])}",
                float(core.similarity[lane]),
                palette=LIGHT,
            )
    return drawn


def true_words(core: InverseCore, lane: int) -> str:
    """Return the actions between the images of a lane in words and numbers."""
    parameters = core.true_parameters[lane]
    table = core.config.actions
    return ", ".join(table.describe(int(k), float(parameters[k])) for k in parameters.nonzero()[0])


def plot_learning_curve(
    progress: Mapping[str, NDArray[np.float64]], path: Path, *, reached: float
) -> Path | None:
    """Plot the mean reward of episodes over the time steps; None where no row was logged.

    :param progress: columns of ``progress.csv``
    :param path: of the file
    :param reached: mean similarity on the test images, at the end
    """
    names = ("time/total_timesteps", "rollout/reward")
    steps, rewards = (progress.get(name, np.zeros(0)) for name in names)
    if len(steps) != len(rewards) or not (known := np.isfinite(steps) & np.isfinite(rewards)).any():
        return None
    figure = new_figure(3.4)
    axes = figure.subplots()
    axes.plot(steps[known], rewards[known], color=BLUE, linewidth=1.2, label="training images")
    axes.axhline(
        reached, color=ORANGE, linestyle=":", linewidth=1.8, label=f"test images ({reached:.2f})"
    )
    axes.set(xlabel="time steps", ylabel="reward of an episode")
    axes.legend(loc="lower right", edgecolor="none")
    finish(axes)
    return save(figure, path)
