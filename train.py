"""Train an agent that classifies images through glimpses.

  python train.py                                     the default: handwritten digits, 2 minutes
  python train.py --env GlimpseCIFAR-MultiCat-v0
  python train.py --env GlimpseMNIST-GreedyMap-v0 --set learning_rate=3e-4 env_kwargs.budget=6
  python train.py --resume                            go on with the run stopped last
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecMonitor

from glimpse_envs.config import make_config
from glimpse_envs.loaders import data_directory
from glimpse_envs.sb3 import registered_kwargs
from policies.callbacks import Checkpoint, Diverged, EpisodeStatistics, Progress, check_weights
from policies.cotraining import CoTrainingCallback
from policies.evaluation.reports import evaluate_run, summary, write_film, write_report
from policies.recipes import (
    check_training,
    choose_classifier,
    find_recipe,
    load_recipe,
    make_callbacks,
    override,
    torch_device,
    trust,
)
from policies.runs import Run, RunError, latest, new_name
from policies.versions import git_commit, versions

DEFAULT_ENV = "GlimpseDigits-MultiCat-v0"
RECIPES = Path(__file__).parent / "hyperparams"


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_argument_group("what to train")
    what.add_argument("--env", metavar="ID", help=f"default: {DEFAULT_ENV}")
    what.add_argument(
        "--dataset",
        metavar="NAME",
        help="digits, mnist, fashion_mnist, cifar10, folder:PATH, or NAME of a NAME.npz in "
        "GLIMPSE_DATA_DIR; default: the environment's own",
    )
    what.add_argument(
        "--classifier",
        default="recipe",
        metavar="KIND",
        help="what watches the glimpses: cotrained (trained before and beside the agent), frozen "
        "(before it alone, and kept for the next time), none (a reward that needs one becomes "
        "Terminal), or a FILE such as the classifier.pt of another run; default: the recipe's",
    )
    what.add_argument("--seed", type=int, help="of everything; default: 0")
    how = parser.add_argument_group("how to train")
    how.add_argument("--total-timesteps", type=float, metavar="N", help="steps of all lanes")
    how.add_argument("--n-envs", type=int, metavar="N", help="lanes stepped together")
    how.add_argument(
        "--recipe",
        type=Path,
        metavar="FILE",
        help="hyperparameters by environment id, in a file named after the algorithm "
        "(ppo_lstm.yml, ppo.yml); default: the one in hyperparams/ with an entry for it",
    )
    how.add_argument(
        "--set",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
        help="override any hyperparameter; dots reach inside: policy_kwargs.lstm_hidden_size=64",
    )
    machine = parser.add_argument_group("on what")
    machine.add_argument(
        "--device", default="cpu", help="cpu, cuda or auto; default: %(default)s"
    )
    machine.add_argument(
        "--threads",
        type=int,
        default=1,
        metavar="N",
        help="of PyTorch; more are slower on such small networks; default: %(default)s",
    )
    machine.add_argument(
        "--packages",
        nargs="+",
        default=[],
        metavar="NAME",
        help="packages of your own whose parts, policies or callbacks are named",
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
    where.add_argument("--no-video", action="store_true", help="leave the film out")
    args = parser.parse_args(argv)
    if args.resume and args.classifier != "recipe":
        parser.error("a resumed run keeps its settings; leave out --classifier")
    fixed = ("env", "dataset", "seed", "n_envs", "recipe", "set", "name")
    if args.resume and (given := [name for name in fixed if getattr(args, name) is not None]):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        parser.error(f"a resumed run keeps its settings; leave out {names}")
    return args


def new_run(args: argparse.Namespace) -> Run:
    """Resolve recipe, overrides and environment into a run that is not yet written."""
    env_id, seed = args.env or DEFAULT_ENV, args.seed or 0
    registered = registered_kwargs(env_id)
    recipes = RECIPES / "reward_alone" if args.classifier == "none" else RECIPES
    file = args.recipe or find_recipe(recipes, env_id)
    recipe = load_recipe(file, env_id)
    override(recipe, args.set or [])
    if args.total_timesteps is not None:
        recipe["n_timesteps"] = args.total_timesteps
    if args.n_envs is not None:
        recipe["n_envs"] = args.n_envs
    check_training(recipe)
    env_kwargs = {**registered, **(recipe.pop("env_kwargs", None) or {})}
    if args.dataset is not None:
        env_kwargs["dataset"] = args.dataset
    choose_classifier(recipe, env_kwargs, args.classifier, seed)
    dataset = make_config(**env_kwargs).dataset
    config: dict[str, Any] = {
        "env": env_id,
        "env_kwargs": {**env_kwargs, "dataset": dataset.source},
        "algorithm": file.stem,
        "recipe": recipe,
        "seed": seed,
        "dataset": {"name": dataset.name, "digest": dataset.digest},
        "packages": args.packages,
        "git": git_commit(),
        "versions": versions(),
    }
    if args.name and (len(Path(args.name).parts) > 1 or args.name == ".."):
        raise ValueError(f"got --name {args.name}; wanted a plain name, the folder is --runs")
    root = args.runs / env_id
    return Run(root / (args.name or new_name(root, seed)), config)


def train(run: Run, args: argparse.Namespace) -> BaseAlgorithm:
    """Make the model, new or from the last checkpoint, and train it; return it."""
    if not args.resume:
        model, callbacks = make(run, args)
        run.create()  # only now, when all settings have proved to fit
    print(f"run directory: {run.path}")
    with run.locked():  # before anything but config.yml is read or changed
        if args.resume:
            run.remove_leftovers()
            model, callbacks = make(run, args)
            run.load_weights(model)
            for callback in callbacks:
                if isinstance(callback, CoTrainingCallback):
                    callback.restore(run.classifier_extras())
            if args.total_timesteps is not None:
                print(f"now to {int(args.total_timesteps):,} timesteps in all")
                run.extend(args.total_timesteps)
        learn(run, model, callbacks, args)
    return model


def make(run: Run, args: argparse.Namespace) -> tuple[BaseAlgorithm, list[BaseCallback]]:
    """Return the untrained model in its environment, and the callbacks of its recipe."""
    model = run.make_model(VecMonitor(run.make_env()), args.device)
    return model, make_callbacks(run.recipe)


def learn(
    run: Run, model: BaseAlgorithm, callbacks: list[BaseCallback], args: argparse.Namespace
) -> None:
    """Train up to the run's timesteps; save at intervals, at the end, and on Ctrl-C."""
    statistics = EpisodeStatistics()
    progress = Progress(statistics)
    cotraining = next((c for c in callbacks if isinstance(c, CoTrainingCallback)), None)

    def save(model: BaseAlgorithm) -> None:
        run.save_model(model, {} if cotraining is None else cotraining.state())

    if cotraining is not None:
        cotraining.checkpoint = save
        cotraining.cache = data_directory() / "classifiers"
    callbacks = [Diverged(), *callbacks, statistics, progress, Checkpoint(save)]
    done, total = model.num_timesteps, int(run.recipe["n_timesteps"])
    model.set_logger(run.make_logger(upto=done))
    if done >= total:
        print(f"trained to {done:,} of {total:,} timesteps already; --total-timesteps extends it")
        return
    try:
        model.learn(total - done, callback=callbacks, reset_num_timesteps=not done)
    except ValueError:
        check_weights(model)  # an update that diverged may fail first in a distribution
        raise
    except OSError as error:  # a full disk, say: TensorBoard and progress.csv are written too
        raise RunError(
            f"writing to {run.path} failed ({error}). The last checkpoint is kept: make room, then "
            + command("train.py", "--resume", run.path, packages=args.packages)
        ) from error
    except KeyboardInterrupt:
        progress.close()
        save(model)
        print(f"\nstopped and saved at {model.num_timesteps:,} of {total:,} timesteps.")
        go_on = command("train.py", "--resume", run.path, packages=args.packages)
        print(f"go on with:  {go_on}")
        sys.exit(130)
    save(model)


