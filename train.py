"""Train an agent that classifies images through glimpses.

python train.py                                     the default: handwritten digits, some minutes
python train.py --env GlimpseCIFAR-MultiCat-v0
python train.py --env GlimpseMNIST-GreedyMap-v0 --set learning_rate=3e-4 env_kwargs.budget=6
python train.py --resume                            go on with the run stopped last
python train.py --seeds 0-4                         five seeds, and an interval over them
python train.py --sweep-cost 0 0.01 0.05            accuracy against the price of a glimpse
python train.py --tune 30                           search for better hyperparameters
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm

from glimpse_lab.commands import command, stop
from glimpse_lab.config import run_config, run_folder
from glimpse_lab.integrations.weights_and_biases import Tracker, load_wandb
from glimpse_lab.recipes import torch_device, trust
from glimpse_lab.report.run_files import evaluate_run, summary, write_film, write_report
from glimpse_lab.runs import Run, RunError, latest, new_name
from glimpse_lab.sweeps.changes import Change, choose_sweep, parse_seeds
from glimpse_lab.sweeps.groups import check_members, digest, make_members, settings, train_group
from glimpse_lab.sweeps.summary import report_group
from glimpse_lab.training import learn, make, restore
from glimpse_lab.tuning.search import Study, check_optuna
from glimpse_lab.tuning.space import default_space, read_space

DEFAULT_ENV = "GlimpseDigits-MultiCat-v0"
RECIPES = Path(__file__).parent / "glimpse_lab" / "hyperparams"


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
    many = parser.add_argument_group("many trainings (the same command resumes them)")
    many.add_argument("--seeds", metavar="LIST", help="train each of them: 0-4 or 0,3,7")
    many.add_argument(
        "--sweep-cost",
        nargs="+",
        type=float,
        metavar="PRICE",
        help="train at each price of a glimpse, and plot accuracy against samples",
    )
    many.add_argument(
        "--sweep", metavar="KEY=V,V", help="the same for any setting: env_kwargs.budget=2,4,6"
    )
    many.add_argument(
        "--jobs", type=int, metavar="N", help="of these, trained at the same time; default: 1"
    )
    many.add_argument(
        "--tune",
        type=int,
        metavar="N",
        help="search hyperparameters by N trials of --total-timesteps each, on validation images",
    )
    many.add_argument(
        "--tune-space", type=Path, metavar="FILE", help="what to draw, as in a study's space.yml"
    )
    machine = parser.add_argument_group("on what")
    machine.add_argument("--device", default="cpu", help="cpu, cuda or auto; default: %(default)s")
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
    where.add_argument("--name", help="of the run, or of all; default: seed<SEED>-<K>")
    where.add_argument(
        "--resume",
        nargs="?",
        const="latest",
        metavar="RUN_DIR",
        help="go on from the last checkpoint of a run (default: the one written to last) with the "
        "settings it was started with; --total-timesteps may extend it",
    )
    where.add_argument("--no-video", action="store_true", help="leave the film out")
    where.add_argument(
        "--wandb",
        nargs="?",
        const="glimpse-envs",
        metavar="PROJECT",
        help="log to Weights & Biases, too; default: %(const)s",
    )
    args = parser.parse_args(argv)
    check_arguments(parser, args)
    return args


def check_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with a message where arguments do not go together."""
    if args.resume and args.classifier != "recipe":
        parser.error("a resumed run keeps its settings; leave out --classifier")
    many = ("seeds", "sweep_cost", "sweep", "jobs", "tune", "tune_space")
    fixed = ("env", "dataset", "seed", "n_envs", "recipe", "set", "name", *many)
    if args.resume and (given := [name for name in fixed if getattr(args, name) is not None]):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        parser.error(f"a resumed run keeps its settings; leave out {names}")
    group = args.seeds is not None or args.sweep is not None or args.sweep_cost is not None
    for wrong, message in (
        (args.seeds and args.seed is not None, "give --seeds or --seed, not both"),
        (args.sweep and args.sweep_cost, "give --sweep or --sweep-cost, not both"),
        (args.tune is not None and group, "--tune goes with neither --seeds nor a sweep"),
        (args.tune is not None and args.wandb, "--tune does not go with --wandb"),
        (args.tune is not None and args.tune < 1, "--tune wants at least 1 trial"),
        (args.tune_space and args.tune is None, "--tune-space wants --tune N, too"),
        (args.jobs is not None and not group, "--jobs goes with --seeds or a sweep"),
        (args.jobs is not None and args.jobs < 1, "--jobs wants at least 1"),
    ):
        if wrong:
            parser.error(message)


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
    child = [sys.executable, __file__, f"--device={args.device}", f"--threads={args.threads}"]
    child += [*["--no-video"] * args.no_video, *[f"--wandb={args.wandb}"] * bool(args.wandb)]
    child += ["--packages", *args.packages] * bool(args.packages)
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
    result, episodes = evaluate_run(run, model, "test")
    result["minutes_of_last_training"] = round(minutes, 2)
    files = write_report(run, result, episodes)
    print(f"\n{summary(result)}\n")
    print(f"trained to {model.num_timesteps:,} timesteps, {minutes:.1f} min of it in this call")
    if not args.no_video:
        files += write_film(run, model, "test", n_images=9)
    if tracker is not None:
        tracker.finish(result, [run.path / name for name in files if name.endswith(".png")])
    print(f"in {run.path}: {', '.join([*files, 'progress.csv', 'model.zip'])}")
    print(f"next:  {command('eval.py', run.path, '--video', 16, packages=args.packages)}")
    print(f"       tensorboard --logdir {run.path.parent}")


def main() -> None:
    args = parse_arguments()
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


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("stopped before the training began; nothing is saved", file=sys.stderr)
        sys.exit(130)
