"""What ``glimpse-eval`` does with a run of inverse action modelling."""

from __future__ import annotations

import argparse
import json
import shlex
import sys

from glimpse_envs.files import check_writable
from glimpse_lab.evaluation.storage import to_json
from glimpse_lab.inverse.evaluation import evaluate_run
from glimpse_lab.inverse.report import write_film, write_full_report
from glimpse_lab.inverse.summary import summary
from glimpse_lab.runs import Run

#: arguments that ask for what only glimpses have
_OF_GLIMPSES = ("budget", "export", "scanpaths", "hidden")


def evaluate(args: argparse.Namespace, run: Run, device: str) -> None:
    """Evaluate one run and write what was asked for.

    :param args: of the command line
    :param run: that is evaluated
    :param device: that PyTorch knows
    :raises ValueError: for arguments that make no sense for it
    """
    if wrong := [f"--{name}" for name in _OF_GLIMPSES if getattr(args, name)]:
        raise ValueError(
            f"got {', '.join(wrong)}, and {run.config.env_id} takes no glimpses; leave it out"
        )
    if not args.quick or args.video:
        check_writable(run.path)
    side = sys.stderr if args.json else sys.stdout
    model, _ = run.load(args.split, device)
    config = run.evaluation_config(args.split)
    files = []
    if args.video:
        files += write_film(run, model, config, args.video)
        print(f"film: {run.path / files[0]}\n", file=side, flush=True)
    result, _ = evaluate_run(run, model, config, reference=not args.quick)
    print(f"{summary(result)}\n", file=side)
    if not args.quick:
        called = shlex.join(["python", *sys.argv])
        files += write_full_report(run, model, config, result, command=called)
    if args.json:
        print(json.dumps(to_json(result), indent=2))
    if files:
        print(f"in {run.path}: {', '.join(files)}", file=side)
