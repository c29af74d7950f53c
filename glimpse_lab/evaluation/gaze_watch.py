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
from policies.ranges import checks_arguments


class GazeWatch(BaseCallback):
    """Log how the gaze depends on validation images, and warn where it gets stuck in one place.

    A classifier that is shown one place alone learns nothing about the rest, so that looking
    elsewhere pays less and less: agent and classifier hold each other there. The agent acts
    deterministically on the same images each time; nothing learns from them. Logged are ``gaze/``
    ``path_bits`` (entropy of the gazes chosen in an episode; 0 for one fixed sequence),
    ``commonest_share`` (of the fixations that lie in one square of the image), and the accuracy as
    ``validation/accuracy``, read as exactly as the rollouts are.

    :param n_images: the first so many of the validation split, or all where it has fewer
    :param share: how many timesteps of such episodes there are at most, as a share of those trained
    :ivar last: what was found last, None before
    :raises ValueError: for numbers out of range; when training starts, for an environment other
        than a ``GlimpseVecEnv``, or with wrappers that change observations
    """

    @checks_arguments
    def __init__(self, n_images: int = 500, share: float = 0.05) -> None:
        super().__init__()
        if n_images < 1 or not 0.0 < share <= 1.0:
            raise ValueError(
                f"got n_images={n_images}, share={share}; wanted at least 1, and a share in (0, 1]"
            )
        self.n_images, self.share = n_images, share
        self.last: Collapse | None = None
        self._was_stuck = self._warned = False

    def _init_callback(self) -> None:
        if not plays_as_shown(self.training_env):
            raise ValueError(
                f"GazeWatch got {self.training_env}; wanted a GlimpseVecEnv without wrappers that "
                "change observations"
            )
        self._config = replace(cores_of(self.training_env)[0].config, split="validation")
        self._n_shown = min(self.n_images, len(self._config.shown_split))
        #: timesteps from one time to the next
        self._every = self._n_shown * self._config.budget / self.share

    def _on_training_start(self) -> None:
        self._times = self._times_by_now()

    def _times_by_now(self) -> int:
        """Return how often it was time, by timesteps alone: a resumed training keeps them."""
        return int(self.model.num_timesteps // self._every)

    def _on_rollout_start(self) -> None:
        times = self._times_by_now()
        if times == self._times:
            return
        self._times = times
        paths = evaluate(self.model, self._config, index=self._n_shown)
        self.last = collapse(paths)
        self.logger.record("gaze/path_bits", gaze_dependence(paths).path_bits)
        self.logger.record("validation/accuracy", float(np.mean(paths.predictions == paths.labels)))
        if self.last.share is not None:
            self.logger.record("gaze/commonest_share", self.last.share)
        # few fixations say little: agents that answer at once choose hardly any
        stuck = self.last.collapsed and self.last.n_fixations >= self._n_shown
        # twice in a row: many agents begin with one gaze for all images
        if stuck and self._was_stuck and not self._warned:
            self._warned = True
            tqdm.write(warning(self.last, self.num_timesteps))
        self._was_stuck = stuck

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
        f"{found.n_fixations:,} fixations that the agent chose on validation images lie round "
        f"x={x:.2f}, y={y:.2f}; docs/training.md says what keeps a gaze moving"
    )
