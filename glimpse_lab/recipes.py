"""Recipes: hyperparameters in rl_zoo3's format, and the model they describe.

A recipe file is named after its algorithm (``ppo_lstm.yml``, ``ppo.yml``) and maps environment ids
to hyperparameters; ``default`` serves the ids that have no entry of their own.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv
from torch import nn
from torch.nn.modules import activation

from glimpse_envs.components import nearest
from glimpse_lab.dotted import is_key
from glimpse_lab.ranges import argument_types, checked, in_range
from glimpse_lab.spellings import respelled
from glimpse_lab.yaml_files import YamlError, parse_yaml, read_yaml
from policies.classifier.cotraining import CoTrainingCallback
from policies.classifier.trainer import Fitter
from policies.limits import check_memory, limited_parameters
from policies.minibatches import check_rows

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"ppo_lstm": RecurrentPPO, "ppo": PPO}

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
        "stable_baselines3.common.callbacks.LogEveryNTimesteps",
        "stable_baselines3.common.callbacks.ProgressBarCallback",
        "stable_baselines3.common.callbacks.StopTrainingOnMaxEpisodes",
    }
)
"""Callbacks that a run directory may name, which can be a stranger's.

They write nowhere but into the logger of the run, whatever their arguments. SB3's others save
models where they are told to (``CheckpointCallback``, ``EvalCallback``), or need objects.
"""

MOST_LANES = 16_384
"""Lanes of one environment."""


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
    if path.stem not in ALGORITHMS:
        raise RecipeError(
            f"recipe {path}: the file's name tells the algorithm, wanted one of "
            f"{', '.join(f'{name}.yml' for name in ALGORITHMS)}"
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
    if recipe["n_envs"] > MOST_LANES:
        raise RecipeError(f"got n_envs={recipe['n_envs']:,}; wanted at most {MOST_LANES:,}")


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


def make_model(
    algorithm: str, recipe: Recipe, env: VecEnv, *, seed: int | None, device: str
) -> BaseAlgorithm:
    """Return the untrained model that a recipe describes.

    :param algorithm: "ppo_lstm" or "ppo"
    :param recipe: hyperparameters; those of training (``n_envs``, ``n_timesteps``, ``env_kwargs``,
        ``callback``) are passed over
    :raises ValueError: for hyperparameters that the algorithm or the policy does not know, of
        another type or out of their ranges
    """
    passed_over = {"n_envs", "n_timesteps", "env_kwargs", "callback"}
    arguments = {key: value for key, value in recipe.items() if key not in passed_over}
    arguments = {key: _schedule(key, value) for key, value in arguments.items()}
    policy = arguments.pop("policy", "MultiInputPolicy")
    policy = import_class(policy, BasePolicy) if "." in str(policy) else policy
    cls = ALGORITHMS[algorithm]
    if not isinstance(policy, str | type):
        raise RecipeError(f"got policy={policy!r}; wanted a name, such as policies.GlimpsePolicy")
    arguments = _checked_arguments(cls, arguments)
    defaults = inspect.signature(cls).parameters
    n_steps, batch_size, normalized = (
        arguments.get(key, defaults[key].default)
        for key in ("n_steps", "batch_size", "normalize_advantage")
    )
    if normalized:
        check_rows(n_steps, env.num_envs, batch_size)
    arguments["policy_kwargs"] = _policy_kwargs(cls, policy, arguments.get("policy_kwargs") or {})
    rollout, remedy = (
        f"a rollout of {n_steps * env.num_envs:,} steps",
        "take fewer n_envs or n_steps",
    )
    try:
        with limited_parameters("the policy"):
            model = cls(policy, env, seed=seed, device=device, **arguments)
    except ValueError:
        raise
    except MemoryError as error:
        raise RecipeError(f"{rollout} does not fit: {remedy}") from error
    except Exception as error:  # the constructors of policies and extractors fail in many ways
        raise RecipeError(f"recipe of {algorithm}: {type(error).__name__}: {error}") from error
    check_memory(_buffer_bytes(model), rollout, remedy)
    return model


def _buffer_bytes(model: BaseAlgorithm) -> int:
    """Return how many bytes the buffer of a model will take once it is filled."""
    members = vars(model.rollout_buffer).values()
    arrays = [
        array
        for member in members
        for array in (member.values() if isinstance(member, dict) else [member])
    ]
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def find_recipe(folder: Path, env_id: str) -> Path:
    """Return the recipe file of an environment in a folder.

    The first with an entry of its own, or else that of RecurrentPPO.
    """
    files = [folder / f"{name}.yml" for name in ("ppo", "ppo_lstm")]
    own = (file for file in files if file.exists() and env_id in (_read(file) or {}))
    return next(own, files[-1])


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
            raise ValueError(f"device {name!r} cannot be used: {error}") from error
    return name


def trust(packages: Sequence[str]) -> None:
    """Import packages of the user's own, and let recipes name their classes.

    They are found from the current folder, too.

    :raises RecipeError: for a package that does not import
    """
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


#: arguments of an algorithm that no recipe gives, and keys of a recipe that are none
_MADE = ("self", "env", "_init_setup_model", "seed", "device", "verbose", "tensorboard_log")
_OURS = ("n_envs", "n_timesteps", "env_kwargs", "callback")


def _checked_arguments(cls: type[BaseAlgorithm], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters of an algorithm; raise a ValueError for those that do not fit."""
    known = [name for name in inspect.signature(cls).parameters if name not in _MADE]
    for key in arguments:
        if key not in known:
            hint = nearest(str(key), [*known, *_OURS])
            raise RecipeError(f"{cls.__name__} has no hyperparameter {key!r}; {hint}")
    return checked(arguments, argument_types(cls))


