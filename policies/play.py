"""Play whole episodes with an agent or a given gaze, each image of a split exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm

from glimpse_envs.boxview import BoxView
from glimpse_envs.classifier import GlimpseClassifier
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.core import GlimpseCore, Observation
from glimpse_envs.envs import draw_lane
from glimpse_envs.evaluation import Episodes
from glimpse_envs.strategies import GazeStrategy, scripted
from glimpse_envs.videos import tile_frames

_LANES = 500


def evaluate(
    model: BaseAlgorithm,
    config: GlimpseConfig,
    *,
    random_gaze: bool = False,
    seed: int = 0,
    n_images: int | None = None,
    progress: Callable[[int], Any] | None = None,
) -> Episodes:
    """
    Show each image of the split once to the agent, which acts deterministically.

    :param model: trained on the observation space of `config`
    :param config: the environment, with the split to evaluate
    :param random_gaze: replace the agent's moves and zooms by uniform draws; its decisions stay
    :param seed: of those draws
    :param n_images: only the first so many images of the split; None for all
    :param progress: called with the number of images after each batch of them
    :raises ValueError: for a model whose spaces differ from the environment's
    """
    check_spaces(model, config)
    rng = np.random.default_rng(seed) if random_gaze else None
    return _evaluate(lambda: _Agent(model, config, rng), config, n_images, progress)


def evaluate_gaze(
    strategy: GazeStrategy,
    config: GlimpseConfig,
    *,
    classifier: GlimpseClassifier | None = None,
    seed: int = 0,
    n_images: int | None = None,
    progress: Callable[[int], Any] | None = None,
) -> Episodes:
    """
    Show each image of the split once along a gaze that no agent chose; the classifier answers after
    the last glimpse of the budget, and `answers` tells what it would have said before.

    :param strategy: the gaze after the environment's own first glimpse
    :param config: the environment, with the split to evaluate
    :param classifier: None for the environment's own
    :param seed: of random gazes
    :param n_images: only the first so many images of the split; None for all
    :param progress: called with the number of images after each batch of them
    """
    played = scripted(config, classifier)
    rng = np.random.default_rng(seed)
    return _evaluate(lambda: _Script(strategy, config, rng), played, n_images, progress)


def record(
    model: BaseAlgorithm, config: GlimpseConfig, index: NDArray[np.int64], *, hold: int = 3
) -> list[NDArray[np.uint8]]:
    """
    Return the frames of a film of the agent on some images side by side, uint8 (H, W, 3) each.

    :param index: images of the split, int64 (n,)
    :param hold: how often the last frame is repeated
    """
    check_spaces(model, config)
    core = GlimpseCore(config, len(index))
    tiles = [np.zeros(0, np.uint8)] * len(index)
    running = np.ones(len(index), bool)
    film = []
    for ended in _steps(_Agent(model, config), core, index):
        for lane in running.nonzero()[0]:  # the others keep the last frame of their episode
            tiles[lane] = draw_lane(core, lane)
        running &= ~ended
        film.append(tile_frames(tiles))
    return film + [film[-1]] * hold


def check_spaces(model: BaseAlgorithm, config: GlimpseConfig) -> None:
    """
    Raise a ValueError if the model was not made for this environment.

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
    """Acts as a model does, deterministically; with `rng` its moves and zooms are drawn."""

    def __init__(
        self, model: BaseAlgorithm, config: GlimpseConfig, rng: np.random.Generator | None = None
    ) -> None:
        self.model, self.scheme, self.rng = model, config.scheme, rng
        space = config.action_space
        self.view = BoxView(space) if isinstance(space, spaces.Dict) else None
        self.state: Any = None

    def __call__(self, core: GlimpseCore, observation: Observation, step: int) -> Any:
        starts = np.full(core.n_lanes, step == 0)
        actions, self.state = self.model.predict(
            observation, self.state, starts, deterministic=True
        )
        actions = actions if self.view is None else self.view.decode(actions)
        return actions if self.rng is None else self.scheme.with_random_gaze(actions, self.rng)


class _Script:
    """Looks where a strategy says; for the environment of `scripted`."""

    def __init__(
        self, strategy: GazeStrategy, config: GlimpseConfig, rng: np.random.Generator
    ) -> None:
        self.strategy, self.config, self.rng = strategy, config, rng

    def __call__(self, core: GlimpseCore, observation: Observation, step: int) -> Any:
        return self.strategy(step, core.gaze, self.config, self.rng).clip(0.0, 1.0)


_Player = Callable[[GlimpseCore, Observation, int], Any]


def _evaluate(
    make_player: Callable[[], _Player],
    config: GlimpseConfig,
    n_images: int | None,
    progress: Callable[[int], Any] | None,
) -> Episodes:
    batches = []
    n = len(config.images) if n_images is None else min(n_images, len(config.images))
    for start in range(0, n, _LANES):
        index = np.arange(start, min(start + _LANES, n))
        batches.append(_play_batch(make_player(), config, index))
        if progress is not None:
            progress(len(index))
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    return Episodes(**columns, pixels=config.shape[0] * config.shape[1])


def _play_batch(
    player: _Player, config: GlimpseConfig, index: NDArray[np.int64]
) -> dict[str, NDArray]:
    """Play one episode with each image; return the columns of `Episodes`."""
    core = GlimpseCore(config, len(index))
    answers = np.full((len(index), config.budget), -1, np.int64)
    rewards = np.zeros(len(index), np.float32)
    running = np.ones(len(index), bool)
    columns: dict[str, NDArray] = {}
    for ended in _steps(player, core, index, rewards):
        # what is predicted after a glimpse stands until another prediction
        known = running & (core.predictions >= 0)
        later = np.arange(config.budget) >= core.glimpses[:, None] - 1
        answers = np.where(known[:, None] & later, core.predictions[:, None], answers)
        just = running & ended
        if just.any():
            lanes = just.nonzero()[0]
            finals = {**core.summary(lanes), "predictions": core.predictions[lanes]}
            for name in ("glimpses", "samples", "coverage", "predictions"):
                final = np.asarray(finals[name])
                columns.setdefault(name, np.zeros(len(index), final.dtype))[lanes] = final
            running &= ~ended
    return {**columns, "labels": core.labels.copy(), "rewards": rewards, "answers": answers}


def _steps(
    player: _Player,
    core: GlimpseCore,
    index: NDArray[np.int64],
    rewards: NDArray[np.float32] | None = None,
) -> Iterator[NDArray[np.bool_]]:
    """
    Play until all lanes have ended once; yield, after the reset and after every step, which have.

    Lanes that have ended are stepped along, and their state is of no more use.

    :param rewards: float32 (B,), to which the rewards of running episodes are added
    """
    core.seed_all(0)
    observation = core.reset(core.lanes, index)
    ended = np.zeros(core.n_lanes, bool)
    yield ended
    step = 0
    while not ended.all():
        observation, reward, stopped = core.step(player(core, observation, step))
        if rewards is not None:
            rewards += np.where(ended, 0.0, reward)
        ended = ended | stopped
        step += 1
        yield ended
