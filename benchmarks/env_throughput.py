"""Environment steps per second, beside other ways of stepping the same task, in one run.

    pip install -e .
    python benchmarks/env_throughput.py [--seconds 1] [--lanes 1 16 64 256 1024]
                                        [--sides 32 128 512 1024] [--json FILE]

It prints four tables; every ratio is the median of interleaved repeats, so that it holds on a
busy machine too, where the absolute numbers do not.

1. Memory: growth of the process by the lanes alone, the data set being loaded already.
2. Lanes: steps per second of ``GlimpseVecEnv``, of SB3's ``DummyVecEnv`` over ``GlimpseEnv``, and
of
   Gymnasium's ``make_vec``, ``SyncVectorEnv`` and ``AsyncVectorEnv``; beside each, how many times
   faster ``GlimpseVecEnv`` is, and how many times as long as a bare gather a step takes:
   ``np.take`` of as many bytes as the step's glimpses, from random places of the images. The task
   is that of ``GlimpseCIFAR-MultiCat-v0`` on 50,000 random images of 32 x 32 x 3. Actions are drawn
   before: uniform moves and zooms, always going on, so that the budget ends every episode after 8
   steps. Resets, infos and terminal observations are part of the time.
3. ap_gym's CIFAR-10 environment on the same images at 256 and 1024 lanes, if it is installed.
4. Image sides: time of a step without resets, on data sets of equal size in memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv
from timing import REPEATS, Subject, interleaved, ratio, resident_bytes, table

from glimpse_envs import GlimpseEnv, ImageDataset
from glimpse_envs.registration import REGISTERED
from glimpse_envs.sb3 import GlimpseVecEnv

ENV_ID = "GlimpseCIFAR-MultiCat-v0"
OURS, GATHER = "GlimpseVecEnv", "np.take alone"
N_IMAGES, SIDE = 50_000, 32
N_BATCHES = 64  # of actions drawn before, used in turn
MOST_PROCESSES = 16
PEER_LANES = (256, 1024)
SIDE_LANES = (64, 256)
TABLE_BYTES = 300 * 10**6  # summed-area tables of one image side
LONG_BUDGET = 2048

Rows = list[dict[str, Any]]


def random_dataset(n: int, side: int) -> ImageDataset:
    """Return n random images of side x side x 3 in 10 classes."""
    images = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    labels = np.arange(n) % 10
    return ImageDataset.from_arrays(images, labels, images[:10].copy(), labels[:10])


def action_batches(lanes: int) -> list[NDArray[np.int64]]:
    """Return batches (lanes, 3) of uniform moves and zooms that never answer."""
    rng = np.random.default_rng(1)
    return list(rng.integers(0, [9, 3, 1], (N_BATCHES, lanes, 3)))


def endless(step: Callable[[Any], Any], actions: list[Any]) -> Callable[[int], None]:
    """Return what makes n calls of ``step`` with the actions in turn."""
    stream = cycle(actions)

    def run(n: int) -> None:
        for action in islice(stream, n):
            step(action)

    return run


def single_subject(env: gym.Env) -> Subject:
    """Return the steps of one environment, which is reset when its episode ends."""

    def step(action: NDArray[np.int64]) -> None:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()

    env.reset(seed=0)
    return Subject(endless(step, [batch[0] for batch in action_batches(1)]))


def gather_subject(dataset: ImageDataset, lanes: int, size: int) -> Subject:
    """Return ``np.take`` of ``size`` bytes for each lane from random places of the train images."""
    flat = dataset.train.images.reshape(-1)
    rows = flat[: flat.size // size * size].reshape(-1, size)
    places = list(np.random.default_rng(2).integers(0, len(rows), (N_BATCHES, lanes)))
    return Subject(endless(partial(np.take, rows, axis=0), places))


def make_batched(name: str, dataset: ImageDataset, lanes: int) -> Any:
    """Make the batched environment of that name, reset."""
    make_one = [partial(GlimpseEnv, **{**REGISTERED[ENV_ID], "dataset": dataset})] * lanes
    same_step = AutoresetMode.SAME_STEP
    if name == OURS:
        env: Any = GlimpseVecEnv(ENV_ID, lanes, seed=0, dataset=dataset)
    elif name == "GlimpseVectorEnv":
        env = gym.make_vec(ENV_ID, num_envs=lanes, dataset=dataset)
    elif name == "DummyVecEnv":
        env = DummyVecEnv(make_one)
    elif name == "SyncVectorEnv":
        env = SyncVectorEnv(make_one, autoreset_mode=same_step)
    else:
        env = AsyncVectorEnv(make_one, context="fork", autoreset_mode=same_step)
    env.reset()
    return env


def batched_names(lanes: int) -> list[str]:
    """Return the batched environments that are measured with so many lanes."""
    names = [OURS, "GlimpseVectorEnv", "DummyVecEnv", "SyncVectorEnv"]
    can_fork = "fork" in multiprocessing.get_all_start_methods()
    if can_fork and lanes <= MOST_PROCESSES:
        names.append("AsyncVectorEnv")
    return names


def measure_lanes(dataset: ImageDataset, lanes: int, seconds: float) -> Rows:
    """Measure all ways of stepping so many lanes, and the bare gather."""
    actions = action_batches(lanes)
    envs = {name: make_batched(name, dataset, lanes) for name in batched_names(lanes)}
    subjects = {name: Subject(endless(env.step, actions)) for name, env in envs.items()}
    if lanes == 1:
        parts = {**REGISTERED[ENV_ID], "dataset": dataset}
        subjects["GlimpseEnv"] = single_subject(GlimpseEnv(**parts))
        subjects["gymnasium.make"] = single_subject(gym.make(ENV_ID, dataset=dataset))
    glimpse = int(np.prod(envs[OURS].observation_space["glimpse"].shape))
    subjects[GATHER] = gather_subject(dataset, lanes, glimpse)
    times = interleaved(subjects, seconds=seconds, label=f"{lanes} lanes")
    for env in envs.values():
        env.close()
    return [
        {
            "lanes": lanes,
            "name": name,
            "steps_per_second": lanes / float(np.median(taken)),
            "slower_than_ours": ratio(taken, times[OURS]),
            "slower_than_gather": ratio(taken, times[GATHER]),
        }
        for name, taken in times.items()
    ]


def peer_envs(dataset: ImageDataset, lanes: int) -> dict[str, Any]:
    """Make ap_gym's CIFAR-10 environments, with our budget and size of glimpse.

    Its own data set class downloads; this one hands out batches of the images in memory.
    """
    import ap_gym
    from ap_gym.envs.image import ImageClassificationDataset, ImagePerceptionConfig
    from ap_gym.envs.image_classification import ImageClassificationVectorEnv

    class InMemory(ImageClassificationDataset):
        def _get_num_classes(self) -> int:
            return dataset.n_classes

        def _get_num_channels(self) -> int:
            return dataset.image_shape[2]

        def _get_length(self) -> int:
            return len(dataset.train)

        def _get_data_point_batch(self, idx: NDArray) -> tuple[NDArray, NDArray]:
            return dataset.train.images[idx], dataset.train.labels[idx]

    parts = {"dataset": InMemory(), "sensor_size": (8, 8), "step_limit": 8}
    # few batches: a thread that still fills a long queue would slow down whoever is measured
    prefetching = ImagePerceptionConfig(**parts, prefetch_buffer_size=8)
    direct = ImagePerceptionConfig(**parts, prefetch=False)
    made = partial(ap_gym.make_vec, "CIFAR10-v0", num_envs=lanes)
    return {
        "ap_gym.make_vec": made(image_perception_config=prefetching),
        "ap_gym.make_vec, no prefetch": made(image_perception_config=direct),
        "ap_gym, no log, no prefetch": ImageClassificationVectorEnv(lanes, direct),
    }


def measure_peers(dataset: ImageDataset, seconds: float) -> Rows | str:
    """Measure ap_gym beside ``GlimpseVecEnv``; where it cannot be had, return why."""
    try:
        return [row for lanes in PEER_LANES for row in measure_peer(dataset, lanes, seconds)]
    except ImportError as error:
        return f"ap_gym is not installed ({error}): pip install ap_gym"


def measure_peer(dataset: ImageDataset, lanes: int, seconds: float) -> Rows:
    """Measure ap_gym beside ``GlimpseVecEnv`` with so many lanes."""
    peers = peer_envs(dataset, lanes)
    rng = np.random.default_rng(3)
    moves = rng.uniform(-1.0, 1.0, (N_BATCHES, lanes, 2)).astype(np.float32)
    prediction = np.zeros((lanes, dataset.n_classes), np.float32)
    actions = [{"action": move, "prediction": prediction} for move in moves]
    ours = make_batched(OURS, dataset, lanes)
    subjects = {OURS: Subject(endless(ours.step, action_batches(lanes)))}
    for name, env in peers.items():
        env.reset(seed=0)
        subjects[name] = Subject(endless(env.step, actions))
    times = interleaved(subjects, seconds=seconds, label=f"ap_gym, {lanes} lanes")
    for env in peers.values():
        env.close()
    return [
        {
            "lanes": lanes,
            "name": name,
            "steps_per_second": lanes / float(np.median(taken)),
            "slower_than_ours": ratio(taken, times[OURS]),
        }
        for name, taken in times.items()
    ]


def side_subject(dataset: ImageDataset, lanes: int) -> Subject:
    """Return steps of an environment whose episodes outlast a run: resets are outside the clock."""
    env = GlimpseVecEnv(ENV_ID, lanes, seed=0, dataset=dataset, budget=LONG_BUDGET)
    return Subject(endless(env.step, action_batches(lanes)), env.reset, LONG_BUDGET - 1)


def measure_sides(sides: list[int], seconds: float) -> Rows:
    """Measure a step on images of different sides."""
    datasets = {side: random_dataset(_images_of(side), side) for side in sides}
    rows = []
    for lanes in SIDE_LANES:
        subjects = {str(side): side_subject(datasets[side], lanes) for side in sides}
        times = interleaved(subjects, seconds=seconds, label=f"sides, {lanes} lanes")
        for side in sides:
            taken = times[str(side)]
            rows.append(
                {
                    "lanes": lanes,
                    "side": side,
                    "images": len(datasets[side].train),
                    "step_microseconds": 1e6 * float(np.median(taken)),
                    "slower_than_first": ratio(taken, times[str(sides[0])]),
                }
            )
    return rows


def _images_of(side: int) -> int:
    return max(20, TABLE_BYTES // (4 * 3 * (side + 1) ** 2))


def measure_memory(dataset: ImageDataset, lanes: list[int]) -> Rows | str:
    """Measure what lanes add to the process when the data set is there already."""
    if resident_bytes() is None:
        return "not measured: this system has no /proc/self/statm"
    run_lanes(dataset, 1)  # makes the summed-area table, loads the compiled functions
    rows = []
    for n in lanes:
        before = resident_bytes()
        env = run_lanes(dataset, n)
        rows.append({"lanes": n, "growth_bytes": resident_bytes() - before})
        env.close()
    return rows


def run_lanes(dataset: ImageDataset, lanes: int) -> GlimpseVecEnv:
    """Make lanes and step them through two episodes."""
    env = make_batched(OURS, dataset, lanes)
    endless(env.step, action_batches(lanes))(16)
    return env


def as_factor(number: float) -> str:
    """Return a ratio with about three digits."""
    digits = next((d for d, limit in ((3, 0.1), (2, 10), (1, 100)) if number < limit), 0)
    return f"{number:,.{digits}f} x"


def print_memory(dataset: ImageDataset, rows: Rows | str) -> None:
    height, width, channels = dataset.image_shape
    megabytes = dataset.train.images.nbytes / 1e6
    summed = len(dataset.train) * (height + 1) * (width + 1) * channels * 4 / 1e6
    print("\n1. Memory that lanes add; shared by all of them: ", end="")
    print(f"train images {megabytes:.0f} MB, summed-area table {summed:.0f} MB")
    if isinstance(rows, str):
        print(rows)
        return
    lines = [[f"{row['lanes']}", f"{row['growth_bytes'] / 1e6:.2f}"] for row in rows]
    print(table(["lanes", "MB"], lines))


def print_lanes(rows: Rows) -> None:
    print("\n2. Lanes: steps per second, resets, infos and terminal observations included;")
    print("   every episode goes on until its budget ends it, after 8 steps")
    lines = [
        [
            f"{row['lanes']:>5}  {row['name']}",
            f"{row['steps_per_second']:,.0f}",
            as_factor(row["slower_than_ours"]),
            as_factor(row["slower_than_gather"]),
        ]
        for row in rows
    ]
    header = ["lanes  environment", "steps/s", f"{OURS} is faster", "time of the gather"]
    print(table(header, lines))
    print(f"AsyncVectorEnv: one process a lane, so only up to {MOST_PROCESSES} lanes; forked, so")
    print("that they share the data set. SyncVectorEnv and AsyncVectorEnv copy observations.")
    print("DummyVecEnv, SyncVectorEnv and AsyncVectorEnv hold GlimpseEnv without any wrapper.")


def print_peer(rows: Rows | str) -> None:
    print("\n3. ap_gym's CIFAR-10 task on the same images")
    if isinstance(rows, str):
        print(rows)
        return
    lines = [
        [
            f"{row['lanes']:>5}  {row['name']}",
            f"{row['steps_per_second']:,.0f}",
            as_factor(row["slower_than_ours"]),
        ]
        for row in rows
    ]
    print(table(["lanes  environment", "steps/s", f"{OURS} is faster"], lines))
    print("ap_gym: glimpses of 8 x 8 pixels as float32, no zoom, step limit 8; its vectorised")
    print("environment on batches from memory; its next-step resets count as steps.")


def print_sides(rows: Rows) -> None:
    print("\n4. Image sides: time of a step, resets apart")
    lines = [
        [
            f"{row['lanes']:>5}  {row['side']:>5}",
            f"{row['images']:,}",
            f"{row['step_microseconds']:.1f}",
            as_factor(row["slower_than_first"]),
        ]
        for row in rows
    ]
    print(table(["lanes   side", "images", "microseconds", "time of the first side"], lines))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seconds", type=float, default=1.0, help="time of one measurement (default 1)")
    add("--lanes", type=int, nargs="+", default=[1, 16, 64, 256, 1024])
    add("--sides", type=int, nargs="+", default=[32, 128, 512, 1024])
    add("--json", type=Path, metavar="FILE", help="write the numbers there")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()};")
    print(f"medians of {REPEATS} interleaved repeats, {options.seconds:g} s a measurement")

    dataset = random_dataset(N_IMAGES, SIDE)
    results: dict[str, Rows | str] = {}
    results["memory"] = measure_memory(dataset, sorted({1, max(options.lanes)}))
    print_memory(dataset, results["memory"])
    results["lanes"] = [
        row for lanes in options.lanes for row in measure_lanes(dataset, lanes, options.seconds)
    ]
    print_lanes(results["lanes"])
    results["ap_gym"] = measure_peers(dataset, options.seconds)
    print_peer(results["ap_gym"])
    del dataset
    results["sides"] = measure_sides(options.sides, options.seconds)
    print_sides(results["sides"])
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
