"""The Gymnasium faces of a simulation of lanes: one environment, and a vector of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Protocol

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from glimpse_envs.arrays import as_array, as_seed
from glimpse_envs.lanes import Lanes

_ONE = np.zeros(1, np.int64)


class LaneSpaces(Protocol):
    """What the faces ask of a configuration.

    :ivar observation_space: of one lane
    :ivar action_space: of one lane
    """

    observation_space: spaces.Dict
    action_space: spaces.Space


class LaneEnv(gym.Env):
    """One lane as a Gymnasium environment.

    :param config: what the lane is made of
    :param core: the simulation, of one lane
    :param render_mode: None or "rgb_array"
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 2}

    def __init__(self, config: LaneSpaces, core: Lanes, render_mode: str | None) -> None:
        self.config, self.core = config, core
        self.observation_space = config.observation_space
        self.action_space = config.action_space
        self.render_mode = check_render_mode(render_mode)
        self._running = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Begin an episode. Option ``index`` is the image of the split to show."""
        seed = as_seed(seed)
        super().reset(seed=seed)
        if seed is not None or self.core.episodes[0] < 0:
            self.core.seed(0, self.np_random)
        index = chosen_images(options, 1, self.core.n_images)
        observation = self.core.reset(_ONE, index)
        self._running = True
        return _first(observation), self._info()

    def step(self, action: Any) -> tuple[dict[str, NDArray], float, bool, bool, dict[str, Any]]:
        """Carry out an action.

        :raises ValueError: for an action outside the action space, NaN included
        :raises gymnasium.error.ResetNeeded: before the first reset and after the end
        """
        if not self._running:
            raise gym.error.ResetNeeded("the episode has ended (or none was begun): call reset()")
        if isinstance(action, dict):
            actions: Any = {key: as_array(value, key)[None] for key, value in action.items()}
        else:
            actions = as_array(action)[None]
        observation, reward, ended = self.core.step(actions)
        info = self._info()
        terminated = bool(ended[0])
        if terminated:
            self._running = False
            info.update((key, value[0]) for key, value in self.core.summary(_ONE).items())
        return _first(observation), float(reward[0]), terminated, False, info

    def render(self) -> NDArray[np.uint8] | None:
        """Return a drawing of the episode so far, uint8 (height, width, 3).

        Gymnasium's ``RecordVideo`` makes a film of them, and needs moviepy for it:
        ``pip install "glimpse-envs[video]"``.
        """
        if self.render_mode is None:
            gym.logger.warn('render() needs gymnasium.make(id, render_mode="rgb_array")')
            return None
        return draw_lane(self.core, 0)

    def _info(self) -> dict[str, Any]:
        return {key: plain(rows[0]) for key, rows in self.core.infos().items()}


class LaneVectorEnv(gym.vector.VectorEnv):
    """Many lanes stepped together as a Gymnasium vector.

    :param config: what the lanes are made of
    :param core: their simulation
    :param render_mode: None or "rgb_array"
    """

    metadata: ClassVar[dict[str, Any]] = {
        **LaneEnv.metadata,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(self, config: LaneSpaces, core: Lanes, render_mode: str | None) -> None:
        self.config, self.core, self.num_envs = config, core, core.n_lanes
        self.single_observation_space = config.observation_space
        self.single_action_space = config.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.render_mode = check_render_mode(render_mode)
        self.autoreset_mode = AutoresetMode.SAME_STEP  # as Gymnasium's own vectors say it, too

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Begin an episode in every lane. Option ``index``: the image of each lane, (num_envs,)."""
        core = self.core
        each = isinstance(seed, (list, tuple, np.ndarray))
        if each:
            super().reset(seed=None)
            self._seed_each(seed)
        else:
            seed = as_seed(seed)
            super().reset(seed=seed)
            if seed is not None or core.episodes[0] < 0:
                core.seed_all(seed)
        index = chosen_images(options, self.num_envs, self.core.n_images)
        return core.reset(core.lanes, index), self._infos()

    def step(
        self, actions: Any
    ) -> tuple[dict[str, NDArray], NDArray, NDArray, NDArray, dict[str, Any]]:
        """Carry out one action of every lane; rewards are float64, as Gymnasium's own."""
        if self.core.episodes[0] < 0:
            raise gym.error.ResetNeeded("no episode was begun: call reset()")
        observation, reward, ended = self.core.step(actions)
        final: dict[str, Any] = {}
        if ended.any():
            final = self._finish(observation, ended)
        truncated = np.zeros(self.num_envs, np.bool_)
        infos = self._infos() | final
        return observation, reward.astype(np.float64), ended, truncated, infos

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Return one drawing for each lane."""
        if self.render_mode is None:
            return None
        return tuple(draw_lane(self.core, lane) for lane in range(self.num_envs))

    def _finish(self, observation: dict[str, NDArray], ended: NDArray[np.bool_]) -> dict[str, Any]:
        """Reset the lanes that ended, in ``observation`` too; return their final infos."""
        core, lanes = self.core, ended.nonzero()[0]
        final_obs = np.full(self.num_envs, None, dtype=object)
        for lane in lanes:
            final_obs[lane] = {key: rows[lane].copy() for key, rows in observation.items()}
        final_info = self._infos(ended)
        for key, values in core.summary(lanes).items():
            column = np.zeros(self.num_envs, np.asarray(values).dtype)
            column[lanes] = values
            final_info |= {key: column, f"_{key}": ended.copy()}
        for key, rows in core.reset(lanes).items():
            observation[key][lanes] = rows
        return {
            "final_obs": final_obs,
            "_final_obs": ended.copy(),
            "final_info": final_info,
            "_final_info": ended.copy(),
        }

    def _infos(self, mask: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        """Return the infos of the lanes in ``mask`` (None: all) in Gymnasium's form."""
        mask = np.ones(self.num_envs, np.bool_) if mask is None else mask
        infos: dict[str, Any] = {}
        for key, rows in self.core.infos().items():
            shown = mask.reshape(-1, *(1,) * (rows.ndim - 1))
            infos |= {key: np.where(shown, rows, rows.dtype.type(0)), f"_{key}": mask.copy()}
        return infos

    def _seed_each(self, seeds: Iterable[int | None]) -> None:
        seeds = [as_seed(seed) for seed in seeds]
        if len(seeds) != self.num_envs:
            raise ValueError(f"got {len(seeds)} seeds; wanted one for each of {self.num_envs}")
        for lane, seed in enumerate(seeds):
            if seed is not None or self.core.episodes[lane] < 0:
                self.core.seed(lane, gym.utils.seeding.np_random(seed)[0])


