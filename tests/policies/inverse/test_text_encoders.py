"""Encoders of instructions: ours, and those of transformers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th

from glimpse_envs.inverse.instructions import encode
from policies.inverse import WordEncoder
from policies.inverse.text import HuggingFaceEncoder, TextEncoder, make_encoder

TEXTS = [
    "move the digit up by 5 pixels",
    "move the digit up by 6 pixels",
    "move the digit up by 15 pixels",
    "move the digit down by 5 pixels",
    "up",
    "rotate the digit by thirty-one degrees anticlockwise",
]


def _bytes(*texts: str, pad: int = 0) -> th.Tensor:
    rows = th.as_tensor(np.stack([encode(text) for text in texts]))
    return th.nn.functional.pad(rows, (0, pad))


@pytest.fixture(params=["words", "huggingface"])
def encoder(request: pytest.FixtureRequest) -> TextEncoder:
    th.manual_seed(0)
    if request.param == "words":
        return WordEncoder(dim=16, n_heads=2).eval()
    return HuggingFaceEncoder(str(request.getfixturevalue("bert")))


@th.no_grad()
def test_each_text_has_states_of_its_own_and_a_mask(encoder: TextEncoder) -> None:
    states, seen = encoder(_bytes(*TEXTS))
    assert states.shape == (len(TEXTS), seen.shape[1], encoder.dim)
    assert seen.dtype == th.bool and states.dtype == th.float32
    n = seen.sum(dim=1)
    assert n[0] == n[1] and n[4] == n.min() and n[4] < n[0]
    assert (seen[:, :-1] | ~seen[:, 1:]).all()  # padding comes last
    means = th.stack([row[mask].mean(dim=0) for row, mask in zip(states, seen, strict=True)])
    assert th.cdist(means, means)[~th.eye(len(means), dtype=bool)].min() > 1e-3


@th.no_grad()
def test_padding_and_other_texts_change_nothing(encoder: TextEncoder) -> None:
    together, seen = encoder(_bytes(*TEXTS, pad=9))
    for i, text in enumerate(TEXTS):
        states, mask = encoder(_bytes(text))
        assert mask.all() and mask.sum() == seen[i].sum()
        assert th.allclose(states[0], together[i][seen[i]], atol=1e-5)


@th.no_grad()
def test_bytes_may_come_as_any_numbers(encoder: TextEncoder) -> None:
    text = _bytes(*TEXTS)
    for kind in (th.float32, th.int64):
        assert th.equal(encoder(text.to(kind)).states, encoder(text).states)


@th.no_grad()
def test_no_text_is_read_without_nan(encoder: TextEncoder) -> None:
    for text in (th.zeros(2, 80), _bytes("up", "up") * th.tensor([[0], [1]])):
        states, seen = encoder(text)
        assert seen.any(dim=1).all() and th.isfinite(states).all()


# ---- words ----


@th.no_grad()
def test_words_are_those_between_spaces_and_commas_in_any_case() -> None:
    encoder = WordEncoder(dim=16, n_heads=2).eval()
    states, seen = encoder(_bytes("move it up", "  Move ,  IT, up ", "a b c d e f"))
    assert seen.sum(dim=1).tolist() == [3, 3, 6]
    assert th.allclose(states[0], states[1], atol=1e-6)


@th.no_grad()
def test_letters_are_told_apart_by_their_places() -> None:
    encoder = WordEncoder(dim=16, n_heads=2).eval()
    states = encoder(_bytes("by 13", "by 31", "by 130", "by 1.3")).states[:, 1]
    assert th.cdist(states, states)[~th.eye(4, dtype=bool)].min() > 1e-3


@th.no_grad()
def test_digits_have_their_place_value_whatever_stands_behind_them() -> None:
    encoder = WordEncoder(dim=16, n_heads=2).eval()

    def vectors(word: str) -> th.Tensor:
        text = _bytes(word).long()
        return encoder._bytes(text, text != 0)[0, : len(word.encode())]

    plain = vectors("13")
    for word, digits in (("13°", 2), ("13px", 2), ("13.", 2), ("13.25", 2)):
        assert th.equal(vectors(word)[:digits], plain), word
    assert th.equal(vectors("213")[1:], plain)
    assert th.equal(vectors("0.25")[2:], vectors("13.25")[3:])
    assert not th.equal(vectors("0.25")[2:], vectors("25"))


@th.no_grad()
def test_long_words_and_many_of_them_are_read() -> None:
    states, seen = WordEncoder(dim=16, n_heads=2).eval()(_bytes("x" * 80, "ab " * 26, "a " * 40))
    assert seen.sum(dim=1).tolist() == [1, 26, 40] and th.isfinite(states).all()


@th.no_grad()
def test_letters_are_misheard_while_it_is_trained_and_digits_never() -> None:
    th.manual_seed(0)
    encoder = WordEncoder(dim=16, n_heads=2, n_blocks=0, misheard=0.5)
    texts = _bytes(*["spin it by 25"] * 400)
    read, still = encoder.eval()(texts).states, encoder.train()(texts).states
    changed = (still - read).abs().amax(dim=2) > 1e-4  # (400, words)
    assert not changed[:, 3].any()
    assert changed[:, :3].float().mean() == pytest.approx(0.5, abs=0.06)
    with pytest.raises(ValueError, match="wanted a probability"):
        WordEncoder(misheard=1.0)


def test_numbers_that_were_never_read_are_read_by_their_digits() -> None:
    """A regression on 80 of 100 numbers, tested on the others."""
    th.manual_seed(0)
    encoder = WordEncoder(dim=32, n_blocks=1, misheard=0.0)
    head = th.nn.Linear(32, 1)
    texts = _bytes(*(f"turn it by {n} degrees" for n in range(100)))
    wanted = th.arange(100.0) / 50.0 - 1.0
    new = th.tensor([(n + n // 10) % 5 == 3 for n in range(100)])
    optimizer = th.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=3e-3)

    def error(rows: th.Tensor) -> th.Tensor:
        states, seen = encoder(texts[rows])
        assert seen.all()
        return head(states.mean(dim=1))[:, 0] - wanted[rows]

    for _ in range(120):
        optimizer.zero_grad()
        error(~new).square().mean().backward()
        optimizer.step()
    with th.no_grad():
        assert error(~new).abs().mean() < 0.03
        assert error(new).abs().max() < 0.3  # of guesses 0.5 on average
        assert error(new).abs().mean() < 0.06  # 3 of 100


# ---- transformers ----


def test_a_frozen_model_has_no_gradients_and_drops_nothing(bert: Path) -> None:
    encoder = HuggingFaceEncoder(str(bert)).train()
    first = encoder(_bytes(*TEXTS)).states
    assert not first.requires_grad and th.equal(first, encoder(_bytes(*TEXTS)).states)
    assert not any(p.requires_grad for p in encoder.parameters())


def test_a_model_that_learns_has_gradients_and_drops_nothing(bert: Path) -> None:
    encoder = HuggingFaceEncoder(str(bert), trainable=True).train()
    first = encoder(_bytes(*TEXTS)).states
    assert th.equal(first, encoder(_bytes(*TEXTS)).states)
    first.square().sum().backward()
    assert all(
        p.grad is not None and p.grad.abs().max() > 0.0
        for name, p in encoder.named_parameters()
        if "pooler" not in name and "key.bias" not in name
    )


@th.no_grad()
def test_hidden_states_are_those_of_transformers(bert: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    model = transformers.AutoModel.from_pretrained(bert).eval()
    for text in TEXTS:
        wanted = model(**tokenizer(text, return_tensors="pt")).last_hidden_state
        states, seen = HuggingFaceEncoder(str(bert))(_bytes(text))
        assert seen.all() and th.allclose(states, wanted, atol=1e-6)


@th.no_grad()
def test_equal_texts_are_read_once(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = HuggingFaceEncoder(str(bert))
    read, tokenizer = [], encoder.tokenizer

    def listen(texts: list[str], **kwargs: Any) -> Any:
        read.extend(texts)
        return tokenizer(texts, **kwargs)

    monkeypatch.setattr(encoder, "tokenizer", listen)
    states = encoder(_bytes("up", "down", "up")).states
    assert sorted(read) == ["down", "up"] and th.equal(states[0], states[2])


@th.no_grad()
def test_of_a_model_with_a_decoder_the_encoder_reads(bert: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    transformers.AutoTokenizer.from_pretrained(bert).save_pretrained(tmp_path)
    config = transformers.T5Config(
        vocab_size=200, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2
    )
    transformers.T5Model(config).save_pretrained(tmp_path)
    encoder = HuggingFaceEncoder(str(tmp_path))
    assert encoder(_bytes(*TEXTS)).states.shape[2] == encoder.dim == 16


@th.no_grad()
def test_a_model_that_continues_texts_reads_them(bert: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    tokenizer.pad_token, tokenizer.eos_token = None, "[SEP]"
    tokenizer.save_pretrained(tmp_path)
    config = transformers.GPT2Config(vocab_size=200, n_embd=16, n_layer=1, n_head=2)
    transformers.GPT2Model(config).save_pretrained(tmp_path)
    states, seen = HuggingFaceEncoder(str(tmp_path))(_bytes(*TEXTS))
    assert states.shape[2] == 16 and seen.sum(dim=1).min() < seen.shape[1]


# ---- errors ----


def test_without_transformers_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    wanted = r"'huggingface:x' needs transformers, which is not installed: pip install .*\[text\]"
    with pytest.raises(ImportError, match=wanted):
        make_encoder("huggingface:x", {})


def test_a_model_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "config.json").write_text("{}")
    for name in (str(tmp_path), str(tmp_path / "missing")):
        with pytest.raises(
            ValueError, match=r"which transformers cannot load .*wanted a name"
        ) as e:
            HuggingFaceEncoder(name)
        assert name in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("bert", {}, "got text='bert'; wanted 'words', or 'huggingface:'"),
        ("huggingface:", {}, "got text='huggingface:'; wanted"),
        ("words", {"trainable": True}, "got text_kwargs=.*unexpected keyword argument 'trainable'"),
        ("words", {"dim": 10, "n_heads": 4}, "wanted a divisor"),
        ("words", {"dim": 0}, "wanted an integer, at least 1"),
        ("words", {"letter_dim": 0}, "wanted an integer, at least 1"),
    ],
)
def test_wrong_encoders_are_refused(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_encoder(name, arguments)


def test_digits_begin_in_order_at_every_place_value():
    rows = WordEncoder().digits.weight.detach().unflatten(0, (-1, 10))  # (places, 10, letter_dim)
    for digits in rows:
        line = digits[9] - digits[0]
        along = digits @ line / line.square().sum()
        assert (along.diff() > 0).all()
        np.testing.assert_allclose(along - along[0], np.arange(10) / 9.0, atol=0.1)
