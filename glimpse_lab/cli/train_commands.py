"""What ``glimpse-train`` does: one training, many of them, or a search for hyperparameters."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch as th

from glimpse_lab.api import resume, train
from glimpse_lab.commands import command, stop
from glimpse_lab.config import RunConfig, resolve_config
from glimpse_lab.integrations.weights_and_biases import load_wandb
from glimpse_lab.kinds import GLIMPSE, INVERSE
from glimpse_lab.overrides import lengths
from glimpse_lab.recipes import parse_settings, torch_device, trust
from glimpse_lab.runs import Run, RunError, latest, run_folder
from glimpse_lab.sweeps.changes import Change, choose_sweep, parse_seeds
from glimpse_lab.sweeps.groups import (
    Processes,
    Workers,
    check_members,
    digest,
    make_members,
    settings,
    train_group,
)
from glimpse_lab.sweeps.summary import report_group
from glimpse_lab.tuning.search import Study, check_optuna
from glimpse_lab.tuning.space import default_space, read_space
from glimpse_lab.tuning.trials import ThisProcess
from glimpse_lab.tuning.trials import Workers as TrialWorkers


def run_command(args: argparse.Namespace) -> None:
    """Carry out what ``parse_arguments`` returned."""
    th.set_num_threads(args.threads)
    if args.cluster is None:
        torch_device(args.device)  # one that cannot be used is said before anything is loaded
    else:
        from glimpse_lab.cluster.connection import check_asked

        check_asked(args.device)
    trust(args.packages)
    if args.wandb:
        load_wandb()
    if args.tune is not None:
        tune(args)
    elif args.seeds is not None or args.sweep is not None or args.sweep_cost is not None:
        train_many(args)
    else:
        run = train_one(args)
        go_on = command("eval.py", run.path, "--video", 16, packages=run.config.packages)
        print(f"next:  {go_on}")
        print(f"       tensorboard --logdir {run.path.parent}")


def train_one(args: argparse.Namespace) -> Run:
    """Train a new run, or go on with one."""
    how = {
        "total_timesteps": args.total_timesteps,
        "video": not args.no_video,
        "device": args.device,
        "wandb": args.wandb,
        "packages": args.packages,
    }
    how["dataset"] = args.dataset
    if args.resume is not None:
        path = latest(args.runs) if args.resume == "latest" else Path(args.resume)
        return resume(path, **how)
    return train(
        args.env,
        classifier=args.classifier,
        seed=args.seed or 0,
        overrides=parse_settings(args.set or []),
        n_envs=args.n_envs,
        recipe=args.recipe,
        runs=args.runs,
        name=args.name,
        **how,
    )


def resolve(
    args: argparse.Namespace, *, seed: int | None = None, change: Change | None = None
) -> RunConfig:
    """Return the configuration that the arguments and a change of a sweep ask for."""
    return resolve_config(
        args.env,
        args.recipe,
        seed=(args.seed or 0) if seed is None else seed,
        dataset=args.dataset,
        classifier=args.classifier,
        overrides={
            **parse_settings(args.set or []),
            **lengths(args.total_timesteps, args.n_envs),
            **(change.overrides if change else {}),
        },
        price=change.price if change else None,
        packages=args.packages,
    )


def train_many(args: argparse.Namespace) -> None:
    """Train every seed at every value of a sweep, in processes of their own, and compare."""
    seeds = parse_seeds(args.seeds) if args.seeds is not None else [args.seed or 0]
    sweep = choose_sweep(args.sweep_cost, args.sweep)
    # named by the settings: the same command finds it again, and so do more seeds or values
    base = resolve(args, seed=0)
    if args.sweep is not None:
        _refuse_inverse(base, "--sweep", "take --seeds, or --set for each value")
    if sweep and base.kind is GLIMPSE and base.make_env_config().nobody_answers:
        raise ValueError(
            f"got a sweep of {base.env_id}, which compares accuracies, and nobody answers there; "
            "take --seeds, or --set for each value"
        )
    name = args.name or f"{sweep[0].name if sweep else 'seeds'}-{digest(settings(base))}"
    folder = run_folder(args.runs, base.env_id, name)
    groups = make_members(folder, seeds, sweep, partial(resolve, args))
    runs = [run for group in groups.values() for run in group.values()]
    # a cluster's machines may have another device than this one
    check_members(groups, base.packages, args.device if args.cluster is None else "cpu")
    print(f"{len(runs)} runs in {folder}")
    try:
        with _workers(args, base.packages) as workers:
            failed = train_group(folder, runs, workers)
    except KeyboardInterrupt:
        stop()
    report_group(folder, groups)
    if failed:
        raise RunError(f"{len(failed)} of {len(runs)} runs failed; the others are reported above")


@contextmanager
def _workers(args: argparse.Namespace, packages: Sequence[str]) -> Iterator[Workers]:
    """Give what trains the members of a group: processes, or tasks of a cluster."""
    if args.cluster is not None:
        with _on_cluster(args, packages) as (task, jobs):
            from glimpse_lab.cluster.members import ClusterMembers

            yield ClusterMembers(task, jobs, video=not args.no_video, wandb=args.wandb)
        return
    child = [sys.executable, "-m", "glimpse_lab.cli.train"]
    child += [f"--device={args.device}", f"--threads={args.threads}"]
    if args.no_video:
        child.append("--no-video")
    if args.wandb:
        child.append(f"--wandb={args.wandb}")
    if packages:
        child += ["--packages", *packages]
    yield Processes(child, args.jobs or 1)


@contextmanager
def _trial_workers(args: argparse.Namespace, packages: Sequence[str]) -> Iterator[TrialWorkers]:
    """Give what trains the trials of a search: this process, or tasks of a cluster."""
    if args.cluster is None:
        yield ThisProcess(args.device)
        return
    with _on_cluster(args, packages) as (task, jobs):
        from glimpse_lab.cluster.trials import ClusterTrials

        yield ClusterTrials(task, jobs)


@contextmanager
def _on_cluster(args: argparse.Namespace, packages: Sequence[str]) -> Iterator[tuple[Any, int]]:
    """Connect to the cluster; give what its tasks have in common, and how many at a time."""
    from glimpse_lab.cluster.connection import connected, default_jobs, n_cores, this_task

    with connected(args.cluster):
        task = this_task(args.device, args.threads, packages)
        rooms = default_jobs(task)  # which says where there is none, --jobs or not
        jobs = args.jobs or rooms
        print(f"cluster of {n_cores()} cores, at most {jobs} trainings at a time")
        yield task, jobs


def _refuse_inverse(config: RunConfig, option: str, remedy: str) -> None:
    """Raise a ValueError for an option that reports accuracy and glimpses where there are none."""
    if config.kind is INVERSE:
        raise ValueError(
            f"got {option}, which compares accuracy and glimpses, and {config.env_id} has none; "
            f"{remedy}"
        )


def tune(args: argparse.Namespace) -> None:
    """Search for better hyperparameters, and say how to train with the best."""
    check_optuna()
    config = resolve(args)
    _refuse_inverse(config, "--tune", "take --set for each value")
    space = read_space(args.tune_space) if args.tune_space else default_space(config)
    name = args.name or f"tune-{digest([settings(config), space])}"
    folder = run_folder(args.runs, config.env_id, name)
    # --total-timesteps is that of a trial; the recipe of the best keeps its own
    untrimmed = argparse.Namespace(**{**vars(args), "total_timesteps": None})
    timesteps = resolve(untrimmed).recipe["n_timesteps"]
    device = args.device if args.cluster is None else "cpu"  # this process only tries settings
    study = Study(folder, config, space, timesteps=timesteps, device=device)
    print(f"study: {study.path}")
    try:
        with _trial_workers(args, config.packages) as workers:
            best = study.run(args.tune, workers)
    except KeyboardInterrupt:
        stop()
    print(study.summary(best))
    if best is not None:
        words = ("train.py", "--env", config.env_id, "--recipe", study.best_file)
        print(f"train with it:  {command(*words, packages=args.packages)}")
