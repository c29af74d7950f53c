"""A training by RLlib that leaves a run directory, read and evaluated like any other."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import torch as th
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from stable_baselines3.common.base_class import BaseAlgorithm

from glimpse_envs.data.loaders import data_directory
from glimpse_lab.checkpoint import classifier_of
from glimpse_lab.config import RunError
from glimpse_lab.core_seconds import CoreSeconds
from glimpse_lab.recipes import RLLIB
from glimpse_lab.rllib.config import ppo
from glimpse_lab.rllib.recipe import learner_arguments
from glimpse_lab.runs import Run
from glimpse_lab.training import stopping
from policies import CoTrainingCallback
from policies.callbacks import check_weights
from policies.classifier.cache import ClassifierCache
from policies.classifier.trainer import Fitter
from policies.save_timer import SaveTimer

#: in the run directory: the state of RLlib's algorithm, by timesteps
STATES = "rllib"

_LEARNER = {
    "train/loss": "total_loss",
    "train/policy_gradient_loss": "policy_loss",
    "train/value_loss": "vf_loss",
    "train/entropy": "entropy",
    "classifier/loss": "classifier_loss",
}


def train(run: Run, *, n_runners: int = 0) -> BaseAlgorithm:
    """Train a run to its timesteps, or go on with it; return the agent as Stable-Baselines3's.

    Ray must be initialised. ``model.zip`` has what plays, and needs no Ray; what a training goes on
    from is in the folder ``rllib``, which holds pickles: resume only what you trust.

    :param run: of a configuration of :func:`glimpse_lab.rllib.recipe.rllib_config`
    :param n_runners: processes that step lanes, which they share; 0: this one does
    :raises RunError: for a run of another algorithm, one that exists already under this name, or
        one that another process trains
    :raises ValueError: for settings that do not fit, or a training that diverges
    """
    if run.config.algorithm != RLLIB:
        raise RunError(
            f"{run.path} was trained by {run.config.algorithm}; wanted a run of RLlib: "
            f"python train.py --resume {run.path}"
        )
    n_lanes = max(1, run.config.n_envs // max(1, n_runners))
    arguments = learner_arguments(run.config)
    settings = ppo(run.config.env_id, n_runners=n_runners, n_lanes=n_lanes, **arguments)
    resumed = (run.path / "config.yml").exists()
    if not resumed:
        run = replace(run, config=_told(run))  # before its environment, which a Run makes once
    model = run.config.make_model(run.make_env(), "cpu", saved=run.model_file.exists())
    if not resumed:
        run.create()
    with run.locked(), stopping(run, f"python examples/rllib_ppo.py --resume {run.path}"):
        if resumed:
            run.write_config()  # it may be longer than it was
        algorithm = settings.build_algo()
        try:
            _Training(run, model, algorithm, n_runners).carry_out(resumed)
        finally:
            algorithm.stop()
    return model


def _told(run: Run) -> Any:
    """Return the configuration of a run with the version of Ray."""
    return replace(run.config, versions={**run.config.versions, "ray": ray.__version__})


class _Training:
    """The training of a run.

    :param run: made already
    :param model: that plays as RLlib's module does, whenever it is saved
    :param algorithm: of RLlib
    :param n_runners: processes beside this one
    """

    def __init__(
        self, run: Run, model: BaseAlgorithm, algorithm: Algorithm, n_runners: int
    ) -> None:
        self.run, self.model, self.algorithm = run, model, algorithm
        self.classifier: th.nn.Module = classifier_of(model)
        self.states = run.path / STATES
        self.spent = CoreSeconds(pretraining=0.0, training=0.0)
        self.alone = n_runners == 0
        self.extras: dict[str, Any] = {}

    def carry_out(self, resumed: bool) -> None:
        """Train to the end."""
        if resumed and (state := newest_state(self.states)) is not None:
            self.run.load_weights(self.model)
            self.algorithm.restore_from_path(state.resolve())
            self.extras = self.run.classifier_extras()
            self.spent = CoreSeconds.read(self.run.path) or CoreSeconds()
        else:
            self._pretrain()
        self.run.remove_leftovers()
        logger = self.run.make_logger(upto=self.model.num_timesteps)
        begun, timer = time.process_time(), SaveTimer()
        while self.model.num_timesteps < self.run.config.n_timesteps:
            result = self.algorithm.train()
            played = result["env_runners"]
            done = self.model.num_timesteps = int(played["num_env_steps_sampled_lifetime"])
            logger.record("time/total_timesteps", done)
            logger.record("rollout/accuracy", played["accuracy"])
            logger.record("rollout/n_glimpses", played["n_glimpses"])
            logger.record("rollout/ep_rew_mean", played["episode_return_mean"])
            learnt = result["learners"][DEFAULT_MODULE_ID]
            for name, key in _LEARNER.items():
                logger.record(name, float(learnt[key]))
            logger.dump(done)
            print(
                f"{done:,} steps  accuracy {played['accuracy']:.3f}  "
                f"glimpses {played['n_glimpses']:.2f}",
                flush=True,
            )
            if timer.due():
                with timer.saving():
                    self._save(begun)
        self._save(begun)

    def _pretrain(self) -> None:
        """Train the classifier as the recipe says, and give it to the learner."""
        (callback,) = self.run.config.make_callbacks()
        assert isinstance(callback, CoTrainingCallback)
        callback.pretraining.run(
            Fitter(self.classifier, **callback.fit),
            self.run.env_config(),
            self.run.config.seed,
            cache=ClassifierCache(data_directory() / "classifiers"),
            checkpoint=lambda: None,
        )
        self.extras = callback.pretraining.state()
        self.spent = CoreSeconds(pretraining=callback.pretraining.core_seconds, training=0.0)
        group = self.algorithm.learner_group
        weights = group.get_weights()[DEFAULT_MODULE_ID]
        ours = {f"classifier.{k}": v.numpy() for k, v in self.classifier.state_dict().items()}
        state = {DEFAULT_MODULE_ID: {**weights, **ours}}
        group.set_weights(state)
        # not sync_weights, which sends nothing while the message of the beginning is on its way
        self.algorithm.env_runner_group.foreach_env_runner(
            lambda runner: runner.set_state({COMPONENT_RL_MODULE: state})
        )

    def _save(self, begun: float) -> None:
        """Write what plays, and what a training goes on from.

        :param begun: processor time when this part of the training began
        """
        take_over(self.algorithm, self.model, self.classifier)
        done = self.model.num_timesteps
        state, writing = self.states / str(done), self.states / "writing"
        if not state.exists():
            shutil.rmtree(writing, ignore_errors=True)
            self.algorithm.save_to_path(writing.resolve())
            writing.rename(state)
        self.run.save_model(self.model, self.extras)
        for older in self.states.iterdir():
            if older != state:
                shutil.rmtree(older)
        before = self.spent.training
        known = before is not None and self.alone  # runners' seconds are not measured
        seconds = before + time.process_time() - begun if known else None
        replace(self.spent, training=seconds).write(self.run.path)


def take_over(algorithm: Algorithm, model: BaseAlgorithm, classifier: th.nn.Module) -> None:
    """Put the weights of RLlib's module into a model of Stable-Baselines3 and its classifier.

    :param algorithm: with a ``BranchedModule``
    :param model: PPO with a ``GlimpsePolicy`` of the same settings
    :param classifier: of its environment
    :raises ValueError: if a weight is not finite
    """
    weights = algorithm.learner_group.get_weights()[DEFAULT_MODULE_ID]
    for name, module in (("agent.", model.policy), ("classifier.", classifier)):
        own = {key: th.as_tensor(w) for key, w in weights.items() if key.startswith(name)}
        module.load_state_dict({key.removeprefix(name): w for key, w in own.items()})
    check_weights(model)


def newest_state(folder: Path) -> Path | None:
    """Return the newest state of RLlib's algorithm that is whole; None without one.

    :param folder: ``rllib`` of a run
    """
    whole = [path for path in folder.glob("*") if path.name.isdecimal()]
    return max(whole, key=lambda path: int(path.name), default=None)
