"""Actions told in words: what is said is true, and what is held out is held out."""

import itertools
import math
import re
import time
from typing import NamedTuple

import gymnasium as gym
import numpy as np
import pytest

from glimpse_envs.inverse import InverseCore, make_config
from glimpse_envs.inverse.actions import ATTRIBUTES, ActionTable
from glimpse_envs.inverse.instructions import (
    LENGTH,
    Instructions,
    decode,
    encode,
    in_words,
    is_held_out,
)
from glimpse_envs.inverse.wordings import WORDINGS
from glimpse_envs.registration import INSTRUCTED

OBJECT = ActionTable(["MoveX", "MoveY", "Rotate", "Scale", "Brighten"])
GUI = ActionTable(["MoveX", "MoveY", "Scale", "Brighten", "CursorX", "CursorY"])
TABLES = {"digit": OBJECT, "panel": GUI}
N = 6_000

NUMBERS = {in_words(n): n for n in range(1000)}
WORD = "(?:zero|one|two|three|four|five|six|seven|eight|nine)"


class Told(NamedTuple):
    """What a sentence says, as the test reads it."""

    kind: str
    value: float  # in the type's unit


def number_of(text: str) -> float:
    """The only number of a sentence, in digits or in words."""
    text = re.sub(f"({WORD})((?: point(?: {WORD})+)+)", as_digits, text)
    digits = re.findall(r"\d+(?:\.\d+)?", text)
    if digits:
        assert len(digits) == 1
        return float(digits[0])
    words = text.replace(",", "").split()
    runs = [
        NUMBERS[" ".join(words[i:j])]
        for i in range(len(words))
        for j in range(len(words), i, -1)
        if " ".join(words[i:j]) in NUMBERS
    ]
    return runs[0]  # the longest that begins first


def as_digits(match: re.Match) -> str:
    whole, decimals = match[1], match[2].replace(" point ", "").split()
    return f"{NUMBERS[whole]}." + "".join(str(NUMBERS[word]) for word in decimals)


def read(text: str, noun: str) -> Told:
    """Understand a sentence, by other means than it was made."""
    number, words = number_of(text), set(re.findall(r"[a-z]+", text))
    moved = "cursor" if "cursor" in words else noun
    assert moved in words
    if "degrees" in words or "degree" in words or "°" in text:
        less = words & {"counterclockwise", "anticlockwise"}
        assert less or "clockwise" in words or "right" in words
        return Told("rotate", -number if less else number)
    if words & {"pixels", "pixel", "px"}:
        ways = {"left": "x-", "right": "x+", "up": "y-", "down": "y+"}
        ways |= {"upwards": "y-", "downwards": "y+"}
        (axis, sign), *others = {ways[word] for word in words & set(ways)}
        assert not others
        kind = "cursor" if moved == "cursor" else "move"
        return Told(f"{kind} {axis}", -number if sign == "-" else number)
    bright = words & {"brightness", "bright", "brighter", "brighten", "darken", "darker"}
    bright |= words & {"dim", "light"}
    less = words & {"shrink", "smaller", "reduce", "darken", "darker", "lower", "dim"}
    less |= {"scale down"} if {"scale", "down"} <= words else set()
    if "%" in text or "percent" in words:
        share = number if "to" in words else 100.0 - number if less else 100.0 + number
    else:
        share = 100.0 * number
    return Told("brighten" if bright else "scale", math.log(share / 100.0))


def drawn(noun: str, *, held_out: bool, n: int = N):
    """Many sentences with what they should say: texts, rows, new wordings, and their table."""
    table = TABLES[noun]
    sentences = Instructions(table, noun, held_out=held_out)
    rng = np.random.default_rng(0)
    types = rng.integers(len(table), size=n)
    least = (table.smallest / table.largest)[types]
    sizes = (least + (1.0 - least) * rng.random(n)) * rng.choice([-1.0, 1.0], n)
    rows = sentences.nearest(types, sizes)
    texts, new, _ = sentences.say(rows, rng.integers(2**63, size=n).astype(np.uint64))
    return [decode(text) for text in texts], rows, new, sentences, types, sizes


