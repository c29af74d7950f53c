"""The Gymnasium faces of the simulation: one environment, and a vector of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from glimpse_envs.arrays import as_array, as_seed
from glimpse_envs.config import make_config
from glimpse_envs.core import GlimpseCore

_ONE = np.zeros(1, np.int64)


class GlimpseEnv(gym.Env):
    """Classify an image through glimpses.

    ## Description
    An image is seen only through a small movable, zoomable window. At each step the agent looks
    somewhere or answers; it is rewarded for the right class. Source of the game: Mnih et al.,
    "Recurrent models of visual attention", NIPS 2014.

    ## Action Space
    Depends on the action scheme, for K classes:

    | scheme | space | meaning |
    |---|---|---|
    | ``GreedyMap`` | ``Discrete(6 + K)`` | left, right, up, down, zoom in, zoom out, answer k |
    | ``MultiCategorical`` | ``MultiDiscrete([9, 3, K + 1])`` | move, zoom, go on or answer |
    | ``Hybrid`` | ``Dict(decision, class, move, zoom)`` | go on or answer, class, fixation, zoom |
    | ``Saccade`` | ``Box(-1, 1, (2,))`` | next fixation; a classifier answers |
    | ``Anywhere`` | ``Box(0, 1, (3,))`` | next gaze: x, y, zoom; a classifier answers |

    ``action_masks()`` tells which Discrete or MultiDiscrete actions are legal: moves and zooms that
    change something, and after the last glimpse of the budget answers only.

    ## Observation Space
    A ``Dict``; the label is never part of it.

    | key | space | meaning |
    |---|---|---|
    | ``glimpse`` | ``Box(0, 255, (S, S, C), uint8)`` | what the sensor sees (retina: (S, k S, C)) |
    | ``gaze`` | ``Box(0, 1, (3,))`` | where: x, y of the fixation, zoom (0 all, 1 finest) |
    | ``remaining`` | ``Box(0, 1, (1,))`` | unused share of the budget of glimpses |
    | ``map`` | ``Box(0, 1, (64,))`` | GreedyMap: how finely each part has been seen |
    | ``belief`` | ``Box(0, 1, (K,))`` | with a classifier: its class probabilities |
    | ``classifier_features`` | ``Box(-inf, inf, (D,))`` | if asked: its hidden vector |
    | ``glimpses`` | ``Box(0, 255, (T, S, S, C), uint8)`` | with ``observe_history``: so far |
    | ``gazes`` | ``Box(0, 1, (T, 3))`` | with ``observe_history``: where each was taken |
    | ``taken`` | ``Box(0, 1, (T,))`` | with ``observe_history``: 1 for each taken, 0 beyond |

    The space shows glimpses below 36 pixels a side in such a way that SB3's stock
    ``MultiInputPolicy`` flattens and scales them; see ``glimpse_envs.observation_space``.

    T is the budget. The last entry of ``glimpses`` and ``gazes`` that is taken is the present one;
    those beyond are zeros.

    ## Rewards
    A reward object, by default ``Terminal``: 1 for the right answer at the end, else 0.

    ## Starting State
    A random image of the split and its first glimpse, which counts: ``overview`` sees the largest
    window, ``centre`` and ``random`` look closely. ``reset(options={"index": i})`` shows image i.

    ## Episode End
    The episode is ``terminated`` (never ``truncated``) when the agent answers. After the last
    glimpse of the budget one more step is left to answer; going on ends the episode as wrong. An
    answering step takes no glimpse and repeats the last observation. Where a classifier answers,
    the step that takes the last glimpse ends the episode.

    ## Info
    ``label`` and ``prediction`` (-1 before any) at every step; at the end also ``samples`` (sensor
    pixels read), ``n_glimpses``, ``coverage`` (share of the image's area seen) and ``is_success``.

    ## Arguments
    Those of ``GlimpseConfig``: ``dataset``, ``scene``, ``sensor``, ``scheme``, ``reward``,
    ``budget``, ``start``, ``classifier``, ``observe_classifier_features``, ``observe_history``,
    ``split``, ``scene_seed``, ``augment``; and ``render_mode="rgb_array"``.

    ## Registered Configurations
    ``Glimpse<Data>-<Scheme>-v0``; see ``glimpse_envs.registration``.

    ## Version History
    * v0: initial version
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 2}

    def __init__(self, *, render_mode: str | None = None, **parts: Any) -> None:
        """Make the environment from the arguments of ``GlimpseConfig``.

        :raises ValueError: for parts that are unknown or do not fit together
        """
        self.config = make_config(**parts)
        self.core = GlimpseCore(self.config, n_lanes=1)
        self.observation_space = self.config.observation_space
        self.action_space = self.config.action_space
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
        index = chosen_images(options, 1, len(self.config.shown_split))
        observation = self.core.reset(_ONE, index)
        self._running = True
        return _first(observation), self._info()

    def step(self, action: Any) -> tuple[dict[str, NDArray], float, bool, bool, dict[str, Any]]:
        """Take a glimpse or answer.

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

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which actions are legal now, bool (n,), as sb3-contrib's MaskablePPO reads them.

        n is the number of actions of a Discrete space, the sum of all parts' of a MultiDiscrete.

        :raises ValueError: for schemes with other actions
        :raises gymnasium.error.ResetNeeded: before the first reset
        """
        if self.core.episodes[0] < 0:
            raise gym.error.ResetNeeded("no episode was begun: call reset()")
        return self.core.action_masks()[0]

    def render(self) -> NDArray[np.uint8] | None:
        """Return a drawing of the image, the path of the gaze and the prediction, uint8.

        Gymnasium's ``RecordVideo`` makes a film of them, and needs moviepy for it:
        ``pip install "glimpse-envs[video]"``.
        """
        if self.render_mode is None:
            gym.logger.warn('render() needs gymnasium.make(id, render_mode="rgb_array")')
            return None
        return draw_lane(self.core, 0)

    def _info(self) -> dict[str, Any]:
        return {"label": int(self.core.labels[0]), "prediction": int(self.core.predictions[0])}


