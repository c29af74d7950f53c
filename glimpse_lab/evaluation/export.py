"""Fixations as a table for analysis elsewhere: one row for each glimpse of each image.

Read it with pandas, polars, DuckDB or R. The mean scanpath of each class:

    import matplotlib.pyplot as plt
    import pandas as pd

    rows = pd.read_parquet("fixations.parquet")  # or pd.read_csv("fixations.csv")
    means = rows.groupby(["class", "step"], observed=True)[["x", "y"]].mean()
    for name, path in means.groupby(level="class", observed=True):
        plt.plot(path["x"], path["y"], "o-", label=name)
    plt.xlim(0, 1), plt.ylim(1, 0)  # y points downwards
    plt.legend()
    plt.show()

Episodes end when the agent answers, so later steps are means over the images that it looked at for
so long: those that are hard for it. The last row of every image: ``rows[rows["last"]]``. What the
columns mean, their units, and where the rows come from:

    fixation_info("fixations.parquet")
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.files import replacing
from glimpse_envs.metrics.scanpaths import Scanpaths
from glimpse_envs.metrics.tracking import held, middles
from glimpse_lab.csv_files import write_rows
from glimpse_lab.runs import Run
from glimpse_lab.versions import git_commit

FORMATS = (".parquet", ".csv")
_INFO = "glimpse_envs"  # key of the file's own metadata

#: by name: what a column holds, and its unit or range
COLUMNS = {
    "image": "number of the image in the split, from 0",
    "label": "true class, from 0",
    "class": "name of the true class",
    "step": "which glimpse of its image, from 1",
    "x": "fixation, 0 (left) to 1 (right) of the image",
    "y": "fixation, 0 (top) to 1 (bottom) of the image",
    "zoom": "0 (largest window) to 1 (one sensor pixel for each image pixel), geometric between",
    "left": "left edge of the window, image pixels",
    "top": "top edge of the window, image pixels",
    "side": "side of the window, image pixels",
    "seen": "share of the image that the windows so far cover, 0 to 1",
    "last": "whether it is the image's last glimpse",
    "choice": "class answered after this glimpse; -1 where the agent went on (at the last glimpse: "
    "where it ended without an answer)",
    "prediction": "class predicted once this glimpse was taken: the answer if it followed, or what "
    "an environment's classifier, which answers for the agent, held likeliest; -1 for none yet",
    "correct": "whether prediction is label",
    "reward": "of the action that followed; none where the episode ended with the glimpse",
}
#: the same of columns that are there if the sensor has ``pixels_per_degree``
DEGREES = {
    "x_degrees": "fixation to the right of the image's middle, degrees of visual angle",
    "y_degrees": "fixation below the image's middle, degrees of visual angle",
    "saccade_degrees": "amplitude of the saccade to this fixation, degrees of visual angle; none "
    "for the first",
}
#: the same of columns that are there if something moves
MOVING = {
    "target_x": "middle of the named object at this glimpse, 0 (left) to 1 (right) of the image",
    "target_y": "middle of the named object at this glimpse, 0 (top) to 1 (bottom) of the image",
    "on_target": "whether the window holds that middle",
}
_BELIEF = "the classifier's probability of class k after this glimpse, k from 0"
_HIDDEN = "entry k of the classifier's features after this glimpse, k from 0"


def export_run(
    path: str | os.PathLike[str],
    run: Run,
    paths: Scanpaths,
    split: str = "test",
    *,
    budget: int | None = None,
    index: NDArray[np.int64] | None = None,
) -> Path:
    """Write the fixations of a run; see ``export_fixations``.

    :param paths: what ``evaluate`` returned for the run
    :param split: that was evaluated
    :param budget: that it was evaluated with; None for the run's own
    :param index: numbers of the images, int64 (N,); None for the first N of the split
    """
    config = run.evaluation_config(split, budget)
    return export_fixations(path, paths, config, run_info(run), index=index)


def check_name(path: str | os.PathLike[str]) -> ModuleType | None:
    """Check that a file of this name can be written, before there is something to write.

    :return: pyarrow, if it is needed
    :raises ValueError: another suffix
    :raises ImportError: .parquet without pyarrow
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ValueError(
            f"got the file name {path.name!r}; wanted one that ends in {' or '.join(FORMATS)}"
        )
    return _arrow() if path.suffix == ".parquet" else None


