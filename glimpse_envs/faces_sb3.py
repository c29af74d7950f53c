"""The Stable-Baselines3 face of a simulation of lanes."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from glimpse_envs.arrays import as_array, as_seed
from glimpse_envs.boxview import BoxView
from glimpse_envs.components import nearest
from glimpse_envs.faces import (
    LaneEnv,
    LaneSpaces,
    check_options,
    check_render_mode,
    chosen_images,
    draw_lane,
    plain,
)
from glimpse_envs.lanes import Lanes

_ALL = slice(None)

#: the face for SB3 of what is registered with a vector entry point
_FACES = {
    "glimpse_envs.envs:GlimpseVectorEnv": "glimpse_envs.sb3.GlimpseVecEnv",
    "glimpse_envs.inverse.envs:InverseVectorEnv": "glimpse_envs.inverse.sb3.InverseVecEnv",
}


class LaneVecEnv(VecEnv):
    """Lanes stepped together as an SB3 ``VecEnv``; a Dict of actions is shown by a ``BoxView``.

    :param config: what the lanes are made of
    :param core: their simulation
    :param spec: of the registered environment, None for none
    :param seed: of lane 0; lane i has seed + i. None for entropy from the system
    :param render_mode: None or "rgb_array"
    """

    def __init__(
        self,
        config: LaneSpaces,
        core: Lanes,
        spec: EnvSpec | None,
        seed: int | None,
        render_mode: str | None,
    ) -> None:
        first = as_seed(seed)
        self.config, self.core, self.spec = config, core, spec
        self.render_mode = check_render_mode(render_mode)
        self.metadata = dict(LaneEnv.metadata)
        action_space = config.action_space
        self.view = BoxView(action_space) if isinstance(action_space, spaces.Dict) else None
        self._seed_next = True
        shown = action_space if self.view is None else self.view
        super().__init__(core.n_lanes, config.observation_space, shown)
        self._seeds = [None if first is None else first + lane for lane in range(core.n_lanes)]

    def reset(self) -> dict[str, NDArray]:
        """Begin an episode in every lane, with the seeds of ``seed()`` or construction at first.

        ``set_options`` can give every lane an ``index``, the image to show.
        """
        core = self.core
        if self._seed_next:
            core.seed_all(self._seeds[0])
            self._seed_next = False
        observation = core.reset(core.lanes, self._chosen_images())
        self.reset_infos = self._infos()
        self._reset_seeds()
        self._reset_options()
        return observation

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed lane i with seed + i at the next reset.

        :raises ValueError: for what is no integer of at least 0
        """
        seeds = super().seed(as_seed(seed))
        self._seed_next = True
        return seeds

    def step_async(self, actions: NDArray) -> None:
        """Take the actions of the next step, (num_envs, ...)."""
        if self.core.episodes[0] < 0:
            raise gym.error.ResetNeeded("no episode was begun: call reset()")
        self._actions = actions if self.view is None else self.view.decode(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """Carry out the actions; lanes that ended begin their next episode."""
        core = self.core
        observation, reward, ended = core.step(self._actions)
        infos = self._infos()
        if ended.any():
            self._finish(observation, ended, infos)
        return observation, reward, ended, infos

    def _finish(
        self, observation: dict[str, NDArray], ended: NDArray[np.bool_], infos: list[dict[str, Any]]
    ) -> None:
        """Reset the lanes that ended, in ``observation`` too, and complete their infos."""
        core, lanes = self.core, ended.nonzero()[0]
        finished = [infos[lane] for lane in lanes.tolist()]
        for name, column in core.summary(lanes).items():
            for info, value in zip(finished, column, strict=True):
                info[name] = value
        parts = tuple(observation)
        last = zip(*(rows[lanes] for rows in observation.values()), strict=True)
        for info, rows in zip(finished, last, strict=True):
            info["terminal_observation"] = dict(zip(parts, rows, strict=True))
        for key, rows in core.reset(lanes).items():
            observation[key][lanes] = rows
        for lane, info in zip(lanes.tolist(), self._infos(lanes), strict=True):
            self.reset_infos[lane] = info

    def _chosen_images(self) -> NDArray[np.int64] | None:
        """Return the images that the lanes' reset options ask for."""
        if not any(self._options):
            return None
        for options in self._options:
            check_options(options)
        index = [options.get("index", -1) for options in self._options]  # -1 is refused
        return chosen_images({"index": index}, self.num_envs, self.core.n_images)

    def _infos(self, lanes: NDArray[np.int64] | slice = _ALL) -> list[dict[str, Any]]:
        """Return the infos of some lanes."""
        infos = self.core.infos()
        columns = [[plain(row) for row in rows[lanes]] for rows in infos.values()]
        return [dict(zip(infos, values, strict=True)) for values in zip(*columns, strict=True)]

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """Return one drawing for each lane."""
        if self.render_mode is None:
            return [None] * self.num_envs
        return [draw_lane(self.core, lane) for lane in range(self.num_envs)]

    def close(self) -> None:
        """Nothing is held open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute, which all lanes share, for each of ``indices``."""
        return [getattr(self, attr_name)] * len(self._lanes(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of all lanes.

        :raises ValueError: for some lanes only
        """
        self._refuse_some(f"set_attr({attr_name!r})", self._lanes(indices))
        setattr(self, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of all lanes, and return its result for each of ``indices``.

        :raises ValueError: for some lanes only, but for ``action_masks``, which has a row for each
        """
        lanes = self._lanes(indices)
        if method_name == "action_masks":
            result = self.action_masks(*method_args, **method_kwargs)
            return [result[lane] for lane in lanes]
        self._refuse_some(f"env_method({method_name!r})", lanes)
        return [getattr(self, method_name)(*method_args, **method_kwargs)] * len(lanes)

    def _refuse_some(self, call: str, lanes: list[int]) -> None:
        if len(set(lanes)) < self.num_envs:
            raise ValueError(
                f"got {call} for some lanes only; all lanes share their attributes and methods: "
                "leave indices out"
            )

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        """Return False for each of ``indices``: lanes have no wrappers of their own."""
        return [False] * len(self._lanes(indices))

    def _lanes(self, indices: int | Iterable[int] | None) -> list[int]:
        """Return the lanes meant, negative ones counted from the end."""
        if indices is None:
            return list(range(self.num_envs))
        lanes = np.atleast_1d(as_array(indices, "indices"))
        wrong = lanes.dtype.kind not in "iu" or lanes.ndim != 1
        if lanes.size and (wrong or lanes.min() < -self.num_envs or lanes.max() >= self.num_envs):
            raise ValueError(f"got indices {indices!r}; wanted some of the {self.num_envs} lanes")
        return (lanes % self.num_envs).astype(int).tolist()


def lane_spec(env_id: str, vector_entry_point: str, *, kind: str, example: str) -> EnvSpec:
    """Return the specification of a registered environment of one kind.

    :param env_id: its id, or "PACKAGE:ID", which imports the package first
    :param vector_entry_point: by which the kind is known
    :param kind: for messages, such as "a glimpse"
    :param example: an id of this kind, for messages
    :raises ValueError: for an id that is not registered (with the nearest one), or of another kind
    """
    if not isinstance(env_id, str):
        raise ValueError(f"got environment {env_id!r}; wanted an id, such as {example!r}")
    package, colon, name = env_id.rpartition(":")
    if colon:
        _import(package, env_id)
    try:
        spec = gym.spec(name)
    except gym.error.Error:
        ids = [i for i, s in gym.registry.items() if s.vector_entry_point in _FACES]
        raise ValueError(f"unknown environment {env_id!r}; {nearest(name, ids)}") from None
    if spec.vector_entry_point != vector_entry_point:
        face = _FACES.get(spec.vector_entry_point, "stable_baselines3.common.env_util.make_vec_env")
        raise ValueError(f"{env_id!r} is not {kind} environment; for others use {face}")
    return spec


def refuse_beside_config(config: LaneSpaces, make_kwargs: dict[str, Any]) -> None:
    """Raise a ValueError for arguments of ``gymnasium.make`` beside a configuration."""
    if make_kwargs:
        raise ValueError(
            f"got {', '.join(make_kwargs)} beside {type(config).__name__}; wanted them in it: "
            "dataclasses.replace(config, ...)"
        )


def _import(package: str, env_id: str) -> None:
    try:
        importlib.import_module(package)
    except Exception as error:  # a package may raise anything while it is imported
        raise ValueError(
            f"got environment {env_id!r}, and importing {package!r} fails "
            f"({type(error).__name__}: {error}); install or mend it, or leave it out"
        ) from error
