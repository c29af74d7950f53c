"""The page: whole, self-contained, escaped, with the numbers of the result and nothing else."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_paths import made_paths
from made_results import made_baseline, made_disturbance, made_evaluation, made_robustness
from PIL import Image

from glimpse_envs.metrics.gaze_statistics import Collapse, GazeDependence, GlimpseDependence
from glimpse_envs.render.videos import write_video
from glimpse_lab.evaluation.result import BaselineKind, MatchedBudget, Statistics
from glimpse_lab.evaluation.study import describe
from glimpse_lab.report.gallery import HELPED, MOST, Gallery, Group, Picture
from glimpse_lab.report.page import MAX_BYTES, write_page

RANDOM = made_baseline(
    BaselineKind.RANDOM_GAZE,
    accuracy=0.6267,
    accuracy_ci95=(0.5756, 0.6752),
    mean_glimpses=5.65,
    mean_samples=361.7,
    sample_fraction=0.157,
    matched_budget=MatchedBudget(
        n_glimpses=5.65, accuracy=0.6267, lead=0.1922, lead_ci95=(0.14, 0.244)
    ),
)
FIXED = made_baseline(
    BaselineKind.FIXED_SEQUENCE,
    accuracy=0.7,
    matched_budget=MatchedBudget(
        n_glimpses=4.487, accuracy=0.55, lead=0.2689, lead_ci95=(0.21, 0.33)
    ),
)
ORACLE = made_baseline(
    BaselineKind.ORACLE,
    accuracy=0.95,
    note="sees all pixels",
    reads=2304,
    matched_budget=MatchedBudget(n_glimpses=4.487, accuracy=0.9, lead=-0.08, lead_ci95=None),
)
TRAINED = made_baseline(BaselineKind.EQUALLY_TRAINED, accuracy=0.6)
BASELINES = {"random gaze": RANDOM, "fixed": FIXED, "saliency": ORACLE}
DISTURBED = made_robustness(
    made_disturbance(
        "pgd",
        8.0,
        {"accuracy": 0.41, "accuracy_ci95": (0.38, 0.44), "mean_glimpses": 4.1},
        {"accuracy": 0.2, "accuracy_ci95": (0.18, 0.23)},
        name="pgd 8/255",
    )
)
BY_GLIMPSE = tuple(
    GlimpseDependence(
        n_glimpses=t + 1,
        n_images=359 - t,
        gaze_bits=None if t == 5 else 0.71 * t,
        class_bits=None if t == 5 else 0.2 * t,
        commonest_share=None if t == 5 else 1 / (t + 1),
        commonest=None,
    )
    for t in range(6)
)
DEPENDENCE = GazeDependence(
    n_images=359,
    cells=9,
    zoom_levels=8,
    label_bits=3.32,
    by_glimpse=BY_GLIMPSE,
    path_bits=5.9,
    length_bits=1.77,
    path_bits_given_length=4.13,
    distinct_paths=121,
    distinct_paths_in_1000=121.0,
)
COLLAPSE = Collapse(
    collapsed=False, share=0.31, place=(0.5, 0.5), zoom=0.5, n_fixations=1252, threshold=0.9
)
#: by the sections of the page, in its order
FIGURES = {
    "good": {
        "accuracy_samples": "Accuracy and samples",
        "accuracy_coverage": "Accuracy and area seen",
        "by_glimpse": "After each glimpse",
        "stopping": "When it stops",
    },
    "gaze": {"fixation_maps": "Where the glimpses lie", "saccades": "Jumps of the gaze"},
    "fails": {
        "risk_coverage": "Errors among the surest",
        "reliability": "Is it as right as it is sure?",
        "confusion": "What is mistaken for what",
        "per_class": "By class",
        "robustness": "Disturbed images",
    },
    "learning": {"learning_curve": "Learning"},
}
TITLES = {name: title for figures in FIGURES.values() for name, title in figures.items()}
VOID = {"meta", "img", "link", "br", "hr", "input"}


class Parsed(HTMLParser):
    """Balanced tags, what is referred to, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data.replace("\N{NO-BREAK SPACE}", " ")

    def with_tag(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def png(size: tuple[int, int] = (40, 30)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (30, 90, 200)).save(file, "PNG")
    return file.getvalue()


def gallery() -> Gallery:
    groups = [
        Group("Right, at random", "drawn", np.array([3]), False),
        Group("Surest <mistakes>", "the surest", np.array([5]), True),
    ]
    pictures = [[Picture(png(), "image 3: truth cat")], [Picture(png(), "image 5 <b>")]]
    return Gallery(groups, pictures)


def written(tmp_path: Path, **changes: Any) -> tuple[str, Parsed]:
    plain = {"title": "A run", "result": made_evaluation()}
    path = write_page(tmp_path / "new" / "report.html", **{**plain, **changes})
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]  # no temporary file is left
    page = path.read_text(encoding="utf-8")
    return page, Parsed(page)