class GlimpseVectorEnv(gym.vector.VectorEnv):
    """Many glimpse environments stepped together: what ``gymnasium.make_vec`` makes.

    Lane i behaves, bit for bit, as a ``GlimpseEnv`` seeded with ``seed + i``. A lane that ended is
    reset in the same step (``AutoresetMode.SAME_STEP``): the last observation and info of its
    episode are ``infos["final_obs"]`` and ``infos["final_info"]``.

    :param num_envs: number of lanes
    :param parts: the arguments of ``GlimpseConfig``
    """

    metadata: ClassVar[dict[str, Any]] = {
        **GlimpseEnv.metadata,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(self, num_envs: int = 1, *, render_mode: str | None = None, **parts: Any) -> None:
        self.config = make_config(**parts)
        self.core = GlimpseCore(self.config, num_envs)
        self.num_envs = num_envs
        self.single_observation_space = self.config.observation_space
        self.single_action_space = self.config.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
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
        index = chosen_images(options, self.num_envs, len(self.config.shown_split))
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

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which actions are legal in each lane, bool (num_envs, n); see ``GlimpseEnv``."""
        if self.core.episodes[0] < 0:
            raise gym.error.ResetNeeded("no episode was begun: call reset()")
        return self.core.action_masks()

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
        """Return label and prediction of the lanes in ``mask`` (None: all) in Gymnasium's form."""
        mask = np.ones(self.num_envs, np.bool_) if mask is None else mask
        return {
            "label": np.where(mask, self.core.labels, 0),
            "_label": mask.copy(),
            "prediction": np.where(mask, self.core.predictions, 0),
            "_prediction": mask.copy(),
        }

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


def draw_lane(core: GlimpseCore, lane: int) -> NDArray[np.uint8]:
    """Return a drawing of a lane: image, windows so far, glimpse, belief, prediction; uint8."""
    # only pictures need Pillow
    from glimpse_envs.render.episode import Episode
    from glimpse_envs.render.frames import draw_frame

    if core.episodes[lane] < 0:
        raise gym.error.ResetNeeded("no episode was begun: call reset()")
    earlier = [None] * (int(core.n_glimpses[lane]) - 1)  # a frame shows only what is seen now
    episode = Episode(
        image=core.image(lane),
        windows=core.windows(lane),
        glimpses=[*earlier, core.glimpse(lane)],
        budget=core.config.budget,
        beliefs=None if core.belief is None else [*earlier, core.belief[lane]],
        classes=core.config.dataset.classes,
        label=int(core.labels[lane]),
        prediction=int(core.predictions[lane]),
        ended=bool(core.ended[lane]),
        span=core.config.sensor.span,
    )
    return draw_frame(episode)


def _first(observation: dict[str, NDArray]) -> dict[str, NDArray]:
    """Return the only lane of a batched observation; the batch is fresh, so no copy is needed."""
    return {key: rows[0] for key, rows in observation.items()}
