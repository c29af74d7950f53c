"""A task on a machine that is short of memory, which Ray by itself would begin anew for ever."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')

from ray.cluster_utils import Cluster

from glimpse_lab.cluster.connection import connected, this_task
from glimpse_lab.cluster.tasks import RETRIES, Tasks

#: every worker is killed at once: the machine's own processes take more than this share of it
SHORT = {"memory_usage_threshold": 0.001, "memory_monitor_refresh_ms": 100}


def test_it_is_given_up_and_said() -> None:
    def wait() -> None:
        time.sleep(600.0)

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": SHORT})
    said: list[str] = []
    try:
        with connected(cluster.address):
            tasks = Tasks(wait, this_task("cpu", 1, ()), said.append)
            tasks.begin(0, name="training")
            while (end := tasks.ended()) is None:
                pass
    finally:
        cluster.shutdown()
    assert len(said) == RETRIES
    assert end.failed is not None and end.failed.startswith(f"its worker died {RETRIES + 1} times")
    assert "ran out of memory, a smaller --jobs N needs less" in end.failed
