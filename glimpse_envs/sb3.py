"""The Stable-Baselines3 face of the simulation."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.core import GlimpseCore
from glimpse_envs.faces_sb3 import LaneVecEnv, lane_spec, refuse_beside_config

EXAMPLE = "GlimpseCIFAR-MultiCat-v0"

_ALL = slice(None)


class GlimpseVecEnv(LaneVecEnv):
    """Many glimpse environments stepped together as an SB3 ``VecEnv``.

    Lane i behaves, bit for bit, as a ``GlimpseEnv`` seeded with ``seed + i``; a Dict action space
    is shown through a ``BoxView``.

    :param env: a registered glimpse environment, such as "GlimpseCIFAR-MultiCat-v0", or
        "PACKAGE:ID", which imports the package first, or a ``GlimpseConfig`` that is made already
    :param n_envs: number of lanes
    :param seed: of lane 0; lane i has seed + i. None for entropy from the system
    :param render_mode: None or "rgb_array"
    :param make_kwargs: arguments of ``gymnasium.make`` that replace the registered ones
    :raises ValueError: for an id that is not registered or not a glimpse environment, or for
        arguments beside a configuration
    """

    def __init__(
        self,
        env: str | GlimpseConfig,
        n_envs: int = 1,
        *,
        seed: int | None = None,
        render_mode: str | None = "rgb_array",
        **make_kwargs: Any,
    ) -> None:
        if isinstance(env, GlimpseConfig):
            refuse_beside_config(env, make_kwargs)
            config, spec = env, None
        else:
            spec = _glimpse_spec(env)
            config = make_config(**{**spec.kwargs, **make_kwargs})
        super().__init__(config, GlimpseCore(config, n_envs), spec, seed, render_mode)

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which actions are legal in each lane, bool (num_envs, n); see ``GlimpseEnv``.

        ``env_method("action_masks")`` returns a row for each lane, as MaskablePPO asks for them.
        """
        if self.core.episodes[0] < 0:
            raise gym.error.ResetNeeded("no episode was begun: call reset()")
        return self.core.action_masks()

    def _infos(self, lanes: NDArray[np.int64] | slice = _ALL) -> list[dict[str, Any]]:
        """Return the infos of some lanes; where there are two, faster than for any names."""
        if self.core.config.sensor.pixels_per_degree is not None:
            return super()._infos(lanes)
        labels, predictions = self.core.labels[lanes], self.core.predictions[lanes]
        pairs = zip(labels.tolist(), predictions.tolist(), strict=True)
        return [{"label": label, "prediction": prediction} for label, prediction in pairs]


def registered_kwargs(env_id: str) -> dict[str, Any]:
    """Return the arguments with which a glimpse environment is registered.

    :param env_id: as of ``GlimpseVecEnv``
    :raises ValueError: for an id that is not registered (with the nearest one), or of another
        package
    """
    return dict(_glimpse_spec(env_id).kwargs)


def _glimpse_spec(env_id: str) -> EnvSpec:
    return lane_spec(
        env_id, "glimpse_envs.envs:GlimpseVectorEnv", kind="a glimpse", example=EXAMPLE
    )
