"""When to save: early, then seldom enough to cost little."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class SaveTimer:
    """Tells when the next save is due.

    The first comes ``first`` seconds after the start, the later ones ever further apart, up to
    ``longest``: a training that is killed every few seconds advances, and one that is not is hardly
    slowed down.

    Work can be saved only between its steps, when :meth:`due` is asked. A save is due before the
    limit is reached if another step, and the saving after it, would go beyond it, both taken to be
    as long as the ones before.

    :param first: seconds from the start to the first save, and the least between two where
        ``longest`` permits
    :param longest: the most seconds of work that a kill may cost, unless a single step is longer
    :param share: of the time that may be spent on saving, where ``longest`` permits
    """

    def __init__(self, first: float = 1.0, longest: float = 20.0, share: float = 0.05) -> None:
        self.first, self.longest, self.share = first, longest, share
        self.start()

    def start(self) -> None:
        """Begin to count."""
        now = time.monotonic()
        self._started = self._ended = self._saved = self._asked = now
        self._gap, self._cost = self.first, 0.0

    def due(self) -> bool:
        """Return whether it is time to save; asked once after each step of the work."""
        now = time.monotonic()
        step, self._asked = now - self._asked, now
        lost = (
            now - self._saved + step + self._cost
        )  # by a kill, if not now but after the next step
        return now - self._ended >= self._gap or lost > self.longest

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure one save, by which the next is timed."""
        began = time.monotonic()
        yield
        # what is saved is the state of the beginning; the step that follows begins at the end
        self._saved, self._ended = began, time.monotonic()
        self._asked, self._cost = self._ended, self._ended - began
        age = (self._ended - self._started) / 10.0
        self._gap = min(max(self.first, self._cost / self.share, age), self.longest)
