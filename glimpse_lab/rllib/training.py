"""A training by RLlib that leaves a run directory, read and evaluated like any other."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import ray
import torch as th
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, NUM_EPISODES
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger

from glimpse_envs.data.directory import data_directory
from glimpse_lab.checkpoint import classifier_of
from glimpse_lab.cluster.connection import n_cores
from glimpse_lab.config import RunError
from glimpse_lab.core_seconds import CoreSeconds
from glimpse_lab.recipes import RLLIB
from glimpse_lab.rllib.config import ppo
from glimpse_lab.rllib.recipe import learner_arguments
from glimpse_lab.runs import Run
from glimpse_lab.training import TrainingStoppedError, restore, stopping
from policies import CoTrainingCallback
from policies.callbacks import check_weights
from policies.classifier.cache import ClassifierCache
from policies.classifier.trainer import Fitter
from policies.save_timer import SaveTimer

#: in the run directory: the state of RLlib's algorithm, by timesteps
STATES = "rllib"
#: seconds without a timestep that end a training; RLlib begins runners anew meanwhile
_PATIENCE = 180.0

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
    from is in the folder ``rllib``, which holds pickles: resume only what you trust. Ctrl-C ends
    the training after the present update, and saves; one more at once, and saves nothing.

    :param run: of a configuration of :func:`glimpse_lab.rllib.recipe.rllib_config`
    :param n_runners: processes that step lanes, which they share; 0: this one does
    :raises RunError: for a run of another algorithm, one that exists already under this name, or
        one that another process trains; for more runners than the cluster has cores, and if all
        have died
    :raises TrainingStoppedError: after Ctrl-C, when the run is saved
    :raises ValueError: for settings that do not fit, or a training that diverges
    """
    if run.config.algorithm != RLLIB:
        raise RunError(
            f"{run.path} was trained by {run.config.algorithm}; wanted a run of RLlib: "
            f"python train.py --resume {run.path}"
        )
    check_room(n_runners)
    n_lanes = max(1, run.config.n_envs // max(1, n_runners))
    arguments = learner_arguments(run.config)
    settings = ppo(run.config.env_id, n_runners=n_runners, n_lanes=n_lanes, **arguments)
    resumed = (run.path / "config.yml").exists()
    if not resumed:
        run = replace(run, config=_told(run))  # before its environment, which a Run makes once
    model = run.config.make_model(run.make_env(), "cpu", saved=run.model_file.exists())
    if not resumed:
        run.create()
    go_on = f"python examples/rllib_ppo.py --resume {run.path}"
    with run.locked(), stopping(run, go_on):
        if resumed:
            run.write_config()  # it may be longer than it was
        algorithm = settings.build_algo()
        try:
            _Training(run, model, algorithm, n_runners, go_on).carry_out()
        finally:
            algorithm.stop()
    return model


def check_room(n_runners: int) -> None:
    """Check that the cluster can hold the runners: RLlib would wait for cores, without a word.

    Where other work has some of the cores now, say that it is waited for.

    :raises RunError: if it has fewer cores
    """
    if n_runners > (cores := n_cores()):
        raise RunError(
            f"got {n_runners} runners, and the cluster has {cores} core(s); wanted a core for each:"
            " fewer (--runners), or a larger cluster"
        )
    free = int(ray.available_resources().get("CPU", 0))
    if n_runners > free:
        print(f"{n_runners} runners wait for cores: {free} of {cores} are free now", flush=True)


@contextmanager
def interrupted() -> Iterator[Callable[[], bool]]:
    """Give what says whether Ctrl-C was heard; the second raises ``KeyboardInterrupt``.

    So that an update, which RLlib cannot go on with half-way, comes to its end. Elsewhere than in
    the main thread nothing is heard.
    """
    heard = False

    def hear(*_: object) -> None:
        nonlocal heard
        if heard:
            raise KeyboardInterrupt
        heard = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, hear)
    try:
        yield lambda: heard
    finally:
        signal.signal(signal.SIGINT, before)


def _told(run: Run) -> Any:
    """Return the configuration of a run with the version of Ray."""
    return replace(run.config, versions={**run.config.versions, "ray": ray.__version__})


