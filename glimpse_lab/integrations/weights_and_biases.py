"""Progress, settings and results of a run on Weights & Biases, for those who use it."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter

from glimpse_lab.evaluation.result import Evaluation
from glimpse_lab.evaluation.storage import to_json
from glimpse_lab.inverse.result import InverseEvaluation
from glimpse_lab.runs import Run


def load_wandb() -> ModuleType:
    """Return the package ``wandb``, imported only where it is asked for.

    :raises ValueError: if it is not installed
    """
    try:
        return importlib.import_module("wandb")
    except ImportError as error:
        raise ValueError(
            f'--wandb needs wandb ({error}): pip install -e ".[wandb]" (or pip install wandb)'
        ) from error


class Tracker(KVWriter):
    """An output of Stable-Baselines3's logger that sends what is logged to Weights & Biases.

    A run that is resumed goes on under the same id, kept in ``wandb/id`` of its directory, where
    ``wandb`` writes its own files too. Settings such as ``WANDB_MODE=offline`` are ``wandb``'s.

    :param run: whose directory is written already; its ``config.yml`` is the configuration
    :param project: of Weights & Biases
    :raises ValueError: without the package, or if it cannot begin, as without a login
    """

    def __init__(self, run: Run, project: str) -> None:
        self.wandb = load_wandb()
        file = run.path / "wandb" / "id"
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_text(uuid.uuid4().hex[:12])
        try:
            self.session = self.wandb.init(
                project=project,
                id=file.read_text().strip(),
                resume="allow",
                name=f"{run.path.parent.name}/{run.path.name}",
                group=run.path.parent.name,
                dir=run.path,
                config=run.config.to_dict(),
            )
        except self.wandb.errors.Error as error:
            raise ValueError(
                f"--wandb {project}: {str(error).rstrip('.')}. Log in by `wandb login`, or set "
                "WANDB_MODE=offline and send it later by `wandb sync`"
            ) from error
        # the axis of what is logged; wandb's own step would have to grow, also after a resume
        self.session.define_metric("timesteps")
        self.session.define_metric("*", step_metric="timesteps")

    def write(
        self,
        key_values: dict[str, Any],
        key_excluded: dict[str, tuple[str, ...]],
        step: int = 0,
    ) -> None:
        """Send the numbers among the values; called by the logger.

        :param step: timesteps of the training
        """
        row = {
            key: float(value)
            for key, value in key_values.items()
            if isinstance(value, (int, float, np.number))
        }
        self.session.log({**row, "timesteps": step})

    def finish(self, result: Evaluation | InverseEvaluation, pictures: Sequence[Path] = ()) -> None:
        """Send the result's numbers, named as in ``metrics.json``, and end.

        :param pictures: files to show
        """
        self.session.summary.update(_numbers(to_json(result), f"{result.split}/"))
        for picture in pictures:
            self.session.log({picture.stem: self.wandb.Image(str(picture))})
        self.close()

    def close(self) -> None:
        """End, also after an interruption; a resumed training goes on."""
        self.session.finish()


def _numbers(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{name}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found[name] = float(value)
    return found
