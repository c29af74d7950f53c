"""Evaluate trained runs exactly: each image of a split once, with deterministic actions.

python eval.py runs/GlimpseDigits-MultiCat-v0/seed0-1      report.html, figures and metrics.json
python eval.py RUN_DIR --quick                             the agent and random gaze alone
python eval.py RUN_DIR --split validation --video 16
python eval.py RUN_DIR --export fixations.parquet          a row for every fixation
python eval.py RUN_DIR RUN_DIR ... --compare               a table, paired on the same images
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

import torch as th

from glimpse_lab.comparison.report import comparison_table, write_comparison
from glimpse_lab.comparison.runs import compare_runs
from glimpse_lab.evaluation.export import check_name, export_run
from glimpse_lab.recipes import torch_device, trust
from glimpse_lab.report.full import write_full_report
from glimpse_lab.report.run_files import (
    evaluate_run,
    summary,
    write_film,
    write_strips,
)
from glimpse_lab.runs import Run


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN_DIR", help="made by train.py")
    what = parser.add_argument_group("what is shown")
    what.add_argument(
        "--split",
        default="test",
        choices=("train", "validation", "test"),
        help="images to show; default: %(default)s",
    )
    what.add_argument(
        "--budget", type=int, metavar="N", help="the most glimpses; default: as in training"
    )
    out = parser.add_argument_group("what is written")
    out.add_argument(
        "--quick",
        action="store_true",
        help="print what the agent reaches, beside random gaze; write no metrics, figures or page",
    )
    out.add_argument(
        "--video", type=int, default=0, metavar="N", help="film N images, as mp4 and gif"
    )
    out.add_argument(
        "--strips",
        type=int,
        default=0,
        metavar="N",
        help="draw the episodes of these images as a picture, too",
    )
    out.add_argument("--json", action="store_true", help="print metrics.json, not the summary")
    out.add_argument(
        "--export",
        type=Path,
        metavar="FILE",
        help="a row for every fixation, as .parquet or .csv",
    )
    out.add_argument(
        "--hidden", action="store_true", help="export the classifier's hidden state, too"
    )
    out.add_argument(
        "--compare",
        action="store_true",
        help="compare the runs with each other (runs of the same settings are seeds of one)",
    )
    out.add_argument(
        "--out", type=Path, metavar="DIR", help="of a comparison's files; default: comparison"
    )
    how = parser.add_argument_group("how")
    how.add_argument("--device", default="cpu", help="cpu, cuda or auto; default: %(default)s")
    how.add_argument(
        "--threads",
        type=int,
        default=1,
        metavar="N",
        help="of PyTorch; more pay on cores that nothing else uses; default: %(default)s",
    )
    how.add_argument(
        "--packages",
        nargs="+",
        default=[],
        metavar="NAME",
        help="packages of your own whose parts, policies or callbacks the runs name",
    )
    args = parser.parse_args(argv)
    for name in ("video", "strips"):
        if (n := getattr(args, name)) < 0:
            parser.error(f"got --{name} {n}; wanted a number of images of at least 0")
    if args.strips and args.budget is not None:
        parser.error("--strips shows the run's own budget; leave out --budget")
    if args.hidden and args.export is None:
        parser.error("--hidden is for --export FILE")
    single = [name for name in ("quick", "video", "strips", "export") if getattr(args, name)]
    if args.compare and single:
        parser.error(f"--compare writes a comparison alone; leave out --{', --'.join(single)}")
    if args.compare != (len(args.runs) > 1) or (args.out and not args.compare):
        parser.error(
            f"got {len(args.runs)} run(s){' and --compare' if args.compare else ''}; wanted one, "
            "or several with --compare (and --out)"
        )
    return args


def compare(args: argparse.Namespace, device: str) -> None:
    """Compare the runs and write the comparison."""
    result = compare_runs(
        args.runs, args.split, budget=args.budget, device=device, packages=args.packages
    )
    folder = args.out or Path("comparison")
    files = write_comparison(result, folder)
    if args.json:
        print((folder / "comparison.json").read_text())
    else:
        print(comparison_table(result))
    print(f"in {folder}: {', '.join(file.name for file in files)}", file=_side(args))


def evaluate(args: argparse.Namespace, device: str) -> None:
    """Evaluate one run and write what was asked for."""
    run = Run.open(args.runs[0], args.packages)
    if args.export is not None:
        check_name(args.export)  # before the work, not after it
    model = run.make_model(run.make_env(split=args.split), device)
    run.load_weights(model)
    result, paths = evaluate_run(
        run, model, args.split, budget=args.budget, record_hidden=args.hidden
    )
    print(f"{summary(result)}\n", file=_side(args))
    files = []
    if args.video:
        files += write_film(run, model, args.split, args.video)
    if args.strips:
        files.append(write_strips(run, paths, args.split, args.strips))
    if not args.quick:
        command = shlex.join(["python", *sys.argv])
        result, written = write_full_report(run, model, result, paths, command=command)
        files += written
    if args.json:
        print(json.dumps(result, indent=2))
    if files:
        print(f"in {run.path}: {', '.join(files)}", file=_side(args))
    if args.export is not None:
        file = export_run(args.export, run, paths, args.split, budget=args.budget)
        print(f"fixations: {file}", file=_side(args))


def _side(args: argparse.Namespace):
    """Where to print what is not the JSON that was asked for."""
    return sys.stderr if args.json else sys.stdout


def main() -> None:
    args = parse_arguments()
    th.set_num_threads(max(1, args.threads))
    trust(args.packages)
    device = torch_device(args.device)
    if args.compare:
        compare(args, device)
    else:
        evaluate(args, device)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:  # ImportError: of an extra
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")