def check_render_mode(render_mode: str | None) -> str | None:
    """Return ``render_mode`` if it can be had."""
    if render_mode is not None and not (
        isinstance(render_mode, str) and render_mode == "rgb_array"
    ):
        raise ValueError(f'got render_mode={render_mode!r}; wanted None or "rgb_array"')
    return render_mode


def chosen_images(
    options: dict[str, Any] | None, n: int, n_images: int
) -> NDArray[np.int64] | None:
    """Return the images that the reset option ``index`` asks for, int64 (n,), or None."""
    check_options(options)
    if not options:
        return None
    index = as_array(options["index"], "option index")
    index = index[None] if index.ndim == 0 else index
    if index.dtype.kind not in "iu" or index.shape != (n,):
        raise ValueError(f"got option index {options['index']!r}; wanted {n} integer(s)")
    if (index < 0).any() or (index >= n_images).any():
        raise ValueError(
            f"got option index {options['index']!r}; the split has images 0 to {n_images - 1}"
        )
    return index.astype(np.int64)


def check_options(options: Any) -> None:
    """Raise a ValueError for reset options other than ``index``."""
    if options is not None and not isinstance(options, dict):
        raise ValueError(f"got reset options {options!r}; wanted a dict such as {{'index': 0}}")
    for name in options or {}:
        if name != "index":
            raise ValueError(f"got reset option {name!r}; the only one is 'index'")


def draw_lane(core: Lanes, lane: int) -> NDArray[np.uint8]:
    """Return a drawing of a lane, uint8 (height, width, 3).

    :raises gymnasium.error.ResetNeeded: before the first reset
    """
    if core.episodes[lane] < 0:
        raise gym.error.ResetNeeded("no episode was begun: call reset()")
    return core.draw(lane)


def plain(value: NDArray | np.generic) -> Any:
    """Return a number of NumPy as Python's, a row of numbers as a copy."""
    return value.copy() if isinstance(value, np.ndarray) else value.item()


def _first(observation: dict[str, NDArray]) -> dict[str, NDArray]:
    """Return the only lane of a batched observation; the batch is fresh, so no copy is needed."""
    return {key: rows[0] for key, rows in observation.items()}
