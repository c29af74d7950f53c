"""Recipes: hyperparameters in rl_zoo3's format, read and checked.

A recipe file is named after its algorithm (a key of ``ALGORITHMS``) and maps environment ids to
hyperparameters; ``default`` serves the ids that have no entry of their own.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch as th
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from glimpse_envs.components import nearest
from glimpse_lab.dotted import is_key
from glimpse_lab.spellings import respelled
from glimpse_lab.yaml_files import YamlError, parse_yaml, read_yaml
from policies.classifier.cotraining import CoTrainingCallback
from policies.classifier.trainer import Fitter
from policies.inverse import ActionEnumeration, SupervisedActions
from policies.ranges import argument_types, checked

RLLIB = "rllib_ppo"
"""Of runs that PPO of RLlib has trained (:mod:`glimpse_lab.rllib`): PPO here plays them."""

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {
    "ppo_lstm": RecurrentPPO,
    "ppo": PPO,
    RLLIB: PPO,
    "enumeration": ActionEnumeration,
    "supervised": SupervisedActions,
}

Recipe = dict[str, Any]

RECIPES = Path(__file__).with_name("hyperparams")
"""Folder of the recipes that come with the package."""

REWARD_ALONE = RECIPES / "reward_alone"
"""Folder of the recipes of agents without a classifier."""

_TRUSTED = {"policies", "glimpse_lab", "stable_baselines3", "sb3_contrib"}

RUN_CALLBACKS = frozenset(
    {
        "glimpse_lab.integrations.tensorboard.ScanpathImages",
        "policies.actions.cacla.CACLA",
        "policies.actions.epsilon_greedy.EpsilonGreedy",
        "policies.callbacks.Diverged",
        "policies.callbacks.EpisodeStatistics",
        "policies.callbacks.PackedSequences",
        "policies.classifier.cotraining.CoTrainingCallback",
        "policies.imitation.Imitation",
        "stable_baselines3.common.callbacks.LogEveryNTimesteps",
        "stable_baselines3.common.callbacks.ProgressBarCallback",
        "stable_baselines3.common.callbacks.StopTrainingOnMaxEpisodes",
    }
)
"""Callbacks that a run directory may name, which can be a stranger's.

They write nowhere but into the logger of the run, whatever their arguments. SB3's others save
models where they are told to (``CheckpointCallback``, ``EvalCallback``), or need objects.
"""


class RecipeError(ValueError):
    """A recipe is missing or wrong; the message says what came, what was wanted, what to do."""


def load_recipe(path: Path, env_id: str) -> Recipe:
    """Return the hyperparameters of an environment.

    :param path: a YAML file named after an algorithm
    :param env_id: falls back on the entry ``default``
    :raises RecipeError: for a file that is missing, broken or has neither entry
    """
    if not path.exists():
        raise RecipeError(f"recipe {path} cannot be read: there is no such file")
    trained = [name for name in ALGORITHMS if name != RLLIB]
    if path.stem not in trained:
        raise RecipeError(
            f"recipe {path}: the file's name tells the algorithm, wanted one of "
            f"{', '.join(f'{name}.yml' for name in trained)}"
        )
    recipes = _read(path)
    if not isinstance(recipes, dict):
        raise RecipeError(f"recipe {path}: wanted a mapping from environment ids to recipes")
    recipe = recipes.get(env_id, recipes.get("default"))
    if not isinstance(recipe, dict):
        known = nearest(env_id, (str(name) for name in recipes))
        raise RecipeError(f"recipe {path} has no entry {env_id!r} and no 'default'; {known}")
    return respelled(recipe)


def check_training(recipe: Recipe) -> None:
    """Check what training needs beside the algorithm: ``n_envs`` and ``n_timesteps``.

    :raises ValueError: unless both are there and within their ranges
    """
    lengths = {key: recipe.get(key) for key in ("n_envs", "n_timesteps")}
    checked(lengths, dict.fromkeys(lengths, int))


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Return the values of texts by their keys.

    :param settings: "KEY=VALUE" each; a dotted key reaches inside (``env_kwargs.budget=4``), the
        value is read as YAML
    :raises RecipeError: for a setting of another form
    """
    values = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not is_key(key):
            raise RecipeError(f"got {setting!r}; wanted KEY=VALUE, such as env_kwargs.budget=4")
        values[key] = parse_value(value)
    return values


def callback_entries(recipe: Recipe) -> list[Any]:
    """Return the callbacks of a recipe: "module.Class" or {"module.Class": arguments} each.

    :raises RecipeError: for an entry of another form
    """
    entries = recipe.get("callback")
    entries = [] if entries is None else entries
    entries = list(entries) if isinstance(entries, list) else [entries]
    for entry in entries:
        name = next(iter(entry), None) if isinstance(entry, dict) and len(entry) == 1 else entry
        arguments = entry[name] if isinstance(entry, dict) and isinstance(name, str) else None
        if not isinstance(name, str) or not isinstance(arguments, dict | None):
            raise RecipeError(
                f"got the callback {entry!r}; wanted module.Class, or {{module.Class: arguments}} "
                "with a mapping of arguments"
            )
    return entries


def callback_name(entry: Any) -> str:
    """Return the name of a callback of a recipe.

    :raises RecipeError: for an entry of another form
    """
    name = next(iter(entry)) if isinstance(entry, dict) and len(entry) == 1 else entry
    if not isinstance(name, str):
        raise RecipeError(
            f"got the callback {entry!r:.80}; wanted a text, module.Class, or one such text with "
            "its arguments: {module.Class: {argument: value}}"
        )
    return name


