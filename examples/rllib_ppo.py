"""PPO of RLlib with one branched network, on this machine or on the machines of a cluster.

pip install -e ".[ray]"
python examples/rllib_ppo.py --recipe hyperparams/saccades_by_reward     on GlimpseMNIST-Saccade-v0
python examples/rllib_ppo.py --runners 8 --cluster auto
python examples/rllib_ppo.py --resume RUN_DIR               goes on from its last checkpoint
python eval.py RUN_DIR                                      as of any run; without Ray
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch as th

try:
    from glimpse_lab.rllib.training import train
except ImportError as error:
    sys.exit(f'error: {error}; pip install -e ".[ray]"')

from glimpse_lab.cli.ending import carry_out
from glimpse_lab.cluster.connection import connected
from glimpse_lab.evaluation.exact import evaluate_run
from glimpse_lab.overrides import lengths
from glimpse_lab.recipes import parse_settings
from glimpse_lab.report.run_files import summary, write_report
from glimpse_lab.rllib.recipe import rllib_config
from glimpse_lab.runs import Run, new_name, run_folder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", default="GlimpseMNIST-Saccade-v0")
    parser.add_argument("--dataset", help="default: the environment's own")
    parser.add_argument(
        "--recipe", type=Path, help="file or folder; default: those in hyperparams/"
    )
    parser.add_argument("--total-timesteps", type=float, help="default: the recipe's")
    parser.add_argument("--lanes", type=int, help="of all runners; default: the recipe's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of the recipe")
    parser.add_argument("--trunk", help="feedforward, gru, lstm or canvas; default: the recipe's")
    parser.add_argument(
        "--cut-trunk",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="the trunk learns from the classifier's loss alone",
    )
    parser.add_argument("--runners", type=int, default=0, help="0: this process steps the lanes")
    parser.add_argument("--cluster", default="local", help="local, auto or HOST:PORT")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs")
    parser.add_argument("--name", help="of the run directory; default: seed<SEED>-<K>")
    parser.add_argument("--resume", type=Path, metavar="RUN_DIR", help="go on, as it was begun")
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure")
    args = parser.parse_args()
    stopped = "stopped; what was trained is kept"
    carry_out(lambda: train_and_evaluate(args), debug=args.debug, interrupted=stopped)


def train_and_evaluate(args: argparse.Namespace) -> None:
    """Do what the command line asks for."""
    th.set_num_threads(1)
    run = opened(args) if args.resume else new_run(args)
    print(f"run directory: {run.path}")
    with connected(args.cluster):
        train(run, n_runners=args.runners)
    saved = Run.open(run.path)  # as eval.py does
    config = saved.evaluation_config("test")
    result, paths = evaluate_run(saved, saved.load("test").model, config)
    write_report(saved, config, paths, result)
    print(f"\n{summary(result)}\n\nnext:  python eval.py {saved.path}")


def opened(args: argparse.Namespace) -> Run:
    """Return the run that is gone on with, to more timesteps in all if they are asked for."""
    run = Run.open(args.resume)
    return run if args.total_timesteps is None else run.extended(args.total_timesteps)


def new_run(args: argparse.Namespace) -> Run:
    """Return the run that the arguments ask for; nothing is written."""
    config = rllib_config(
        args.env,
        recipe=args.recipe,
        seed=args.seed,
        dataset=args.dataset,
        trunk=None if args.trunk is None else {"type": args.trunk},
        cut_trunk=args.cut_trunk,
        overrides={**parse_settings(args.set), **lengths(args.total_timesteps, args.lanes)},
    )
    name = args.name or new_name(args.runs / config.env_id, args.seed)
    return Run(run_folder(args.runs, config.env_id, name), config)


if __name__ == "__main__":
    main()
