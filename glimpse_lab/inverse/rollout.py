"""Episodes of a whole split: each image once, with deterministic actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm

from glimpse_envs.boxview import BoxView
from glimpse_envs.faces import draw_lane
from glimpse_envs.inverse import InverseConfig, InverseCore
from glimpse_envs.lanes import Observation
from glimpse_envs.render.videos import tile_frames

CHUNK = 250
"""Images that are shown at a time, which bounds the memory."""

_FILM_COLUMNS = 2

Choose = Callable[[Observation], dict[str, NDArray]]
"""From what n lanes show to their actions: ``type``, (n,), and ``parameters``, (n, K)."""


@dataclass(frozen=True)
class Answers:
    """What was told of N images, one row each.

    :param types: told first, int64 (N,)
    :param parameters: told with them, of all types, normalised, float32 (N, K)
    :param true_parameters: of the actions between the images, normalised, 0 for types that were
        not taken, float32 (N, K)
    :param similarity: of canvas and target at the end, float32 (N,)
    :param n_steps: actions until then, int64 (N,)
    :param success: whether the similarity is as high as ``config.success``, bool (N,)
    :param new_wording: whether training never words an instruction so, bool (N,)
    :param new_word: whether training never has the word that tells the type, bool (N,)
    :param new_value: whether training never tells this value of the type, bool (N,)
    """

    types: NDArray[np.int64]
    parameters: NDArray[np.float32]
    true_parameters: NDArray[np.float32]
    similarity: NDArray[np.float32]
    n_steps: NDArray[np.int64]
    success: NDArray[np.bool_]
    new_wording: NDArray[np.bool_]
    new_word: NDArray[np.bool_]
    new_value: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.types)


def agent(model: BaseAlgorithm, config: InverseConfig) -> Choose:
    """Return how a trained agent chooses, deterministically.

    :param config: of the environment that it is shown
    :raises ValueError: for a model of other observations or actions
    """
    view = BoxView(config.action_space)
    sizes = [  # channels may come first or last
        {name: int(np.prod(part.shape)) for name, part in space.spaces.items()}
        for space in (model.observation_space, config.observation_space)
    ]
    if sizes[0] != sizes[1] or model.action_space != view:
        raise ValueError(
            f"got a model of {model.observation_space} and {model.action_space}; wanted one of "
            f"{config.observation_space} and {view}"
        )

    def choose(observation: Observation) -> dict[str, NDArray]:
        return view.decode(model.predict(observation, deterministic=True)[0])

    return choose


def evaluate(
    choose: Choose,
    config: InverseConfig,
    *,
    n_images: int | None = None,
    seed: int = 0,
    chunk: int = CHUNK,
    progress: Callable[[int], Any] | None = None,
) -> Answers:
    """Show each image of the split once.

    :param choose: such as of :func:`agent`
    :param config: the environment, with the split to evaluate
    :param n_images: only the first so many
    :param seed: of the actions of the train split, which are drawn anew for every episode
    :param chunk: images at a time
    :param progress: called with the number of images after each chunk
    """
    n = config.n_images if n_images is None else min(n_images, config.n_images)
    parts = []
    for begin in range(0, n, chunk):
        index = np.arange(begin, min(begin + chunk, n))
        parts.append(_answers(choose, config, index, seed))
        if progress is not None:
            progress(len(index))
    names = [part.name for part in fields(Answers)]
    return Answers(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def film(
    choose: Choose, config: InverseConfig, index: NDArray[np.int64], *, seed: int = 0, hold: int = 3
) -> list[NDArray[np.uint8]]:
    """Return the frames of a film of episodes side by side, uint8 (H, W, 3) each.

    :param choose: such as of :func:`agent`
    :param config: the environment, with the split to show
    :param index: images of the split, int64 (n,)
    :param seed: as of :func:`evaluate`
    :param hold: how often the last frame is repeated
    """
    frames, tiles = [], []
    for core, running, _ in episodes(choose, config, index, seed):
        tiles = [
            draw_lane(core, lane) if on or not frames else tiles[lane]
            for lane, on in enumerate(running)
        ]
        frames.append(tile_frames(tiles, columns=_FILM_COLUMNS))
    return frames + [frames[-1]] * hold


def _answers(choose: Choose, config: InverseConfig, index: NDArray[np.int64], seed: int) -> Answers:
    """Return what is told of some images."""
    first: dict[str, NDArray] | None = None
    similarity = np.zeros(len(index), np.float32)
    n_steps = np.zeros(len(index), np.int64)
    for core, running, actions in episodes(choose, config, index, seed):
        first = actions if first is None else first
        similarity[running], n_steps[running] = core.similarity[running], core.n_steps[running]
    return Answers(
        types=np.asarray(first["type"], np.int64),
        parameters=np.asarray(first["parameters"], np.float32),
        true_parameters=core.true_parameters.copy(),
        similarity=similarity,
        n_steps=n_steps,
        success=similarity >= config.success,
        new_wording=core.new_wording.copy(),
        new_word=core.new_word.copy(),
        new_value=core.new_value.copy(),
    )


def episodes(
    choose: Choose, config: InverseConfig, index: NDArray[np.int64], seed: int
) -> Iterator[tuple[InverseCore, NDArray[np.bool_], dict[str, NDArray] | None]]:
    """Yield the lanes before the first step and after each, which of them took it, and actions.

    Lanes that have ended are stepped on with the others: what they show then counts for nothing.

    :param choose: such as of :func:`agent`
    :param config: the environment, with the split to show
    :param index: images of the split, int64 (n,)
    :param seed: as of :func:`evaluate`
    """
    core = InverseCore(config, len(index))
    for lane, image in enumerate(index.tolist()):  # its episode does not depend on the chunk
        core.seed(lane, seeding.np_random(seed + image)[0])
    observation = core.reset(core.lanes, index)
    running = np.ones(len(index), bool)
    yield core, running, None
    while running.any():
        actions = choose(observation)
        step = core.step(actions)
        yield core, running, actions
        observation, running = step.observation, running & ~step.ended