def run_info(run: Run) -> dict[str, Any]:
    """Return what a reader of a run's fixations needs to know of the run, as JSON takes it."""
    return {
        "env": run.config.env_id,
        "env_kwargs": run.config.changed_kwargs(),
        "run": run.path.resolve().name,
        "seed": run.config.seed,
        "git": run.config.git,
        "git_of_export": git_commit(),
    }


def export_fixations(
    path: str | os.PathLike[str],
    paths: Scanpaths,
    config: GlimpseConfig,
    info: Mapping[str, Any],
    *,
    index: NDArray[np.int64] | None = None,
) -> Path:
    """Write one row for each glimpse, ordered by image and step; return the path.

    The columns are those of ``COLUMNS``, those of ``DEGREES`` if the sensor has
    ``pixels_per_degree``, those of ``MOVING`` if the scene moves, then belief_0 .. belief_{K-1} if
    there is a classifier, and hidden_0 .. hidden_{D-1} if its features were recorded.
    ``.parquet`` keeps types, and the info inside the
    file (schema metadata "glimpse_envs", JSON); ``.csv`` needs no further package, with the info
    beside it in NAME.csv.json. Names of classes that a spreadsheet would run, such as "=1+1", have
    an apostrophe before them there. The file appears only when it is whole.

    :param path: ends in .parquet or .csv; missing folders are made
    :param paths: of the images, in their order
    :param config: the environment that was played, with its split
    :param info: of the run, of types that JSON takes, as ``run_info`` gives
    :param index: numbers of the images in the split, int64 (N,); None for the first N
    :raises ValueError: another suffix, or images that do not have the labels of ``paths``
    :raises ImportError: .parquet without pyarrow
    """
    path = Path(path)
    arrow = check_name(path)
    columns = fixations(paths, config, index)
    about = json.dumps({**info, **_about(paths, config, columns)}, allow_nan=False)
    with replacing(path) as temporary:
        if arrow is not None:
            _write_parquet(arrow, temporary, columns, config.dataset.classes, about)
        else:
            _write_csv(temporary, columns)
            with replacing(_beside(path)) as info_file:
                info_file.write_text(about + "\n", encoding="utf-8")
    return path


