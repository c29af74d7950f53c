"""What becomes of the gaze while an agent trains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from glimpse_envs.metrics.gaze_statistics import Collapse, collapse, gaze_dependence
from glimpse_lab.evaluation.rollout import evaluate
from policies.classifier.cotraining import cores_of
from policies.classifier.validation import plays_as_shown


class GazeWatch(BaseCallback):
    """Log how the gaze depends on validation images, and warn where it gets stuck in one place.

    A classifier that is shown one place alone learns nothing about the rest, so that looking
    elsewhere pays less and less: agent and classifier hold each other there. The agent acts
    deterministically on the same images each time; nothing learns from them. Logged are ``gaze/``
    ``path_bits`` (entropy of the gazes chosen in an episode; 0 for one fixed sequence),
    ``commonest_share`` (of the fixations that lie in one square of the image), and the accuracy as
    ``validation/accuracy``.

    :param n_images: the first so many of the validation split
    :param share: how many timesteps of such episodes there are at most, as a share of those trained
    :ivar last: what was found last, None before
    """

    def __init__(self, n_images: int = 500, share: float = 0.05) -> None:
        super().__init__()
        if n_images < 1 or not 0.0 < share <= 1.0:
            raise ValueError(
                f"got n_images={n_images}, share={share}; wanted at least 1, and a share in (0, 1]"
            )
        self.n_images, self.share = n_images, share
        self.last: Collapse | None = None
        self._before = self._warned = False

    def _init_callback(self) -> None:
        if not plays_as_shown(self.training_env):
            raise ValueError(
                f"GazeWatch got {self.training_env}; wanted a GlimpseVecEnv without wrappers that "
                "change observations"
            )
        self.config = replace(cores_of(self.training_env)[0].config, split="validation")
        self.n_images = min(self.n_images, len(self.config.shown_split))
        self.every = self.n_images * self.config.budget / self.share

    def _on_training_start(self) -> None:
        self._next = self.model.num_timesteps + self.every

    def _on_rollout_start(self) -> None:
        if self.num_timesteps < self._next:
            return
        self._next = self.num_timesteps + self.every
        paths = evaluate(self.model, self.config, index=self.n_images)
        self.last = collapse(paths)
        self.logger.record("gaze/path_bits", gaze_dependence(paths).path_bits)
        self.logger.record("validation/accuracy", float(np.mean(paths.predictions == paths.labels)))
        if self.last.share is not None:
            self.logger.record("gaze/commonest_share", self.last.share)
        # few fixations say little: agents that answer at once choose hardly any
        stuck = self.last.collapsed and self.last.n_fixations >= self.n_images
        if stuck and self._before and not self._warned:
            self._warned = True
            tqdm.write(warning(self.last, self.num_timesteps))
        self._before = stuck  # twice: most agents begin with one gaze for all images

    def _on_step(self) -> bool:
        return True


def warning(found: Collapse, timesteps: int) -> str:
    """Return what is said of a gaze that is stuck.

    :param found: that has collapsed
    :param timesteps: done so far
    """
    x, y = found.place
    return (
        f"warning: the gaze is stuck at {timesteps:,} timesteps: {found.share:.0%} of the "
        f"fixations that the agent chose lie round x={x:.2f}, y={y:.2f}. Let the classifier see "
        "other places (pretraining and random_share of policies.CoTrainingCallback), or the agent "
        "begin elsewhere (policies.Imitation)"
    )