def command(script: str, *words: object, packages: list[str]) -> str:
    """Return how to call a script of this folder from the current one."""
    path = os.path.relpath(Path(__file__).with_name(script))
    words = (*words, *(["--packages", *packages] if packages else []))
    return " ".join(["python", path, *map(str, words)])


def report(run: Run, model: BaseAlgorithm, args: argparse.Namespace, minutes: float) -> None:
    """Evaluate on the test split, write the files of the run, and say what came out."""
    result, episodes = evaluate_run(run, model, "test")
    result["minutes_of_last_training"] = round(minutes, 2)
    files = write_report(run, result, episodes)
    print(f"\n{summary(result)}\n")
    print(f"trained to {model.num_timesteps:,} timesteps, {minutes:.1f} min of it in this call")
    if not args.no_video:
        files += write_film(run, model, "test", n_images=9)
    print(f"in {run.path}: {', '.join([*files, 'progress.csv', 'model.zip'])}")
    print(f"next:  {command('eval.py', run.path, '--video', 16, packages=args.packages)}")
    print(f"       tensorboard --logdir {run.path.parent}")


def main() -> None:
    args = parse_arguments()
    th.set_num_threads(max(1, args.threads))
    torch_device(args.device)  # one that cannot be used is said before anything is loaded
    trust(args.packages)
    begin = time.perf_counter()
    if args.resume:
        path = latest(args.runs) if args.resume == "latest" else Path(args.resume)
        run = Run.open(path, args.packages)
    else:
        run = new_run(args)
    model = train(run, args)
    minutes = (time.perf_counter() - begin) / 60
    try:
        report(run, model, args, minutes)
    except KeyboardInterrupt:
        go_on = command("eval.py", run.path, packages=args.packages)
        print(f"\nstopped; the training is saved. Go on with:  {go_on}")
        sys.exit(130)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("stopped before the training began; nothing is saved", file=sys.stderr)
        sys.exit(130)
