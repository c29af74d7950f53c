"""Evaluate trained runs exactly: each image of a split once, with deterministic actions.

python eval.py runs/GlimpseDigits-MultiCat-v0/seed0-1      report.html, figures and metrics.json
python eval.py --pretrained digits --video 4               a trained agent of this package, at once
python eval.py RUN_DIR --quick                             the agent and random gaze alone
python eval.py RUN_DIR --split validation --video 16
python eval.py RUN_DIR --set env_kwargs.scene.side=100     in an environment of another size
python eval.py RUN_DIR --export fixations.parquet          a row for every fixation
python eval.py RUN_DIR RUN_DIR ... --compare               a table, paired on the same images
"""

from __future__ import annotations

import argparse
from pathlib import Path

from glimpse_lab.cli.ending import Parser, add_machine_arguments, carry_out, integer, path, text
from glimpse_lab.pretrained import pretrained_names

#: of the run directories of agents that come with the package
PRETRAINED = Path("runs", "pretrained")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the arguments of ``glimpse-eval``; ends with a message where they are wrong."""
    parser = Parser(__doc__)
    parser.add_argument("runs", type=path, nargs="*", metavar="RUN_DIR", help="made by train.py")
    parser.add_argument(
        "--pretrained",
        choices=pretrained_names(),
        metavar="NAME",
        help="in place of a run, an agent that comes with this package: "
        f"{', '.join(pretrained_names())}. It is copied to {PRETRAINED / 'NAME'} and evaluated as "
        "by --quick; that run directory gives the report",
    )
    what = parser.add_argument_group("what is shown")
    what.add_argument(
        "--split",
        default="test",
        choices=("train", "validation", "test"),
        help="images to show; default: %(default)s",
    )
    what.add_argument(
        "--budget",
        type=integer(1, 10_000),
        metavar="N",
        help="the most glimpses; default: as in training",
    )
    what.add_argument(
        "--dataset",
        type=text,
        metavar="NAME",
        help="where the run's data are now, such as folder:PATH, if they were moved",
    )
    what.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="evaluate in a changed environment, as by --quick: env_kwargs.scene.side=100; --json "
        "prints all that is measured",
    )
    out = parser.add_argument_group("what is written")
    out.add_argument(
        "--quick",
        action="store_true",
        help="print what the agent reaches, beside random gaze; write no metrics, figures or page",
    )
    out.add_argument(
        "--video",
        type=integer(0, 10_000),
        default=0,
        metavar="N",
        help="film N images, as mp4 and gif",
    )
    out.add_argument(
        "--scanpaths",
        type=integer(0, 10_000),
        default=0,
        metavar="N",
        help="draw the episodes of N images as a picture, scanpaths.png",
    )
    out.add_argument("--json", action="store_true", help="print metrics.json, not the summary")
    out.add_argument(
        "--export",
        type=path,
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
        "--out", type=path, metavar="DIR", help="of a comparison's files; default: comparison"
    )
    how = parser.add_argument_group("how")
    add_machine_arguments(how)
    args = parser.parse_args(argv)
    if args.scanpaths and args.budget is not None:
        parser.error("--scanpaths shows the run's own budget; leave out --budget")
    if args.hidden and args.export is None:
        parser.error("--hidden is for --export FILE")
    single = [name for name in ("quick", "video", "scanpaths", "export") if getattr(args, name)]
    if args.compare and single:
        parser.error(f"--compare writes a comparison alone; leave out --{', --'.join(single)}")
    if args.pretrained and (args.runs or args.compare):
        copied = PRETRAINED / args.pretrained
        parser.error(
            f"--pretrained stands in place of a run; leave out RUN_DIR and --compare ({copied} is "
            "a run directory afterwards, to be compared with others)"
        )
    of_own = [n for n in ("compare", "video", "scanpaths", "export") if getattr(args, n)]
    if args.set and of_own:
        parser.error(f"--set changes the environment; leave out --{', --'.join(of_own)}")
    args.quick = args.quick or bool(args.set) or args.pretrained is not None
    if not args.runs and args.pretrained is None:
        last = "; write it before --set" if args.set and "=" not in args.set[-1] else ""
        parser.error(f"got no run; wanted RUN_DIR, or --pretrained NAME{last}")
    if args.compare != (len(args.runs) > 1) or (args.out and not args.compare):
        parser.error(
            f"got {len(args.runs)} run(s){' and --compare' if args.compare else ''}; wanted one, "
            "or several with --compare (and --out)"
        )
    return args


def main() -> None:
    """Evaluate as the command line asks."""
    args = parse_arguments()

    def work() -> None:
        from glimpse_lab.cli.eval_commands import run_command

        run_command(args)

    carry_out(work, debug=args.debug, interrupted="stopped")


if __name__ == "__main__":
    main()
