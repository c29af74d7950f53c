"""The trials of a search for hyperparameters, trained as tasks of a cluster."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from glimpse_lab.cluster.connection import Task
from glimpse_lab.cluster.tasks import Tasks
from glimpse_lab.config import RunConfig
from glimpse_lab.runs import RunError
from glimpse_lab.tuning.trials import Outcome, Report, train_trial


class _Asked(NamedTuple):
    """How good a trial is at a step, and whether it shall end."""

    number: int
    score: float
    step: int


class ClusterTrials:
    """Workers that are tasks of the cluster that this process is connected to.

    They write nothing: what they report goes through a mailbox to this process, which alone keeps
    the study. A trial whose machine dies begins anew on another.

    :param task: what all have in common
    :param jobs: how many at a time
    """

    def __init__(self, task: Task, jobs: int) -> None:
        self.task, self.jobs = task, jobs
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.mailbox = _Mailbox.options(num_cpus=0, scheduling_strategy=here).remote()
        self.tasks = Tasks(_train, task)
        self.reports: dict[int, Report] = {}

    def begin(self, number: int, config: RunConfig, report: Report) -> None:
        """Submit the task of a trial."""
        self.reports[number] = report
        arguments = (number, config, self.task, self.mailbox)
        self.tasks.begin(number, *arguments, name=f"trial {number}")

    def ended(self) -> tuple[int, Outcome]:
        """Answer what running trials ask until one has ended.

        :raises RunError: that a trial has failed with
        """
        while True:
            ended = self.tasks.ended()
            for asked in ray.get(self.mailbox.take.remote()):
                end = self.reports[asked.number](asked.score, asked.step)
                self.mailbox.answer.remote(asked, end)
            if ended is not None:
                if ended.failed is not None:
                    raise RunError(f"trial {ended.key} failed: {ended.failed}") from ended.error
                return ended.key, ended.answer

    def stop(self) -> None:
        """Stop all running trials; they have nothing to save."""
        self.tasks.kill()


@ray.remote
class _Mailbox:
    """Takes what trials report, and gives the search's answers to them."""

    def __init__(self) -> None:
        self.asked: list[_Asked] = []
        self.answers: dict[_Asked, asyncio.Future[bool]] = {}

    async def ask(self, asked: _Asked) -> bool:
        """Return whether a trial shall end, once the search has said so."""
        self.answers[asked] = asyncio.get_running_loop().create_future()
        self.asked.append(asked)
        return await self.answers[asked]

    async def take(self) -> list[_Asked]:
        """Return what was reported since the last call."""
        asked, self.asked = self.asked, []
        return asked

    async def answer(self, asked: _Asked, end: bool) -> None:
        """Let a trial know whether it shall end."""
        waiting = self.answers.pop(asked, None)
        if waiting is not None:  # else it was asked twice, by a trial that began anew meanwhile
            waiting.set_result(end)


def _train(number: int, config: RunConfig, task: Task, mailbox: Any) -> Outcome:
    task.begin()

    def report(score: float, step: int) -> bool:
        return ray.get(mailbox.ask.remote(_Asked(number, score, step)))

    return train_trial(config, task.device, report)
