"""Recipes for pictures of one's own: what depends on their number and their size."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from glimpse_envs.data.datasets import SPLITS, ImageDataset
from glimpse_envs.registration import DATA
from glimpse_lab.classifiers import training_of, with_training
from glimpse_lab.defaults import DEFAULT_ENV
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


def asked_dataset(
    dataset: str | None, overrides: Mapping[str, Any]
) -> tuple[str | dict[str, Any] | None, dict[str, Any]]:
    """Return the data set that is asked for, None for the environment's own, and other overrides.

    ``env_kwargs.dataset`` is another way to say it, and ``env_kwargs.dataset.fit`` and so on say
    more of a folder's.

    :param dataset: by name, such as "folder:PATH", or None
    :param overrides: hyperparameters by dotted keys
    :raises ValueError: for two data sets, or more said of one that has no arguments
    """
    key = "env_kwargs.dataset"
    inside = [name for name in overrides if str(name).startswith(f"{key}.")]
    if dataset is None and key not in overrides:
        return None, dict(overrides)  # they say more of the recipe's own
    more = {name.removeprefix(f"{key}."): overrides[name] for name in inside}
    said = overrides.get(key, dataset)
    others = {name: value for name, value in overrides.items() if name not in (*inside, key)}
    if key in overrides and said is None:
        others[key] = None  # which is told to be none
    if dataset is not None and key in overrides:
        raise ValueError(
            f"got --dataset {dataset} and {key}={overrides[key]!r}; wanted one of the two"
        )
    if not more:
        return said, others
    if isinstance(said, str) and said.startswith(("folder:", "clips:")):
        name, _, path = said.partition(":")
        said = {"type": name, "path": path}
    if not isinstance(said, Mapping):
        raise ValueError(
            f"got {inside[0]} for {said}; wanted it beside --dataset folder:PATH or clips:PATH"
        )
    if again := more.keys() & {"type", "path"}:
        raise ValueError(f"got {key}.{min(again)} beside {dict(said)}, which says it already")
    return {**said, **more}, others


def choose_env(env_id: str | None, dataset: Any) -> str:
    """Return the id that is trained.

    :param env_id: that was asked for; None to choose one for the data
    :param dataset: that was asked for, or None
    """
    if env_id is not None:
        return env_id
    return OWN_PICTURES_ENV if is_own(dataset) else DEFAULT_ENV


def fit_recipe(recipe: Recipe, data: ImageDataset) -> Recipe:
    """Return the recipe for pictures of one's own, scaled to them.

    :param recipe: of ``hyperparams/own_pictures``, whose comment has the numbers, or of an agent
        without a classifier
    :param data: the pictures, or clips
    """
    side, n = min(_shown(data)), len(data.split("train"))
    cost = max(1.0, side / _USUAL_SIDE) ** 2
    narrowest = _narrowest(data)
    size = min(max(8, 2 * round(side / 16)), 32, narrowest)
    shift = side // 16 if narrowest == side else min(side // 16, narrowest - size)
    n_timesteps = round(min(max(50 * n / cost, _LEAST_TIMESTEPS), _MOST))
    env_kwargs = {
        **(recipe.get("env_kwargs") or {}),
        "sensor": {"type": "Crop", "size": size},
        "augment": {"type": "ShiftFlip", "shift": shift, "flip": False},
    }
    recipe = {**recipe, "env_kwargs": env_kwargs, "n_timesteps": n_timesteps}
    pretraining = round(min(max(50 * n / cost, _LEAST_PRETRAINING), _MOST))
    return _with_memory_in_time(_with_pretraining(recipe, pretraining), data)


def fit_to_data(recipe: Recipe, own: str, data: ImageDataset) -> Recipe:
    """Return an id's recipe for other data than its own.

    As many passes over the images in the pretraining, at least 40,000 episodes; no mirror images,
    which may be wrong for these, neither to train on nor to read.

    :param recipe: of the id
    :param own: name of the data set that the id is registered with
    :param data: the data set that is asked for; nothing changes if it is the id's own
    """
    if data.name == own:
        return recipe
    if (before := _pretraining(recipe)) is not None:
        passes = before / _N_IMAGES[own]
        scaled = max(_LEAST_PRETRAINING, round(passes * len(data.split("train"))))
        recipe = _with_pretraining(recipe, min(before, scaled))
    if _mirrors(recipe):
        env_kwargs = {**recipe["env_kwargs"]}
        env_kwargs["augment"] = {**env_kwargs["augment"], "flip": False}
        if isinstance(classifier := env_kwargs.get("classifier"), Mapping):
            read = {key: value for key, value in classifier.items() if key != "mirror"}
            env_kwargs["classifier"] = read
        recipe = {**recipe, "env_kwargs": env_kwargs}
    return _with_memory_in_time(recipe, data)


def say_fit(before: Recipe, after: Recipe, data: ImageDataset) -> None:
    """Say in one line how a recipe was fitted to the data, if it was.

    :param before: as it stands in its file
    :param after: what is trained with, everything that was set included
    :param data: that it was fitted to
    """
    said = []
    if after["n_timesteps"] != before["n_timesteps"]:
        said.append(f"{int(after['n_timesteps']):,} timesteps")
    if (pretraining := _pretraining(after)) != _pretraining(before):
        said.append(f"{pretraining:,} episodes of pretraining")
    if _mirrors(before) and not _mirrors(after):
        said.append("no mirror images")
    sensors = [(recipe.get("env_kwargs") or {}).get("sensor") for recipe in (before, after)]
    if sensors[0] != sensors[1] and isinstance(sensors[1], Mapping):
        said.append(f"glimpses {sensors[1].get('size')} pixels wide")
    if _is_canvas(before) and not _is_canvas(after):
        classifier = (after.get("env_kwargs") or {}).get("classifier")
        kind = classifier.get("type") if isinstance(classifier, Mapping) else classifier
        said.append(f"the classifier {kind} in the place of a canvas, which takes scenes for still")
    if said:
        (height, width), n = _shown(data), len(data.split("train"))
        what = "images" if data.frames == 1 else f"clips of {data.frames} frames"
        _say(
            f"the recipe is fitted to {data.name} ({n:,} {what} to train on, {height} x {width}): "
            f"{', '.join(said)}; --set changes each"
        )


def _shown(data: ImageDataset) -> tuple[int, int]:
    """Return height and width of what is shown at a time: an image, or a frame of a clip."""
    height, width, _ = data.image_shape
    return height // data.frames, width


def _narrowest(data: ImageDataset) -> int:
    """Return the shortest side of all images, which may be less than that of their frames."""
    kept = [data.split(name).extents for name in SPLITS]
    sides = [int(extents.min()) for extents in kept if extents is not None]
    return min(sides, default=min(_shown(data)))


def _with_memory_in_time(recipe: Recipe, data: ImageDataset) -> Recipe:
    """Return a recipe whose classifier can tell what moves, where the data are clips.

    A canvas cannot tell a clip from its frames in another order, such as left from right.
    """
    if data.frames == 1 or not _is_canvas(recipe):
        return recipe
    return {**recipe, "env_kwargs": {**recipe["env_kwargs"], "classifier": {"type": "gru"}}}


def _is_canvas(recipe: Recipe) -> bool:
    classifier = (recipe.get("env_kwargs") or {}).get("classifier")
    return (classifier.get("type") if isinstance(classifier, Mapping) else classifier) == "canvas"


def _pretraining(recipe: Recipe) -> int | None:
    return (training_of(recipe) or {}).get("pretraining")


def _with_pretraining(recipe: Recipe, n_episodes: int) -> Recipe:
    training = training_of(recipe)
    if training is None:
        return recipe
    return with_training(recipe, {**training, "pretraining": n_episodes})


def _mirrors(recipe: Recipe) -> bool:
    augment = (recipe.get("env_kwargs") or {}).get("augment")
    return isinstance(augment, Mapping) and bool(augment.get("flip"))
