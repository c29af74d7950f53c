"""The tables of results: that they hold together, and that pages and plots are made of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from made_results import METRICS, made_baseline, made_evaluation, made_trained
from made_runs import small_config
from scripts import ROOT

from benchmarks.results import markdown, pages, plots
from benchmarks.results.__main__ import main
from benchmarks.results.adding import add, command_of
from benchmarks.results.columns import GAZES
from benchmarks.results.reading import (
    Cells,
    Results,
    ResultsError,
    checked,
    read,
    read_cells,
    write_cells,
)
from benchmarks.results.rows import TABLES
from benchmarks.results.summaries import over_seeds
from glimpse_envs.metrics.episodes import wilson_interval
from glimpse_lab.config import resolve_config
from glimpse_lab.core_seconds import CoreSeconds
from glimpse_lab.evaluation.baselines import baseline_strategies
from glimpse_lab.evaluation.result import BaselineKind, MatchedBudget
from glimpse_lab.evaluation.storage import write_result
from glimpse_lab.inverse.result import (
    ErrorSummary,
    InverseEvaluation,
    Predictor,
    Told,
    ToldOfType,
)
from glimpse_lab.runs import Run

ENV_ID = "GlimpseDigits-GreedyMap-v0"
Tables = dict[str, list[Cells]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of what belongs to the results."""
    for folder in ("results", "docs/images"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in pages.PAGES:
        shutil.copyfile(ROOT / file, tmp_path / file)
    return tmp_path


@pytest.fixture
def cells() -> Tables:
    return read_cells(ROOT / "results")


@pytest.fixture
def grouped() -> Tables:
    """The tables, with a group of three seeds and their mean as the first agents.

    Newer runs may have taken their place.
    """
    tables = read_cells(ROOT / "results")
    group = [row for row in tables["history"] if row["group"] == "digits-multicat"]
    tables["history"] = [row for row in tables["history"] if row not in group]
    tables["agents"] = group + tables["agents"]
    return tables


@pytest.fixture(scope="module")
def results() -> Results:
    return read(ROOT / "results")


def failing(root: Path, *arguments: object) -> str:
    """The message of a command that must fail."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments], root)
    assert str(end.value.code).startswith("error: ")
    return end.value.code


# ---- pages and plots


def test_pages_and_plots_are_what_the_tables_say() -> None:
    main(["--check"])


def test_the_page_shows_every_table(results: Results) -> None:
    shown = re.findall(
        r"^<!-- results:([a-z-]+) -->$", (ROOT / "docs/results.md").read_text(), re.M
    )
    assert sorted(shown) == sorted([*markdown.BLOCKS, "plots"])


def test_what_is_out_of_date_is_named_and_written_anew(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, needless = root / "docs/results.md", root / "docs/images/results_other.svg"
    good = page.read_text()
    page.write_text(good.replace("99.32 %", "99.92 %"))
    (root / "docs/images/results_mnist.svg").unlink()
    needless.write_text("<svg/>")
    message = failing(root, "--check")
    assert (
        "docs/results.md, docs/images/results_mnist.svg, docs/images/results_other.svg" in message
    )
    main([], root)
    assert page.read_text() == good and not needless.exists()
    main(["--check"], root)


def test_a_changed_number_makes_page_and_plot_stale(root: Path, cells: Tables) -> None:
    (row,) = (row for row in cells["agents"] if row["run"] == "mnist-ram")
    row.update(accuracy="0.9882", ci_low="0.9859", ci_high="0.9901", note="")
    write_cells(root / "results", "agents", cells["agents"])
    message = failing(root, "--check")
    assert "docs/results.md" in message and "results_mnist.svg" in message
    assert "results_cifar.svg" not in message


def test_a_page_with_markers_gets_its_table(root: Path, results: Results) -> None:
    readme = root / "README.md"
    marked = "# Title\n\n<!-- results:headline -->\nold\n<!-- /results -->\n\nmore\n"
    readme.write_text(marked)
    assert "README.md" in failing(root, "--check")
    main([], root)
    begin, end = marked.split("old\n")
    assert readme.read_text() == f"{begin}\n{markdown.headline(results)}\n\n{end}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "<!-- results:headlines -->\n<!-- /results -->\n",
            "got the block 'headlines'; wanted one",
        ),
        ("<!-- results:headline -->\n", "1 markers and 0 whole blocks"),
        (
            "<!-- results:headline -->\n<!-- results:gazes -->\n<!-- /results -->\n",
            "'headline' has no <!-- /results -->",
        ),
    ],
)
def test_wrong_markers_are_said(text: str, message: str, results: Results) -> None:
    with pytest.raises(ResultsError, match=re.escape(message)):
        pages.filled(text, results, "PAGE.md", "images")


def test_a_plot_drawn_twice_is_the_same_file(results: Results, tmp_path: Path) -> None:
    data, series = next(iter(plots.plotted(results).items()))
    first, second = (plots.draw(tmp_path / name / "x.svg", data, series) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert plots.drawn_digest(first) == plots.digest(data, series)


def test_a_plot_has_the_gazes_beside_the_agent(results: Results) -> None:
    series = {each.label: each for each in plots.plotted(results)["CIFAR"]}
    assert "MultiCat, learned gaze" in series
    grid = series["MultiCat, grid, equally trained"]
    assert [samples for samples, _ in grid.points] == [64.0, 128.0, 192.0, 256.0, 320.0]
    assert grid.interval == (0.8416, 0.8557)


def test_every_gaze_that_is_measured_has_a_name() -> None:
    assert {*baseline_strategies(), "best-fixed", "learned"} <= set(GAZES)


# ---- checks


def edit(table: str, row: int, **values: str) -> Callable[[Tables], None]:
    return lambda tables: tables[table][row].update(values)


def swap(tables: Tables) -> None:
    rows = tables["accuracy_by_glimpse"]
    rows[0], rows[1] = rows[1], rows[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            edit("agents", 0, accuracy="85.0"),
            "agents.csv, row 2: got accuracy '85.0'; wanted a share",
        ),
        (edit("agents", 0, accuracy=""), "agents.csv, row 2: accuracy is empty"),
        (edit("agents", 0, n_images="many"), "got n_images 'many'; wanted a whole number"),
        (edit("agents", 0, commit="g408ab4"), "got commit 'g408ab4'; wanted 7 to 40 hexadecimal"),
        (edit("agents", 0, env="GlimpseDigits-Walk-v0"), "wanted a registered id"),
        (edit("agents", 0, seed="2-0"), "got seed '2-0'; wanted a seed, or several"),
        (edit("agents", 0, run="Digits s0"), "wanted a name of small letters"),
        (edit("agents", 0, ci_low="0.86"), "wanted both ends, and the accuracy between them"),
        (edit("agents", 0, ci_low="0.70"), "wanted Wilson's of accuracy 0.850 over 359 images"),
        (edit("agents", 0, mean_glimpses="5.01"), "got 5.01 glimpses on average; wanted at most 5"),
        (edit("agents", 0, seed="1"), "wanted each seed once"),
        (edit("agents", 1, env=ENV_ID), "wanted runs of one environment, data set and budget"),
        (
            edit("agents", 2, accuracy="0.850"),
            "digits-multicat: got accuracy 0.830; wanted the mean",
        ),
        (lambda tables: tables["agents"].pop(2), "sums up seeds 0-2; wanted a row for each"),
        (lambda tables: tables["agents"].append(tables["agents"][5]), "two rows of digits-hybrid"),
        (lambda tables: tables["history"].append(tables["agents"][5]), "two rows of digits-hybrid"),
        (edit("gazes", 0, gaze="worst"), "got gaze 'worst'; wanted one of"),
        (edit("gazes", 0, run="digits"), "random of digits-multicat-s0: no table has this run"),
        (edit("published", 0, run="digits"), "published.csv: got the run digits, which no table"),
        (edit("gazes", 3, lead="0.1"), "got lead 0.1 with"),
        (
            edit("accuracy_by_glimpse", 4, accuracy="0.700"),
            "ends with 0.700; wanted its accuracy, 0.663",
        ),
        (edit("accuracy_by_glimpse", 0, gaze="centre"), "no table has this run with this gaze"),
        (swap, "wanted rows for 1, 2, ... glimpses in this order"),
        (edit("statistics", 0, subject="MNIST"), "got the subject MNIST; wanted a run"),
        (edit("statistics", 0, value="nan"), "wanted a finite number"),
    ],
)
def test_what_is_wrong_is_said(
    change: Callable[[Tables], None], message: str, grouped: Tables
) -> None:
    checked(grouped)
    change(grouped)
    with pytest.raises(ResultsError, match=re.escape(message)):
        checked(grouped)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("run,source\n", "got columns ['run', 'source']; wanted ['run', 'setting'"),
        ("run,setting,source,error\na,b\n", "published.csv, row 2: got 2 cells; wanted 4"),
    ],
)
def test_a_broken_file_is_said(text: str | None, message: str, root: Path) -> None:
    file = root / "results" / "published.csv"
    file.unlink()
    if text is not None:
        file.write_text(text)
    assert message in failing(root, "--check")


def test_tables_are_written_as_they_are_read(root: Path, cells: Tables) -> None:
    for name in TABLES:
        file = root / "results" / f"{name}.csv"
        before = file.read_bytes()
        write_cells(root / "results", name, cells[name])
        assert file.read_bytes() == before, name


# ---- means


def test_seeds_have_a_mean_and_an_interval_over_them(results: Results) -> None:
    (row, *_) = results.runs("agents")
    rows = [replace(row, accuracy=Decimal(text)) for text in ("0.80", "0.84", "0.88")]
    # Student's t with 2 degrees of freedom: 4.303 standard errors of 0.04 / sqrt(3)
    assert over_seeds(rows) == (Decimal("0.84"), (Decimal("0.74"), Decimal("0.94")))
    assert over_seeds([row]) == (row.accuracy, (row.ci_low, row.ci_high))


def test_a_plot_has_the_mean_curve_over_seeds(cells: Tables) -> None:
    name = "cluttered-mnist-saccade-shown"
    for table in ("agents", "gazes", "accuracy_by_glimpse"):  # one seed of it
        further = (f"{name}-s1", f"{name}-s2")
        cells[table] = [line for line in cells[table] if line["run"] not in further]
    (row,) = (row for row in cells["agents"] if row["group"] == name)
    other = {"run": f"{name}-s1", "seed": "1", "accuracy": "0.9606", "ci_low": "", "ci_high": ""}
    cells["agents"].append({**row, **other})
    old = [line for line in cells["accuracy_by_glimpse"] if line["run"] == row["run"]]
    new = [{**line, "run": other["run"]} for line in old if line["gaze"] == "learned"]
    new[0]["accuracy"], new[-1]["accuracy"] = "0.4277", "0.9606"
    cells["accuracy_by_glimpse"] += new
    drawn = plots.plotted(checked(cells))["ClutteredMNIST"]
    learned, random, *_ = (line for line in drawn if line.scheme == "Saccade")
    assert learned.points[0] == (169.0, pytest.approx(0.3777))
    assert learned.points[-1] == (1352.0, pytest.approx(0.9556)) and len(learned.points) == 8
    assert random.points[-1] == (1352.0, pytest.approx(0.7354))


# ---- further runs


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of the recipe, saved untrained, with a result made by hand."""
    made = Run(tmp_path / "runs" / "one", resolve_config(ENV_ID, seed=1))
    made.create()
    made.save_model(made.config.make_model(made.make_env(), "cpu"))
    gaze = made_baseline(BaselineKind.RANDOM_GAZE, accuracy=0.6574)
    cost = CoreSeconds(pretraining=30.0, training=60.0)
    evaluated = {"timesteps": 0, "seed": 1, "core_seconds": cost, "baselines": {"drawn": gaze}}
    write_result(made.path / "metrics.json", made_evaluation(**evaluated))
    write_result(
        made.path / "metrics-budget3.json",
        made_evaluation(**{**evaluated, "budget": 3, "mean_glimpses": 2.5}),
    )
    return made


def gaze_beside(run: Run, **members: object) -> None:
    matched = MatchedBudget(n_glimpses=4.487, accuracy=0.7, lead=0.1189, lead_ci95=(0.08, 0.15))
    gaze = made_baseline(BaselineKind.EQUALLY_TRAINED, mean_glimpses=6.0, matched_budget=matched)
    found = made_trained({"best-fixed": gaze}, **{"timesteps": 0, **members})
    write_result(run.path / "baselines.json", found)


def test_a_run_is_added_with_its_other_budgets(run: Run, root: Path) -> None:
    main(["add", str(run.path), "--group", "again"], root)
    whole, half = (row for row in read(root / "results").runs("agents") if row.group == "again")
    assert (whole.run, whole.env, str(whole.seed)) == ("again-s1", ENV_ID, "1")
    assert whole.command == f"python train.py --env {ENV_ID} --seed 1"
    assert (whole.accuracy, whole.ci_low) == (Decimal("0.819"), Decimal("0.776"))
    assert (whole.budget, whole.eval_budget, whole.mean_glimpses) == (6, None, Decimal("4.49"))
    assert (whole.random_gaze, whole.core_minutes) == (Decimal("0.657"), Decimal("1.5"))
    assert whole.commit == run.config.git
    assert (half.budget, half.eval_budget) == (6, 3)
    assert half.command == "python eval.py RUN_DIR --budget 3"
    assert "`again`, budget 3" in (root / "docs/results.md").read_text()
    main(["--check"], root)


def test_gazes_that_were_equally_trained_are_added(run: Run, root: Path) -> None:
    gaze_beside(run)
    main(["add", str(run.path), "--group", "again", "--baselines"], root)
    results = read(root / "results")
    (row,) = (row for row in results.gazes if row.run == "again-s1")
    assert (row.gaze, row.classifier, row.commit) == ("best-fixed", "equally trained", "1519f23+")
    assert (row.lead, row.lead_low, row.lead_high) == tuple(
        map(Decimal, ("0.119", "0.080", "0.150"))
    )
    curve = results.curves["again-s1", "best-fixed"]
    assert [float(each.accuracy) for each in curve] == pytest.approx(
        METRICS["accuracy_by_glimpse"], abs=5e-4
    )
    assert ("again-s1", "learned") not in results.curves  # it answers when it chooses


def test_baselines_may_be_added_later_and_a_group_be_replaced(run: Run, root: Path) -> None:
    add(root / "results", [run.path], group="again")
    gaze_beside(run)
    told = add(root / "results", [run.path], group="again", baselines=True, note="other words")
    assert "agents.csv: 0 of 2 rows are new" in told and "gazes.csv: 1 of 1 rows are new" in told
    told = add(root / "results", [run.path], group="newer", replaces="again")
    assert "2 rows moved from agents.csv to history.csv" in told
    results = read(root / "results")
    assert {row.group for row in results.runs("agents")} >= {"newer"}
    assert [row.run for row in results.runs("history")][-2:] == ["again-s1", "again-s1"]
    with pytest.raises(ResultsError, match=r"agents\.csv has no group 'again' to be replaced"):
        add(root / "results", [run.path], group="newest", replaces="again")


def test_a_cost_that_is_not_known_is_left_empty(run: Run, root: Path) -> None:
    gaze = made_baseline(BaselineKind.RANDOM_GAZE)
    result = made_evaluation(timesteps=0, seed=1, baselines={"drawn": gaze})
    write_result(run.path / "metrics.json", result)
    add(root / "results", [run.path], group="again")
    rows = [row for row in read(root / "results").runs("agents") if row.group == "again"]
    assert rows[0].core_minutes is None and len(rows) == 2


def test_what_cannot_be_added_leaves_the_tables_as_they_are(run: Run, root: Path) -> None:
    before = {file: file.read_bytes() for file in (root / "results").iterdir()}
    twice = failing(root, "add", run.path, run.path, "--group", "again")
    assert "two rows of again-s1" in twice
    assert "wanted a name of small letters" in failing(root, "add", run.path, "--group", "A B")
    assert "no baselines.json" in failing(root, "add", run.path, "--group", "a", "--baselines")
    gaze_beside(run, timesteps=7)
    stale = failing(root, "add", run.path, "--group", "a", "--baselines")
    assert "after 7 timesteps; wanted test images, and 0 timesteps" in stale
    write_result(run.path / "metrics.json", made_evaluation(timesteps=9))
    assert "measured after 9 timesteps" in failing(root, "add", run.path, "--group", "a")
    (run.path / "metrics.json").unlink()
    assert "has no metrics.json; python eval.py" in failing(root, "add", run.path, "--group", "a")
    assert {file: file.read_bytes() for file in (root / "results").iterdir()} == before


def test_the_command_is_found_from_the_settings() -> None:
    command = f"python train.py --env {ENV_ID}"
    assert command_of(resolve_config(ENV_ID)) == command
    longer = resolve_config(ENV_ID, seed=2, overrides={"n_timesteps": 30_000})
    assert command_of(longer) == f"{command} --total-timesteps 30000 --seed 2"
    alone = resolve_config(ENV_ID, classifier="none")
    assert command_of(alone) == f"{command} --classifier none"
    with pytest.raises(ResultsError, match=r"other settings than its recipe .* by --command"):
        command_of(small_config())
    inverse = resolve_config("GlimpseInverseDigits-v0", overrides={"symmetry_coef": 0.0})
    with pytest.raises(ResultsError, match=r"other settings than its recipe .* by --command"):
        command_of(inverse)


def told(n: int, right: int, **members: object) -> Told:
    error = ErrorSummary(median=0.011, mean=0.02, percentile90=0.05)
    made = {"mean_similarity": 0.9012, "near": 0.5, "carried_out": 0.75, "error": error}
    interval = wilson_interval(right, n)
    made |= {"n_images": n, "type_accuracy": right / n, "type_accuracy_ci95": interval}
    return Told(**made, **members)


def test_a_run_of_inverse_action_modelling_is_added_to_tables_of_its_own(
    tmp_path: Path, root: Path
) -> None:
    env_id = "GlimpseInstructedDigits-v0"
    run = Run(tmp_path / "run", resolve_config(env_id, seed=1))
    run.create()
    run.save_model(run.config.make_model(run.make_env(), "cpu"))
    of_type = ToldOfType(**vars(told(100, 90)), unit="log factor", by_size={})
    predictor = Predictor(
        total=told(359, 340), by_type={"scale": of_type}, by_size={}, confusion=()
    )
    result = InverseEvaluation(
        env=env_id, env_kwargs={}, dataset="digits", split="test", n_images=359,
        algorithm="enumeration", timesteps=0, seed=1, agent=predictor, seconds=1.0, git=None,
        versions={}, instructions={"new wording": told(59, 20)},
        core_seconds=CoreSeconds(pretraining=0.0, training=90.0),
    )  # fmt: skip
    write_result(run.path / "metrics.json", result)
    changed = add(root / "results", [run.path], group="instructed")
    assert "inverse.csv: 2 of 2 rows are new" in changed
    assert "inverse.csv: 0 of 2 rows are new" in add(
        root / "results", [run.path], group="instructed"
    )
    main([], root)
    page = (root / "docs/results.md").read_text()
    assert f"| `instructed` | agent | `{env_id}` | 0 | 94.7 % | 0.901 | 50.0 % | 75.0 % |" in page
    assert "| `instructed` | agent, new wordings |" in page
    assert f"`python train.py --env {env_id} --seed 1`" in page
    errors = read(root / "results").tables["inverse_errors"]
    (row,) = (row for row in errors if row.run == "instructed-s1")
    assert row.median == Decimal("0.011") and "1.1 %" in page
    write_result(run.path / "metrics.json", replace(result, timesteps=9))
    assert "measured after 9 pairs" in failing(root, "add", run.path, "--group", "a")
