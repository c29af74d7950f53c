"""Pictures of where the agent looks, in TensorBoard while it trains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch as th
from matplotlib.figure import Figure
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Figure as FigureEntry
from stable_baselines3.common.logger import Image, TensorBoardOutputFormat

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_lab.evaluation.rollout import evaluate, record
from policies.ranges import checks_arguments


class ScanpathImages(BaseCallback):
    """Draw, every so many timesteps, how the agent looks at a few images, always the same.

    Writes to the run's TensorBoard the last frame of each image with its scanpath, side by side
    (``scanpaths/images``), and with a classifier the belief in the true class after each glimpse
    (``scanpaths/belief``). The agent acts deterministically in a simulation of its own: what is
    learned does not depend on this callback. Without TensorBoard it does nothing.

    :param n_images: how many images, at least 1
    :param every: timesteps (of all lanes) between two drawings, at least 1. The first is drawn
        before the training, the last after it.
    :param split: of the images; by default one that training does not use
    """

    @checks_arguments
    def __init__(
        self, *, n_images: int = 4, every: int = 50_000, split: str = "validation"
    ) -> None:
        super().__init__()
        if n_images < 1 or every < 1:
            raise ValueError(f"got n_images={n_images}, every={every}; wanted at least 1 each")
        self.n_images, self.every = int(n_images), int(every)
        self.split = split

    def _init_callback(self) -> None:
        try:
            config: GlimpseConfig = self.training_env.get_attr("config", [0])[0]
        except AttributeError as error:
            raise ValueError(
                f"ScanpathImages needs glimpse environments, got {self.training_env}"
            ) from error
        self.config = replace(config, split=self.split, augment=None)  # images as they are
        n = len(self.config.shown_split)
        # drawn, since image folders come sorted by class
        self.index = np.random.default_rng(0).permutation(n)[: self.n_images]

    def _on_training_start(self) -> None:
        self._last = self.model.num_timesteps
        self._draw()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps - self._last >= self.every:
            self._last = self.model.num_timesteps
            self._draw()

    def _on_training_end(self) -> None:
        self._draw()

    def _draw(self) -> None:
        outputs = self.logger.output_formats
        writers = [output for output in outputs if isinstance(output, TensorBoardOutputFormat)]
        if not writers:
            return
        training = self.model.policy.training
        with th.random.fork_rng():  # deterministic actions may cost draws all the same
            film = record(self.model, self.config, self.index, hold=0)
            paths = evaluate(self.model, self.config, index=self.index)
        self.model.policy.set_training_mode(training)
        entries: dict[str, Image | FigureEntry] = {"scanpaths/images": Image(film[-1], "HWC")}
        if paths.n_classes:
            figure = FigureEntry(belief_figure(paths), close=False)
            entries["scanpaths/belief"] = figure
        for writer in writers:  # not with the next dump, which comes an update later or never
            writer.write(entries, dict.fromkeys(entries, ()), self.model.num_timesteps)


def belief_figure(paths: Scanpaths) -> Figure:
    """Return a figure of the belief in the true class after each glimpse, a line for each image.

    The marker tells where the episode ended, and whether the answer was right.

    :param paths: with beliefs
    """
    figure = Figure(figsize=(5, 3.2), dpi=100, layout="constrained")
    axes = figure.subplots()
    for row, label in enumerate(paths.labels):
        belief = paths.beliefs[row, : paths.n_glimpses[row], label]
        steps = np.arange(1, len(belief) + 1)
        right = paths.predictions[row] == label
        (line,) = axes.plot(steps, belief, linewidth=1.5, alpha=0.8)
        axes.plot(steps[-1], belief[-1], "o" if right else "x", color=line.get_color())
    axes.set(
        xlabel="glimpse", ylabel="belief in the true class", ylim=(-0.02, 1.02),
        xlim=(0.8, paths.budget + 0.2), xticks=range(1, paths.budget + 1),
        title="o right answer, x wrong or none",
    )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    return figure
