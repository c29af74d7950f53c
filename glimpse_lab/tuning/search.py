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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from filelock import FileLock, Timeout

from glimpse_envs.files import replacing
from glimpse_lab.config import RunConfig, plain
from glimpse_lab.csv_files import write_rows
from glimpse_lab.plots.search import plot_history
from glimpse_lab.runs import RunError
from glimpse_lab.sweeps.groups import settings
from glimpse_lab.tuning.space import Choice, Space, apply, check_batches, start_of, suggest
from glimpse_lab.tuning.trials import Outcome, ThisProcess, Workers, make_trial
from glimpse_lab.yaml_files import read_yaml

try:
    import optuna
except ImportError:  # an extra; ``check_optuna`` says so
    optuna = None


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

    def run(self, n_trials: int, workers: Workers | None = None) -> dict[str, Any] | None:
        """Go on until so many trials are finished, those of earlier calls included.

        :param workers: that train the trials; None for this process, one after the other
        :return: the best trial: ``number``, ``score``, ``choice``; None if all diverged or were
            stopped
        :raises RunError: if the folder holds another search, or another process works on it
        :raises KeyboardInterrupt: after the trials that were running are noted to be run again
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
            return self._run(n_trials, workers or ThisProcess(self.device))
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
        make_trial(apply(suggest(probe, self.space), self.config), self.device)
        for name in reversed(now):
            with replacing(files[name]) as temporary:
                temporary.write_text(yaml.safe_dump(now[name], sort_keys=False))

    def _run(self, n_trials: int, workers: Workers) -> dict[str, Any] | None:
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
        running: dict[int, Any] = {}
        try:
            while (done := len(_finished(study))) < n_trials:
                while len(running) < workers.jobs and done + len(running) < n_trials:
                    place = done + len(running)
                    # of its own for each trial: the draws do not depend on interruptions
                    seed = np.random.SeedSequence([self.config.seed, place]).generate_state(1)[0]
                    study.sampler = optuna.samplers.TPESampler(
                        seed=int(seed), constant_liar=workers.jobs > 1
                    )
                    trial = study.ask()
                    running[trial.number] = trial
                    choice = suggest(trial, self.space)
                    trial.set_user_attr("choice", choice)
                    told = f"trial {trial.number} ({place + 1} of {n_trials}): {_text(choice)}"
                    self.say(told)
                    config = apply(choice, self.config)
                    workers.begin(trial.number, config, partial(_report, trial))
                number, outcome = workers.ended()
                trial = running.pop(number)
                self._tell(study, trial, outcome, several=workers.jobs > 1)
                self._write(study)
        except BaseException:
            workers.stop()
            for trial in running.values():
                _again(study, trial.number, trial.params)
            raise
        return self._best(study)

    def _tell(self, study: Any, trial: Any, outcome: Outcome, *, several: bool) -> None:
        """Tell the study what came of a trial."""
        lead = f"  trial {trial.number}: " if several else "  "
        pruned = optuna.trial.TrialState.PRUNED
        if outcome.metrics is None:
            if outcome.diverged:
                trial.set_user_attr("diverged", outcome.why)
            study.tell(trial, state=pruned)  # the sampler takes it for the worst
            self.say(f"{lead}{'' if outcome.diverged else 'stopped early: '}{outcome.why}")
            return
        result = outcome.metrics
        for key in ("mean_glimpses", "mean_samples"):
            trial.set_user_attr(key, getattr(result, key))
        study.tell(trial, result.accuracy)
        self.say(
            f"{lead}validation accuracy {100 * result.accuracy:.2f} %, glimpses "
            f"{result.mean_glimpses:.2f}; best so far {100 * study.best_value:.2f} % "
            f"(trial {study.best_trial.number})"
        )

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


def _report(trial: Any, score: float, step: int) -> bool:
    """Note how good a trial is at a step; tell whether it shall end."""
    trial.report(score, step)
    return trial.should_prune()


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
