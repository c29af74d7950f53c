"""PPO of RLlib with one branched network, on this machine or on the machines of a cluster.

pip install -e ".[ray]"
python examples/rllib_ppo.py --total-timesteps 500000
python examples/rllib_ppo.py --runners 8 --cluster auto
python examples/rllib_ppo.py --checkpoint FOLDER        # the same again goes on from there
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch as th

try:
    import ray

    from glimpse_lab.rllib.agent import evaluate_algorithm
    from glimpse_lab.rllib.config import ppo
except ImportError as error:
    sys.exit(f'error: {error}; pip install -e ".[ray]"')


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", default="GlimpseMNIST-Saccade-v0")
    parser.add_argument("--dataset", help="default: the environment's own")
    parser.add_argument("--total-timesteps", type=float, default=1e6)
    parser.add_argument("--runners", type=int, default=0, help="0: this process steps the lanes")
    parser.add_argument("--lanes", type=int, default=256, help="of each runner")
    parser.add_argument("--steps", type=int, default=6400, help="of an update")
    parser.add_argument("--trunk", default="gru", help="feedforward, gru or lstm")
    parser.add_argument("--cut-trunk", action="store_true", help="PPO does not change the trunk")
    parser.add_argument("--cluster", default="local", help="local, auto or HOST:PORT")
    parser.add_argument("--checkpoint", type=Path, help="folder to go on from, and to save to")
    args = parser.parse_args()
    th.set_num_threads(1)

    parts = {"reward": "UncertaintyReduction"}
    if args.dataset:
        parts["dataset"] = args.dataset
    config = ppo(
        args.env,
        env_kwargs=parts,
        trunk={"type": args.trunk, "encoder": "mlp", "hidden_size": 128},
        cut_trunk=args.cut_trunk,
        n_runners=args.runners,
        n_lanes=args.lanes,
        steps=args.steps,
        epochs=2,
    )
    ray.init(args.cluster, log_to_driver=False, logging_level="ERROR")
    algorithm = config.build_algo()
    folder = args.checkpoint.resolve() if args.checkpoint else None
    if folder and folder.exists():
        algorithm.restore_from_path(folder)
        print(f"going on from update {algorithm.training_iteration}")
    done = 0
    while done < args.total_timesteps:
        result = algorithm.train()
        told = result["env_runners"]
        done = int(told["num_env_steps_sampled_lifetime"])
        print(
            f"{done:,} steps  accuracy {told['accuracy']:.3f}  glimpses {told['n_glimpses']:.2f}",
            flush=True,
        )
        if folder and algorithm.training_iteration % 10 == 0:
            algorithm.save_to_path(folder)
    if folder:
        algorithm.save_to_path(folder)
    found = evaluate_algorithm(algorithm)
    print(f"test images: accuracy {100 * found.accuracy:.2f} %, glimpses {found.mean_glimpses:.2f}")
    algorithm.stop()
    ray.shutdown()


if __name__ == "__main__":
    main()
