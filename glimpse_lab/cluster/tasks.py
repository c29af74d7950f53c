"""Tasks of a cluster that begin anew where their workers or machines die."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import ray
from ray import exceptions

from glimpse_lab.cli.ending import told
from glimpse_lab.cluster.connection import Task

#: how often a task begins anew
RETRIES = 5
#: a worker or its machine is gone, or, with the machine, the answer
_DEATHS = (
    exceptions.WorkerCrashedError,
    exceptions.NodeDiedError,
    exceptions.OutOfMemoryError,
    exceptions.ObjectLostError,
)


class Ended(NamedTuple):
    """A task that has ended.

    :ivar key: it was begun with
    :ivar answer: what it returned
    :ivar failed: why it failed, in a line; None if it did not
    :ivar error: the same, as it was raised
    """

    key: Hashable
    answer: Any = None
    failed: str | None = None
    error: Exception | None = None


class _Begun(NamedTuple):
    """A task that runs or waits for a place.

    :ivar name: for messages
    :ivar deaths: of its workers so far
    """

    key: Hashable
    name: str
    arguments: tuple[Any, ...]
    deaths: int


class Tasks:
    """Calls of a function, each in a process of its own on some machine of the cluster.

    One whose worker or machine dies begins anew, elsewhere if need be, a few times. Ray would do so
    too, but without a word, and without end where a machine is short of memory.

    :param function: known to all machines by its name
    :param task: what its calls have in common
    :param say: called with a line about each death
    """

    def __init__(
        self,
        function: Callable[..., Any],
        task: Task,
        say: Callable[[str], Any] = lambda line: print(line, flush=True),
    ) -> None:
        self.function = ray.remote(**task.options())(function)
        self.say = say
        self.running: dict[Any, _Begun] = {}

    def begin(self, key: Hashable, *arguments: Any, name: str) -> None:
        """Submit a task.

        :param key: that :meth:`ended` tells
        :param arguments: of the function
        :param name: for messages
        """
        self._submit(_Begun(key, name, arguments, 0))

    def ended(self) -> Ended | None:
        """Return a task that has ended; None if none has within a moment."""
        answers, _ = ray.wait(list(self.running), timeout=0.2)
        if not answers:
            return None
        begun = self.running.pop(answers[0])
        try:
            return Ended(begun.key, ray.get(answers[0]))
        except _DEATHS as death:
            return self._anew(begun, death)
        except exceptions.TaskCancelledError as error:
            return Ended(begun.key, failed="stopped by a signal", error=error)
        except Exception as error:  # whatever the function fails with
            why = getattr(error, "cause", None) or error
            return Ended(begun.key, failed=told(why), error=error)

    def interrupt(self, patience: float) -> int:
        """Raise ``KeyboardInterrupt`` in all tasks; return how many have not ended in time.

        :param patience: seconds that they have
        """
        for answer in self.running:
            ray.cancel(answer)
        if not self.running:
            return 0
        answers = list(self.running)
        return len(ray.wait(answers, num_returns=len(answers), timeout=patience)[1])

    def kill(self) -> None:
        """End the processes of all tasks."""
        for answer in self.running:
            ray.cancel(answer, force=True)

    def _submit(self, begun: _Begun) -> None:
        self.running[self.function.remote(*begun.arguments)] = begun

    def _anew(self, begun: _Begun, death: Exception) -> Ended | None:
        """Submit a task again whose worker has died, if it has not died too often."""
        deaths = begun.deaths + 1
        why = type(death).__name__
        if isinstance(death, exceptions.OutOfMemoryError):
            why += ": its machine ran out of memory, a smaller --jobs N needs less"
        if deaths > RETRIES:
            return Ended(begun.key, failed=f"its worker died {deaths} times ({why})", error=death)
        self.say(f"{begun.name}: its worker died ({why}); anew, {deaths} of at most {RETRIES}")
        self._submit(begun._replace(deaths=deaths))
        return None
