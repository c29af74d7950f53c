"""The Stable-Baselines3 face of inverse action modelling."""

from __future__ import annotations

from typing import Any

from gymnasium.envs.registration import EnvSpec

from glimpse_envs.faces_sb3 import LaneVecEnv, lane_spec, refuse_beside_config
from glimpse_envs.inverse.config import InverseConfig, make_config
from glimpse_envs.inverse.core import InverseCore


class InverseVecEnv(LaneVecEnv):
    """Many inverse environments stepped together as an SB3 ``VecEnv``.

    Lane i shows, bit for bit, what an ``InverseEnv`` seeded with ``seed + i`` shows; rewards agree
    up to rounding. The Dict of actions is shown through a ``BoxView``.

    :param env: a registered inverse environment, such as "GlimpseInverseMNIST-v0", or "PACKAGE:ID",
        which imports the package first, or an ``InverseConfig`` that is made already
    :param n_envs: number of lanes
    :param seed: of lane 0; lane i has seed + i. None for entropy from the system
    :param render_mode: None or "rgb_array"
    :param make_kwargs: arguments of ``gymnasium.make`` that replace the registered ones
    :raises ValueError: for an id that is not registered or not an inverse environment, or for
        arguments beside a configuration
    """

    config: InverseConfig
    core: InverseCore

    def __init__(
        self,
        env: str | InverseConfig,
        n_envs: int = 1,
        *,
        seed: int | None = None,
        render_mode: str | None = "rgb_array",
        **make_kwargs: Any,
    ) -> None:
        if isinstance(env, InverseConfig):
            refuse_beside_config(env, make_kwargs)
            config, spec = env, None
        else:
            spec = _inverse_spec(env)
            config = make_config(**{**spec.kwargs, **make_kwargs})
        super().__init__(config, InverseCore(config, n_envs), spec, seed, render_mode)


def registered_kwargs(env_id: str) -> dict[str, Any]:
    """Return the arguments with which an inverse environment is registered.

    :param env_id: as of ``InverseVecEnv``
    :raises ValueError: for an id that is not registered (with the nearest one), or of another kind
    """
    return dict(_inverse_spec(env_id).kwargs)


def _inverse_spec(env_id: str) -> EnvSpec:
    return lane_spec(
        env_id,
        "glimpse_envs.inverse.envs:InverseVectorEnv",
        kind="an inverse",
        example="GlimpseInverseMNIST-v0",
    )
