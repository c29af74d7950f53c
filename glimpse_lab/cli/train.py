"""Train an agent that classifies images through glimpses.

python train.py                                     the default: handwritten digits, some minutes
python train.py --dataset folder:pictures           your own: one folder for each class
python train.py --env GlimpseCIFAR-MultiCat-v0
python train.py --env GlimpseMNIST-GreedyMap-v0 --set learning_rate=3e-4 env_kwargs.budget=6
python train.py --env GlimpseInverseMNIST-v0        tell which action changed an image
python train.py --resume                            go on with the run stopped last
python train.py --seeds 0-4                         five seeds, and an interval over them
python train.py --sweep-cost 0 0.01 0.05            accuracy against the price of a glimpse
python train.py --tune 30                           search for better hyperparameters
python train.py --seeds 0-9 --cluster auto          on all machines of a Ray cluster
"""

from __future__ import annotations

import argparse
from pathlib import Path

from glimpse_lab import DEFAULT_ENV
from glimpse_lab.cli.ending import (
    Parser,
    add_machine_arguments,
    carry_out,
    integer,
    number,
    path,
    text,
)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of ``glimpse-train``; ends with a message where they are wrong."""
    parser = Parser(__doc__)
    what = parser.add_argument_group("what to train")
    what.add_argument(
        "--env",
        type=text,
        metavar="ID",
        help=f"default: {DEFAULT_ENV}, or for own pictures one that fits them",
    )
    what.add_argument(
        "--dataset",
        type=text,
        metavar="NAME",
        help="digits, mnist, fashion_mnist, cifar10, folder:PATH (photographs that keep their "
        "proportions: --set env_kwargs.dataset.fit=keep), clips:PATH (short films; fewer frames: "
        "--set env_kwargs.dataset.frames=8), or NAME of a NAME.npz in GLIMPSE_DATA_DIR; default: "
        "the environment's own. With --resume: where the data of the run are now, if they were "
        "moved",
    )
    what.add_argument(
        "--classifier",
        type=text,
        default="recipe",
        metavar="KIND",
        help="what watches the glimpses: cotrained (trained before and beside the agent), frozen "
        "(before it alone, and kept for the next time), none (a reward that needs one becomes "
        "Terminal), or a FILE such as the model.zip of another run; default: the recipe's",
    )
    what.add_argument(
        "--seed", type=integer(0, 2**31 - 1), metavar="N", help="of everything; default: 0"
    )
    how = parser.add_argument_group("how to train")
    how.add_argument("--total-timesteps", type=number, metavar="N", help="steps of all lanes")
    how.add_argument(
        "--n-envs", type=integer(1, 16_384), metavar="N", help="lanes stepped together"
    )
    how.add_argument(
        "--recipe",
        type=path,
        metavar="FILE",
        help="hyperparameters by environment id, in a file named after the algorithm "
        "(ppo_lstm.yml, ppo.yml, enumeration.yml), or a folder of such files; default: the one in "
        "hyperparams/ with an entry for it",
    )
    how.add_argument(
        "--set",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
        help="override any hyperparameter; dots reach inside: policy_kwargs.lstm_hidden_size=64, "
        "callback.CoTrainingCallback.pretraining=20000",
    )
    many = parser.add_argument_group("many trainings (the same command resumes them)")
    many.add_argument("--seeds", type=text, metavar="LIST", help="train each of them: 0-4 or 0,3,7")
    many.add_argument(
        "--sweep-cost",
        nargs="+",
        type=number,
        metavar="PRICE",
        help="train at each price of a glimpse, and plot accuracy against samples",
    )
    many.add_argument(
        "--sweep",
        type=text,
        metavar="KEY=V,V",
        help="the same for any setting: env_kwargs.budget=2,4,6",
    )
    many.add_argument(
        "--jobs",
        type=integer(1, 1024),
        metavar="N",
        help="of these, trained at the same time; default: 1, on a cluster as many as it has "
        "cores for",
    )
    many.add_argument(
        "--cluster",
        type=text,
        metavar="ADDRESS",
        help="train them, or the trials of --tune, on a Ray cluster: auto (the one that this "
        "machine belongs to), HOST:PORT of its head, or local (this machine alone)",
    )
    many.add_argument(
        "--tune",
        type=integer(1, 1_000_000),
        metavar="N",
        help="search hyperparameters by N trials of --total-timesteps each, on validation images",
    )
    many.add_argument(
        "--tune-space", type=path, metavar="FILE", help="what to draw, as in a study's space.yml"
    )
    machine = parser.add_argument_group("on what")
    add_machine_arguments(machine)
    where = parser.add_argument_group("where it is kept")
    where.add_argument("--runs", type=path, default=Path("runs"), help="default: %(default)s")
    where.add_argument("--name", type=text, help="of the run, or of all; default: seed<SEED>-<K>")
    where.add_argument(
        "--resume",
        nargs="?",
        type=text,
        const="latest",
        metavar="RUN_DIR",
        help="go on from the last checkpoint of a run (default: the one written to last) with the "
        "settings it was started with; --total-timesteps may extend it",
    )
    where.add_argument("--no-video", action="store_true", help="leave the film out")
    where.add_argument(
        "--wandb",
        nargs="?",
        type=text,
        const="glimpse-envs",
        metavar="PROJECT",
        help="log to Weights & Biases, too; default: %(const)s",
    )
    args = parser.parse_args(argv)
    _check_arguments(parser, args)
    return args


def _check_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with a message where arguments do not go together."""
    if args.resume and args.classifier != "recipe":
        parser.error("a resumed run keeps its settings; leave out --classifier")
    many = ("seeds", "sweep_cost", "sweep", "jobs", "cluster", "tune", "tune_space")
    fixed = ("env", "seed", "n_envs", "recipe", "set", "name", *many)
    if args.resume and (given := [name for name in fixed if getattr(args, name) is not None]):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        parser.error(f"a resumed run keeps its settings; leave out {names}")
    group = args.seeds is not None or args.sweep is not None or args.sweep_cost is not None
    for wrong, message in (
        (args.seeds and args.seed is not None, "give --seeds or --seed, not both"),
        (args.sweep and args.sweep_cost, "give --sweep or --sweep-cost, not both"),
        (args.tune is not None and group, "--tune goes with neither --seeds nor a sweep"),
        (args.tune is not None and args.wandb, "--tune does not go with --wandb"),
        (args.tune_space and args.tune is None, "--tune-space wants --tune N, too"),
        (
            args.cluster is not None and not group and args.tune is None,
            "--cluster goes with --seeds, a sweep or --tune; for one training --seeds N",
        ),
        (
            args.jobs is not None and not group and not (args.tune and args.cluster),
            "--jobs goes with --seeds, a sweep, or --tune on a --cluster",
        ),
    ):
        if wrong:
            parser.error(message)


def main() -> None:
    """Train as the command line asks."""
    args = parse_arguments()

    def work() -> None:
        from glimpse_lab.cli.train_commands import run_command

        run_command(args)

    stopped = "stopped before the training began; nothing is saved"
    carry_out(work, debug=args.debug, interrupted=stopped)


if __name__ == "__main__":
    main()
