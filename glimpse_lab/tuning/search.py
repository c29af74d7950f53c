"""A search for hyperparameters with Optuna, scored on the validation split.

A study is a folder: ``study.db`` (of Optuna), ``study.yml`` (the settings that all trials share),
``space.yml`` (what is drawn), ``trials.csv``, ``history.png``, and ``best/<algorithm>.yml``, a
recipe of the best trial. The first trial is the recipe itself, as far as the space holds it.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from filelock import FileLock, Timeout
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.files import replacing
from glimpse_envs.metrics.episodes import Metrics, metrics
from glimpse_lab.config import RunConfig, plain
from glimpse_lab.csv_files import write_rows
from glimpse_lab.evaluation.rollout import evaluate
from glimpse_lab.plots.search import plot_history
from glimpse_lab.runs import Run, RunError
from glimpse_lab.sweeps.groups import settings
from glimpse_lab.training import make
from glimpse_lab.tuning.space import Choice, Space, apply, check_batches, start_of, suggest
from glimpse_lab.yaml_files import read_yaml
from policies.callbacks import Diverged, EpisodeStatistics, Progress, check_weights

try:
    import optuna
except ImportError:  # an extra; ``check_optuna`` says so
    optuna = None

#: of a trial, before its end, at equal distances
_REPORTS = 5
#: images of the validation split that a report before the end is made on
_REPORT_IMAGES = 1000


def check_optuna() -> None:
    """Check that Optuna is there.

    :raises ValueError: if not
    """
    if optuna is None:
        raise ValueError('--tune needs Optuna: pip install -e ".[tune]" (or pip install optuna)')


@dataclass(frozen=True)
class Study:
    """A search over hyperparameters, resumed by making it again.

    :param path: of its folder
    :param config: of a run from which the search begins, whose timesteps are those of a trial
    :param space: what is drawn; see ``glimpse_lab.tuning.space``
    :param timesteps: that the recipe of the best trial is written with
    :param device: that trials train on
    :param say: called with a line about each trial
    """

    path: Path
    config: RunConfig
    space: Space
    timesteps: float
    device: str = "cpu"
    say: Callable[[str], Any] = print

    @property
    def best_file(self) -> Path:
        """The recipe of the best trial, named after its algorithm."""
        return self.path / "best" / f"{self.config.algorithm}.yml"

    def run(self, n_trials: int) -> dict[str, Any] | None:
        """Go on until so many trials are finished, those of earlier calls included.

        :return: the best trial: ``number``, ``score``, ``choice``; None if all diverged or were
            stopped
        :raises RunError: if the folder holds another search, or another process works on it
        :raises KeyboardInterrupt: after the trial that was running is noted to be run again
        """
        check_optuna()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # ``say`` says more
        self._check()
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / "study.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(f"{self.path} is being searched by another process") from None
        try:
            return self._run(n_trials)
        finally:
            lock.release()

    def summary(self, best: dict[str, Any] | None) -> str:
        """Return the result in a few lines.

        :param best: what ``run`` gave
        """
        files = f"in {self.path}: trials.csv, history.png, space.yml (what was drawn from)"
        if best is None:
            return f"no trial came to its end: all diverged or were stopped early\n{files}"
        return (
            f"\nbest: trial {best['number']}, {100 * best['score']:.2f} % of the validation split "
            f"right after {self.config.n_timesteps:,} timesteps (the best of many on the same "
            "images: optimistic)\n"
            + "".join(f"  {key} = {value}\n" for key, value in best["choice"].items())
            + f"{files}\nits recipe: {self.best_file} ({int(self.timesteps):,} timesteps)"
        )

    def _check(self) -> None:
        """Try the settings before anything is written, and compare them with those of before."""
        check_batches(self.space, self.config.recipe)
        now = {"study.yml": settings(self.config), "space.yml": plain(self.space)}
        files = {name: self.path / name for name in now}
        if files["study.yml"].exists():
            for name, content in now.items():
                if read_yaml(files[name]) != content:
                    raise RunError(
                        f"{self.path} holds a search with another {name}; choose another --name, "
                        "or give the settings of then"
                    )
            return
        if self.path.is_dir() and any(self.path.iterdir()):
            raise RunError(f"{self.path} exists already and is no study; choose another --name")
        probe = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
        self._make(suggest(probe, self.space), 0)
        for name in reversed(now):
            with replacing(files[name]) as temporary:
                temporary.write_text(yaml.safe_dump(now[name], sort_keys=False))

    def _run(self, n_trials: int) -> dict[str, Any] | None:
        study = optuna.create_study(
            storage=f"sqlite:///{self.path.resolve() / 'study.db'}",
            study_name="study",
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
            load_if_exists=True,
        )
        states = optuna.trial.TrialState
        for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            _again(study, trial.number, trial.params)  # its process was killed
        if not study.trials:
            study.enqueue_trial(start_of(self.space, self.config))
        while (done := len(_finished(study))) < n_trials:
            # of its own for each trial: the draws do not depend on interruptions
            seed = np.random.SeedSequence([self.config.seed, done]).generate_state(1)[0]
            study.sampler = optuna.samplers.TPESampler(seed=int(seed))
            self._try(study, done + 1, n_trials)
            self._write(study)
        return self._best(study)

    def _try(self, study: Any, place: int, n_trials: int) -> None:
        """Run a trial and tell the study what came of it."""
        trial = study.ask()
        pruned = optuna.trial.TrialState.PRUNED
        try:
            choice = suggest(trial, self.space)
            trial.set_user_attr("choice", choice)
            self.say(f"trial {trial.number} ({place} of {n_trials}): {_text(choice)}")
            result = self._train(trial, choice)
        except optuna.TrialPruned as stopped:
            study.tell(trial, state=pruned)
            self.say(f"  stopped early: {stopped}")
        except _DivergedError as error:
            trial.set_user_attr("diverged", str(error))
            study.tell(trial, state=pruned)  # the sampler takes it for the worst
            self.say(f"  {error}")
        except BaseException:
            _again(study, trial.number, trial.params)
            raise
        else:
            for key in ("mean_glimpses", "mean_samples"):
                trial.set_user_attr(key, getattr(result, key))
            study.tell(trial, result.accuracy)
            self.say(
                f"  validation accuracy {100 * result.accuracy:.2f} %, glimpses "
                f"{result.mean_glimpses:.2f}; best so far {100 * study.best_value:.2f} % "
                f"(trial {study.best_trial.number})"
            )

    def _make(self, choice: Choice, number: int) -> _Made:
        """Return a run that is nowhere written, with its model and callbacks."""
        run = Run(self.path / f"trial{number}", apply(choice, self.config))
        return _Made(run, *make(run, self.device))

    def _train(self, trial: Any, choice: Choice) -> Metrics:
        """Train and return the metrics on the whole validation split.

        :raises optuna.TrialPruned: if it is worse than the median of the others at the same time
        :raises _DivergedError: if a weight is not finite any more
        """
        run, model, callbacks = self._make(choice, trial.number)
        statistics = EpisodeStatistics()
        config = run.evaluation_config("validation")
        reports = _Reports(trial, config, run.config.n_timesteps)
        progress = Progress(statistics)
        model.set_logger(Logger(None, []))
        try:
            model.learn(
                run.config.n_timesteps,
                callback=[Diverged(), *callbacks, statistics, progress, reports],
            )
        except ValueError as error:
            if (message := _divergence(error, model)) is not None:
                raise _DivergedError(message) from error
            raise
        finally:
            progress.close()
        if reports.stopped:
            raise optuna.TrialPruned(reports.stopped)
        return metrics(evaluate(model, config))

    def _write(self, study: Any) -> None:
        """Write table and plot of all trials, and the recipe of the best."""
        trials = _table(study)
        columns = list(trials[0])
        rows = [[trial.get(column) for column in columns] for trial in trials]
        table = self.path / "trials.csv"
        with replacing(table) as temporary, temporary.open("w", newline="") as file:
            write_rows(file, [columns, *rows])
        title = f"{self.config.env_id}, {self.config.n_timesteps:,} timesteps each"
        plot_history(trials, self.path / "history.png", title=title)
        if (best := self._best(study)) is not None:
            self._write_recipe(best)

    def _best(self, study: Any) -> dict[str, Any] | None:
        complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
        if not complete:
            return None
        best = max(complete, key=lambda trial: (trial.value, -trial.number))
        return {"number": best.number, "score": best.value, "choice": best.user_attrs["choice"]}

    def _write_recipe(self, best: dict[str, Any]) -> None:
        config = apply(best["choice"], self.config)
        env_kwargs = config.changed_kwargs()
        classifier = env_kwargs.get("classifier")
        if isinstance(classifier, dict) and classifier.get("seed") == config.seed:
            unseeded = {key: value for key, value in classifier.items() if key != "seed"}
            env_kwargs = {**env_kwargs, "classifier": unseeded}
        head = (
            f"# Trial {best['number']} of a search: accuracy {best['score']:.4f} on the validation "
            f"split\n# after {config.n_timesteps} timesteps with seed {config.seed}.\n\n"
        )
        recipe = {"env_kwargs": env_kwargs, **config.recipe, "n_timesteps": self.timesteps}
        content = copy.deepcopy({config.env_id: recipe})  # so that YAML writes no anchors
        with replacing(self.best_file) as temporary:
            temporary.write_text(head + yaml.safe_dump(content, sort_keys=False))


class _Made(NamedTuple):
    run: Run
    model: BaseAlgorithm
    callbacks: list[BaseCallback]


class _DivergedError(Exception):
    """A weight of the policy is not finite."""


class _Reports(BaseCallback):
    """Tell a trial how good the agent is at times, and stop it where the pruner says so.

    :param trial: of Optuna
    :param config: the environment to evaluate on
    :param total: timesteps of the training
    """

    def __init__(self, trial: Any, config: GlimpseConfig, total: int) -> None:
        super().__init__()
        self.trial, self.config, self.total = trial, config, total
        self.stopped = ""  # why
        # the same images for all trials, drawn, since image folders come sorted by class
        order = np.random.default_rng(0).permutation(len(config.shown_split))
        self.index = np.sort(order[:_REPORT_IMAGES])
        self.made = 0

    def _on_rollout_start(self) -> None:
        due = self.model.num_timesteps * _REPORTS // self.total
        if due <= self.made:
            return
        self.made = due
        score = metrics(evaluate(self.model, self.config, index=self.index)).accuracy
        self.trial.report(score, due)
        if self.trial.should_prune():
            self.stopped = (
                f"accuracy {100 * score:.2f} % after {100 * due / _REPORTS:.0f} % of the training "
                "is below the median of the trials before"
            )

    def _on_step(self) -> bool:
        return not self.stopped


def _divergence(error: ValueError, model: BaseAlgorithm) -> str | None:
    """Return what diverged; None if the error is another one."""
    try:
        check_weights(model)
    except ValueError as diverged:
        return str(diverged).partition(". ")[0]
    if "satisfy the constraint" in str(error):  # PyTorch's words for parameters of a distribution
        when = f"{model.num_timesteps:,} timesteps"
        return f"training diverged: the policy's output was not finite at {when}"
    return None


def _again(study: Any, number: int, drawn: Choice) -> None:
    """Note that an unfinished trial has failed, and that one like it comes next."""
    study.tell(number, state=optuna.trial.TrialState.FAIL)
    with warnings.catch_warnings():  # of values that an older version had drawn otherwise
        warnings.simplefilter("ignore")
        study.enqueue_trial(drawn)


def _finished(study: Any) -> list[Any]:
    states = optuna.trial.TrialState
    return study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED))


def _table(study: Any) -> list[dict[str, Any]]:
    """Return a row for each finished trial."""
    rows = []
    for trial in _finished(study):
        attributes = dict(trial.user_attrs)
        choice = attributes.pop("choice", trial.params)
        state = "diverged" if "diverged" in attributes else trial.state.name.lower()
        extras = {key: attributes.get(key) for key in ("mean_glimpses", "mean_samples")}
        score = None if state == "diverged" else trial.value
        rows.append({"number": trial.number, "state": state, "score": score, **extras, **choice})
    return rows


def _text(choice: Choice) -> str:
    return ", ".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in choice.items()
    )
