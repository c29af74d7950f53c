"""Evaluate a trained run exactly: each image of a split once, with deterministic actions.

  python eval.py runs/GlimpseDigits-MultiCat-v0/seed0-1
  python eval.py RUN_DIR --split validation --video 16
  python eval.py RUN_DIR --json > result.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch as th

from policies.evaluation.reports import evaluate_run, summary, write_film, write_report
from policies.recipes import torch_device, trust
from policies.runs import Run


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN_DIR", help="made by train.py")
    parser.add_argument(
        "--split",
        default="test",
        choices=("train", "validation", "test"),
        help="images to show; default: %(default)s",
    )
    parser.add_argument(
        "--budget", type=int, metavar="N", help="the most glimpses; default: as in training"
    )
    parser.add_argument(
        "--video", type=int, default=0, metavar="N", help="film N images, as mp4 and gif"
    )
    parser.add_argument("--json", action="store_true", help="print metrics.json, not the summary")
    parser.add_argument(
        "--device", default="cpu", help="cpu, cuda or auto; default: %(default)s"
    )
    parser.add_argument(
        "--packages",
        nargs="+",
        default=[],
        metavar="NAME",
        help="packages of your own whose parts, policies or callbacks the run names",
    )
    return parser.parse_args(argv)


def main() -> None:
    args = parse_arguments()
    if args.video < 0:
        raise ValueError(f"got --video {args.video}; wanted a number of images of at least 0")
    th.set_num_threads(1)
    trust(args.packages)
    device = torch_device(args.device)
    run = Run.open(args.run, args.packages)
    model = run.make_model(run.make_env(split=args.split), device)
    run.load_weights(model)
    result, episodes = evaluate_run(run, model, args.split, budget=args.budget)
    write_report(run, result, episodes)
    print(json.dumps(result, indent=2) if args.json else summary(result))
    if args.video:
        names = write_film(run, model, args.split, args.video)
        films = ", ".join(str(run.path / name) for name in names)
        print(f"films: {films}", file=sys.stderr if args.json else sys.stdout)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")