def statistics(**gaze: Any) -> Statistics:
    """Statistics of a few episodes, with the gaze's as told."""
    paths = made_paths(np.full((4, 2, 3), 0.5), [0, 1, 0, 1])
    found = describe(paths, ["cat", "dog"])
    told = {"dependence": DEPENDENCE, "collapse": COLLAPSE, **gaze}
    return replace(found, gaze=replace(found.gaze, **told))


def full(tmp_path: Path, **changes: Any) -> tuple[str, Parsed]:
    film = write_video(tmp_path / "film.gif", [np.zeros((16, 16, 3), np.uint8)] * 2)
    everything = {
        "result": made_evaluation(
            statistics=statistics(), robustness=DISTURBED, baselines=BASELINES
        ),
        "figures": {name: png((40, 30 + i)) for i, name in enumerate(TITLES)},
        "gallery": gallery(),
        "film": film,
        "command": "python eval.py RUN",
    }
    return written(tmp_path, **{**everything, **changes})


def test_a_full_page_holds_the_numbers_of_the_result(tmp_path: Path) -> None:
    _, parsed = full(tmp_path)
    for text in (
        "81.9 %", "77.6 to 85.5 %", "4.5", "of at most 6", "287", "12.5 %",  # headline
        "62.7 %", "57.6 to 67.5 %", "5.7", "362", "15.7 %", "reads 2,304 pixels",  # baselines
        "+26.9 (+21.0 to +33.0)", "\N{MINUS SIGN}8.0", "pgd 8/255", "41.0 % (38.0 to 44.0 %)",
        "oracle: sees all pixels", "out of competition", "the best at a matched budget",
        "is not stuck in one place", "31 %", "1,252", "121 different paths", "2.84",
        "a fixed rule chose them", "python eval.py RUN", "1519f23 with local changes",
        "401,408", "budget: 6", "python 3.11.7",
    ):  # fmt: skip
        assert text in parsed.text, text
    for title in TITLES.values():
        assert parsed.text.count(title) >= 1, title


def test_figures_stand_in_their_order_and_every_picture_has_a_text(tmp_path: Path) -> None:
    _, parsed = full(tmp_path)
    images = parsed.with_tag("img")
    assert len(images) == 1 + len(TITLES) + 2 + 1  # an episode first, figures, episodes, the gif
    assert images[0]["alt"] == "One episode. image 3: truth cat"
    assert all(image["alt"] and image["width"] and image["height"] for image in images)
    alts = [image["alt"] for image in images]
    places = [alts.index(title) for title in TITLES.values()]
    assert places == sorted(places)
    headings = [attrs["id"] for attrs in parsed.with_tag("section")]
    assert headings == ["good", "baselines", "gaze", "fails", "learning", "measured"]
    links = [attrs["href"] for attrs in parsed.with_tag("a")]
    assert links == [f"#{name}" for name in headings]
    confusion = alts.index(TITLES["confusion"])
    assert alts.index("image 3: truth cat") < confusion < alts.index("image 5 <b>")


def test_the_first_episode_is_one_that_another_glimpse_helped(tmp_path: Path) -> None:
    shown = gallery()
    helped = Group(HELPED, "a rule of its own", np.array([7]), False)
    more = Gallery([*shown.groups, helped], [*shown.pictures, [Picture(png(), "image 7")]])
    _, parsed = full(tmp_path, gallery=more)
    assert parsed.with_tag("img")[0]["alt"] == "One episode. image 7"
    assert "Not picked: a rule of its own" in " ".join(parsed.text.split())
    _, parsed = full(
        tmp_path, gallery=more._replace(groups=[*shown.groups, helped._replace(title=MOST)])
    )
    assert parsed.with_tag("img")[0]["alt"] == "One episode. image 7"


