"""The configuration of a run, resolved once; it is what ``config.yml`` holds."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from glimpse_envs.components import nearest
from glimpse_envs.data.datasets import DatasetError, ImageDataset
from glimpse_envs.data.loaders import load_dataset
from glimpse_lab.dotted import check_names, with_value
from glimpse_lab.kinds import EnvKind, kind_of
from glimpse_lab.models import make_model
from glimpse_lab.overrides import with_overrides
from glimpse_lab.own_pictures import (
    OWN_PICTURES,
    asked_dataset,
    choose_env,
    fit_recipe,
    fit_to_data,
    is_own,
    say_fit,
)
from glimpse_lab.recipes import (
    ALGORITHMS,
    RECIPES,
    REWARD_ALONE,
    Recipe,
    check_training,
    find_recipe,
    foreign_packages,
    load_recipe,
    make_callbacks,
)
from glimpse_lab.spellings import respelled
from glimpse_lab.versions import git_commit, versions
from glimpse_lab.yaml_files import parse_yaml
from policies.extractors.backbones import weights_come_later
from policies.ranges import checks_arguments, in_range

FORMAT = 2
"""Of ``config.yml`` and ``model.zip``; raised where older runs cannot be read any more."""


class RunError(ValueError):
    """A run directory is incomplete or does not fit; the message says what to do."""


@dataclass(frozen=True)
class DatasetRecord:
    """Which data a run was made with.

    :param name: of the data set
    :param digest: of its images and labels
    """

    name: str
    digest: str


@dataclass(frozen=True)
class RunConfig:
    """All that environment, model and callbacks of a run are made from.

    A value: nothing changes it in place. ``dataclasses.replace`` makes another one.

    :param env_id: of the environment
    :param env_kwargs: its arguments, those that it is registered with included
    :param algorithm: a key of ``ALGORITHMS``
    :param recipe: hyperparameters, ``n_envs``, ``n_timesteps`` and ``callback``
    :param seed: of everything
    :param dataset: that it was resolved with; None where the environment draws its own images
    :param packages: of the user's own that are imported first
    :param git: commit of this software, "+" if it has changes; None if unknown
    :param versions: of this software and of what it depends on
    """

    env_id: str
    env_kwargs: dict[str, Any]
    algorithm: str
    recipe: Recipe
    seed: int
    dataset: DatasetRecord | None
    packages: tuple[str, ...]
    git: str | None
    versions: dict[str, str]

    @property
    def kind(self) -> EnvKind:
        """What is known of its kind of environments."""
        return kind_of(self.env_id)

    @property
    def n_timesteps(self) -> int:
        """Timesteps of the whole training."""
        return int(self.recipe["n_timesteps"])

    @property
    def n_envs(self) -> int:
        """Lanes stepped together in training."""
        return int(self.recipe["n_envs"])

    def changed_kwargs(self) -> dict[str, Any]:
        """Return the arguments of the environment that differ from those of its id."""
        registered = plain(self.kind.registered_kwargs(self.env_id))
        kwargs = self.env_kwargs.items()
        return {key: value for key, value in kwargs if registered.get(key) != value}

    def make_env_config(self, **changes: Any) -> Any:
        """Make the environment's configuration.

        :param changes: arguments that differ, such as a classifier that is there already
        :raises RunError: if the data set is not the one that the run was made with
        """
        kwargs = {**self.kind.registered_kwargs(self.env_id), **self.env_kwargs, **changes}
        try:
            data = self.kind.data(kwargs)
        except DatasetError as error:
            raise RunError(f"{error} If the data were moved: --dataset folder:PATH") from error
        now, then = _digest(data), _digest(self.dataset)
        if now != then:
            name = "of the environment" if data is None else repr(data.name)
            raise RunError(
                f"data set {name} has changed since this run (digest {now}, then {then}); bring "
                "the old data back, or train anew"
            )
        try:
            return self.kind.make_config(**{**kwargs, "dataset": data})
        except (ValueError, OSError, ImportError):
            raise
        except Exception as error:  # parts of anybody's fail in many ways
            raise RunError(
                f"{self.env_id} cannot be made: {type(error).__name__}: {error}"
            ) from error

    def moved(self, dataset: str) -> RunConfig:
        """Return the configuration with its data at another place.

        :param dataset: the same data, by a name such as "folder:PATH"; what else was said stays
        :raises RunError: if they are others
        """
        if self.dataset is None:
            raise RunError(
                f"got --dataset {dataset}, and {self.env_id} drew its own images; leave it out"
            )
        then = self.env_kwargs.get("dataset")
        if isinstance(then, dict) and dataset.startswith(("folder:", "clips:")):
            data = load_dataset({**then, "path": dataset.partition(":")[2]})
        else:
            data = load_dataset(dataset)
        if data.digest != self.dataset.digest:
            raise RunError(
                f"data set {dataset!r} is not the one that the run was made with (digest "
                f"{data.digest}, then {self.dataset.digest}); wanted the same images, unchanged"
            )
        env_kwargs = {**self.env_kwargs, "dataset": plain(data.source)}
        return replace(self, env_kwargs=env_kwargs)

    def altered(self, settings: Mapping[str, Any]) -> RunConfig:
        """Return the configuration with another environment, to evaluate a trained agent in.

        :param settings: by dotted keys that begin with ``env_kwargs``
        :raises RunError: for other keys, the data set and the classifier, which are the run's own
        :raises ValueError: if a key reaches inside of what has no keys
        """
        env_kwargs = self.env_kwargs
        for key, value in settings.items():
            whole, _, name = key.partition(".")
            first = name.partition(".")[0]
            if whole == "env_kwargs" and first in ("split", "budget"):
                raise RunError(f"got --set {key}={value!r}; wanted --{first} {value}")
            if whole != "env_kwargs" or first in ("", "dataset", "classifier"):
                raise RunError(
                    f"got --set {key}={value!r}; wanted env_kwargs.NAME=VALUE of the environment, "
                    "such as env_kwargs.scene.pieces=8: data set, classifier and all else are "
                    "those that the agent was trained with"
                )
            env_kwargs = with_value(env_kwargs, name, value)
        check_env_kwargs(env_kwargs, self.kind)
        return replace(self, env_kwargs=env_kwargs)

    def make_model(self, env: VecEnv, device: str, *, saved: bool = False) -> BaseAlgorithm:
        """Make the untrained model, which seeds the environment too.

        :param saved: its weights come from a checkpoint: files that it began with are not needed
        """
        recipe, kwargs = self.recipe, self.recipe.get("policy_kwargs")
        if saved and kwargs and "visual" in kwargs:
            recipe = {**recipe, "policy_kwargs": {k: v for k, v in kwargs.items() if k != "visual"}}
        with weights_come_later(saved):
            return make_model(self.algorithm, recipe, env, seed=self.seed, device=device)

    def make_callbacks(self) -> list[BaseCallback]:
        """Make the callbacks of the recipe."""
        return make_callbacks(self.recipe)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``config.yml`` holds, in YAML's types."""
        content = asdict(self)  # a deep copy
        return {"format": FORMAT, **content, "packages": list(self.packages)}

    @classmethod
    def from_dict(cls, content: Any) -> RunConfig:
        """Check and take over what ``to_dict`` gave.

        :param content: as YAML gives it
        :raises RunError: for another format, or what is missing or of another type
        """
        content = content if isinstance(content, dict) else {}
        _check_format(content)
        wrong = [key for key, kind in _KINDS.items() if not isinstance(content.get(key), kind)]
        wrong += ["seed"] if isinstance(content.get("seed"), bool) else []  # an int to Python
        if wrong:
            raise RunError(f"lacks {', '.join(wrong)}, or has it wrong; train anew")
        if content["algorithm"] not in ALGORITHMS:
            known = nearest(content["algorithm"], ALGORITHMS)
            raise RunError(f"names an unknown algorithm {content['algorithm']!r}; {known}")
        check_names([content["recipe"], content["env_kwargs"]])
        check_training(content["recipe"])
        check_env_kwargs(content["env_kwargs"], kind_of(content["env_id"]))
        if not all(isinstance(name, str) for name in content["packages"]):
            raise RunError(f"has packages {content['packages']!r}; wanted names")
        in_range("seed", content["seed"])
        dataset = content["dataset"]
        if dataset is not None:
            dataset = DatasetRecord(str(dataset.get("name")), str(dataset.get("digest")))
        return cls(
            **{name: content[name] for name in _KINDS}
            | {"dataset": dataset, "packages": tuple(content["packages"])}
        )


