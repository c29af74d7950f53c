"""A tiny glimpse environment with every observation and action space the policies know."""

from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces

N_CLASSES = 4

ACTION_SPACES = {
    "Discrete": spaces.Discrete(6 + N_CLASSES),
    "MultiDiscrete": spaces.MultiDiscrete([9, 3, N_CLASSES + 1]),
    "Box": spaces.Box(-1.0, 1.0, (2,), np.float32),
}

VECTOR_SIZES = {"map": 9, "belief": N_CLASSES, "classifier_features": 5}


def observation_space(
    glimpse: tuple[int, ...] = (8, 8, 1), extras: tuple[str, ...] = ()
) -> spaces.Dict:
    return spaces.Dict(
        {
            "glimpse": spaces.Box(0, 255, glimpse, np.uint8),
            "gaze": spaces.Box(0.0, 1.0, (3,), np.float32),
            "remaining": spaces.Box(0.0, 1.0, (1,), np.float32),
            **{key: spaces.Box(0.0, 1.0, (VECTOR_SIZES[key],), np.float32) for key in extras},
        }
    )


def observations(space: spaces.Dict, n: int, seed: int = 0) -> dict[str, th.Tensor]:
    """A batch of n random observations; the last row is after its last glimpse."""
    space.seed(seed)
    samples = [space.sample() for _ in range(n)]
    batch = {key: np.stack([sample[key] for sample in samples]) for key in space.keys()}
    batch["remaining"] = np.linspace(1.0, 0.0, n, dtype=np.float32)[:, None]
    if "belief" in batch:
        batch["belief"] = batch["belief"] / batch["belief"].sum(axis=1, keepdims=True)
    return {key: th.as_tensor(array) for key, array in batch.items()}


class TinyGlimpse(gym.Env[dict[str, np.ndarray], Any]):
    """The glimpse's brightness tells the class; going on after the budget is wrong."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self,
        scheme: str = "MultiDiscrete",
        glimpse: tuple[int, ...] = (8, 8, 1),
        extras: tuple[str, ...] = (),
        budget: int = 4,
    ) -> None:
        self.action_space = ACTION_SPACES[scheme]
        self.observation_space = observation_space(glimpse, extras)
        self.scheme = scheme
        self.budget = budget

    def _answer(self, action: Any) -> int:
        if self.scheme == "Discrete":
            return int(action) - 6
        if self.scheme == "MultiDiscrete":
            return int(action[-1]) - 1
        return -1

    def _observe(self) -> dict[str, np.ndarray]:
        rng, sizes = self.np_random, VECTOR_SIZES
        shape = self.observation_space["glimpse"].shape
        belief = np.full(sizes["belief"], 0.1, np.float32)
        belief[self._label] += 1.0 - belief.sum()
        values = {
            "glimpse": (60 * self._label + rng.integers(0, 40, shape)).astype(np.uint8),
            "gaze": rng.random(3, np.float32),
            "remaining": np.array([1.0 - self._taken / self.budget], np.float32),
            "map": rng.random(sizes["map"], np.float32),
            "belief": belief,
            "classifier_features": rng.random(sizes["classifier_features"], np.float32),
        }
        return {key: values[key] for key in self.observation_space.keys()}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        self._label = int(self.np_random.integers(N_CLASSES))
        self._taken = 1
        return self._observe(), {}

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        answer = self._answer(action)
        end = answer >= 0 or self._taken == self.budget
        self._taken += not end
        return self._observe(), float(answer == self._label), end, False, {}
