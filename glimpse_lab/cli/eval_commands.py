"""What ``glimpse-eval`` does: evaluate one run, or compare several."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import textwrap
from pathlib import Path
from typing import TextIO

import torch as th

from glimpse_envs.files import check_writable
from glimpse_lab.cli import eval_inverse
from glimpse_lab.cli.eval import PRETRAINED
from glimpse_lab.commands import command
from glimpse_lab.comparison.report import comparison_table, write_comparison
from glimpse_lab.comparison.runs import compare_runs
from glimpse_lab.evaluation.exact import evaluate_run
from glimpse_lab.evaluation.export import check_name, export_run
from glimpse_lab.evaluation.storage import to_json
from glimpse_lab.evaluation.study import study
from glimpse_lab.kinds import INVERSE
from glimpse_lab.pretrained import folder_of
from glimpse_lab.pretrained.agents import copy_agent
from glimpse_lab.pretrained.card import summary_of
from glimpse_lab.recipes import parse_settings, torch_device, trust
from glimpse_lab.report.full import write_full_report
from glimpse_lab.report.run_files import summary, write_film, write_scanpaths
from glimpse_lab.report.verdict import verdict
from glimpse_lab.runs import Run


def run_command(args: argparse.Namespace) -> None:
    """Carry out what ``parse_arguments`` returned."""
    th.set_num_threads(args.threads)
    trust(args.packages)
    device = torch_device(args.device)
    if args.compare:
        compare(args, device)
    else:
        evaluate(args, device)


def compare(args: argparse.Namespace, device: str) -> None:
    """Compare the runs and write the comparison."""
    folder = args.out or Path("comparison")
    check_writable(folder)
    result = compare_runs(
        args.runs,
        args.split,
        budget=args.budget,
        device=device,
        packages=args.packages,
        dataset=args.dataset,
    )
    files = write_comparison(result, folder)
    if args.json:
        print((folder / "comparison.json").read_text())
    else:
        print(comparison_table(result))
    print(f"in {folder}: {', '.join(file.name for file in files)}", file=_side(args))


def evaluate(args: argparse.Namespace, device: str) -> None:
    """Evaluate one run and write what was asked for."""
    run = opened(args)
    if args.set:
        run = run.altered(parse_settings(args.set))
    if run.config.kind is INVERSE:
        eval_inverse.evaluate(args, run, device)
        return
    check_output(args, run)
    model, _ = run.load(args.split, device)
    config = run.evaluation_config(args.split, args.budget)
    files = []
    if args.video:  # first: it takes seconds, ten thousand images take longer
        files += write_film(run, model, config, args.video)
        print(f"film: {run.path / files[0]}\n", file=_side(args), flush=True)
    evaluated = evaluate_run(run, model, config, record_hidden=args.hidden)
    result, paths = evaluated
    print(f"{summary(result)}\n", file=_side(args))
    if args.scanpaths:
        files.append(write_scanpaths(run, config, paths, args.scanpaths))
    if not args.quick:
        result = study(model, config, evaluated, run.path)
        told = textwrap.fill(f"beside all baselines: {verdict(result)}", 100)
        print(f"{told}\n", file=_side(args))
        called = shlex.join(["python", *sys.argv])
        files += write_full_report(run, config, paths, result, command=called)
    if args.json:
        print(json.dumps(to_json(result), indent=2))
    if files:
        print(f"in {run.path}: {', '.join(files)}", file=_side(args))
    if args.export is not None:
        file = export_run(args.export, run, paths, args.split, budget=args.budget)
        print(f"fixations: {file}", file=_side(args))
    if args.pretrained is not None:
        go_on = command("eval.py", run.path)
        print(f"next:  {go_on}   (a report, with more baselines)", file=_side(args))


def opened(args: argparse.Namespace) -> Run:
    """Return the run that is evaluated, copied first if it comes with the package."""
    if args.pretrained is None:
        return Run.open(args.runs[0], args.packages, dataset=args.dataset)
    target = PRETRAINED / args.pretrained
    folder = folder_of(args.pretrained)
    copy_agent(folder, target, args.dataset)
    print(f"{summary_of(folder)}\n", file=_side(args), flush=True)
    return Run.open(target)


def check_output(args: argparse.Namespace, run: Run) -> None:
    """Say before the work, not after it, what of its output cannot be written."""
    if args.export is not None:
        check_name(args.export)
        if args.export.is_dir():
            raise ValueError(f"got --export {args.export}, which is a folder; wanted a file's name")
        check_writable(args.export.parent)
    if not args.quick or args.video or args.scanpaths:
        check_writable(run.path)
        figures = run.path / "figures"
        if not args.quick and figures.exists() and not figures.is_dir():
            raise ValueError(f"{figures} is a file; wanted a folder for the figures: remove it")


def _side(args: argparse.Namespace) -> TextIO:
    """Where to print what is not the JSON that was asked for."""
    return sys.stderr if args.json else sys.stdout
