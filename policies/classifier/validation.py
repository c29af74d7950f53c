"""Episodes on validation images, which train nothing: the agent's, or along a given gaze."""

from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecTransposeImage

from glimpse_envs.boxview import BoxView
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.core import GlimpseCore, Sequences
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_envs.strategies import ScriptedGaze
from policies.classifier.replay import Collector, join

_LANES = 500


def validation_episodes(model: Any, config: GlimpseConfig, n: int, seed: int) -> Sequences:
    """Return what the agent, acting deterministically, sees of validation images.

    :param model: of Stable-Baselines3, trained on the observation space of ``config``
    :param config: of its environment
    :param n: how many episodes, at most as many as there are validation images
    :param seed: of the choice of images
    """
    unseen = replace(config, split="validation")
    order = np.random.default_rng(seed).permutation(len(unseen.shown_split))[:n]
    batches = np.split(order, range(_LANES, len(order), _LANES))
    return join([_play(model, unseen, batch) for batch in batches])


def plays_as_shown(env: VecEnv) -> bool:
    """Return whether an agent sees the lanes of a ``GlimpseVecEnv`` just as they are.

    :param env: of the agent, with its wrappers; a policy transposes images by itself
    """
    while isinstance(env, (VecMonitor, VecTransposeImage)):
        env = env.venv
    return isinstance(env, GlimpseVecEnv)


def scripted_validation_episodes(
    config: GlimpseConfig, gaze: ScriptedGaze, n: int, seed: int | list[int]
) -> Sequences:
    """Return what is seen of validation images along a scripted gaze.

    :param config: of the environment
    :param gaze: after the environment's own first glimpse
    :param n: how many episodes, at most as many as there are validation images
    :param seed: of images and gaze
    """
    unseen = replace(config, split="validation")
    n = min(n, len(unseen.shown_split))
    return Collector(unseen, gaze, seed, lanes=min(n, _LANES)).collect(n)


def _play(model: Any, config: GlimpseConfig, index: NDArray[np.int64]) -> Sequences:
    """Play one episode with each image; lanes that have ended wait for the others."""
    core, n = GlimpseCore(config, len(index)), len(index)
    space = config.action_space
    view = BoxView(space) if isinstance(space, spaces.Dict) else None
    observation, state = core.reset(core.lanes, index), None
    glimpses = np.zeros((n, config.budget, *observation["glimpse"].shape[1:]), np.uint8)
    gaze = np.zeros((n, config.budget, 3), np.float32)
    counts, running = core.n_glimpses.copy(), np.ones(n, bool)
    for t in range(config.budget):
        glimpses[:, t], gaze[:, t] = observation["glimpse"], observation["gaze"]
        if not running.any():
            break
        starts = np.full(n, t == 0)
        actions, state = model.predict(observation, state, starts, deterministic=True)
        step = core.step(actions if view is None else view.decode(actions))
        counts[running] = core.n_glimpses[running]
        observation, running = step.observation, running & ~step.ended
    return Sequences(glimpses, gaze, counts, core.labels.copy())
