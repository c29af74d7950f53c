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

from policies.reports import evaluate_run, summary, write_film, write_report
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
        "--video", type=int, default=0, metavar="N", help="film the first N images (video.mp4)"
    )
    parser.add_argument("--json", action="store_true", help="print metrics.json, not the summary")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto; default: %(default)s")
    return parser.parse_args(argv)


def main() -> None:
    args = parse_arguments()
    if args.video < 0:
        raise ValueError(f"got --video {args.video}; wanted a number of images of at least 0")
    th.set_num_threads(1)
    run = Run.open(args.run)
    model = run.make_model(run.make_env(seed=run.config["seed"]), args.device)
    run.load_weights(model)
    result, episodes = evaluate_run(run, model, args.split)
    write_report(run, result, episodes)
    film = write_film(run, model, args.split, args.video) if args.video else None
    if args.json:
        print(json.dumps(result, indent=2))
        return
    print(summary(result))
    if film:
        print(f"video: {film}")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
