"""Tables of ``results/*.csv``, checked, and the pages and plots made of them.

python -m benchmarks.results              write tables of docs/results.md and README.md, and plots
python -m benchmarks.results --check      end with 1 where these are not what the tables say
python -m benchmarks.results add RUN_DIR ... --group NAME     add evaluations of runs to the tables
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.results.pages import stale, write
from benchmarks.results.reading import ResultsError, read
from benchmarks.results.rows import RUN_TABLES

ROOT = Path(__file__).parents[2]


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.results",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    actions = parser.add_subparsers(dest="action")
    adding = actions.add_parser("add", help="add runs to the tables")
    adding.add_argument("runs", nargs="+", type=Path, metavar="RUN_DIR")
    adding.add_argument(
        "--group",
        required=True,
        metavar="NAME",
        help="of these runs, which differ in the seed alone",
    )
    adding.add_argument(
        "--table", choices=RUN_TABLES, default="agents", help="default: %(default)s"
    )
    adding.add_argument(
        "--command", metavar="TEXT", help="that trained them, where their settings are no recipe's"
    )
    adding.add_argument("--note", default="", metavar="TEXT", help="for each row")
    adding.add_argument(
        "--baselines",
        action="store_true",
        help="add what benchmarks/gaze_baselines.py measured beside them, too",
    )
    adding.add_argument(
        "--replaces", metavar="GROUP", help="whose rows move to the table of superseded runs"
    )
    adding.add_argument(
        "--packages", nargs="+", default=[], metavar="NAME", help="of your own that the runs name"
    )
    args = parser.parse_args(argv)
    if args.action == "add" and args.check:
        parser.error("--check writes nothing; leave it out to add runs")
    return args


def main(argv: list[str] | None = None, root: Path = ROOT) -> None:
    """Do what the command line asks.

    :param argv: without the name of the program; None for that of the process
    :param root: of the repository
    """
    args = parse_arguments(argv)
    folder = root / "results"
    try:
        if args.action == "add":
            add_runs(folder, args)
        results = read(folder)
        if args.check:
            check([path.relative_to(root) for path in stale(root, results)])
        else:
            for path in write(root, results):
                print(f"written: {path.relative_to(root)}")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def check(names: list[Path]) -> None:
    """Raise a ResultsError if there are files that are out of date."""
    if names:
        told = ", ".join(path.as_posix() for path in names)
        raise ResultsError(
            f"{told} are not what results/*.csv say; python -m benchmarks.results writes them"
        )


def add_runs(folder: Path, args: argparse.Namespace) -> None:
    """Add the runs of the command line to the tables."""
    from benchmarks.results.adding import add  # lazily: it imports PyTorch, a check needs none
    from glimpse_lab.recipes import trust

    trust(args.packages)
    added = add(
        folder,
        args.runs,
        group=args.group,
        table=args.table,
        command=args.command,
        note=args.note,
        baselines=args.baselines,
        replaces=args.replaces,
        packages=args.packages,
    )
    print("\n".join(added))


if __name__ == "__main__":
    main()
