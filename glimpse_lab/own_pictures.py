"""Recipes for pictures of one's own: what depends on their number and their size."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from glimpse_envs.data.datasets import ImageDataset
from glimpse_envs.registration import DATA
from glimpse_lab import DEFAULT_ENV
from glimpse_lab.classifiers import training_of, with_training
from glimpse_lab.recipes import RECIPES, Recipe

OWN_PICTURES = RECIPES / "own_pictures"
"""Folder of the recipe for pictures of one's own."""

OWN_PICTURES_ENV = "GlimpseCIFAR-MultiCat-v0"
"""What is trained on them: an id that shows pictures as they are, moves and zooms."""

_N_IMAGES = {"digits": 1_294, "mnist": 54_000, "fashion_mnist": 54_000, "cifar10": 45_000}
_LEAST_PRETRAINING = 40_000  # enough for the digits, which are few
_LEAST_TIMESTEPS = 60_000
_MOST = 1_000_000
_say = functools.cache(print)  # once, however many members of a sweep are resolved
_USUAL_SIDE = 100  # up to which an episode is quick


def is_own(dataset: Any) -> bool:
    """Whether a data set is none of those that environments are registered with.

    :param dataset: as :func:`glimpse_envs.load_dataset` takes it, or None
    """
    name = dataset.get("type") if isinstance(dataset, Mapping) else dataset
    return name is not None and name not in [parts["dataset"] for parts in DATA.values()]


def choose_env(env_id: str | None, dataset: Any) -> str:
    """Return the id that is trained.

    :param env_id: that was asked for; None to choose one for the data
    :param dataset: that was asked for, or None
    """
    if env_id is not None:
        return env_id
    return OWN_PICTURES_ENV if is_own(dataset) else DEFAULT_ENV


def fit_recipe(recipe: Recipe, data: ImageDataset) -> Recipe:
    """Return the recipe for pictures of one's own, scaled to them; say how in one line.

    :param recipe: of ``hyperparams/own_pictures``, whose comment has the numbers, or of an agent
        without a classifier
    :param data: the pictures
    """
    height, width, _ = data.image_shape
    side, n = min(height, width), len(data.split("train"))
    cost = max(1.0, side / _USUAL_SIDE) ** 2
    size = min(max(8, 2 * round(side / 16)), 32, side)
    n_timesteps = round(min(max(50 * n / cost, _LEAST_TIMESTEPS), _MOST))
    env_kwargs = {
        **(recipe.get("env_kwargs") or {}),
        "sensor": {"type": "Crop", "size": size},
        "augment": {"type": "ShiftFlip", "shift": side // 16, "flip": False},
    }
    recipe = {**recipe, "env_kwargs": env_kwargs, "n_timesteps": n_timesteps}
    said = [f"glimpses of {size} x {size}", f"{n_timesteps:,} timesteps", "no mirror images"]
    if (training := training_of(recipe)) is not None:
        pretraining = round(min(max(50 * n / cost, _LEAST_PRETRAINING), _MOST))
        recipe = with_training(recipe, {**training, "pretraining": pretraining})
        said.insert(1, f"{pretraining:,} episodes of pretraining")
    _say(
        f"a recipe for your own pictures ({n:,} to train on, {height} x {width}): "
        f"{', '.join(said)}; --set changes each"
    )
    return recipe


def fit_to_data(recipe: Recipe, own: str, data: ImageDataset) -> Recipe:
    """Return an id's recipe for other data than its own; say in one line what changes.

    As many passes over the images in the pretraining, at least 40,000 episodes; no mirror images,
    which may be wrong for these.

    :param recipe: of the id
    :param own: name of the data set that the id is registered with
    :param data: the data set that is asked for; nothing changes if it is the id's own
    """
    if data.name == own:
        return recipe
    said = []
    if (training := training_of(recipe)) is not None and "pretraining" in training:
        before, n = training["pretraining"], len(data.split("train"))
        scaled = max(_LEAST_PRETRAINING, round(before / _N_IMAGES[own] * n))
        if scaled < before:
            recipe = with_training(recipe, {**training, "pretraining": scaled})
            said.append(
                f"{scaled:,} episodes of pretraining, for {n:,} images, instead of {before:,} "
                "(--set callback.CoTrainingCallback.pretraining=N)"
            )
    env_kwargs = recipe.get("env_kwargs") or {}
    augment = env_kwargs.get("augment")
    if isinstance(augment, Mapping) and augment.get("flip"):
        recipe = {**recipe, "env_kwargs": {**env_kwargs, "augment": {**augment, "flip": False}}}
        said.append("no mirror images (--set env_kwargs.augment.flip=true)")
    if said:
        _say(f"the recipe is for {own}; for {data.name}: {', '.join(said)}")
    return recipe
