"""When to save: early, then seldom enough to cost little."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class SaveTimer:
    """Tells when the next save is due.

    The first comes ``first`` seconds after the start, the later ones ever further apart, up to
    ``longest``: a training that is killed every few seconds advances, and one that is not is hardly
    slowed down.

    :param first: seconds from the start to the first save, and the least between two
    :param longest: the most seconds between two
    :param share: of the time that may be spent on saving, where ``longest`` permits
    """

    def __init__(self, first: float = 1.0, longest: float = 20.0, share: float = 0.05) -> None:
        self.first, self.longest, self.share = first, longest, share
        self.start()

    def start(self) -> None:
        """Begin to count."""
        self._started = self._last = time.monotonic()
        self._gap = self.first

    def due(self) -> bool:
        """Return whether it is time to save."""
        return time.monotonic() - self._last >= self._gap

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure one save, by which the next is timed."""
        began = time.monotonic()
        yield
        self._last = time.monotonic()
        cost = (self._last - began) / self.share
        age = (self._last - self._started) / 10.0
        self._gap = min(max(self.first, cost, age), self.longest)
