"""Rollouts of whole episodes, by an agent or a scripted gaze: each image of a split once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from numpy.typing import ArrayLike, NDArray
from stable_baselines3.common.base_class import BaseAlgorithm

from glimpse_envs.boxview import BoxView
from glimpse_envs.classifier import GlimpseClassifier
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.core import GlimpseCore
from glimpse_envs.faces import draw_lane
from glimpse_envs.lanes import Observation
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_envs.render.frames import draw_legend, tile_frames
from glimpse_envs.strategies import ScriptedGaze, scripted
from glimpse_lab.evaluation.oracle_gaze import OracleGaze

_FILM_COLUMNS = 2
_LANES = 500
_Index = int | NDArray[np.int64] | None


def evaluate(
    model: BaseAlgorithm,
    config: GlimpseConfig,
    *,
    random_gaze: bool = False,
    seed: int = 0,
    index: _Index = None,
    record_hidden: bool = False,
    deterministic: bool = True,
    progress: Callable[[int], Any] | None = None,
) -> Scanpaths:
    """Show each image of the split once to the agent.

    It acts deterministically unless told otherwise.

    :param model: trained on the observation space of ``config``
    :param config: the environment, with the split to evaluate
    :param random_gaze: replace the agent's moves and zooms by uniform draws; its decisions stay
    :param seed: of those draws
    :param index: only the first so many images of the split, or those of these numbers; None for
        all
    :param record_hidden: keep the classifier's features after each glimpse
    :param deterministic: False to draw the agent's actions, from torch's generator
    :param progress: called with the number of images after each batch of them
    :raises ValueError: for a model whose spaces differ from the environment's
    """
    check_spaces(model, config)
    rng = np.random.default_rng(seed) if random_gaze else None
    return _evaluate(
        lambda: _Agent(model, config, rng, deterministic), config, index, record_hidden, progress
    )


def evaluate_gaze(
    strategy: ScriptedGaze | OracleGaze,
    config: GlimpseConfig,
    *,
    classifier: GlimpseClassifier | None = None,
    seed: int = 0,
    index: _Index = None,
    progress: Callable[[int], Any] | None = None,
) -> Scanpaths:
    """Show each image of the split once along a scripted gaze.

    The classifier answers after the last glimpse of the budget, and ``answers`` tells what it would
    have said before. Where nobody answers, it is where the gaze went that is recorded.

    :param strategy: the gaze after the environment's own first glimpse
    :param config: the environment, with the split to evaluate
    :param classifier: None for the environment's own
    :param seed: of random gazes
    :param index: only the first so many images of the split, or those of these numbers; None for
        all
    :param progress: called with the number of images after each batch of them
    """
    watched = scripted(config, classifier)
    rng = np.random.default_rng(seed)
    paths = _evaluate(lambda: _Script(strategy, config, rng), watched, index, False, progress)
    return unanswered(paths) if config.nobody_answers and classifier is None else paths


def record(
    model: BaseAlgorithm, config: GlimpseConfig, index: NDArray[np.int64], *, hold: int = 3
) -> list[NDArray[np.uint8]]:
    """Return the frames of a film of the agent on some images side by side, uint8 (H, W, 3) each.

    Two in a row, so that they can be read where the film is shown 600 pixels wide.

    :param index: images of the split, int64 (n,)
    :param hold: how often the last frame is repeated
    """
    check_spaces(model, config)
    core = GlimpseCore(config, len(index))
    tiles = [np.zeros(0, np.uint8)] * len(index)
    running = np.ones(len(index), bool)
    film, signs = [], {"target": config.tracked, "follows": config.follows}
    for step in _steps(_Agent(model, config), core, index):
        for lane in running.nonzero()[0]:  # the others keep the last frame of their episode
            tiles[lane] = draw_lane(core, lane)
        running &= ~step.ended
        grid = tile_frames(tiles, columns=_FILM_COLUMNS)
        film.append(np.concatenate([grid, draw_legend(grid.shape[1], **signs)]))
    return film + [film[-1]] * hold


def unanswered(paths: Scanpaths) -> Scanpaths:
    """Return the same episodes without answers and beliefs, which were nobody's."""
    return replace(
        paths,
        predictions=np.full_like(paths.predictions, -1),
        answers=np.full_like(paths.answers, -1),
        beliefs=paths.beliefs[:, :, :0],
    )


class Shown(NamedTuple):
    """What episodes were about.

    :param images: what was shown, uint8 (n, H, W, C); of scenes that move the last glimpse's frame
    :param glimpses: uint8 (n, budget, *glimpse_shape); those beyond an episode's last are black
    :param targets: left, top, width and height of what moved there in that frame, pixels, int64
        (n, 4); None where nothing moves
    """

    images: NDArray[np.uint8]
    glimpses: NDArray[np.uint8]
    targets: NDArray[np.int64] | None


