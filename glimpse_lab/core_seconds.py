"""What a training has cost: seconds of processor time, kept beside its checkpoints.

Seconds of a core do not depend on what else the machine does, as those of a clock do. Those of all
threads of the process count, those of a graphics card do not. What a kill lost is not counted.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from glimpse_envs.files import replacing
from glimpse_lab.config import RunError
from policies.tensor_files import read_regular

#: in the run directory
FILE = "core_seconds.json"
_LARGEST = 2**16  # bytes of the file


@dataclass(frozen=True, kw_only=True)
class CoreSeconds:
    """Seconds of processor time over all parts of a training; None where that is not known.

    :param pretraining: of the classifier, before the agent; where another run's was taken, what it
        cost there; 0 without one
    :param training: of the agent, its imitation included, and of the classifier beside it
    """

    pretraining: float | None = None
    training: float | None = None

    def write(self, folder: Path) -> None:
        """Write the file of a run directory under a temporary name and rename it.

        :raises RunError: if it cannot be written, as on a full disk
        """
        try:
            with replacing(folder / FILE) as temporary:
                told = {k: v if v is None else round(v, 3) for k, v in asdict(self).items()}
                temporary.write_text(json.dumps(told) + "\n")
        except OSError as error:
            raise RunError(
                f"{folder / FILE} could not be written ({error.strerror or error}): make room, "
                f"then python train.py --resume {folder}"
            ) from error

    @classmethod
    def read(cls, folder: Path) -> CoreSeconds | None:
        """Return what :meth:`write` wrote; None without such a file.

        :param folder: of the run
        :raises RunError: for a broken file
        """
        try:
            content = json.loads(read_regular(folder / FILE, _LARGEST))
            known = {name: content[name] for name in ("pretraining", "training")}
            for seconds in known.values():
                _check(seconds)
            return cls(**known)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(
                f"{folder / FILE} is broken ({error}); wanted seconds of pretraining and training: "
                "remove it, and what the run has cost is not known"
            ) from error


class CoreTimer(BaseCallback):
    """Measure the agent's training; stands behind the callback that pretrains the classifier.

    :param before: seconds of its earlier parts; None where they are not known
    """

    def __init__(self, before: float | None) -> None:
        super().__init__()
        self.before = before
        self._begin: float | None = None

    @property
    def seconds(self) -> float | None:
        """Of all parts so far; None where those before are not known."""
        if self.before is None or self._begin is None:
            return self.before
        return round(self.before + time.process_time() - self._begin, 3)

    def _on_training_start(self) -> None:
        self._begin = time.process_time()

    def _on_step(self) -> bool:
        return True


def _check(seconds: Any) -> None:
    known = type(seconds) in (int, float) and math.isfinite(seconds) and seconds >= 0
    if seconds is not None and not known:
        raise ValueError(f"got {seconds!r:.60}; wanted seconds from 0, or null")