def _policy_kwargs(cls: type[BaseAlgorithm], policy: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a policy, checked, with its activation function as a class."""
    if isinstance(kwargs.get("activation_fn"), str):
        kwargs = {**kwargs, "activation_fn": _activation(kwargs["activation_fn"])}
    policy_class = cls.policy_aliases.get(policy) if isinstance(policy, str) else policy
    if not isinstance(policy_class, type):
        return kwargs  # an unknown name, which the algorithm refuses
    kwargs = checked(kwargs, argument_types(policy_class), "policy_kwargs.")
    if "features_extractor_class" not in kwargs and kwargs.get("features_extractor_kwargs"):
        extractor = _default_extractor(policy_class)
        inner = checked(
            kwargs["features_extractor_kwargs"],
            argument_types(extractor),
            "features_extractor_kwargs.",
        )
        kwargs = {**kwargs, "features_extractor_kwargs": inner}
    return kwargs


def _default_extractor(policy: type) -> type:
    """Return the features extractor that a policy makes if none is named."""
    for base in policy.__mro__:
        if "__init__" in vars(base):
            parameter = inspect.signature(base.__init__).parameters.get("features_extractor_class")
            if parameter is not None and isinstance(parameter.default, type):
                return parameter.default
    return BaseFeaturesExtractor


def _activation(name: str) -> type[nn.Module]:
    """Return an activation function of PyTorch by a name such as "nn.ReLU" or "relu".

    :raises RecipeError: for another name
    """
    known = {each.lower(): getattr(nn, each) for each in activation.__all__}
    word = name.removeprefix("torch.").removeprefix("nn.").lower()
    if word not in known:
        names = sorted(activation.__all__)
        raise RecipeError(f"got activation_fn={name!r}; {nearest(name, names)}")
    return known[word]


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


def _schedule(key: str, value: Any) -> Any:
    """Return the schedule of "lin_START", falling to 0, for the keys that may have one."""
    if key not in ("learning_rate", "clip_range", "clip_range_vf") or not isinstance(value, str):
        return value
    if not value.startswith("lin_"):
        raise RecipeError(f"got {key}={value!r}; wanted a number or lin_START, such as lin_3e-4")
    try:
        start = float(value.removeprefix("lin_"))
    except ValueError as error:
        raise RecipeError(f"got {key}={value!r}: {error}") from error
    in_range(key, start)
    return LinearSchedule(start, end=0.0, end_fraction=1.0)
