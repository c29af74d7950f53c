"""Observations that a classifier read anew, on their way through the wrappers to the agent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

READ = ("belief", "classifier_features")
"""The parts of an observation that a classifier gives."""


class ReadAnew:
    """Puts what the classifier reads anew in the place of what the agent would act on next.

    :param env: of the agent, with its wrappers
    :param last: the observation that the agent acts on next, as the algorithm keeps it
    :param raw: the same as the simulation gave it
    :raises ValueError: for wrappers, other than ``VecNormalize``, that change these observations:
        nothing could be put in their place
    """

    def __init__(self, env: VecEnv, last: Any, raw: dict[str, NDArray]) -> None:
        self.normalizers: list[VecNormalize] = []
        wrappers = []
        while isinstance(env, VecEnvWrapper):
            wrappers.append(type(env).__name__)
            if isinstance(env, VecNormalize):
                self.normalizers.insert(0, env)  # the innermost first
            env = env.venv
        passed = self._pass(raw)
        for key in READ:
            if key not in raw:
                continue
            seen = last.get(key) if isinstance(last, dict) else None
            if seen is None or seen.shape != raw[key].shape or not _equal(seen, passed[key]):
                raise ValueError(
                    f"CoTrainingCallback got an environment whose wrappers change {key!r} "
                    f"({', '.join(wrappers) or 'those of its lanes'}), so that what the classifier "
                    "reads anew has no place in the agent's observations; wanted VecNormalize or "
                    "wrappers that leave it as it is: drop the wrapper, or the callback"
                )

    def put(self, last: dict[str, NDArray], raw: dict[str, NDArray]) -> None:
        """Replace the classifier's parts of an observation.

        :param last: the agent's next observation; changed in place
        :param raw: read anew, from the simulation
        """
        passed = self._pass(raw)
        for key in READ:
            if key in raw:
                last[key] = passed[key]
        for normalizer in self.normalizers:
            if isinstance(normalizer.old_obs, dict):  # what get_original_obs gives
                normalizer.old_obs |= {key: raw[key] for key in READ if key in raw}

    def _pass(self, rows: dict[str, NDArray]) -> dict[str, NDArray]:
        for normalizer in self.normalizers:
            rows = normalizer.normalize_obs(rows)
        return rows


def _equal(seen: NDArray, passed: NDArray) -> bool:
    return np.allclose(seen, passed, rtol=1e-4, atol=1e-5)