def fixation_info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what ``export_fixations`` wrote about its rows.

    Env, run, dataset, digest, split, seed, git, budget, image and sensor sizes, the names of the
    classes, and what the columns mean.

    :raises ValueError: another suffix, or a file of another origin
    :raises ImportError: .parquet without pyarrow
    """
    path = Path(path)
    if path.suffix == ".csv":
        return json.loads(_beside(path).read_text(encoding="utf-8"))
    if path.suffix != ".parquet":
        raise ValueError(f"got the file name {path.name!r}; wanted .parquet or .csv")
    _arrow()
    from pyarrow import parquet

    metadata = parquet.read_schema(path).metadata or {}
    if _INFO.encode() not in metadata:
        raise ValueError(f"{path} has no metadata {_INFO!r}; wanted a file of export_fixations")
    return json.loads(metadata[_INFO.encode()])


def fixations(
    paths: Scanpaths, config: GlimpseConfig, index: NDArray[np.int64] | None = None
) -> dict[str, NDArray]:
    """Return the columns, (glimpses,) each, ordered by image (as they came) and step.

    :param paths: of the images, in their order
    :param config: the environment that was played, with its split
    :param index: numbers of the images in the split, int64 (N,); None for the first N
    :return: int32 image; int16 step; label, choice and prediction int16 (int32 for very many
        classes); bool last and correct; the others float32, ``class`` text. ``reward`` is NaN where
        no action followed
    :raises ValueError: images that do not have the labels of ``paths``
    """
    n = len(paths.labels)
    index = np.arange(n) if index is None else np.asarray(index)
    labels = config.shown_split.labels
    fits = index.shape == (n,) and index.min() >= 0 and index.max() < len(labels)
    if not fits or not np.array_equal(labels[index], paths.labels):
        raise ValueError(
            f"the {n} episodes do not have the labels of images {index} of the {config.split} "
            f"split of {config.dataset.name!r}; give the split and the images that were evaluated"
        )
    row, t = np.nonzero(paths.taken)  # (glimpses,) each, by image and then by step
    last = t + 1 == paths.n_glimpses[row]
    whole = np.int16 if config.dataset.n_classes <= np.iinfo(np.int16).max else np.int32
    names = np.array(config.dataset.classes)
    left, top, side = paths.windows[row, t].T
    x, y, zoom = paths.gaze[row, t].T
    prediction = paths.answers[row, t]
    columns = {
        "image": index[row].astype(np.int32),
        "label": paths.labels[row].astype(whole),
        "class": names[paths.labels[row]],
        "step": (t + 1).astype(np.int16),
        "x": x,
        "y": y,
        "zoom": zoom,
        "left": left,
        "top": top,
        "side": side,
        "seen": paths.seen[row, t],
        "last": last,
        "choice": np.where(last, paths.predictions[row], -1).astype(whole),
        "prediction": prediction.astype(whole),
        "correct": prediction == paths.labels[row],
        "reward": paths.step_rewards[row, t],
    }
    scale = config.sensor.pixels_per_degree
    if scale is not None:
        places = config.geometry.degrees(paths.gaze, scale)  # (N, budget, 2)
        shifts = np.diff(places, axis=1, prepend=np.float32(np.nan))
        x, y = places[row, t].T
        amplitude = np.hypot(shifts[..., 0], shifts[..., 1])[row, t]
        columns |= dict(zip(DEGREES, (x, y, amplitude), strict=True))
    if paths.targets.shape[2]:
        height, width, _ = config.shape
        boxes = paths.targets[row, t]
        x, y = (middles(boxes) / (width, height)).astype(np.float32).T
        columns |= dict(zip(MOVING, (x, y, held(boxes, paths.windows[row, t])), strict=True))
    for name, vectors in (("belief", paths.beliefs), ("hidden", paths.hidden)):
        for k, column in enumerate(vectors[row, t].T):
            columns[f"{name}_{k}"] = column
    return {name: np.ascontiguousarray(column) for name, column in columns.items()}


def _about(
    paths: Scanpaths, config: GlimpseConfig, columns: Mapping[str, NDArray]
) -> dict[str, Any]:
    height, width, channels = config.shape
    meaning, degrees = dict(COLUMNS), {}
    if config.sensor.pixels_per_degree is not None:
        meaning |= DEGREES
        degrees = {"pixels_per_degree": float(config.sensor.pixels_per_degree)}
    if "on_target" in columns:
        meaning |= MOVING
    if "belief_0" in columns:
        meaning["belief_k"] = _BELIEF
    if "hidden_0" in columns:
        meaning["hidden_k"] = _HIDDEN
    return {
        "dataset": config.dataset.name,
        "digest": config.dataset.digest,
        "split": config.split,
        "n_images": len(paths.labels),
        "n_rows": len(columns["image"]),
        "budget": int(config.budget),
        "image_size": {"height": height, "width": width, "channels": channels},
        "sensor": str(config.sensor),
        "sensor_size": int(config.sensor.size),
        "samples_per_glimpse": int(config.sensor.samples),
        **degrees,
        "scene": str(config.scene),
        "scheme": str(config.scheme),
        "classes": list(config.dataset.classes),
        "columns": meaning,
    }


def _arrow() -> ModuleType:
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(
            '.parquet needs pyarrow, which is not installed: pip install -e ".[parquet]", or take '
            "a name that ends in .csv"
        ) from error
    return pyarrow


def _write_parquet(
    arrow: ModuleType,
    path: Path,
    columns: Mapping[str, NDArray],
    classes: tuple[str, ...],
    about: str,
) -> None:
    from pyarrow import parquet

    arrays = {}
    for name, column in columns.items():
        if name == "class":  # by number, with the names once: pandas reads a category
            arrays[name] = arrow.DictionaryArray.from_arrays(columns["label"], list(classes))
        else:  # NaN is what is not there
            arrays[name] = arrow.array(column, mask=_missing(column))
    table = arrow.table(arrays).replace_schema_metadata({_INFO: about})
    parquet.write_table(table, path)


def _missing(column: NDArray) -> NDArray[np.bool_] | None:
    return np.isnan(column) if column.dtype.kind == "f" else None


def _write_csv(path: Path, columns: Mapping[str, NDArray]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        write_rows(file, [list(columns)])
        write_rows(file, zip(*map(_texts, columns.values()), strict=True))


def _texts(column: NDArray) -> list[Any]:
    """Return what stands in the file: as few digits as give the same float32 again."""
    if column.dtype.kind != "f":
        return column.tolist()
    texts = column.astype(str)
    return np.where(np.isnan(column), "", texts).tolist()


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".json")