_KINDS: dict[str, type | tuple[type, ...]] = {
    "env_id": str,
    "env_kwargs": dict,
    "algorithm": str,
    "recipe": dict,
    "seed": int,
    "dataset": (dict, type(None)),
    "packages": list,
    "git": (str, type(None)),
    "versions": dict,
}


def _check_format(content: dict[str, Any]) -> None:
    if (made := content.get("format")) == FORMAT:
        return
    if isinstance(made, int) and made > FORMAT:
        raise RunError(f"has format {made}; this version reads {FORMAT}: take a newer version")
    if "env" not in content:  # no run of an older version either
        raise RunError(f"has format {made!r}; wanted format: {FORMAT}, as train.py writes it")
    version = (content.get("versions") or {}).get("glimpse-envs", "an unknown version")
    commit = f", commit {content['git'].rstrip('+')}" if content.get("git") else ""
    raise RunError(
        f"was made by an older version (glimpse-envs {version}{commit}), whose runs this version "
        "does not read: evaluate it with that version, or train anew"
    )


@checks_arguments
def resolve_config(
    env_id: str | None = None,
    recipe: Path | None = None,
    *,
    seed: int = 0,
    dataset: str | None = None,
    classifier: str = "recipe",
    overrides: Mapping[str, Any] | None = None,
    price: float | None = None,
    packages: Sequence[str] = (),
) -> RunConfig:
    """Resolve recipe, overrides and arguments, in this order; of data sets only one may be said.

    :param env_id: of a registered environment; None for one that fits the data set
    :param recipe: a file, or a folder of them; None for those that come with this package
    :param seed: of everything
    :param dataset: by name, such as "folder:PATH"; None for the environment's own
    :param classifier: as :func:`glimpse_lab.classifiers.choose_classifier` takes it
    :param overrides: hyperparameters by dotted keys, such as ``{"env_kwargs.budget": 4}``
    :param price: of a glimpse, in whatever reward there is; None to leave the reward
    :param packages: of the user's own, imported already
    :raises ValueError: for what does not fit, or is not known
    """
    asked, overrides = asked_dataset(dataset, overrides or {})
    for_own = env_id is None and recipe is None and is_own(asked)
    env_id = choose_env(env_id, asked)
    kind = kind_of(env_id, importing=True)
    registered = kind.registered_kwargs(env_id)
    kind.check_options(classifier, price)
    ours = OWN_PICTURES if for_own else RECIPES
    place = recipe or (REWARD_ALONE if classifier == "none" else ours)
    file = find_recipe(place, env_id, kind.algorithm) if place.is_dir() else place
    in_range("seed", seed)
    settings = before = load_recipe(file, env_id)
    if for_own:
        settings = fit_recipe(settings, load_dataset(asked))
    elif recipe is None and asked is not None:
        settings = fit_to_data(settings, registered["dataset"], load_dataset(asked))
    fitted = settings is not before
    settings = plain(respelled(with_overrides(settings, overrides)))
    check_names(settings)
    check_training(settings)
    if fitted:
        say_fit(before, settings, load_dataset(asked))
    given = settings.pop("env_kwargs", None)
    env_kwargs = {**registered, **check_env_kwargs({} if given is None else given, kind)}
    if asked is not None:
        env_kwargs["dataset"] = asked
    settings, env_kwargs = kind.settle(
        settings, env_kwargs, classifier=classifier, price=price, seed=seed
    )
    data = kind.data(env_kwargs)
    return RunConfig(
        env_id=env_id,
        env_kwargs=plain({**env_kwargs, "dataset": None if data is None else data.source}),
        algorithm=file.stem,
        recipe=settings,
        seed=seed,
        dataset=_record(data),
        packages=tuple(
            dict.fromkeys([*packages, *package_of(env_id), *foreign_packages(settings, packages)])
        ),
        git=git_commit(),
        versions=versions(),
    )


