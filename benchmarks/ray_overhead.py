"""What RLlib costs beside Stable-Baselines3: rollouts and updates, and the sizes of messages.

    python benchmarks/ray_overhead.py [--env GlimpseMNIST-Saccade-v0] [--seconds 8]

Needs Ray (``pip install -e ".[ray]"``). Networks are the same in kind and size: a GRU that watches
the glimpses, policy and value of two layers. Stable-Baselines3 trains its classifier with the same
cross-entropy by ``CoTrainingCallback``, without a pretraining. Seconds of processor time, of this
process and the runners', do not depend on what else the machine does; steps per second do, and
runners are worth something on cores of their own alone: how many there are is printed.
"""

from __future__ import annotations

import argparse
import os
import pickle
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CallbackList

from benchmarks.timing import table
from glimpse_envs.sb3 import GlimpseVecEnv
from policies import CoTrainingCallback, GlimpsePolicy

try:
    import ray
    from ray.rllib.core import DEFAULT_MODULE_ID
    from ray.rllib.execution.rollout_ops import synchronous_parallel_sample

    from glimpse_lab.rllib.config import ppo
except ImportError as error:
    sys.exit(f'error: {error}; pip install -e ".[ray]"')

LANES, STEPS, EPOCHS = 64, 4096, 2
TRUNK = {"type": "gru", "hidden_size": 128, "code_size": 64, "encoder": "mlp"}
REWARD = "UncertaintyReduction"
_PHASES = ("rollout", "update", "weights")


class StableBaselines:
    """PPO of Stable-Baselines3 with a classifier trained beside it.

    :param env_id: of a registered environment
    """

    def __init__(self, env_id: str) -> None:
        env = GlimpseVecEnv(
            env_id,
            LANES,
            seed=0,
            classifier=TRUNK,
            reward=REWARD,
            observe_classifier_features=True,
        )
        self.model = PPO(
            GlimpsePolicy,
            env,
            n_steps=STEPS // LANES,
            batch_size=512,
            n_epochs=EPOCHS,
            learning_rate=1e-4,
            seed=0,
            policy_kwargs={"features_extractor_kwargs": {"encoder": "mlp"}},
        )
        self.cotraining = CoTrainingCallback(pretraining=0, epochs=EPOCHS, random_share=0.0)
        _, self.callback = self.model._setup_learn(10**9, _Deferred([self.cotraining]))
        self.callback.on_training_start(locals(), globals())

    def rollout(self) -> int:
        """Collect and return timesteps."""
        model = self.model
        model.collect_rollouts(model.env, self.callback, model.rollout_buffer, model.n_steps)
        return STEPS

    def update(self) -> int:
        """Update classifier, policy and value from what was collected; return its timesteps."""
        self.cotraining.on_rollout_end()
        self.model.train()
        return STEPS

    def core_seconds(self) -> float:
        """Return the processor time so far."""
        return time.process_time()


class _Deferred(CallbackList):
    """Callbacks that do not train at the end of a rollout, which is timed by itself."""

    def _on_rollout_end(self) -> None:
        pass


class Rllib:
    """PPO of RLlib with the branched network.

    :param env_id: of a registered environment
    :param n_runners: processes that step lanes; 0: this one does
    """

    def __init__(self, env_id: str, n_runners: int) -> None:
        settings = ppo(
            env_id,
            env_kwargs={"reward": REWARD},
            trunk=TRUNK,
            n_runners=n_runners,
            n_lanes=LANES // max(1, n_runners),
            steps=STEPS,
            minibatch_episodes=128,
            epochs=EPOCHS,
            learning_rate=1e-4,
        )
        self.algorithm = settings.build_algo()
        self.episodes: list[Any] = []

    def rollout(self) -> int:
        """Collect and return timesteps."""
        self.episodes, _ = synchronous_parallel_sample(
            worker_set=self.algorithm.env_runner_group,
            max_env_steps=STEPS,
            _uses_new_env_runners=True,
            _return_metrics=True,
        )
        return sum(map(len, self.episodes))

    def update(self) -> int:
        """Update all branches from what was collected; return its timesteps."""
        config = self.algorithm.config
        self.algorithm.learner_group.update(
            episodes=self.episodes,
            timesteps={"num_env_steps_sampled_lifetime": 0},
            num_epochs=config.num_epochs,
            minibatch_size=config.minibatch_size,
            shuffle_batch_per_epoch=True,
        )
        return sum(map(len, self.episodes))

    def core_seconds(self) -> float:
        """Return the processor time so far, of this process and of all runners."""
        runners = self.algorithm.env_runner_group.foreach_env_runner(
            lambda runner: time.process_time(), local_env_runner=False
        )
        return time.process_time() + sum(runners)

    def sync(self) -> int:
        """Send the weights to the runners; return the timesteps between two such messages."""
        self.algorithm.env_runner_group.sync_weights(
            from_worker_or_learner_group=self.algorithm.learner_group, inference_only=True
        )
        return STEPS


