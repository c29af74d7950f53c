"""The trials of a search for hyperparameters, trained as tasks of a cluster."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from glimpse_lab.cluster.connection import Task, reason
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
        self.train = ray.remote(**task.options())(_train)
        self.running: dict[Any, int] = {}
        self.reports: dict[int, Report] = {}

    def begin(self, number: int, config: RunConfig, report: Report) -> None:
        """Submit the task of a trial."""
        self.reports[number] = report
        answer = self.train.remote(number, config, self.task, self.mailbox)
        self.running[answer] = number

    def ended(self) -> tuple[int, Outcome]:
        """Answer what running trials ask until one has ended.

        :raises RunError: that a trial has failed with
        """
        while True:
            ended, _ = ray.wait(list(self.running), timeout=0.2)
            for asked in ray.get(self.mailbox.take.remote()):
                end = self.reports[asked.number](asked.score, asked.step)
                self.mailbox.answer.remote(asked, end)
            if ended:
                number = self.running.pop(ended[0])
                try:
                    return number, ray.get(ended[0])
                except Exception as error:  # whatever a training fails with
                    raise RunError(f"trial {number} failed: {reason(error)}") from error

    def stop(self) -> None:
        """Stop all running trials; they have nothing to save."""
        for answer in self.running:
            ray.cancel(answer, force=True)


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
        self.answers.pop(asked).set_result(end)


def _train(number: int, config: RunConfig, task: Task, mailbox: Any) -> Outcome:
    task.begin()

    def report(score: float, step: int) -> bool:
        return ray.get(mailbox.ask.remote(_Asked(number, score, step)))

    return train_trial(config, task.device, report)