def package_of(env_id: str) -> list[str]:
    """Return the package that "PACKAGE:ID" imports: none of its own accord in a stranger's run."""
    package, colon, _ = env_id.rpartition(":")
    return [package] if colon else []


def _digest(data: ImageDataset | DatasetRecord | None) -> str:
    return "none" if data is None else data.digest


def _record(data: ImageDataset | None) -> DatasetRecord | None:
    return None if data is None else DatasetRecord(data.name, data.digest)


def check_env_kwargs(env_kwargs: Any, kind: EnvKind) -> dict[str, Any]:
    """Return the arguments of an environment, whole numbers as integers.

    :param kind: of the environment
    :raises ValueError: for one of another type or out of its range; the parts themselves, such as
        a sensor, check their own
    """
    if not isinstance(env_kwargs, dict):
        raise ValueError(f"got env_kwargs={env_kwargs!r}; wanted a mapping from names to values")
    return kind.check_env_kwargs(env_kwargs)


def portable(env_kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of an environment's arguments without paths of this computer."""
    kwargs = copy.deepcopy(env_kwargs)
    classifier, dataset = kwargs.get("classifier"), kwargs.get("dataset")
    if isinstance(classifier, dict) and classifier.get("type") == "file":
        classifier["path"] = "model.zip"  # where it is read from anyway
    if isinstance(dataset, str) and dataset.startswith(("folder:", "clips:")):
        kind, _, path = dataset.partition(":")
        kwargs["dataset"] = f"{kind}:{Path(path).name}"
    elif isinstance(dataset, dict) and "path" in dataset:
        dataset["path"] = Path(dataset["path"]).name
    return kwargs


class _Dumper(yaml.SafeDumper):
    """Writes NumPy's numbers as Python's."""


_Dumper.add_multi_representer(
    np.generic, lambda dumper, number: dumper.represent_data(number.item())
)


def plain(content: Any) -> Any:
    """Return what YAML gives back of a content, as a copy: tuples become lists.

    :raises ValueError: for what YAML cannot hold, such as objects, or for too much of it
    """
    try:
        return parse_yaml(yaml.dump(content, Dumper=_Dumper, sort_keys=False))
    except RecursionError as error:
        raise ValueError("got settings nested too deep, or holding themselves") from error
    except yaml.representer.RepresenterError as error:
        raise ValueError(
            f"got {error.args[-1]!r} in the settings; wanted numbers, texts, lists and mappings, "
            'which config.yml can hold: parts by name, such as "Crop" or {"type": "Crop"}'
        ) from error
