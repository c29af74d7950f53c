"""Times of several subjects taken in turn, so that their ratios survive a noisy machine."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

REPEATS = 7


@dataclass(frozen=True)
class Subject:
    """Something whose calls are timed.

    :param run: makes the given number of calls
    :param prepare: called before every run, outside the clock; None for nothing
    :param most: the most calls of one run; None for no limit
    """

    run: Callable[[int], None]
    prepare: Callable[[], None] | None = None
    most: int | None = None

    def seconds(self, calls: int) -> float:
        """Return the wall-clock time of so many calls, seconds."""
        if self.prepare is not None:
            self.prepare()
        start = time.perf_counter()
        self.run(calls)
        return time.perf_counter() - start

    def calls_in(self, seconds: float) -> int:
        """Return how many calls take about ``seconds``; this also warms the subject up."""
        most = self.most or sys.maxsize
        calls, taken = 1, self.seconds(1)
        while taken < 0.25 * seconds and calls < most:
            calls = min(2 * calls, most)
            taken = self.seconds(calls)
        return max(1, min(most, round(calls * seconds / taken)))


def interleaved(
    subjects: Mapping[str, Subject], *, seconds: float, repeats: int = REPEATS, label: str = ""
) -> dict[str, NDArray[np.float64]]:
    """Time the subjects in turn: the first of each, then the second of each, and so on.

    :param seconds: for one subject, all repeats together
    :param label: of the progress bar, on stderr
    :return: seconds of one call, float64 (repeats,) for each subject
    """
    calls = {name: subject.calls_in(seconds / repeats) for name, subject in subjects.items()}
    times: dict[str, list[float]] = {name: [] for name in subjects}
    gc.collect()
    gc.freeze()  # or each subject's collections would walk through what the others hold
    for _ in tqdm(range(repeats), desc=label, leave=False, file=sys.stderr):
        for name, subject in subjects.items():
            times[name].append(subject.seconds(calls[name]) / calls[name])
    gc.unfreeze()
    return {name: np.array(taken) for name, taken in times.items()}


def ratio(times: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Return how many times longer a call takes than one of the reference.

    It is the median over the repeats of the ratio within one repeat.
    """
    return float(np.median(times / reference))


def resident_bytes() -> int | None:
    """Return the memory this process holds, bytes; None where the system does not tell."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    import resource  # Unix only

    return int(statm.read_text().split()[1]) * resource.getpagesize()


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines of aligned columns, the first to the left and the others to the right."""
    widths = [max(len(row[k]) for row in (header, *rows)) for k in range(len(header))]
    lines = []
    for row in (header, *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells))
    return "\n".join(lines)
