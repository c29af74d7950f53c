"""What ``glimpse-train`` does: one training, many of them, or a search for hyperparameters."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm

from glimpse_lab.cli.train import DEFAULT_ENV
from glimpse_lab.commands import command, stop
from glimpse_lab.config import run_config, run_folder
from glimpse_lab.evaluation.exact import evaluate_run
from glimpse_lab.integrations.weights_and_biases import Tracker, load_wandb
from glimpse_lab.recipes import torch_device, trust
from glimpse_lab.report.run_files import summary, write_film, write_report
from glimpse_lab.runs import Run, RunError, latest, new_name
from glimpse_lab.sweeps.changes import Change, choose_sweep, parse_seeds
from glimpse_lab.sweeps.groups import check_members, digest, make_members, settings, train_group
from glimpse_lab.sweeps.summary import report_group
from glimpse_lab.training import learn, make, restore
from glimpse_lab.tuning.search import Study, check_optuna
from glimpse_lab.tuning.space import default_space, read_space

RECIPES = Path(__file__).parents[1] / "hyperparams"


def run_command(args: argparse.Namespace) -> None:
    """Carry out what ``parse_arguments`` returned."""
    th.set_num_threads(max(1, args.threads))
    torch_device(args.device)  # one that cannot be used is said before anything is loaded
    trust(args.packages)
    if args.wandb:
        load_wandb()
    if args.tune is not None:
        return tune(args)
    if args.seeds is not None or args.sweep is not None or args.sweep_cost is not None:
        return train_many(args)
    begin = time.perf_counter()
    if args.resume:
        path = latest(args.runs) if args.resume == "latest" else Path(args.resume)
        run = Run.open(path, args.packages)
    else:
        run = new_run(args)
    model, tracker = train(run, args)
    minutes = (time.perf_counter() - begin) / 60
    try:
        report(run, model, tracker, args, minutes)
    except KeyboardInterrupt:
        go_on = command("eval.py", run.path, packages=args.packages)
        print(f"\nstopped; the training is saved. Go on with:  {go_on}")
        sys.exit(130)


def resolve(
    args: argparse.Namespace, *, seed: int | None = None, change: Change | None = None
) -> dict[str, Any]:
    """Return what ``config.yml`` will hold."""
    folder = RECIPES / "reward_alone" if args.classifier == "none" else RECIPES
    return run_config(
        args.env or DEFAULT_ENV,
        args.recipe or folder,
        seed=(args.seed or 0) if seed is None else seed,
        dataset=args.dataset,
        classifier=args.classifier,
        overrides=args.set or [],
        timesteps=args.total_timesteps,
        n_envs=args.n_envs,
        change=change,
        packages=args.packages,
    )


def new_run(args: argparse.Namespace) -> Run:
    """Return a run that is not yet written."""
    config = resolve(args)
    name = args.name or new_name(args.runs / config["env"], config["seed"])
    return Run(run_folder(args.runs, config["env"], name), config)


def train_many(args: argparse.Namespace) -> None:
    """Train every seed at every value of a sweep, in processes of their own, and compare."""
    seeds = parse_seeds(args.seeds) if args.seeds is not None else [args.seed or 0]
    sweep = choose_sweep(args.sweep_cost, args.sweep)
    # named by the settings: the same command finds it again, and so do more seeds or values
    base = resolve(args, seed=0)
    name = args.name or f"{sweep[0].name if sweep else 'seeds'}-{digest(settings(base))}"
    folder = run_folder(args.runs, base["env"], name)
    groups = make_members(folder, seeds, sweep, partial(resolve, args))
    runs = [run for group in groups.values() for run in group.values()]
    check_members(groups, args.packages, args.device)
    print(f"{len(runs)} runs in {folder}")
    child = [sys.executable, "-m", "glimpse_lab.cli.train"]
    child += [f"--device={args.device}", f"--threads={args.threads}"]
    if args.no_video:
        child.append("--no-video")
    if args.wandb:
        child.append(f"--wandb={args.wandb}")
    if args.packages:
        child += ["--packages", *args.packages]
    try:
        failed = train_group(folder, runs, child, jobs=args.jobs or 1)
    except KeyboardInterrupt:
        stop()
    report_group(folder, groups)
    if failed:
        raise RunError(f"{len(failed)} of {len(runs)} runs failed; the others are reported above")


def tune(args: argparse.Namespace) -> None:
    """Search for better hyperparameters, and say how to train with the best."""
    check_optuna()
    config = resolve(args)
    recipe, env_kwargs = config["recipe"], config["env_kwargs"]
    space = read_space(args.tune_space) if args.tune_space else default_space(recipe, env_kwargs)
    name = args.name or f"tune-{digest([settings(config), space])}"
    folder = run_folder(args.runs, config["env"], name)
    args.total_timesteps = None  # of a trial; the recipe of the best keeps its own
    timesteps = resolve(args)["recipe"]["n_timesteps"]
    study = Study(folder, config, space, timesteps=timesteps, device=args.device)
    print(f"study: {study.path}")
    try:
        best = study.run(args.tune)
    except KeyboardInterrupt:
        stop()
    print(study.summary(best))
    if best is not None:
        words = ("train.py", "--env", config["env"], "--recipe", study.best_file)
        print(f"train with it:  {command(*words, packages=args.packages)}")


def train(run: Run, args: argparse.Namespace) -> tuple[BaseAlgorithm, Tracker | None]:
    """Make the model, new or from the last checkpoint, and train it; return it, and the tracker."""
    if not args.resume:
        model, callbacks = make(run, args.device)
        run.create()  # only now, when all settings have proved to fit
    print(f"run directory: {run.path}")
    with run.locked():  # before anything but config.yml is read or changed
        if args.resume:
            run.remove_leftovers()
            model, callbacks = make(run, args.device)
            if run.model_file.exists():  # else it was stopped before its first checkpoint
                restore(run, model, callbacks)
            if args.total_timesteps is not None:
                print(f"now to {int(args.total_timesteps):,} timesteps in all")
                run.extend(args.total_timesteps)
        go_on = command("train.py", "--resume", run.path, packages=args.packages)
        tracker = Tracker(run, args.wandb) if args.wandb else None
        if not learn(run, model, callbacks, go_on=go_on, outputs=[tracker] if tracker else []):
            sys.exit(130)
    return model, tracker


def report(
    run: Run,
    model: BaseAlgorithm,
    tracker: Tracker | None,
    args: argparse.Namespace,
    minutes: float,
) -> None:
    """Evaluate on the test split, write the files of the run, and say what came out."""
    config = run.evaluation_config("test")
    result, paths = evaluate_run(run, model, config)
    result = replace(result, minutes_of_last_training=round(minutes, 2))
    files = write_report(run, config, paths, result)
    print(f"\n{summary(result)}\n")
    print(f"trained to {model.num_timesteps:,} timesteps, {minutes:.1f} min of it in this call")
    if not args.no_video:
        files += write_film(run, model, "test", n_images=9)
    if tracker is not None:
        tracker.finish(result, [run.path / name for name in files if name.endswith(".png")])
    print(f"in {run.path}: {', '.join([*files, 'progress.csv', 'model.zip'])}")
    print(f"next:  {command('eval.py', run.path, '--video', 16, packages=args.packages)}")
    print(f"       tensorboard --logdir {run.path.parent}")