@pytest.mark.parametrize("held_out", [False, True], ids=["train", "all"])
@pytest.mark.parametrize("noun", TABLES)
def test_every_sentence_says_what_is_done(noun, held_out):
    texts, rows, _, sentences, types, _ = drawn(noun, held_out=held_out)
    table = TABLES[noun]
    said = {}
    for text, row, kind in zip(texts, rows, types, strict=True):
        told = read(text, noun)
        assert told.kind == table.names[kind], text
        value = table.largest[kind] * sentences.parameters[row]
        assert told.value == pytest.approx(value, abs=1e-5 * table.largest[kind]), text
        assert np.sign(value) == np.sign(sentences.numbers[row])
        said.setdefault((kind, value > 0), set()).add(text)
    assert len(said) == 2 * len(table)
    for of_type in said.values():  # digits, words and several wordings of each
        assert any(re.search(r"\d", text) for text in of_type)
        assert any(not re.search(r"\d", text) for text in of_type)
        assert len({re.sub(r"[\d.]+", "", text) for text in of_type}) > 8


@pytest.mark.parametrize("noun", TABLES)
def test_what_is_said_is_near_what_was_drawn(noun):
    """Half a pixel, degree or per cent; beside a value that is held out, a whole one."""
    for held_out, most in ((True, 0.5), (False, 1.0)):
        _, rows, _, sentences, types, sizes = drawn(noun, held_out=held_out)
        table = TABLES[noun]
        exact = table.in_units(types, sizes)
        factors = np.array([unit == "log factor" for unit in table.units])[types]
        exact = np.where(factors, 100.0 * np.expm1(exact), exact)
        np.testing.assert_array_equal(sentences.types[rows], types)
        said = sentences.numbers[rows]
        assert (np.sign(said) == np.sign(sizes)).all()
        error = np.abs(exact - said)
        assert error.max() < 2.0  # where the range ends before a value that can be said
        for kind, way in itertools.product(range(len(table)), (-1, 1)):
            numbers = way * sentences.numbers[sentences.types == kind]
            chosen = (types == kind) & (way * exact >= numbers[numbers > 0].min())
            chosen &= way * exact <= numbers.max()
            # nearest in logarithms, which for per cent is not quite the middle
            assert error[chosen].max() <= 1.02 * most


@pytest.mark.parametrize("noun", TABLES)
def test_wordings_and_values_held_out_are_never_in_the_train_split(noun):
    def forms(texts):
        """Sentences without their numbers."""
        bare = [re.sub(r"[\d.]+", "#", text) for text in texts]
        numbers = "|".join(sorted(NUMBERS, key=len, reverse=True))
        with_point = rf"\b(?:{numbers})(?: point(?: {WORD})+)?\b"
        return [re.sub(with_point, "#", text) for text in bare]

    texts, rows, new, sentences, types, _ = drawn(noun, held_out=False)
    assert not new.any() and not sentences.new_values.any()
    known_forms = set(forms(texts))
    known_values = set(zip(types, sentences.numbers[rows], strict=True))

    texts, rows, new, sentences, types, _ = drawn(noun, held_out=True)
    new_value = sentences.new_values[rows]
    values = list(zip(types, sentences.numbers[rows], strict=True))
    for form, value, wording, number in zip(forms(texts), values, new, new_value, strict=True):
        assert (form in known_forms) != wording, form
        assert (value in known_values) != number, value
    assert 0.15 < new.mean() < 0.35 and 0.15 < new_value.mean() < 0.25


def test_a_word_that_was_never_heard_is_told():
    """Of scale and brightness there are sentences whose only telling word training lacks."""
    stream = np.arange(4_000, dtype=np.uint64)
    for held_out in (False, True):
        sentences = Instructions(TABLES["digit"], "digit", held_out=held_out)
        rows = np.arange(4_000) % len(sentences.numbers)
        texts, wording, word = sentences.say(rows, stream)
        verbs = [
            bool({"reduce", "grow", "dim", "light"} & set(decode(text).split())) for text in texts
        ]
        np.testing.assert_array_equal(word, verbs)
        assert word.any() == held_out and (wording | ~word).all()
    for of_type in WORDINGS.values():
        heard = {word for way in of_type for text in way.train for word in text.split()}
        for text in (text for way in of_type for text in way.unheard):
            assert set(text.split()) - heard


def test_a_number_that_one_type_holds_out_is_said_of_others():
    for number in range(1, 100):
        out = [is_held_out(attribute, number) for attribute in range(len(ATTRIBUTES))]
        assert 1 <= sum(out) <= 2
        assert out == [is_held_out(attribute, -number) for attribute in range(len(ATTRIBUTES))]
    assert [n for n in range(1, 25) if is_held_out(0, n)] == [3, 8, 12, 17, 21]
    assert [n for n in range(1, 25) if is_held_out(1, n)] == [2, 7, 11, 16, 20]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (20, "twenty"),
        (23, "twenty-three"),
        (100, "one hundred"),
        (141, "one hundred and forty-one"),
        (999, "nine hundred and ninety-nine"),
    ],
)
def test_numbers_in_words(number, words):
    assert in_words(number) == words