class _Training:
    """The training of a run.

    :param run: made already
    :param model: that plays as RLlib's module does, whenever it is saved
    :param algorithm: of RLlib
    :param n_runners: processes beside this one
    :param go_on: the command that resumes it, for messages
    """

    def __init__(
        self, run: Run, model: BaseAlgorithm, algorithm: Algorithm, n_runners: int, go_on: str
    ) -> None:
        self.run, self.model, self.algorithm = run, model, algorithm
        self.classifier: th.nn.Module = classifier_of(model)
        self.states = run.path / STATES
        self.spent = CoreSeconds(pretraining=0.0, training=0.0)
        self.n_runners, self.go_on = n_runners, go_on
        self.extras: dict[str, Any] = {}

    def carry_out(self) -> None:
        """Train to the end, or until Ctrl-C."""
        self._restore()
        if not self.model.num_timesteps:
            self._pretrain()
        self.run.remove_leftovers()
        total = self.run.config.n_timesteps
        begun, timer = time.process_time(), SaveTimer()
        with interrupted() as stop:
            logger = self.run.make_logger(upto=self.model.num_timesteps)
            last = time.monotonic()
            while self.model.num_timesteps < total and not stop():
                if not self._update(logger):
                    if time.monotonic() - last > _PATIENCE:
                        self._give_up()
                    time.sleep(1.0)  # an update without living runners ends at once
                    continue
                last = time.monotonic()
                if timer.due():
                    with timer.saving():
                        self._save(begun)
            self._save(begun)
        if self.model.num_timesteps < total:
            raise TrainingStoppedError(
                f"stopped and saved at {self.model.num_timesteps:,} of {total:,} timesteps.\n"
                f"go on with:  {self.go_on}"
            )

    def _restore(self) -> None:
        """Put the newest checkpoint into model, algorithm and runners, if there is one.

        :raises RunError: for a run that has trained and of which something is gone
        """
        restore(self.run, self.model, ())
        done = self.model.num_timesteps
        state = self.states / str(done)
        self._keep_only(state if done else None)  # the state, too, that a model.zip belongs to
        if not done:
            return
        if not state.exists():
            raise RunError(
                f"{self.run.path} has trained {done:,} timesteps, and {state}, which it goes on "
                "from, is gone: bring it back, or train anew under another --name"
            )
        self.algorithm.restore_from_path(state.resolve())
        self._tell_runners({NUM_ENV_STEPS_SAMPLED_LIFETIME: done})
        self.extras = self.run.classifier_extras()
        self.spent = CoreSeconds.read(self.run.path) or CoreSeconds()

    def _update(self, logger: Logger) -> bool:
        """Make an update and log it; return whether there were any timesteps to make it of."""
        result = self.algorithm.train()
        played = result.get("env_runners", {})
        if NUM_EPISODES not in played or not played[NUM_EPISODES] > 0:  # NaN, too, is none
            return False
        done = self.model.num_timesteps = int(played[NUM_ENV_STEPS_SAMPLED_LIFETIME])
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
        return True

    def _give_up(self) -> NoReturn:
        """End a training whose runners give nothing any more; its last checkpoint is kept."""
        living = self.algorithm.env_runner_group.num_healthy_remote_workers()
        raise RunError(
            f"no timesteps for {_PATIENCE:.0f} s: {living} of {self.n_runners} runners live. "
            f"Errors of theirs are in the logs of Ray; with the cluster whole again: {self.go_on}"
        )

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
        self._tell_runners({COMPONENT_RL_MODULE: state})

    def _tell_runners(self, state: dict[str, Any]) -> None:
        self.algorithm.env_runner_group.foreach_env_runner(lambda runner: runner.set_state(state))

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
        self._keep_only(state)
        before = self.spent.training
        known = before is not None and self.n_runners == 0  # runners' seconds are not measured
        seconds = before + time.process_time() - begun if known else None
        replace(self.spent, training=seconds).write(self.run.path)

    def _keep_only(self, state: Path | None) -> None:
        """Remove all states of RLlib's algorithm but one, those half written too."""
        for other in self.states.glob("*"):
            if other != state:
                shutil.rmtree(other)


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
