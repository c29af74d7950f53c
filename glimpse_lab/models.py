"""From a recipe to the model that it describes, its settings checked."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv
from torch import nn
from torch.nn.modules import activation

from glimpse_envs.components import nearest
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.inverse.config import InverseConfig
from glimpse_lab.recipes import ALGORITHMS, Recipe, RecipeError, import_class
from policies.limits import check_memory, limited_parameters
from policies.minibatches import check_rows
from policies.ranges import argument_types, checked, in_range

#: arguments of an algorithm that no recipe gives, and keys of a recipe that are none
_MADE = ("self", "env", "_init_setup_model", "seed", "device", "verbose", "tensorboard_log")
_OURS = ("n_envs", "n_timesteps", "env_kwargs", "callback")
_ENVIRONMENTS = {field.name for kind in (GlimpseConfig, InverseConfig) for field in fields(kind)}
"""Arguments of environments, which are easily named without ``env_kwargs``."""


def make_model(
    algorithm: str, recipe: Recipe, env: VecEnv, *, seed: int | None, device: str
) -> BaseAlgorithm:
    """Return the untrained model that a recipe describes.

    :param algorithm: a key of ``ALGORITHMS``
    :param recipe: hyperparameters; those of training (``n_envs``, ``n_timesteps``, ``env_kwargs``,
        ``callback``, ``rllib``) are passed over
    :raises ValueError: for hyperparameters that the algorithm or the policy does not know, of
        another type or out of their ranges
    """
    passed_over = {"n_envs", "n_timesteps", "env_kwargs", "callback", "rllib"}
    arguments = {key: value for key, value in recipe.items() if key not in passed_over}
    arguments = {key: _schedule(key, value) for key, value in arguments.items()}
    policy = arguments.pop("policy", "MultiInputPolicy")
    policy = import_class(policy, BasePolicy) if "." in str(policy) else policy
    cls = ALGORITHMS[algorithm]
    if not isinstance(policy, str | type):
        raise RecipeError(f"got policy={policy!r}; wanted a name, such as policies.GlimpsePolicy")
    arguments = _checked_arguments(cls, arguments)
    n_steps = _check_rollouts(cls, arguments, env.num_envs)
    arguments["policy_kwargs"] = policy_arguments(cls, policy, arguments.get("policy_kwargs") or {})
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


def _check_rollouts(cls: type[BaseAlgorithm], arguments: dict[str, Any], n_envs: int) -> int:
    """Return how many steps of all lanes an update learns from, if they can be learnt from."""
    if not issubclass(cls, OnPolicyAlgorithm):
        return 1
    defaults = inspect.signature(cls).parameters
    n_steps, batch_size, normalized = (
        arguments.get(key, defaults[key].default)
        for key in ("n_steps", "batch_size", "normalize_advantage")
    )
    if normalized:
        check_rows(n_steps, n_envs, batch_size)
    return n_steps


def _buffer_bytes(model: BaseAlgorithm) -> int:
    """Return how many bytes the buffer of a model, if it has one, will take once it is filled."""
    if not isinstance(model, OnPolicyAlgorithm):
        return 0
    members = vars(model.rollout_buffer).values()
    arrays = [
        array
        for member in members
        for array in (member.values() if isinstance(member, dict) else [member])
    ]
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def _checked_arguments(cls: type[BaseAlgorithm], arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters of an algorithm; raise a ValueError for those that do not fit."""
    known = [name for name in inspect.signature(cls).parameters if name not in _MADE]
    for key in arguments:
        if key not in known:
            if key in _ENVIRONMENTS:
                hint = f"did you mean 'env_kwargs.{key}', which environments have?"
            else:
                hint = nearest(str(key), [*known, *_OURS])
            raise RecipeError(f"{cls.__name__} has no hyperparameter {key!r}; {hint}")
    return checked(arguments, argument_types(cls))


def policy_arguments(
    cls: type[BaseAlgorithm], policy: Any, kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a policy, checked, with its activation function as a class.

    :param cls: of the algorithm
    :param policy: its class, or a name that the algorithm knows
    :param kwargs: as a recipe gives them
    :raises ValueError: for what the policy does not know, of another type or out of its range
    """
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
