"""Accuracy of a pipeline written as a graph, beside the registered one, trained as long.

    python -m benchmarks.graph_accuracy [--seeds 0 1 2] [--observe hidden]
    python -m benchmarks.graph_accuracy --data Digits --pretraining 20000 --timesteps 51200

Both train saccader and classifier by ``hyperparams/saccades_by_reward``, and show every
test image once to the agent, whose actions are the likeliest. Pretrained classifiers are kept in
the data directory; those of the same seed are the same for both.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import torch as th
from stable_baselines3.common.vec_env import VecMonitor

from benchmarks.graph_pipeline import make_graph
from glimpse_envs.data.directory import data_directory
from glimpse_envs.metrics.episodes import metrics, wilson_interval
from glimpse_envs.registration import REGISTERED
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_lab.evaluation.rollout import evaluate
from glimpse_lab.graph.recipe import capsule_settings, saccade_recipe
from glimpse_lab.models import make_model
from policies.classifier.cotraining import CoTrainingCallback


def registered(data: str, seed: int, n: int, pretraining: int, lanes: int) -> tuple[float, int]:
    """Train the registered environment; return accuracy and number of test images."""
    recipe = saccade_recipe()
    kwargs: dict[str, Any] = dict(recipe["env_kwargs"])
    kwargs["classifier"] = {**kwargs["classifier"], "seed": seed}
    env = GlimpseVecEnv(f"Glimpse{data}-Saccade-v0", lanes, seed=seed, **kwargs)
    model = make_model("ppo", recipe, VecMonitor(env), seed=seed, device="cpu")
    callback = CoTrainingCallback(**{**capsule_settings(), "pretraining": pretraining})
    callback.cache = data_directory() / "classifiers"
    model.learn(n, callback=callback)
    result = metrics(evaluate(model, replace(env.config, split="test")))
    return result.accuracy, len(env.config.dataset.split("test"))


def graph(data: str, seed: int, n: int, pretraining: int, lanes: int, observe: str) -> float:
    """Train the graph; return its accuracy."""
    parts = REGISTERED[f"Glimpse{data}-Saccade-v0"]
    made = make_graph(
        parts["dataset"],
        scene=parts["scene"],
        crop=parts["sensor"]["size"],
        n_crops=parts["budget"],
        observe=observe,
        seed=seed,
        lanes=lanes,
        pretraining=pretraining,
    )
    made.run(n)
    return made.evaluate("test")


def main() -> None:
    recipe = saccade_recipe()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="MNIST", help="of a registered id, such as Digits")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--timesteps", type=int, default=int(recipe["n_timesteps"]))
    parser.add_argument("--pretraining", type=int, default=200_000)
    parser.add_argument("--observe", choices=("all", "hidden"), default="all")
    parser.add_argument("--lanes", type=int, default=recipe["n_envs"])
    args = parser.parse_args()
    th.set_num_threads(1)
    for seed in args.seeds:
        begin = time.process_time()
        settings = args.data, seed, args.timesteps, args.pretraining, args.lanes
        ours = graph(*settings, args.observe)
        between = time.process_time()
        theirs, n = registered(*settings)
        end = time.process_time()
        for name, accuracy, seconds in (
            ("graph", ours, between - begin),
            ("registered", theirs, end - between),
        ):
            low, high = wilson_interval(round(accuracy * n), n)
            print(
                f"seed {seed}  {name:10}  {100 * accuracy:.2f} % ({100 * low:.2f} to "
                f"{100 * high:.2f}) of {n:,} test images, {seconds:,.0f} core-seconds",
                flush=True,
            )


if __name__ == "__main__":
    main()
