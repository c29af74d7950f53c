"""A task of memory: what the first glimpse shows is asked for after the last one."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv

N_CLASSES = 4
SIDE = 8
LENGTH = 6


class Recall(gym.Env[dict[str, np.ndarray], np.ndarray]):
    """The class is the quarter of the first glimpse that is bright.

    The other glimpses are noise, and the answer counts after the last one alone.

    :param length: number of glimpses
    :param history: observe the glimpses so far, too
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, length: int = LENGTH, history: bool = False) -> None:
        self.length, self.history = length, history
        parts = {
            "glimpse": spaces.Box(0, 255, (SIDE, SIDE, 1), np.uint8),
            "gaze": spaces.Box(0.0, 1.0, (3,), np.float32),
            "remaining": spaces.Box(0.0, 1.0, (1,), np.float32),
        }
        if history:
            parts["glimpses"] = spaces.Box(0, 255, (length, SIDE, SIDE, 1), np.uint8)
            parts["gazes"] = spaces.Box(0.0, 1.0, (length, 3), np.float32)
            parts["taken"] = spaces.Box(0.0, 1.0, (length,), np.float32)
        self.observation_space = spaces.Dict(parts)
        self.action_space = spaces.MultiDiscrete([2, N_CLASSES + 1])

    def _observe(self) -> dict[str, np.ndarray]:
        n = self._n
        parts = {
            "glimpse": self._glimpses[n - 1],
            "gaze": np.full(3, 0.5, np.float32),
            "remaining": np.array([1.0 - n / self.length], np.float32),
        }
        if self.history:
            parts["glimpses"] = np.zeros_like(self._glimpses)
            parts["glimpses"][:n] = self._glimpses[:n]
            parts["taken"] = (np.arange(self.length) < n).astype(np.float32)
            parts["gazes"] = 0.5 * parts["taken"][:, None].repeat(3, axis=1)
        return parts

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        self._label, self._n = int(self.np_random.integers(N_CLASSES)), 1
        shape = (self.length, SIDE, SIDE, 1)
        self._glimpses = self.np_random.integers(0, 40, shape, dtype=np.uint8)
        row, column = (SIDE // 2 * place for place in divmod(self._label, 2))
        self._glimpses[0, row : row + SIDE // 2, column : column + SIDE // 2] += 200
        return self._observe(), {}

    def step(
        self, action: np.ndarray
    ) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        last = self._n == self.length
        reward = float(last and action[-1] - 1 == self._label)
        self._n += not last
        return self._observe(), reward, last, False, {}


def recall_envs(n_envs: int = 32, history: bool = False) -> DummyVecEnv:
    """Return so many lanes of the task."""
    return DummyVecEnv([lambda: Recall(history=history)] * n_envs)


def accuracy(model: BaseAlgorithm, n_episodes: int = 512) -> float:
    """Return share of right answers of the deterministic policy in new episodes."""
    env = recall_envs(64, "glimpses" in model.observation_space.keys())
    env.seed(10_000)
    obs, state, starts = env.reset(), None, np.ones(64, bool)
    rewards: list[float] = []
    while len(rewards) < n_episodes:
        actions, state = model.predict(obs, state, starts, deterministic=True)
        obs, reward, starts, _ = env.step(actions)
        rewards += reward[starts].tolist()
    return float(np.mean(rewards))


def falling(rate: float) -> Callable[[float], float]:
    """Return a learning rate that falls linearly to 0."""
    return lambda remaining: rate * remaining