def test_a_row_of_the_table_names_its_values_where_columns_do_not_fit(tmp_path: Path) -> None:
    _, parsed = full(tmp_path)
    names = [cell["data-name"] for cell in parsed.with_tag("td") if "data-name" in cell]
    columns = ["right", "95 % interval", "at a matched budget", "agent's lead there"]
    assert names == [*columns, "glimpses", "samples", "of the pixels"] * (1 + len(BASELINES))


def test_the_caption_of_the_jumps_tells_what_the_figure_shows(tmp_path: Path) -> None:
    _, parsed = full(tmp_path)
    caption = parsed.text.split("Jumps of the gaze.")[1].split("Each picture below")[0]
    assert "direction" in caption and "zoom" not in caption  # there is no zoom in it


def test_baselines_have_names_in_words(tmp_path: Path) -> None:
    names = ["overview-random", "best-fixed", "random gaze (same agent, off-distribution)"]
    found = text(tmp_path, baselines=dict.fromkeys([*names, "my own"], RANDOM))
    for name in (
        "overview, then random",
        "best fixed sequence",
        "this agent with its gaze drawn at random",
    ):
        assert name in found
    assert "my own" in found and not any(name in found for name in names)


def test_nothing_is_fetched_and_nothing_runs(tmp_path: Path) -> None:
    page, parsed = full(tmp_path)
    for _, attrs in parsed.tags:
        for name in ("src", "href", "poster", "srcset", "data", "action"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:", "#")), value
        assert not any(name.startswith("on") for name in attrs)
    assert not parsed.with_tag("script") and not parsed.with_tag("link")
    assert not re.search(r"https?://|url\(|@import", page)
    assert len(page.encode()) < MAX_BYTES


def test_without_data_there_are_no_sections(tmp_path: Path) -> None:
    _, parsed = written(tmp_path)
    assert [attrs["id"] for attrs in parsed.with_tag("section")] == ["measured"]
    assert not parsed.with_tag("img") and not parsed.with_tag("table")
    assert "No baseline was measured" in parsed.text
    assert "not known from this page" in parsed.text  # one seed
    _, parsed = written(tmp_path, result=made_evaluation(env_kwargs={}, git=None))
    assert "commit" not in parsed.text and "Settings that differ" not in parsed.text


def test_names_of_users_are_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    result = made_evaluation(
        dataset=evil,
        env_kwargs={"classes": [evil]},
        git=evil,
        baselines={evil: replace(FIXED, note=evil)},
    )
    shown = Gallery([Group(evil, evil, np.array([0]), True)], [[Picture(png(), evil)]])
    page, parsed = written(tmp_path, title=evil, result=result, gallery=shown, command=f'"{evil}"')
    assert evil not in page and "&lt;script&gt;" in page
    assert not parsed.with_tag("script") and evil in parsed.text


def test_a_film_is_shown_if_it_is_small_and_named_if_not(tmp_path: Path) -> None:
    frames = [np.full((32, 32, 3), 80 * i, np.uint8) for i in range(3)]
    mp4 = write_video(tmp_path / "video.mp4", frames)
    _, parsed = written(tmp_path, film=mp4)
    (video,) = parsed.with_tag("video")
    assert video["src"].startswith("data:video/mp4;base64,") and "controls" in video
    large = tmp_path / "large.gif"
    large.write_bytes(b"GIF89a" + bytes(MAX_BYTES))
    page, parsed = written(tmp_path, film=large)
    assert "large.gif" in parsed.text and len(page) < 100_000


def test_figures_may_be_files(tmp_path: Path) -> None:
    file = tmp_path / "confusion.png"
    file.write_bytes(png((70, 50)))
    _, parsed = written(tmp_path, figures={"confusion": file})
    (image,) = parsed.with_tag("img")
    assert (image["width"], image["height"]) == ("70", "50")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"figures": {"confusionn": png()}}, r"got figures \['confusionn'\]"),
        ({"figures": {"confusion": b"<svg/>"}}, "no picture"),
        ({"film": "film.avi"}, "ends in .mp4 or .gif"),
    ],
)
def test_wrong_arguments_are_named_and_leave_nothing(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        written(tmp_path, **changes)
    assert not list(tmp_path.iterdir())


def test_too_much_for_a_page_is_an_error(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    with pytest.raises(ValueError, match="at most 5"):
        written(tmp_path, figures={"confusion": file.getvalue()})


# ---- what is said ----


def text(tmp_path: Path, **members: Any) -> str:
    """The page's text about an evaluation, its lines joined."""
    _, parsed = written(tmp_path, result=made_evaluation(**members))
    return " ".join(parsed.text.split())


def test_the_headline_names_the_best_baseline_that_is_no_oracle(tmp_path: Path) -> None:
    found = text(tmp_path, baselines={**BASELINES, "old": made_baseline(accuracy=0.9)})
    caveat = "which it never trained with"  # in the same line as the lead
    assert f"matched budget random gaze, {caveat}, is right for 62.7" in found  # fixed has 0.55
    assert f"points ahead of random gaze, {caveat}" in found
    assert f"better by 19.2 points (14.0 to 24.4) than random gaze, {caveat}" in found
    assert "with 5.7 glimpses" in found
    assert "lead is +19.2 points (95 % interval +14.0 to +24.4, paired over the images)." in found
    assert "chance" not in found and "this agent" in found
    equal = replace(RANDOM.matched_budget, lead=-0.011, lead_ci95=(-0.04, 0.018))
    close = text(tmp_path, baselines={"close": replace(RANDOM, matched_budget=equal)})
    assert "\N{MINUS SIGN}1.1 points (95 %" in close and "to +1.8, paired" in close
    assert "(95 % interval \N{MINUS SIGN}4.0" in close and "; this may be chance." in close
    single = replace(equal, lead_ci95=None)
    alone = text(tmp_path, baselines={"one": replace(RANDOM, matched_budget=single)})
    assert "lead is \N{MINUS SIGN}1.1 points. A glimpse" in alone
    assert "pixels. No baseline was measured beside it." in text(tmp_path)


def test_a_baseline_says_what_it_is(tmp_path: Path) -> None:
    own = text(tmp_path, baselines={"grid (equally trained)": TRAINED})
    assert "its own classifier, trained for this gaze" in own and "competition" not in own
    whole = made_baseline(BaselineKind.FULL_IMAGE)
    found = text(tmp_path, baselines={"full image": whole})
    assert "oracle: a classifier of the same kind that sees the whole image" in found
    assert "out of competition" in found


def test_what_is_not_known_depends_on_what_was_measured(tmp_path: Path) -> None:
    both = {"fixed": FIXED, "grid": TRAINED}
    assert "benchmarks/gaze_baselines.py" in text(tmp_path, baselines={"fixed": FIXED})
    assert "benchmarks/gaze_baselines.py" not in text(tmp_path, baselines=both)
    assert "never trained with such a gaze" in text(tmp_path, baselines=BASELINES)
    assert "never trained with such a gaze" not in text(tmp_path, baselines=both)
    assert "benchmarks/robustness.py" in text(tmp_path)
    assert "benchmarks/robustness.py" not in text(tmp_path, robustness=DISTURBED)
    assert "images of the validation split. Only" in text(tmp_path, split="validation")
    assert "images of the test split. Only" not in text(tmp_path)


def test_the_text_about_the_gaze_tells_draws_and_gaps(tmp_path: Path) -> None:
    def about(**gaze: Any) -> str:
        return text(tmp_path, statistics=statistics(**gaze))

    assert "drawn at random here" not in about() and "at least" not in about()
    drawn = (replace(BY_GLIMPSE[0], gaze_bits=3.0), *BY_GLIMPSE[1:])
    assert "drawn at random here" in about(dependence=replace(DEPENDENCE, by_glimpse=drawn))
    many = replace(DEPENDENCE, path_bits=8.4)  # log2 359 = 8.49
    assert "hold at least 4.1 bits" in about(dependence=many)
    none = replace(COLLAPSE, share=None, n_fixations=0)
    assert "chose no fixation" in about(collapse=none)
    assert "is stuck in one place" in about(collapse=replace(COLLAPSE, collapsed=True))
