"""What the scripts do, from Python: train, resume, load and evaluate a run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from glimpse_lab.commands import command
from glimpse_lab.config import resolve_config
from glimpse_lab.console import forgiving_console
from glimpse_lab.evaluation.exact import evaluate_run
from glimpse_lab.evaluation.gaze_watch import GazeWatch
from glimpse_lab.evaluation.result import Evaluation
from glimpse_lab.integrations.weights_and_biases import Tracker, load_wandb
from glimpse_lab.inverse import evaluation as inverse
from glimpse_lab.inverse import report as inverse_files
from glimpse_lab.inverse.result import InverseEvaluation
from glimpse_lab.inverse.summary import summary as inverse_summary
from glimpse_lab.kinds import GLIMPSE, INVERSE
from glimpse_lab.overrides import lengths
from glimpse_lab.recipes import trust
from glimpse_lab.report.run_files import summary, write_film, write_report
from glimpse_lab.runs import Agent, Run, RunError, new_name, run_folder
from glimpse_lab.training import TrainingStoppedError, learn, make, restore, stopping
from glimpse_lab.write_failures import write_failure
from policies.ranges import checks_arguments


@forgiving_console()
@checks_arguments
def train(
    env_id: str | None = None,
    *,
    dataset: str | None = None,
    classifier: str = "recipe",
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
    total_timesteps: float | None = None,
    n_envs: int | None = None,
    recipe: str | Path | None = None,
    runs: str | Path = "runs",
    name: str | None = None,
    video: bool = True,
    device: str = "cpu",
    wandb: str | None = None,
    packages: Sequence[str] = (),
) -> Run:
    """Train an agent, evaluate it on the test images, and keep all of it in a run directory.

    Does what ``train.py`` does, with the number of threads that PyTorch has (the script sets one,
    which is the fastest on networks so small: ``torch.set_num_threads(1)``). Example::

        run = glimpse_lab.train(
            "GlimpseDigits-MultiCat-v0", overrides={"env_kwargs.budget": 4}, total_timesteps=50_000
        )
        model, env = glimpse_lab.load(run)

    :param env_id: a registered environment; None for the handwritten digits, or for what
        fits pictures of your own
    :param dataset: a name, such as "mnist" or "folder:PATH"; None for the environment's own
    :param classifier: what watches the glimpses: "recipe" (the recipe's own), "cotrained",
        "frozen", "none", or a file such as the ``model.zip`` of another run
    :param seed: of everything
    :param overrides: hyperparameters of the recipe by dotted keys
    :param total_timesteps: of all lanes together; None for the recipe's
    :param n_envs: lanes stepped together; None for the recipe's
    :param recipe: a file of recipes, named after the algorithm; None for those of this package
    :param runs: folder of all runs
    :param name: of the run directory, below ``runs`` and the id; None for seed<SEED>-<K>
    :param video: film eight test images at the end
    :param device: that PyTorch knows
    :param wandb: project of Weights & Biases to log to, too
    :param packages: of your own, whose parts, policies or callbacks are named
    :return: the finished run
    :raises ValueError: for what does not fit or is not known (nothing is written then), a run
        directory that exists already, or a training that diverges
    :raises TrainingStoppedError: after Ctrl-C, when everything is saved
    """
    trust(packages)
    if wandb:
        load_wandb()  # that it is missing is said before the training, not after it
    config = resolve_config(
        env_id,
        None if recipe is None else Path(recipe),
        seed=seed,
        dataset=dataset,
        classifier=classifier,
        overrides={**(overrides or {}), **lengths(total_timesteps, n_envs)},
        packages=packages,
    )
    runs = Path(runs)
    name = name or new_name(runs / config.env_id, seed)
    run = Run(run_folder(runs, config.env_id, name), config)
    model, callbacks = make(run, device)
    run.create()  # only now, when all settings have proved to fit
    print(f"run directory: {run.path}")
    with run.locked(), stopping(run, _go_on(run)):
        _finish(run, model, callbacks, video=video, wandb=wandb)
    return run


@forgiving_console()
@checks_arguments
def resume(
    run: Run | str | Path,
    *,
    dataset: str | None = None,
    total_timesteps: float | None = None,
    video: bool = True,
    device: str = "cpu",
    wandb: str | None = None,
    packages: Sequence[str] = (),
) -> Run:
    """Go on with a training from its last checkpoint, and evaluate it at the end.

    Does what ``train.py --resume`` does, with the settings that the run was started with.

    :param run: made by :func:`train`, or its directory
    :param dataset: where its data are now, such as "folder:PATH"; None for where they were
    :param total_timesteps: to train for in all; None to leave it as it was
    :param video: film eight test images at the end
    :param device: that PyTorch knows
    :param wandb: project of Weights & Biases to log to, too
    :param packages: of your own, that the run was trained with
    :return: the finished run
    :raises ValueError: for a run that is broken, of an older version, or trained by another process
    :raises TrainingStoppedError: after Ctrl-C, when everything is saved
    """
    run = _opened(run, packages, dataset)
    print(f"run directory: {run.path}")
    # before anything but config.yml is read or changed
    with run.locked(), stopping(run, _go_on(run)):
        run.remove_leftovers()
        if total_timesteps is not None:
            run = run.extended(total_timesteps)
        model, callbacks = make(run, device)
        restore(run, model, callbacks)
        if total_timesteps is not None:
            print(f"now to {run.config.n_timesteps:,} timesteps in all")
        if total_timesteps is not None or dataset is not None:
            run.write_config()  # for the next time
        _finish(run, model, callbacks, video=video, wandb=wandb)
    return run


@checks_arguments
def load(
    run: Run | str | Path,
    split: str = "test",
    *,
    dataset: str | None = None,
    device: str = "cpu",
    packages: Sequence[str] = (),
) -> Agent:
    """Return the trained model of a run and an environment that it acts in.

    Reads tensors and numbers only: no code can hide in a run. Example::

        model, env = glimpse_lab.load("runs/GlimpseDigits-MultiCat-v0/seed0-1")
        observation, state, start = env.reset(), None, np.ones(env.num_envs, bool)
        action, state = model.predict(observation, state, start, deterministic=True)
        observation, reward, done, info = env.step(action)

    :param run: a run, or its directory
    :param split: whose images the environment shows: "train", "validation" or "test"
    :param dataset: where its data are now, such as "folder:PATH"; None for where they were
    :param device: that PyTorch knows
    :param packages: of your own, that the run was trained with
    :return: ``model`` and ``env``
    :raises ValueError: for a run that is broken, of an older version, or never saved
    """
    return _opened(run, packages, dataset).load(split, device)


@checks_arguments
def evaluate(
    run: Run | str | Path,
    split: str = "test",
    *,
    budget: int | None = None,
    dataset: str | None = None,
    device: str = "cpu",
    packages: Sequence[str] = (),
) -> Evaluation | InverseEvaluation:
    """Show every image of a split once to the agent of a run, with deterministic actions.

    Does what ``eval.py --quick --json`` does; nothing is written. Example::

        glimpse_lab.evaluate(run, "validation").accuracy

    :param run: a run, or its directory
    :param split: "train", "validation" or "test"
    :param budget: the most glimpses; None for as many as in training
    :param dataset: where its data are now, such as "folder:PATH"; None for where they were
    :param device: that PyTorch knows
    :param packages: of your own, that the run was trained with
    :return: accuracy with its interval, glimpses, samples and coverage, beside random gaze; of
        inverse action modelling how well types and parameters were told
    :raises ValueError: for a run that is broken, of an older version, or never saved
    """
    run = _opened(run, packages, dataset)
    if run.config.kind is INVERSE:
        if budget is not None:
            raise RunError(
                f"got budget={budget}, and {run.config.env_id} takes no glimpses; leave it out"
            )
        model, _ = run.load(split, device)
        return inverse.evaluate_run(run, model, run.evaluation_config(split)).result
    config = run.evaluation_config(split, budget)
    return evaluate_run(run, run.load(split, device).model, config).result


def _opened(run: Run | str | Path, packages: Sequence[str], dataset: str | None) -> Run:
    if isinstance(run, Run):
        return run if dataset is None else run.moved(dataset)
    trust(packages)
    return Run.open(run, packages, dataset=dataset)


def _go_on(run: Run) -> str:
    """Return the command that resumes a run."""
    return command("train.py", "--resume", run.path, packages=run.config.packages)


def _finish(
    run: Run,
    model: BaseAlgorithm,
    callbacks: Sequence[BaseCallback],
    *,
    video: bool,
    wandb: str | None,
) -> None:
    """Train to the end, evaluate on the test split and write the files of the run."""
    begin = time.perf_counter()
    tracker = Tracker(run, wandb) if wandb else None
    watches = [GazeWatch()] if run.config.kind is GLIMPSE else []
    outputs = [tracker] if tracker else []
    learn(run, model, [*callbacks, *watches], go_on=_go_on(run), outputs=outputs)
    minutes = (time.perf_counter() - begin) / 60
    try:
        report = _report_inverse if run.config.kind is INVERSE else _report
        report(run, model, tracker, video, minutes)
    except KeyboardInterrupt:
        raise TrainingStoppedError(
            "stopped; the training is saved. Go on with:  "
            + command("eval.py", run.path, packages=run.config.packages)
        ) from None
    except OSError as error:
        raise RunError(
            f"writing to {run.path} failed ({write_failure(error)}); the training is saved. Make "
            f"room, then {command('eval.py', run.path, packages=run.config.packages)}"
        ) from error


def _report(
    run: Run, model: BaseAlgorithm, tracker: Tracker | None, video: bool, minutes: float
) -> None:
    config = run.evaluation_config("test")
    result, paths = evaluate_run(run, model, config)
    result = replace(result, minutes_of_last_training=round(minutes, 2))
    files = write_report(run, config, paths, result)
    _tell(summary(result), model, minutes)
    if video:
        files += write_film(run, model, config, n_images=8)
    _close(run, tracker, result, files)


def _report_inverse(
    run: Run, model: BaseAlgorithm, tracker: Tracker | None, video: bool, minutes: float
) -> None:
    config = run.evaluation_config("test")
    result, _ = inverse.evaluate_run(run, model, config)
    result = replace(result, minutes_of_last_training=round(minutes, 2))
    files = inverse_files.write_report(run, model, config, result)
    _tell(inverse_summary(result), model, minutes)
    if video and config.max_steps > 1:  # else the examples show as much
        files += inverse_files.write_film(run, model, config, n_images=8)
    _close(run, tracker, result, files)


def _tell(told: str, model: BaseAlgorithm, minutes: float) -> None:
    print(f"\n{told}\n")
    print(f"trained to {model.num_timesteps:,} timesteps, {minutes:.1f} min of it in this call")


def _close(
    run: Run,
    tracker: Tracker | None,
    result: Evaluation | InverseEvaluation,
    files: Sequence[str],
) -> None:
    if tracker is not None:
        tracker.finish(result, [run.path / name for name in files if name.endswith(".png")])
    print(f"in {run.path}: {', '.join([*files, 'progress.csv', 'model.zip'])}")
