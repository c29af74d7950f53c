"""Kinds of environments that are trained: what a run needs to know of its own."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, get_type_hints

import gymnasium as gym

from glimpse_envs.config import GlimpseConfig, make_config
from glimpse_envs.data.datasets import ImageDataset
from glimpse_envs.data.loaders import load_dataset
from glimpse_envs.faces_sb3 import LaneVecEnv
from glimpse_envs.inverse import InverseConfig
from glimpse_envs.inverse import make_config as make_inverse_config
from glimpse_envs.inverse.sb3 import InverseVecEnv
from glimpse_envs.inverse.sb3 import registered_kwargs as inverse_registered_kwargs
from glimpse_envs.sb3 import GlimpseVecEnv, registered_kwargs
from glimpse_lab.classifiers import Chosen, choose_classifier
from glimpse_lab.recipes import Recipe
from glimpse_lab.sweeps.prices import with_price
from policies.callbacks import EpisodeStatistics
from policies.classifier.memory import MEMORIES
from policies.classifier.model import TorchClassifier
from policies.limits import check_lanes, check_memory
from policies.ranges import argument_types, checked


class EnvKind:
    """What a run needs to know of its environments.

    :cvar name: for messages
    :cvar algorithm: whose recipe file serves an id without an entry of its own
    :cvar statistics: what is logged of the episodes that end: keys of the infos by their names
    :cvar progress: what the progress bar tells of these, a format with their names
    """

    name: ClassVar[str]
    algorithm: ClassVar[str]
    statistics: ClassVar[Mapping[str, str]]
    progress: ClassVar[str]

    def registered_kwargs(self, env_id: str) -> dict[str, Any]:
        """Return the arguments that an environment is registered with.

        :raises ValueError: for an id that is not registered, or of another kind
        """
        raise NotImplementedError(f"{type(self).__name__} does not define registered_kwargs")

    def check_env_kwargs(self, env_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of an environment, whole numbers as integers.

        :raises ValueError: for one of another type or out of its range
        """
        raise NotImplementedError(f"{type(self).__name__} does not define check_env_kwargs")

    def check_options(self, classifier: str, price: float | None) -> None:
        """Check that what was asked for beside the recipe makes sense here.

        :param classifier: as :func:`glimpse_lab.classifiers.choose_classifier` takes it
        :param price: of a glimpse; None for none
        :raises ValueError: if it does not
        """

    def settle(
        self,
        recipe: Recipe,
        env_kwargs: dict[str, Any],
        *,
        classifier: str,
        price: float | None,
        seed: int,
    ) -> Chosen:
        """Return recipe and arguments with what was asked for beside the recipe.

        :param classifier: as of :meth:`check_options`; ``price`` likewise
        :param seed: of the run
        """
        return Chosen(recipe, env_kwargs)

    def data(self, env_kwargs: Mapping[str, Any]) -> ImageDataset | None:
        """Return the data set that is shown; None where the environment draws its own images."""
        return load_dataset(env_kwargs["dataset"])

    def make_config(self, **parts: Any) -> Any:
        """Make the environment's configuration."""
        raise NotImplementedError(f"{type(self).__name__} does not define make_config")

    def unaugmented(self, config: Any) -> Any:
        """Return the configuration that shows images as they are."""
        return config

    def make_env(self, config: Any, n_envs: int) -> LaneVecEnv:
        """Make the environment for Stable-Baselines3.

        :raises ValueError: if its lanes need more memory than there is
        """
        raise NotImplementedError(f"{type(self).__name__} does not define make_env")


