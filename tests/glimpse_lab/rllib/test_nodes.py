"""RLlib's PPO on several nodes of one machine, one of which dies in the middle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')

import ray
from ray.cluster_utils import Cluster
from ray.rllib.core import DEFAULT_MODULE_ID

from glimpse_lab.rllib.config import ppo

TRUNK = {"type": "feedforward", "hidden_size": 16, "encoder": "mlp"}
#: of biases, far more than a few updates do
SHIFT = 0.5


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head without cores, and three nodes of one core each."""
    # else of 15, and other work on this machine would starve them
    monkeypatch.setenv("RAY_worker_niceness", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(3):
        made.add_node(num_cpus=1)
    ray.init(made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


def nodes_of(algorithm: Any) -> list[str]:
    return algorithm.env_runner_group.foreach_env_runner(
        lambda runner: ray.get_runtime_context().get_node_id(), local_env_runner=False
    )


def learnt_by(algorithm: Any) -> dict[str, np.ndarray]:
    return algorithm.learner_group.get_weights()[DEFAULT_MODULE_ID]


def far(some: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> float:
    return max(np.abs(some[name] - others[name]).max() for name in some)


def test_a_node_dies_and_training_goes_on(cluster: Cluster) -> None:
    steps = 256
    settings = ppo(
        "GlimpseDigits-MultiCat-v0",
        env_kwargs={"budget": 3},
        trunk=TRUNK,
        n_runners=2,
        n_lanes=16,
        steps=steps,
        minibatch_episodes=32,
        epochs=1,
    )
    algorithm = settings.build_algo()
    try:
        for _ in range(2):
            algorithm.train()
        # which a runner is told that begins anew, and makes its images others
        assert algorithm.env_runner.num_env_steps_sampled_lifetime >= steps
        before = nodes_of(algorithm)
        assert len(set(before)) == 2
        # else hardly learnt: fresh networks, which have the same seed, would be as near
        learnt = {
            name: weights + SHIFT * name.endswith("bias")
            for name, weights in learnt_by(algorithm).items()
        }
        algorithm.learner_group.set_weights({DEFAULT_MODULE_ID: learnt})
        victim = next(n for n in cluster.worker_nodes if n.node_id == before[0])
        cluster.remove_node(victim, allow_graceful=False)

        sampled = algorithm.train()["env_runners"]["num_env_steps_sampled"]
        assert sampled >= steps  # the runner that is left fills the batch
        assert algorithm.training_iteration == 3
        assert 0.0 < far(learnt_by(algorithm), learnt) < SHIFT / 5  # went on from there

        deadline = time.monotonic() + 300.0  # it imports everything anew
        while len(nodes_of(algorithm)) < 2 and time.monotonic() < deadline:
            algorithm.train()
        after = nodes_of(algorithm)  # the runner has begun anew on the third node
        assert len(set(after)) == 2 and before[0] not in after and before[1] in after
        result = algorithm.train()
        assert result["env_runners"]["num_env_steps_sampled"] >= steps
        assert 0.0 <= result["env_runners"]["accuracy"] <= 1.0
        weights = algorithm.env_runner_group.foreach_env_runner(
            lambda runner: runner.module.get_state(), local_env_runner=False
        )
        for each in weights:  # the new runner, too, plays with what was learnt
            assert far(each, learnt_by(algorithm)) < SHIFT / 5
    finally:
        algorithm.stop()