def foreign_packages(recipe: Recipe, packages: Sequence[str] = ()) -> list[str]:
    """Return the packages of callbacks that a run directory must not name by itself.

    :param packages: that the user has named; nothing of them is imported here
    :raises RecipeError: for what is no callback
    """
    names = [callback_name(entry) for entry in callback_entries(recipe)]
    own = {package.partition(".")[0] for package in packages}
    strange = [name for name in names if name.partition(".")[0] not in own]
    classes = {name: import_class(name, BaseCallback) for name in strange}
    return list(
        dict.fromkeys(
            name.partition(".")[0]
            for name, cls in classes.items()
            if f"{cls.__module__}.{cls.__qualname__}" not in RUN_CALLBACKS
        )
    )


def check_run_callbacks(recipe: Recipe, packages: Sequence[str]) -> None:
    """Check that a recipe of a run directory names no callback that could write elsewhere.

    :param packages: that the user has named
    :raises RecipeError: if it does
    """
    if foreign := foreign_packages(recipe, packages):
        names = ", ".join(callback_name(entry) for entry in callback_entries(recipe))
        raise RecipeError(
            f"it names callbacks that may write outside of the run ({names:.200}); if you trust "
            f"it: --packages {' '.join(foreign)}"
        )


def find_recipe(folder: Path, env_id: str, otherwise: str = "ppo_lstm") -> Path:
    """Return the recipe file of an environment in a folder.

    The first with an entry of its own.

    :param otherwise: the algorithm whose file it is where none has one; in the place of
        ``ppo_lstm.yml``, where that is not there, ``ppo.yml``
    """
    files = [folder / f"{name}.yml" for name in ("enumeration", "ppo", "ppo_lstm", "supervised")]
    own = (file for file in files if file.exists() and env_id in (_read(file) or {}))
    usual, other = folder / f"{otherwise}.yml", folder / "ppo.yml"
    if otherwise == "ppo_lstm" and other.exists() and not usual.exists():
        usual = other
    return next(own, usual)


def make_callbacks(recipe: Recipe) -> list[BaseCallback]:
    """Return the callbacks that a recipe names: "module.Class", or {"module.Class": arguments}.

    :raises RecipeError: for an unknown class or wrong arguments
    """
    callbacks = []
    for entry in callback_entries(recipe):
        name = callback_name(entry)
        arguments = (entry[name] if isinstance(entry, dict) else None) or {}
        cls = import_class(name, BaseCallback)
        hints = argument_types(cls)
        if issubclass(cls, CoTrainingCallback):
            hints = {**argument_types(Fitter), **hints}
        arguments = checked(arguments, hints, f"{cls.__name__}: ")
        try:
            callbacks.append(cls(**arguments))
        except ValueError:
            raise
        except Exception as error:
            raise RecipeError(f"callback {name}: {error}") from error
    return callbacks


def torch_device(name: str) -> str:
    """Return the name of a device that PyTorch can use, or "auto".

    :raises ValueError: for another name
    """
    if name != "auto":
        try:
            th.zeros(1, device=name).cpu()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise ValueError(
                f"device {name!r} cannot be used; wanted cpu, cuda or auto ({error})"
            ) from error
    return name


def trust(packages: Sequence[str]) -> None:
    """Import packages of the user's own, and let recipes name their classes.

    They are found from the current folder, too.

    :raises RecipeError: for a package that does not import
    """
    several = isinstance(packages, Sequence) and not isinstance(packages, str)
    if not several or not all(isinstance(name, str) for name in packages):
        raise RecipeError(f"got packages={packages!r:.200}; wanted a list of names")
    if packages and "" not in sys.path:
        sys.path.insert(0, "")
    for package in packages:
        try:
            importlib.import_module(package)
        except (Exception, SystemExit) as error:  # whatever its code raises
            raise RecipeError(
                f"package {package!r} does not import: {type(error).__name__}: {error}"
            ) from error
        _TRUSTED.add(package.partition(".")[0])


def import_class(name: str, base: type) -> type:
    """Return the class named "module.Class", if it is a ``base``.

    Only packages that are trusted are imported: a recipe can come with a run of somebody else's.

    :raises RecipeError: for another package, or what is no class below ``base``
    """
    module, _, attribute = str(name).rpartition(".")
    if module.partition(".")[0] not in _TRUSTED:
        raise RecipeError(
            f"got {name!r}; only classes of {', '.join(sorted(_TRUSTED))} are imported. For your "
            "own add --packages PACKAGE"
        )
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # whatever its code raises
        raise RecipeError(f"got {name!r}, which does not import: {error}") from error
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise RecipeError(f"got {name!r}; wanted a class below {base.__name__}")
    return cls


def _read(path: Path) -> Any:
    try:
        return read_yaml(path)
    except OSError as error:
        raise RecipeError(f"recipe {path} cannot be read: {error.strerror or error}") from error
    except YamlError as error:
        raise RecipeError(f"recipe {path} is not valid YAML: {error}") from error


def parse_value(text: str) -> Any:
    """Return what a text means as YAML; 3e-4 is a number too.

    :raises RecipeError: for a text that is not YAML
    """
    try:
        value = parse_yaml(text)
    except YamlError as error:
        raise RecipeError(f"value {text!r:.80} is not valid YAML: {error}") from error
    return respelled({"": value})[""]