def test_texts_are_padded_bytes_of_utf_8():
    instruction = encode("turn it by 30°")
    assert instruction.shape == (LENGTH,) and instruction.dtype == np.uint8
    assert instruction[11:16].tolist() == [ord("3"), ord("0"), 0xC2, 0xB0, 0]
    assert decode(instruction) == "turn it by 30°"
    assert decode(np.array([255, 65, 0], np.uint8)) == "\ufffdA"


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "wanted a text"), ("  ", "wanted a text"), ("a\0b", "wanted a text"),
     (3, "wanted a text"), ("°" * 41, "got an instruction of 82 bytes; wanted at most 80")],
)  # fmt: skip
def test_texts_that_are_no_instructions_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        encode(text)


# ---- in the environment ----


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("env_id", INSTRUCTED)
def test_the_environment_does_exactly_what_it_says(env_id, split):
    core = InverseCore(make_config(**INSTRUCTED[env_id], split=split), 64)
    core.seed_all(0)
    observation = core.reset(core.lanes)
    assert observation.keys() == {"before", "instruction"}
    table, noun = core.config.actions, core.config.instructions
    parameters = np.zeros((64, len(table)), np.float32)
    types = np.zeros(64, int)
    for lane, instruction in enumerate(observation["instruction"]):
        told = read(decode(instruction), noun)
        types[lane] = table.names.index(told.kind)
        parameters[lane, types[lane]] = told.value / table.largest[types[lane]]
    np.testing.assert_array_equal(types, core.true_types)
    np.testing.assert_allclose(parameters, core.true_parameters, atol=1e-6)
    infos = core.infos()
    assert infos["new_value"].any() == infos["new_wording"].any() == (split == "test")
    np.testing.assert_allclose(
        core.step({"type": types, "parameters": parameters}).reward, 1.0, atol=1e-4
    )


def test_the_image_after_is_as_without_instructions_but_for_the_rounding():
    """The same draws: instructions take none away from the images."""
    told = INSTRUCTED["GlimpseInstructedDigits-v0"]
    cores = [InverseCore(make_config(**told | {"instructions": i}), 64) for i in (False, True)]
    for core in cores:
        core.seed_all(0)
        core.reset(core.lanes)
    shown, said = cores
    np.testing.assert_array_equal(shown.true_types, said.true_types)
    np.testing.assert_array_equal(shown.index, said.index)
    np.testing.assert_allclose(shown.true_parameters, said.true_parameters, atol=0.15)


@pytest.mark.parametrize(
    ("instructions", "words"),
    [(True, "object"), ("digit", "digit"), ("Ziffer", "Ziffer")],
)
def test_the_object_has_a_name(instructions, words):
    env = gym.make("GlimpseInverseDigits-v0", instructions=instructions)
    observation, info = env.reset(seed=0)
    assert words in decode(observation["instruction"]).split()
    assert info["new_value"] is False and info["new_wording"] is False


def test_sentences_cost_little():
    table = Instructions(GUI, "panel", held_out=True)
    types, sizes = np.zeros(10_000, int), np.linspace(0.2, 1.0, 10_000)
    stream = np.arange(10_000, dtype=np.uint64)
    table.say(table.nearest(types, sizes), stream)
    begun = time.process_time()
    table.say(table.nearest(types, sizes), stream)
    assert time.process_time() - begun < 0.1  # 10 microseconds each


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"instructions": 3}, "got instructions=3; wanted true, false or a word"),
        ({"instructions": ""}, "wanted true, false or a word"),
        ({"instructions": "a\nb"}, "wanted true, false or a word"),
        ({"instructions": "electroencephalogram"}, "wanted a word of at most 16 bytes"),
        ({"instructions": True, "max_steps": 2}, "got instructions with max_steps=2; wanted 1"),
        ({"instructions": True, "changes": 2}, "got instructions with changes=2; wanted 1"),
        (
            {
                "instructions": True,
                "actions": ["MoveY", {"type": "MoveX", "smallest": 1.2, "largest": 1.9}],
            },
            "got MoveX from 1.2 to 1.9 px, of which instructions in whole pixels can say none",
        ),
        (
            {
                "instructions": True,
                "scene": {"type": "Objects", "dim": 3.0},
                "actions": ["MoveY", {"type": "Brighten", "largest": 2.5}],
            },
            "got Brighten by up to 2.5 log factor; instructions say at most 899 per cent",
        ),
    ],
)
def test_what_cannot_be_said_is_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        make_config(**parts)