def reread(
    paths: Scanpaths, config: GlimpseConfig, rows: ArrayLike, *, index: _Index = None
) -> Shown:
    """Return images and glimpses of recorded episodes, which scanpaths do not hold.

    :param paths: of ``evaluate`` or ``evaluate_gaze``
    :param config: of that call
    :param rows: which episodes, int (n,)
    :param index: of that call
    :raises ValueError: for another configuration or other images than those of the recording
    """
    rows, index = np.asarray(rows, np.int64), image_numbers(config, index)
    if len(index) != len(paths.labels) or paths.budget != config.budget:
        raise ValueError(
            f"got {len(paths.labels)} episodes of up to {paths.budget} glimpses for {len(index)} "
            f"images and a budget of {config.budget}; wanted those of the recording"
        )
    core = GlimpseCore(config, len(rows))
    for lane, row in enumerate(rows):  # as in ``_rollout_batch``: a train scene depends on its lane
        core.seed(lane, seeding.np_random(int(row) % _LANES)[0])
    core.reset(core.lanes, index[rows])
    wrong = rows[(core.labels != paths.labels[rows]) | (core.gaze != paths.gaze[rows, 0]).any(1)]
    if len(wrong):
        raise ValueError(
            f"episodes {wrong.tolist()} were recorded with another label or first gaze than these "
            "images have; pass the configuration and images of the recording"
        )
    size = config.sensor.glimpse_shape(config.shape[2])
    glimpses = np.zeros((len(rows), paths.budget, *size), np.uint8)
    for t in range(paths.budget):
        taken = paths.taken[rows, t].nonzero()[0]
        if len(taken):
            times = np.full(len(taken), t)
            glimpses[taken, t] = core.source.read(taken, paths.gaze[rows[taken], t], times)
    last = paths.n_glimpses[rows] - 1
    shown = core.source.images(last).copy()
    return Shown(shown, glimpses, core.targets(ahead=last) if config.tracked else None)


def check_spaces(model: BaseAlgorithm, config: GlimpseConfig) -> None:
    """Raise a ValueError if the model was not made for this environment.

    Image spaces are compared up to the transposition that SB3 applies.
    """
    wanted = {key: sorted(space.shape) for key, space in config.observation_space.items()}
    space = model.observation_space
    if not isinstance(space, spaces.Dict):
        raise ValueError(f"the model observes {space}, the environment gives a Dict of {wanted}")
    got = {key: sorted(part.shape) for key, part in space.items()}
    action_space: spaces.Space = config.action_space
    if isinstance(action_space, spaces.Dict):
        action_space = BoxView(action_space)
    if got != wanted or model.action_space != action_space:
        raise ValueError(
            f"the model does not fit the environment: it observes {got} and acts in "
            f"{model.action_space}, the environment gives {wanted} and takes {action_space}; "
            "evaluate with the data set, sensor, scheme and classifier of the training"
        )


class _Agent:
    """Acts as a model does; with ``rng`` its moves and zooms are drawn uniformly instead."""

    def __init__(
        self,
        model: BaseAlgorithm,
        config: GlimpseConfig,
        rng: np.random.Generator | None = None,
        deterministic: bool = True,
    ) -> None:
        self.model, self.scheme, self.rng = model, config.scheme, rng
        self.deterministic = deterministic
        space = config.action_space
        self.view = BoxView(space) if isinstance(space, spaces.Dict) else None
        self.state: Any = None

    def __call__(self, core: GlimpseCore, observation: Observation, step: int) -> Any:
        starts = np.full(core.n_lanes, step == 0)
        actions, self.state = self.model.predict(
            observation, self.state, starts, deterministic=self.deterministic
        )
        actions = actions if self.view is None else self.view.decode(actions)
        return actions if self.rng is None else self.scheme.with_random_gaze(actions, self.rng)


class _Script:
    """Looks where a strategy says; for the environment of ``scripted``."""

    def __init__(
        self,
        strategy: ScriptedGaze | OracleGaze,
        config: GlimpseConfig,
        rng: np.random.Generator,
    ) -> None:
        self.strategy, self.config, self.rng = strategy, config, rng

    def __call__(self, core: GlimpseCore, observation: Observation, step: int) -> Any:
        if isinstance(self.strategy, OracleGaze):
            return self.strategy(step, core, self.config).clip(0.0, 1.0)
        return self.strategy.look(step, core, self.config, self.rng)


_Actor = Callable[[GlimpseCore, Observation, int], Any]


def _evaluate(
    make_actor: Callable[[], _Actor],
    config: GlimpseConfig,
    index: _Index,
    record_hidden: bool,
    progress: Callable[[int], Any] | None,
) -> Scanpaths:
    index = image_numbers(config, index)
    batches = []
    for start in range(0, len(index), _LANES):
        batch = index[start : start + _LANES]
        batches.append(_rollout_batch(make_actor(), config, batch, record_hidden))
        if progress is not None:
            progress(len(batch))
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    pixels = config.shape[0] * config.shape[1]
    if config.extents is not None:  # of the images in their frames
        pixels = round(float(config.extents[index].prod(axis=1).mean()))
    return Scanpaths(**columns, pixels=pixels)


