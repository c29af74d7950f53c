"""Timesteps per second of a pipeline written as a graph, beside the registered one.

    python -m benchmarks.graph_speed [--repeats 5] [--rollouts 2] [--lanes 256]

Both train saccader and classifier by ``hyperparams/saccades_by_reward`` on MNIST, without
the pretraining: rollouts, updates of the classifier and of the agent. The repeats are interleaved;
the ratio is the median of theirs, so that it holds on a busy machine too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch as th
from stable_baselines3.common.vec_env import VecMonitor
from tqdm import tqdm

from benchmarks.graph_pipeline import make_graph
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_lab.graph.recipe import ENV_ID, capsule_settings, saccade_recipe
from glimpse_lab.models import make_model
from policies.classifier.cotraining import CoTrainingCallback


def registered(lanes: int) -> Callable[[int], None]:
    """Return what trains the registered environment for so many timesteps."""
    recipe = saccade_recipe()
    env = GlimpseVecEnv(ENV_ID, lanes, seed=0, **recipe["env_kwargs"])
    model = make_model("ppo", recipe, VecMonitor(env), seed=0, device="cpu")
    callback = CoTrainingCallback(**capsule_settings())
    return lambda n: model.learn(n, callback=callback)


def graph(lanes: int) -> Callable[[int], None]:
    """Return what trains the graph for so many timesteps."""
    made = make_graph(lanes=lanes)
    return lambda n: made.run(n)


def main() -> None:
    recipe = saccade_recipe()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rollouts", type=int, default=2, help="of 10 steps a lane, each repeat")
    parser.add_argument("--lanes", type=int, default=recipe["n_envs"])
    args = parser.parse_args()
    th.set_num_threads(1)
    n = args.rollouts * args.lanes * recipe["n_steps"]
    subjects = {"registered": registered(args.lanes), "graph": graph(args.lanes)}
    speeds: dict[str, list[float]] = {name: [] for name in subjects}
    for repeat in tqdm(range(args.repeats + 1), leave=False):
        for name, train in subjects.items():
            begin = time.process_time()  # of this process alone: others may run beside it
            train(n)
            if repeat:  # the first calls take longer
                speeds[name].append(n / (time.process_time() - begin))
    for name, values in speeds.items():
        print(f"{name:10}  {statistics.median(values):7,.0f} timesteps a core-second")
    pairs = zip(speeds["graph"], speeds["registered"], strict=True)
    print(f"graph / registered: {statistics.median(g / r for g, r in pairs):.2f} (median of pairs)")


if __name__ == "__main__":
    main()
