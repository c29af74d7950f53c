"""Train an agent that classifies images through glimpses.

  python train.py                                     the default: handwritten digits, 2 minutes
  python train.py --env GlimpseCIFAR-MultiCat-v0
  python train.py --env GlimpseMNIST-GreedyMap-v0 --set learning_rate=3e-4 env_kwargs.budget=6
  python train.py --resume                            go on with the run stopped last
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecMonitor

from glimpse_envs.config import make_config
from glimpse_envs.sb3 import registered_kwargs
from policies.callbacks import Checkpoint, EpisodeStatistics, Progress
from policies.recipes import load_recipe, make_callbacks, override
from policies.reports import evaluate_run, summary, write_film, write_report
from policies.runs import Run, git_commit, latest, new_name, versions

RECIPES = Path(__file__).parent / "hyperparams"


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_argument_group("what to train")
    what.add_argument(
        "--env", default="GlimpseDigits-MultiCat-v0", metavar="ID", help="default: %(default)s"
    )
    what.add_argument(
        "--dataset",
        metavar="NAME",
        help="digits, mnist, fashion_mnist, cifar10, folder:PATH, or NAME of a NAME.npz in "
        "GLIMPSE_DATA_DIR; default: the environment's own",
    )
    what.add_argument("--seed", type=int, default=0, help="of everything; default: %(default)s")
    how = parser.add_argument_group("how to train")
    how.add_argument("--total-timesteps", type=float, metavar="N", help="steps of all lanes")
    how.add_argument("--n-envs", type=int, metavar="N", help="lanes stepped together")
    how.add_argument("--device", default="cpu", help="cpu, cuda or auto; default: %(default)s")
    how.add_argument(
        "--threads",
        type=int,
        default=1,
        metavar="N",
        help="of PyTorch; more are slower on such small networks; default: %(default)s",
    )
    how.add_argument(
        "--recipe",
        type=Path,
        default=RECIPES / "ppo_lstm.yml",
        metavar="FILE",
        help="hyperparameters by environment id, named after the algorithm (ppo_lstm.yml, ppo.yml)",
    )
    how.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="override any hyperparameter; dots reach inside: policy_kwargs.lstm_hidden_size=64",
    )
    where = parser.add_argument_group("where it is kept")
    where.add_argument("--runs", type=Path, default=Path("runs"), help="default: %(default)s")
    where.add_argument("--name", help="of the run; default: seed<SEED>-<K>")
    where.add_argument(
        "--resume",
        nargs="?",
        const="latest",
        metavar="RUN_DIR",
        help="go on from the last checkpoint of a run (default: the one written to last) with the "
        "settings it was started with; --total-timesteps may extend it",
    )
    where.add_argument("--no-video", action="store_true", help="leave the video out")
    return parser.parse_args(argv)


def new_run(args: argparse.Namespace) -> Run:
    """Resolve recipe, overrides and environment into a run that is not yet written."""
    registered_kwargs(args.env)  # an unknown id gets the better message here
    recipe = load_recipe(args.recipe, args.env)
    override(recipe, args.set)
    if args.total_timesteps is not None:
        recipe["n_timesteps"] = args.total_timesteps
    if args.n_envs is not None:
        recipe["n_envs"] = args.n_envs
    if args.dataset is not None:
        recipe.setdefault("env_kwargs", {})["dataset"] = args.dataset
    env_kwargs = recipe.pop("env_kwargs", None) or {}
    dataset = make_config(**{**registered_kwargs(args.env), **env_kwargs}).dataset
    config: dict[str, Any] = {
        "env": args.env,
        "env_kwargs": env_kwargs,
        "algorithm": args.recipe.stem,
        "recipe": recipe,
        "seed": args.seed,
        "dataset": {"name": dataset.name, "source": dataset.source, "digest": dataset.digest},
        "git": git_commit(),
        "versions": versions(),
    }
    root = args.runs / args.env
    return Run(root / (args.name or new_name(root, args.seed)), config)


def train(run: Run, args: argparse.Namespace) -> BaseAlgorithm:
    """Train from the start or the last checkpoint; save at intervals, at the end, on Ctrl-C."""
    resumed = run.saved_timesteps() if args.resume else 0
    # after a resume other images come than those already seen since the start
    env = VecMonitor(run.make_env(seed=run.config["seed"] + 1_000_003 * resumed))
    model = run.make_model(env, args.device)
    if args.resume:
        run.load_weights(model)
    else:
        run.create()  # only now, when all settings have proved to fit
    print(f"run directory: {run.path}")
    model.set_logger(run.make_logger(upto=resumed))
    total = int(args.total_timesteps or run.recipe["n_timesteps"])
    statistics = EpisodeStatistics()
    progress = Progress(statistics)
    callbacks = [*make_callbacks(run.recipe), statistics, progress, Checkpoint(run.save_model)]
    try:
        if resumed < total:
            model.learn(total - resumed, callback=callbacks, reset_num_timesteps=not resumed)
    except KeyboardInterrupt:
        progress.close()
        run.save_model(model)
        print(f"\nstopped and saved at {model.num_timesteps:,} of {total:,} timesteps.")
        print(f"go on with:  python train.py --resume {run.path}")
        sys.exit(130)
    run.save_model(model)
    return model


def main() -> None:
    args = parse_arguments()
    th.set_num_threads(args.threads)
    begin = time.perf_counter()
    if args.resume:
        run = Run.open(latest(args.runs) if args.resume == "latest" else Path(args.resume))
    else:
        run = new_run(args)
    model = train(run, args)
    minutes = (time.perf_counter() - begin) / 60
    result, episodes = evaluate_run(run, model, "test")
    result["training_minutes"] = round(minutes, 2)
    write_report(run, result, episodes)
    if not args.no_video:
        write_film(run, model, "test", n_images=9)
    print(f"\n{summary(result)}")
    print(f"\ntrained {model.num_timesteps:,} timesteps in {minutes:.1f} min. In {run.path}:")
    print("  learning_curve.png, confusion.png, video.mp4, metrics.json, progress.csv, model.zip")
    print(f"next:  python eval.py {run.path} --video 16")
    print(f"       tensorboard --logdir {args.runs}")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
