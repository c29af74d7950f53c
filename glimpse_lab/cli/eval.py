"""Evaluate trained runs exactly: each image of a split once, with deterministic actions.

python eval.py runs/GlimpseDigits-MultiCat-v0/seed0-1      report.html, figures and metrics.json
python eval.py RUN_DIR --quick                             the agent and random gaze alone
python eval.py RUN_DIR --split validation --video 16
python eval.py RUN_DIR --export fixations.parquet          a row for every fixation
python eval.py RUN_DIR RUN_DIR ... --compare               a table, paired on the same images
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of ``glimpse-eval``; ends with a message where they are wrong."""
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
        "--scanpaths",
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
    out.add_argument("--hidden", action="store_true", help="export the classifier's features, too")
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
    for name in ("video", "scanpaths"):
        if (n := getattr(args, name)) < 0:
            parser.error(f"got --{name} {n}; wanted a number of images of at least 0")
    if args.scanpaths and args.budget is not None:
        parser.error("--scanpaths shows the run's own budget; leave out --budget")
    if args.hidden and args.export is None:
        parser.error("--hidden is for --export FILE")
    single = [name for name in ("quick", "video", "scanpaths", "export") if getattr(args, name)]
    if args.compare and single:
        parser.error(f"--compare writes a comparison alone; leave out --{', --'.join(single)}")
    if args.compare != (len(args.runs) > 1) or (args.out and not args.compare):
        parser.error(
            f"got {len(args.runs)} run(s){' and --compare' if args.compare else ''}; wanted one, "
            "or several with --compare (and --out)"
        )
    return args


def main() -> None:
    """Evaluate as the command line asks."""
    args = parse_arguments()
    try:
        from glimpse_lab.cli.eval_commands import run_command

        run_command(args)
    except (ValueError, OSError, ImportError) as error:  # ImportError: of an extra
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")


if __name__ == "__main__":
    main()
