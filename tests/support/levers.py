"""Tiny environments with Dict actions."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray


class Levers(gym.Env[Any, dict[str, Any]]):
    """Pull what is lit, for a few steps; refuses what is no action."""

    action_space = spaces.Dict(
        {
            "arm": spaces.Dict(
                {"angle": spaces.Box(-2, 5, (2,)), "grip": spaces.Discrete(3, start=-1)}
            ),
            "keys": spaces.MultiDiscrete([2, 3]),
            "lights": spaces.MultiBinary(2),
        }
    )

    def __init__(self, observed: str = "Box") -> None:
        self.observed = observed
        lit = spaces.Box(-1.0, 1.0, (3,), np.float32)
        time = spaces.Box(0.0, 1.0, (1,), np.float32)
        self.observation_space = (
            lit if observed == "Box" else spaces.Dict({"lit": lit, "time": time})
        )

    def _observe(self) -> Any:
        self._lit = self.np_random.uniform(-1.0, 1.0, 3).astype(np.float32)
        time = np.array([self._steps / self._length], np.float32)
        return self._lit if self.observed == "Box" else {"lit": self._lit, "time": time}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._steps, self._length = 0, int(self.np_random.integers(1, 6))
        return self._observe(), {}

    def step(self, action: dict[str, Any]) -> Any:
        if action not in self.action_space:
            raise ValueError(f"got {action}; wanted {self.action_space}")
        angle = float(action["arm"]["angle"][0]) / 5.0
        right = int(action["lights"][0]) == (self._lit[0] > 0.0)
        self._steps += 1
        end = self._steps == self._length
        return self._observe(), float(right) - abs(angle - float(self._lit[1])), end, False, {}


class SayOrPoint(gym.Env[NDArray[np.float32], dict[str, Any]]):
    """Where the first number is above 0, say the sign of the second; else point at the second.

    One step; the best mean reward is 1.
    """

    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = spaces.Dict(
        {
            "say": spaces.Discrete(2),
            "sign": spaces.Discrete(2),
            "point": spaces.Box(-1.0, 1.0, (1,), np.float32),
        }
    )
    gates = {"sign": {"say": 1}, "point": {"say": 0}}  # noqa: RUF012  # a constant

    @staticmethod
    def rewards(seen: NDArray[np.float32], action: dict[str, Any]) -> NDArray[np.float64]:
        """The rewards (...) of observations (..., 2)."""
        wanted, value = seen[..., 0] > 0.0, seen[..., 1]
        said = action["sign"] == (value > 0.0)
        pointed = 1.0 - np.abs(action["point"][..., 0] - value)
        return np.where(action["say"] == wanted, np.where(wanted, said, pointed), 0.0)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._seen = self.np_random.uniform(-1.0, 1.0, 2).astype(np.float32)
        return self._seen, {}

    def step(self, action: dict[str, Any]) -> Any:
        return self._seen, float(self.rewards(self._seen, action)), True, False, {}


class Logits(gym.Env[NDArray[np.float32], dict[str, Any]]):
    """Tell which of three numbers is the largest, by logits that have no bounds.

    A move is asked for too, and changes nothing. One step; the reward is the log-probability of the
    right answer.
    """

    observation_space = spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = spaces.Dict(
        {
            "move": spaces.Discrete(2),
            "prediction": spaces.Box(-np.inf, np.inf, (3,), np.float32),
        }
    )

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._seen = self.np_random.uniform(-1.0, 1.0, 3).astype(np.float32)
        return self._seen, {}

    def step(self, action: dict[str, Any]) -> Any:
        if action not in self.action_space:
            raise ValueError(f"got {action}; wanted {self.action_space}")
        logits = action["prediction"].astype(float)
        right = logits[self._seen.argmax()]
        reward = right - np.logaddexp.reduce(logits)
        return self._seen, float(reward), True, False, {"prediction": action["prediction"]}
