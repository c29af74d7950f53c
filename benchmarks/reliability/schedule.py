"""When each kill comes: drawn from a seed, spread over the whole life of each training."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

import numpy as np
from watching import PHASES, Watched

#: of the kills that come in each phase
SHARES = {"start": 0.2, "pretraining": 0.3, "training": 0.3, "evaluation": 0.2}
#: after a share of its phase is reached, so that kills come anywhere between two updates, seconds
_JITTER = 2.0
_POLL = 0.05


@dataclass(frozen=True)
class Kill:
    """One kill.

    :param phase: in which it comes
    :param share: of the phase that is done by then, in [0, 1)
    :param number: of the signal
    :param delay: until it comes then, seconds; not in phases that are measured in seconds
    """

    phase: str
    share: float
    number: signal.Signals
    delay: float = 0.0

    def wait(self, process: Watched, seconds: dict[str, float]) -> bool:
        """Wait until it is time.

        :param process: that is to be killed
        :param seconds: that an unbroken training spends in each phase
        :return: False if the process has ended by itself before
        """
        while process.running():
            if self._due(process, seconds[self.phase]):
                time.sleep(self.delay)
                return process.running()
            time.sleep(_POLL)
        return False

    def _due(self, process: Watched, seconds: float) -> bool:
        if self.phase in ("pretraining", "training"):
            phase = PHASES.index(self.phase)
            beyond = process.progress.phase > phase
            return beyond or (process.progress.phase == phase and process.share >= self.share)
        entered = process.entered(self.phase)
        return entered is not None and time.time() >= entered + self.share * seconds


def draw(n_kills: int, n_runs: int, seed: int) -> list[list[Kill]]:
    """Return the kills of each run, in the order in which they come.

    Three of five are SIGKILL, the others SIGTERM and SIGINT. Those of the start come before any of
    the others, drawn: also while a process starts that goes on after a kill.

    :param n_kills: of all runs together
    :param seed: of all draws
    """
    rng = np.random.default_rng(seed)
    bounds = np.rint(np.cumsum([0.0, *SHARES.values()]) * n_kills).astype(int)
    phases = [name for name, n in zip(SHARES, np.diff(bounds), strict=True) for _ in range(n)]
    some = n_kills // 5
    numbers = [signal.SIGTERM] * some + [signal.SIGINT] * some
    numbers += [signal.SIGKILL] * (n_kills - 2 * some)
    kinds = [numbers[k] for k in rng.permutation(n_kills)]
    kills = [
        Kill(phase, rng.uniform(), number, _delay(phase, rng))
        for phase, number in zip(phases, kinds, strict=True)
    ]
    runs: list[list[Kill]] = [kills[k::n_runs] for k in range(n_runs)]
    return [_ordered(run, rng) for run in runs]


def _delay(phase: str, rng: np.random.Generator) -> float:
    return rng.uniform(0.0, _JITTER) if phase in ("pretraining", "training") else 0.0


def _ordered(kills: list[Kill], rng: np.random.Generator) -> list[Kill]:
    later = [kill for kill in kills if kill.phase != "start"]
    later.sort(key=lambda kill: (PHASES.index(kill.phase), kill.share))
    for kill in kills:
        if kill.phase == "start":
            later.insert(rng.integers(len(later) + 1), kill)
    return later