class Cost(NamedTuple):
    """What a phase takes: medians of its calls, microseconds of a timestep.

    :ivar core: of processor time
    :ivar wall: by the clock
    """

    core: float
    wall: float


def costs(subject: StableBaselines | Rllib, seconds: float) -> dict[str, Cost]:
    """Return the costs of rollouts, updates and messages of weights.

    One call of each in turn, after a first one that is not counted.

    :param seconds: to measure for
    """
    phases = {"rollout": subject.rollout, "update": subject.update}
    if isinstance(subject, Rllib):
        phases["weights"] = subject.sync
    taken: dict[str, list[Cost]] = {name: [] for name in phases}
    begun = None
    while begun is None or time.perf_counter() - begun < seconds:
        for name, phase in phases.items():
            core, wall = subject.core_seconds(), time.perf_counter()
            steps = phase()
            wall = time.perf_counter() - wall
            core = subject.core_seconds() - core
            taken[name].append(Cost(1e6 * core / steps, 1e6 * wall / steps))
        if begun is None:
            begun = time.perf_counter()
            taken = {name: [] for name in phases}
    return {
        name: Cost(*map(statistics.median, zip(*column, strict=True)))
        for name, column in taken.items()
    }


def messages(subject: Rllib) -> str:
    """Return the sizes of what travels: weights to a runner, and rollouts back, pickled."""
    weights = subject.algorithm.get_module(DEFAULT_MODULE_ID).get_state()
    steps = sum(map(len, subject.episodes))
    rollouts = len(pickle.dumps(subject.episodes, protocol=5))
    return (
        f"weights {len(pickle.dumps(weights, protocol=5)) / 1e3:,.0f} kB; rollouts "
        f"{rollouts / steps:,.0f} bytes a timestep ({len(subject.episodes):,} episodes of "
        f"{steps / len(subject.episodes):.1f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", default="GlimpseMNIST-Saccade-v0")
    parser.add_argument("--seconds", type=float, default=8.0, help="for each row")
    args = parser.parse_args()
    th.set_num_threads(1)
    ray.init("local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    subjects: dict[str, Callable[[], StableBaselines | Rllib]] = {
        "Stable-Baselines3": lambda: StableBaselines(args.env),
        **{f"RLlib, {n} runners": lambda n=n: Rllib(args.env, n) for n in (0, 1, 2)},
    }
    rows, sizes = [], ""
    for name, make in subjects.items():
        subject = make()
        cost = costs(subject, args.seconds)
        wall = sum(phase.wall for phase in cost.values())
        core = [f"{cost[phase].core:.1f}" if phase in cost else "" for phase in _PHASES]
        speeds = [f"{1e6 / microseconds:,.0f}" for microseconds in (cost["rollout"].wall, wall)]
        rows.append([name, *core, *speeds])
        if isinstance(subject, Rllib):
            sizes = messages(subject)
            subject.algorithm.stop()
    cores = len(os.sched_getaffinity(0))
    print(f"{args.env}, {LANES} lanes in all, {STEPS:,} timesteps an update, {cores} core(s);")
    print("core-microseconds of a timestep in each phase, and timesteps a second by the clock")
    print(table(["", *_PHASES, "rollouts/s", "in all/s"], rows))
    print(sizes)
    ray.shutdown()


if __name__ == "__main__":
    main()
