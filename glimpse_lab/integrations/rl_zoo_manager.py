"""What RL Baselines3 Zoo has to know about glimpse environments; needs rl_zoo3.

The zoo makes its environments one by one, each with a classifier of its own, evaluates without the
recipe's ``env_kwargs``, and keeps the model alone. Here lanes are stepped together, all
environments share one classifier, and it is saved inside of every model file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rl_zoo3
import rl_zoo3.exp_manager
import rl_zoo3.utils
from rl_zoo3.exp_manager import ExperimentManager
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor

from glimpse_envs.config import make_config
from glimpse_envs.data.directory import data_directory
from glimpse_envs.sb3 import GlimpseVecEnv, registered_kwargs
from glimpse_lab.checkpoint import classifier_of
from policies.classifier.cotraining import CoTrainingCallback
from policies.classifier.model import TorchClassifier

_create_test_env = rl_zoo3.utils.create_test_env
_get_model_path = rl_zoo3.utils.get_model_path


class GlimpseExperimentManager(ExperimentManager):
    """The zoo's manager of experiments for glimpse environments."""

    def _preprocess_hyperparams(
        self, hyperparams: dict[str, Any]
    ) -> tuple[dict[str, Any], Callable | None, list[BaseCallback], Callable | None]:
        result = super()._preprocess_hyperparams(hyperparams)
        # what is evaluated, and which model is the best, is decided on images not trained on
        given = self.args.eval_env_kwargs or {}
        self.eval_env_kwargs = {**self.env_kwargs, "split": "validation", "augment": None, **given}
        self._share_classifier()
        for callback in result[2]:
            if isinstance(callback, CoTrainingCallback):
                callback.cache = data_directory() / "classifiers"
                if self.continue_training:
                    callback.restore({"pretrained": callback.pretraining.n_episodes})
        return result

    def _share_classifier(self) -> None:
        """Put one classifier in the place of its description, which config.yml keeps."""
        kwargs = {**registered_kwargs(self.env_name.gym_id), **self.env_kwargs}
        classifier = kwargs.get("classifier")
        if classifier is None:
            return
        if self.continue_training:
            classifier = TorchClassifier.load(Path(self.trained_agent))
        elif isinstance(classifier, str | dict):
            described = {"type": classifier} if isinstance(classifier, str) else classifier
            if described.get("type") != "file":
                described = {"seed": self.seed % 2**31, **described}
            classifier = make_config(**{**kwargs, "classifier": described}).classifier
        self.env_kwargs = {**self.env_kwargs, "classifier": classifier}
        self.eval_env_kwargs = {**self.eval_env_kwargs, "classifier": classifier}

    def create_envs(self, n_envs: int, eval_env: bool = False, no_log: bool = False) -> VecEnv:
        """Return lanes that are stepped together.

        Or the zoo's own where wrappers of single environments or stacked frames are asked for.

        :raises ValueError: for processes, which cannot share a classifier
        """
        if self.optimize_hyperparameters and not eval_env:
            self._forget_classifier()  # each trial begins with an untrained one
        kwargs = self.eval_env_kwargs if eval_env else self.env_kwargs
        if self.args.vec_env == "subproc" and kwargs.get("classifier") is not None:
            raise ValueError(
                "got --vec-env subproc with a classifier, which processes cannot share; leave it "
                "out: glimpse environments are stepped together without processes"
            )
        if self.env_wrapper is not None or self.frame_stack is not None:
            return super().create_envs(n_envs, eval_env, no_log)
        lanes = GlimpseVecEnv(self.env_name.gym_id, n_envs, seed=self.seed, **kwargs)
        log = None if eval_env or no_log else os.path.join(self.save_path, "0")
        env: VecEnv = VecMonitor(lanes, log, **self.monitor_kwargs)
        if self.vec_env_wrapper is not None:
            env = self.vec_env_wrapper(env)
        env = self._maybe_normalize(env, eval_env)
        return BaseAlgorithm._wrap_env(env, verbose=0)  # as the model does for its own

    def _forget_classifier(self) -> None:
        classifier = self.env_kwargs.get("classifier")
        if isinstance(classifier, TorchClassifier) and any(
            CoTrainingCallback.__name__ in str(entry) for entry in self.specified_callbacks or []
        ):
            fresh = TorchClassifier(
                classifier.view, classifier.kind, seed=classifier.seed, **classifier.settings
            )
            self.env_kwargs["classifier"] = self.eval_env_kwargs["classifier"] = fresh


def with_classifier(cls: type[BaseAlgorithm]) -> type[BaseAlgorithm]:
    """Return the algorithm, saving its environment's classifier inside of every model file."""

    class WithClassifier(cls):  # type: ignore[misc, valid-type]
        def save(self, path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
            super().save(path, *args, **kwargs)
            if isinstance(classifier := classifier_of(self), TorchClassifier):
                file = Path(path)
                classifier.save_inside(file if file.suffix else file.with_suffix(".zip"))

    WithClassifier.__name__ = cls.__name__
    return WithClassifier


class _TestEnvs:
    """Makes the environments of enjoy and record_video for the model file that they choose."""

    def __init__(self) -> None:
        self.model_file = ""

    def get_model_path(self, *args: Any, **kwargs: Any) -> tuple[str, str, str]:
        found = _get_model_path(*args, **kwargs)
        self.model_file = found[1]
        return found

    def create_test_env(
        self,
        env_id: str,
        *args: Any,
        hyperparams: dict[str, Any],
        env_kwargs: dict[str, Any] | None = None,
        **others: Any,
    ) -> VecEnv:
        """Make the environment of the recipe, with test images and the model's own classifier."""
        hyperparams = dict(hyperparams)
        saved = hyperparams.pop("env_kwargs", None) or {}  # record_video leaves them there
        kwargs = {"split": "test", **saved, "augment": None, **(env_kwargs or {})}
        classifier = {**registered_kwargs(env_id), **kwargs}.get("classifier")
        if classifier is not None:
            kwargs["classifier"] = TorchClassifier.load(Path(self.model_file))
        others["vec_env_cls"] = DummyVecEnv  # processes would each need their own classifier
        return _create_test_env(env_id, *args, hyperparams=hyperparams, env_kwargs=kwargs, **others)


def install() -> None:
    """Let rl_zoo3's modules that are run next use what is above."""
    test_envs = _TestEnvs()
    rl_zoo3.exp_manager.ExperimentManager = GlimpseExperimentManager
    for name in ("ppo", "ppo_lstm"):
        rl_zoo3.utils.ALGOS[name] = with_classifier(rl_zoo3.utils.ALGOS[name])
    rl_zoo3.utils.get_model_path = test_envs.get_model_path
    rl_zoo3.utils.create_test_env = rl_zoo3.create_test_env = test_envs.create_test_env