def image_numbers(config: GlimpseConfig, index: _Index) -> NDArray[np.int64]:
    """Return which images of the split ``index`` means, int64 (n,); see ``evaluate``.

    :raises ValueError: for numbers that the split does not have
    """
    n = len(config.shown_split)
    if index is None:
        return np.arange(n)
    if isinstance(index, (int, np.integer)):
        if index < 1:
            raise ValueError(f"got index={index}; wanted at least 1 image")
        return np.arange(min(int(index), n))
    index = np.asarray(index)
    if index.dtype.kind not in "iu":
        raise ValueError(f"got index {index}; wanted integers, the numbers of images")
    index = index.astype(np.int64)
    if index.ndim != 1 or not len(index) or index.min() < 0 or index.max() >= n:
        raise ValueError(f"got index {index}; wanted numbers of the split's {n} images, from 0")
    return index


def _rollout_batch(
    actor: _Actor, config: GlimpseConfig, index: NDArray[np.int64], record_hidden: bool
) -> dict[str, NDArray]:
    """Play one episode with each image; return the columns of ``Scanpaths``."""
    core = GlimpseCore(config, len(index))
    n, budget = len(index), config.budget
    columns = _empty_columns(core, record_hidden)
    answers = np.full((n, budget), -1, np.int64)
    rewards = np.zeros(n, np.float32)
    running = np.ones(n, bool)
    for step in _steps(actor, core, index):
        lanes = running.nonzero()[0]
        if step.reward is not None:
            rewards[lanes] += step.reward[lanes]
            columns["step_rewards"][lanes, step.n_glimpses[lanes] - 1] = step.reward[lanes]
        last = core.n_glimpses[lanes] - 1
        columns["gaze"][lanes, last] = core.gaze[lanes]
        if config.tracked:
            columns["targets"][lanes, last] = core.targets()[lanes]
        if core.belief is not None:
            columns["beliefs"][lanes, last] = core.belief[lanes]
            if record_hidden:
                columns["hidden"][lanes, last] = core.hidden[lanes]
        # what is predicted after a glimpse stands until another prediction
        known = running & (core.predictions >= 0)
        later = np.arange(budget) >= core.n_glimpses[:, None] - 1
        answers = np.where(known[:, None] & later, core.predictions[:, None], answers)
        just = running & step.ended
        if just.any():
            lanes = just.nonzero()[0]
            finals = {**core.summary(lanes), "predictions": core.predictions[lanes]}
            for name in ("n_glimpses", "samples", "coverage", "predictions"):
                final = np.asarray(finals[name])
                columns.setdefault(name, np.zeros(n, final.dtype))[lanes] = final
            running &= ~step.ended
    _add_windows(columns, core)
    return {**columns, "labels": core.labels.copy(), "rewards": rewards, "answers": answers}


def _empty_columns(core: GlimpseCore, record_hidden: bool) -> dict[str, NDArray]:
    sizes = {
        "gaze": (3,),
        "beliefs": (0 if core.belief is None else core.belief.shape[1],),
        "hidden": (core.hidden.shape[1] if record_hidden and core.hidden is not None else 0,),
        "step_rewards": (),
        "targets": (4 if core.config.tracked else 0,),
    }
    shape = (core.n_lanes, core.config.budget)
    return {name: np.full((*shape, *size), np.nan, np.float32) for name, size in sizes.items()}


def _add_windows(columns: dict[str, NDArray], core: GlimpseCore) -> None:
    """Add the windows of all glimpses, and what they cover together."""
    gaze, n_glimpses = columns["gaze"], columns["n_glimpses"]
    untaken = np.isnan(gaze[:, :, 0])
    filled = np.where(untaken[:, :, None], np.float32(0.5), gaze)
    windows = core.geometry.windows(filled.reshape(-1, 3)).reshape(gaze.shape)
    columns["windows"] = np.where(untaken[:, :, None], np.nan, windows).astype(np.float32)
    columns["seen"] = seen = np.full(untaken.shape, np.nan, np.float32)
    for t in range(gaze.shape[1]):
        counts = np.minimum(t + 1, n_glimpses)
        covered = core.geometry.coverage(filled, counts, core.config.sensor.span)
        seen[:, t] = np.where(n_glimpses > t, covered, np.nan)


class _Moment(NamedTuple):
    """What a step of all lanes left.

    :param ended: which lanes have ended once, bool (B,)
    :param n_glimpses: taken before the step, int64 (B,)
    :param reward: of the step, float32 (B,); None after the reset
    """

    ended: NDArray[np.bool_]
    n_glimpses: NDArray[np.int64]
    reward: NDArray[np.float32] | None


def _steps(actor: _Actor, core: GlimpseCore, index: NDArray[np.int64]) -> Iterator[_Moment]:
    """Play until all lanes have ended once; yield after the reset and after every step.

    Lanes that have ended are stepped along, and their state is of no more use.
    """
    core.seed_all(0)
    observation = core.reset(core.lanes, index)
    ended = np.zeros(core.n_lanes, bool)
    yield _Moment(ended, core.n_glimpses.copy(), None)
    step = 0
    while not ended.all():
        before = core.n_glimpses.copy()
        observation, reward, stopped = core.step(actor(core, observation, step))
        ended = ended | stopped
        step += 1
        yield _Moment(ended, before, reward)
