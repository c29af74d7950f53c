"""What comes of malformed inputs: a message, a right value, or something that must be mended.

    python benchmarks/reliability/inputs.py [--out inputs.csv] [--area images] [--only WORDS]

Every case runs in a process and folders of its own. It is bad where it ends with a traceback, gives
a wrong value in silence, writes outside of the places that are the software's own, leaves a run
directory after an error, refuses what is right, hangs or crashes; the status is then 1.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import areas
import runner
import torch as th
import tqdm
from cases import Case, Outcome
from PIL import Image

import glimpse_lab
from glimpse_envs.sb3 import GlimpseVecEnv

COLUMNS = (Outcome.MESSAGE, Outcome.WORKS)
ASSETS = {
    "run": (
        "GlimpseDigits-MultiCat-v0",
        {"callback.CoTrainingCallback.pretraining": 64, "callback.Imitation.episodes": 64},
        {},
    ),
    "lstm": ("GlimpseDigits-Hybrid-v0", {}, {"classifier": "none"}),
}
#: what is imported late in the software, as it is seldom needed
LAZY = (
    "encodings.cp437",
    "glimpse_lab.cli.train_commands",
    "glimpse_lab.cli.eval_commands",
    "imageio",
    "sklearn.datasets",
    "torch.utils.tensorboard",
    "torchvision",
)
SMALL = {"n_envs": 4, "n_steps": 8, "batch_size": 16, "n_epochs": 1, "env_kwargs.budget": 3}


def preload() -> None:
    """Import and compile what every case needs, once."""
    th.set_num_threads(1)
    tqdm.tqdm.monitor_interval = 0  # no thread, which a fork would lose
    warnings.simplefilter("ignore")
    for name in glimpse_lab.__all__:
        getattr(glimpse_lab, name)
    Image.init()  # Pillow's formats
    for name in LAZY:
        import_module(name)
    for scheme in ("MultiCat", "GreedyMap", "Hybrid"):
        env = GlimpseVecEnv(f"GlimpseDigits-{scheme}-v0", 2, seed=0)
        env.reset()


def make_assets(folder: Path) -> None:
    """Train the runs that strangers' folders are made of, for a few steps, in a fork."""
    child = os.fork()
    if child:
        if os.waitpid(child, 0)[1]:
            raise RuntimeError("the runs that the cases start from could not be trained")
        return
    status = 1
    try:
        os.environ["GLIMPSE_DATA_DIR"] = str(folder / "data")
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        for name, (env_id, overrides, more) in ASSETS.items():
            run = glimpse_lab.train(
                env_id,
                overrides={**SMALL, **overrides},
                total_timesteps=64,
                runs=folder / "made",
                video=False,
                **more,
            )
            shutil.copytree(run.path, folder / name)
        status = 0
    finally:
        os._exit(status)


def write(path: Path, rows: Sequence[runner.Row]) -> None:
    """Write one row for each input."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(runner.Row._fields)
        table.writerows([[repr(w)[1:-1] if w != w.strip() else w for w in row] for row in rows])


def summary(rows: Sequence[runner.Row]) -> str:
    """Return a table by area, in Markdown."""
    lines = [
        "| area | inputs | clear message | works | skipped | bad |",
        "|---|---|---|---|---|---|",
    ]
    for area in [*dict.fromkeys(row.area for row in rows), "all"]:
        counts = Counter(row.outcome for row in rows if area in (row.area, "all"))
        bad = [f"{n} {outcome}" for outcome, n in counts.items() if outcome.bad]
        cells = [counts.total(), *(counts[each] for each in (*COLUMNS, Outcome.SKIPPED))]
        lines.append(f"| {area} | {' | '.join(map(str, cells))} | {', '.join(bad) or 0} |")
    return "\n".join(lines)


def chosen(area: str | None, words: str) -> list[Case]:
    """Return the cases of an area (None: of all) with these words in their names."""
    return [
        case
        for name, cases in areas.AREAS.items()
        for case in (each.of(name) for each in cases)
        if area in (None, name) and words in case.name
    ]


def main() -> None:
    """Run the cases that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("inputs.csv"))
    parser.add_argument("--area", choices=areas.AREAS, help="default: all")
    parser.add_argument("--only", default="", metavar="WORDS", help="in the name of the input")
    args = parser.parse_args()
    preload()
    cases = chosen(args.area, args.only)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        assets = Path(folder)
        make_assets(assets)
        for case in tqdm.tqdm(cases, desc="inputs", unit="input", mininterval=10):
            rows.append(runner.run(case, assets))
            if rows[-1].outcome.bad:
                tqdm.tqdm.write(" | ".join(rows[-1]))
    write(args.out, rows)
    print(summary(rows))
    sys.exit(any(row.outcome.bad for row in rows))


if __name__ == "__main__":
    main()
