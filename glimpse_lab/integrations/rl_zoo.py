"""RL Baselines3 Zoo with the environments, policies and recipes of this project.

  ENV=GlimpseDigits-MultiCat-v0
  python -m glimpse_lab.integrations.rl_zoo train --algo ppo --env $ENV -conf hyperparams/ppo.yml
  python -m glimpse_lab.integrations.rl_zoo enjoy --algo ppo --env $ENV -f logs -n 200
  python -m glimpse_lab.integrations.rl_zoo record_video --algo ppo --env $ENV -f logs -n 60

All other arguments are those of rl_zoo3's modules of the same names, to which this hands over.
"""

from __future__ import annotations

import importlib
import runpy
import sys

COMMANDS = ("train", "enjoy", "record_video")


def main(argv: list[str] | None = None) -> None:
    """Run a command of rl_zoo3, changed as :mod:`glimpse_lab.integrations.rl_zoo_manager` says.

    :param argv: command and arguments; None for those of the process
    :raises SystemExit: for an unknown command, or without rl_zoo3
    """
    command, *arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if command in ("-h", "--help"):
        print(__doc__.strip())
        return
    if command not in COMMANDS:
        sys.exit(f"error: got {command!r}; wanted {', '.join(COMMANDS)}")
    try:
        importlib.import_module("glimpse_lab.integrations.rl_zoo_manager").install()
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in ("rl_zoo3", "huggingface_sb3", "optuna"):
            raise
        sys.exit(f'error: {error.name} is not installed; pip install -e ".[zoo]"')
    if command == "enjoy" and "--no-render" not in arguments:
        arguments.append("--no-render")  # there is no window; record_video makes films
    sys.argv = [f"rl_zoo3.{command}", *arguments]
    try:
        runpy.run_module(f"rl_zoo3.{command}", run_name="__main__", alter_sys=True)
    except ModuleNotFoundError as error:
        if error.name != "requests":  # rl_zoo3.enjoy imports it and does not ask for it
            raise
        sys.exit('error: requests is not installed; pip install -e ".[zoo]"')
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