class _Glimpse(EnvKind):
    name, algorithm = "glimpse", "ppo_lstm"
    statistics = EpisodeStatistics.KEYS
    progress = "accuracy {accuracy:.3f}, glimpses {n_glimpses:.2f}"

    def registered_kwargs(self, env_id: str) -> dict[str, Any]:
        return registered_kwargs(env_id)

    def check_env_kwargs(self, env_kwargs: dict[str, Any]) -> dict[str, Any]:
        env_kwargs = checked(env_kwargs, get_type_hints(GlimpseConfig), "env_kwargs.")
        classifier = env_kwargs.get("classifier")
        if isinstance(classifier, dict) and classifier.get("type") in list(MEMORIES):
            hints = argument_types(TorchClassifier) | argument_types(MEMORIES[classifier["type"]])
            classifier = checked(classifier, hints, "env_kwargs.classifier.")
            env_kwargs = {**env_kwargs, "classifier": classifier}
        return env_kwargs

    def settle(
        self,
        recipe: Recipe,
        env_kwargs: dict[str, Any],
        *,
        classifier: str,
        price: float | None,
        seed: int,
    ) -> Chosen:
        recipe, env_kwargs = choose_classifier(recipe, env_kwargs, classifier, seed)
        if price is not None:
            reward = with_price(env_kwargs.get("reward", "Terminal"), price)
            env_kwargs = {**env_kwargs, "reward": reward}
        return Chosen(recipe, env_kwargs)

    def make_config(self, **parts: Any) -> GlimpseConfig:
        return make_config(**parts)

    def unaugmented(self, config: GlimpseConfig) -> GlimpseConfig:
        return replace(config, augment=None) if config.augmented else config

    def make_env(self, config: GlimpseConfig, n_envs: int) -> GlimpseVecEnv:
        check_lanes(config, n_envs)
        return GlimpseVecEnv(config, n_envs)


class _Inverse(EnvKind):
    name, algorithm = "inverse", "enumeration"
    # the rewards of an episode add up to the similarity at its end
    statistics: ClassVar[Mapping[str, str]] = {
        "reward": "similarity",
        "success": "is_success",
        "n_steps": "n_steps",
    }
    progress = "reward {reward:.3f}"

    def registered_kwargs(self, env_id: str) -> dict[str, Any]:
        return inverse_registered_kwargs(env_id)

    def check_env_kwargs(self, env_kwargs: dict[str, Any]) -> dict[str, Any]:
        return checked(env_kwargs, get_type_hints(InverseConfig), "env_kwargs.")

    def check_options(self, classifier: str, price: float | None) -> None:
        if classifier != "recipe":
            raise ValueError(
                f"got --classifier {classifier}, and inverse environments have none; leave it out"
            )
        if price is not None:
            raise ValueError(
                "got --sweep-cost, and inverse environments have no glimpses to pay for; leave it "
                "out"
            )

    def data(self, env_kwargs: Mapping[str, Any]) -> ImageDataset | None:
        dataset = env_kwargs.get("dataset", InverseConfig.dataset)
        return None if dataset is None else load_dataset(dataset)

    def make_config(self, **parts: Any) -> InverseConfig:
        return make_inverse_config(**parts)

    def make_env(self, config: InverseConfig, n_envs: int) -> InverseVecEnv:
        # canvas, target and first canvas as bytes; picture, canvas and what is compared as float32
        lane = math.prod(config.shape) * (3 + 8 * 4)
        what = f"{n_envs:,} lanes of {config.shape[0]} x {config.shape[1]} pixels"
        check_memory(n_envs * lane, what, "take fewer n_envs, or a smaller canvas")
        return InverseVecEnv(config, n_envs)


GLIMPSE, INVERSE = _Glimpse(), _Inverse()

_KINDS = {
    "glimpse_envs.envs:GlimpseVectorEnv": GLIMPSE,
    "glimpse_envs.inverse.envs:InverseVectorEnv": INVERSE,
}


def kind_of(env_id: str, *, importing: bool = False) -> EnvKind:
    """Return the kind of an environment; that of glimpses, which says so, where it is unknown.

    :param env_id: of a registered environment, or "PACKAGE:ID"
    :param importing: the package of the latter first, which is not done of a stranger's run
    """
    package, colon, name = str(env_id).rpartition(":")
    if importing and colon:
        with suppress(Exception):  # making the environment tells of it
            importlib.import_module(package)
    spec = gym.registry.get(name)
    return GLIMPSE if spec is None else _KINDS.get(spec.vector_entry_point, GLIMPSE)
