"""Encoders of instructions: from bytes of UTF-8 to a hidden state for each word or token."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch as th
from torch import nn

from policies.extractors.attention import TransformerBlock
from policies.ranges import checks_arguments

HUGGINGFACE = "huggingface:"
"""Begins the names of encoders of ``transformers``."""

_PLACES = 16  # of bytes in a word, and of digits before the point; those beyond share the last
_DECIMALS = 4  # behind it
_SCATTER = 0.1  # of digits' first vectors about their line, as a share of other bytes' size
_WORDS = 40  # places of words: as many as 80 bytes can have


class TextStates(NamedTuple):
    """What was read of B texts.

    :param states: float32 (B, S, D)
    :param seen: which of these there are, bool (B, S), in each text at least one
    """

    states: th.Tensor
    seen: th.Tensor


class TextEncoder(nn.Module):
    """Reads texts.

    :ivar dim: size D of a hidden state
    """

    dim: int

    def forward(self, text: th.Tensor) -> TextStates:
        """Return a hidden state for each part of texts.

        :param text: UTF-8 padded with zeros, (B, L), of any type of numbers
        """
        raise NotImplementedError(f"{type(self).__name__} does not define forward")


class WordEncoder(TextEncoder):
    """A small transformer over words, each made of its bytes; it learns from nothing.

    A word is a sum of vectors. A digit has one for its place value (units, tens, tenths, ...), so
    that a number that was never read is read by its digits, and those of one place begin on a line,
    in order, so that it lies between its neighbours; any other byte has two, for its place from the
    start of the word and from its end. A small MLP makes the token of it. Words end at
    spaces and commas; upper case is lower case.

    :param dim: size D of a hidden state
    :param n_blocks: blocks of self-attention
    :param n_heads: heads of their attention
    :param letter_dim: size of a byte's vectors
    :param misheard: while it is trained, the probability that the letters of a word are drawn
        anew, so that a word which was never heard does not hide what the others tell; with PPO
        take 0, whose updates must compute what was computed when the action was taken
    :raises ValueError: for a probability outside [0, 1)
    """

    @checks_arguments
    def __init__(
        self,
        dim: int = 96,
        n_blocks: int = 2,
        n_heads: int = 4,
        letter_dim: int = 64,
        misheard: float = 0.1,
    ) -> None:
        if not 0.0 <= misheard < 1.0:
            raise ValueError(f"got misheard={misheard}; wanted a probability from 0 to below 1")
        super().__init__()
        self.dim, self.misheard = dim, misheard
        self.digits = nn.Embedding(10 * (_PLACES + _DECIMALS), letter_dim)
        self.from_start = nn.Embedding(256 * _PLACES, letter_dim)
        self.from_end = nn.Embedding(256 * _PLACES, letter_dim)
        for table in (self.digits, self.from_start, self.from_end):
            nn.init.normal_(table.weight, std=0.5)  # a word is the sum of some ten of them
        with th.no_grad():
            self.digits.weight.mul_(_SCATTER)
            self.digits.weight.unflatten(0, (-1, 10)).add_(
                th.linspace(-1.0, 1.0, 10)[:, None] * th.randn(_PLACES + _DECIMALS, 1, letter_dim)
            )
        self.to_token = nn.Sequential(nn.Linear(letter_dim, dim), nn.GELU(), nn.Linear(dim, dim))
        self.places = nn.Parameter(0.3 * th.randn(_WORDS, dim))
        self.blocks = nn.ModuleList(TransformerBlock(dim, n_heads) for _ in range(n_blocks))
        self.norm = nn.LayerNorm(dim)

    def forward(self, text: th.Tensor) -> TextStates:
        """Return a hidden state for each word; a text without any is one empty word.

        :param text: UTF-8 padded with zeros, (B, L), of any type of numbers
        """
        text = text.long()
        text = text + 32 * ((text >= ord("A")) & (text <= ord("Z")))
        written = (text != 0) & (text != ord(" ")) & (text != ord(","))
        begins = written & ~_shifted(written, 1)
        n_words = begins.sum(dim=1, keepdim=True).clamp_min(1)  # (B, 1)
        words = th.arange(int(n_words.max()), device=text.device)
        number = begins.cumsum(dim=1) - 1  # of the word that a byte is in, (B, L)
        if self.training and self.misheard:
            text = self._misheard(text, number, len(words))
        member = (number[:, None] == words[:, None]) & written[:, None]
        parts = self._bytes(text, written)
        summed = member.to(parts.dtype) @ parts  # (B, S, L) @ (B, L, letter_dim)
        tokens = self.to_token(summed) + self.places[words.clamp(max=_WORDS - 1)]
        seen = words < n_words
        for block in self.blocks:
            tokens = block(tokens, seen)
        return TextStates(self.norm(tokens), seen)

    def _misheard(self, text: th.Tensor, number: th.Tensor, n_words: int) -> th.Tensor:
        """Return texts in some of whose words letters are others, int64 (B, L).

        :param text: int64 (B, L), in lower case
        :param number: of the word that a byte is in, int64 (B, L)
        :param n_words: the most that a text has
        """
        chosen = th.rand(len(text), n_words, device=text.device) < self.misheard
        letter = (text >= ord("a")) & (text <= ord("z"))
        changed = chosen.gather(1, number.clamp(0, n_words - 1)) & letter
        return th.where(changed, th.randint_like(text, ord("a"), ord("z") + 1), text)

    def _bytes(self, text: th.Tensor, written: th.Tensor) -> th.Tensor:
        """Return the vectors of bytes at their places, float32 (B, L, letter_dim).

        :param text: int64 (B, L)
        :param written: which bytes are parts of words, bool (B, L)
        """
        before, behind = _distances(written)
        others = self.from_start(256 * before.clamp(max=_PLACES - 1) + text)
        others = others + self.from_end(256 * behind.clamp(max=_PLACES - 1) + text)
        digit = (text >= ord("0")) & (text <= ord("9"))
        before, behind = _distances(digit)
        index = th.arange(text.shape[1], device=text.device)
        ahead = text.gather(1, (index - before - 1).clamp_min(0))  # of the run of digits
        decimal = (ahead == ord(".")) & (index > before)
        value = th.where(decimal, -1 - before, behind).clamp(-_DECIMALS, _PLACES - 1)
        numbers = self.digits(10 * (value + _DECIMALS) + (text - ord("0")).clamp(0, 9))
        return th.where(digit[:, :, None], numbers, others)


class HuggingFaceEncoder(TextEncoder):
    """The hidden states of any text model of ``transformers``: BERT, the encoder of T5, GPT, ...

    Weights and tokenizer are those of a name on the hub, which is downloaded once, or of a local
    folder; they are needed again where a saved policy is loaded. Nothing is dropped, so that an
    update computes what was computed when the action was taken; no code of a model is run.

    :param name: such as "prajjwal1/bert-tiny", or the path of a folder
    :param trainable: whether the model learns, too; otherwise it is frozen
    :raises ImportError: where ``transformers`` is not installed
    :raises ValueError: for a model that is not there, or of another kind
    """

    @checks_arguments
    def __init__(self, name: str, trainable: bool = False) -> None:
        super().__init__()
        self.name, self.trainable = name, trainable
        self.tokenizer, self.model = _from_transformers(name)
        self.dim = self.model.config.hidden_size
        self.model.requires_grad_(trainable).eval()

    def forward(self, text: th.Tensor) -> TextStates:
        """Return the last hidden state of each token; equal texts are read once.

        :param text: UTF-8 padded with zeros, (B, L), of any type of numbers
        """
        texts, row = th.unique(text.to(th.uint8), dim=0, return_inverse=True)
        read = [
            # an empty text would have no token in some models
            bytes(line).rstrip(b"\0").decode(errors="replace") or " "
            for line in texts.cpu().numpy()
        ]
        tokens = self.tokenizer(read, padding=True, truncation=True, return_tensors="pt")
        tokens = {key: tokens[key].to(text.device) for key in ("input_ids", "attention_mask")}
        with th.set_grad_enabled(self.trainable and th.is_grad_enabled()):
            states = self.model(**tokens).last_hidden_state
        return TextStates(states[row], tokens["attention_mask"].bool()[row])

    def train(self, mode: bool = True) -> HuggingFaceEncoder:
        """Set the mode of all but the model, in which nothing is ever dropped."""
        super().train(mode)
        self.model.eval()
        return self


def make_encoder(name: str, arguments: dict[str, Any]) -> TextEncoder:
    """Return an encoder by name.

    :param name: "words", or "huggingface:" and the name or the folder of a model
    :param arguments: of :class:`WordEncoder` or :class:`HuggingFaceEncoder`
    :raises ValueError: for other names or arguments
    """
    kind = WordEncoder if name == "words" else HuggingFaceEncoder
    model = name.removeprefix(HUGGINGFACE)
    if kind is HuggingFaceEncoder and (model == name or not model):
        raise ValueError(
            f"got text={name!r}; wanted 'words', or '{HUGGINGFACE}' and a name or folder, such as "
            f"'{HUGGINGFACE}prajjwal1/bert-tiny'"
        )
    try:
        return kind(**arguments) if kind is WordEncoder else kind(model, **arguments)
    except TypeError as error:
        raise ValueError(f"got text_kwargs={arguments!r} for text={name!r}: {error}") from error


def _distances(runs: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
    """Return how many of a run come before each of its members, and how many come behind.

    :param runs: which entries are members of a run, bool (B, L)
    :return: int64 (B, L) each, at least 0, of members of runs alone
    """
    length = runs.shape[1]
    index = th.arange(length, device=runs.device)
    first = th.where(runs & ~_shifted(runs, 1), index, 0).cummax(dim=1).values
    last = th.where(runs & ~_shifted(runs, -1), index, length).flip(1).cummin(dim=1).values.flip(1)
    return index - first, last - index


def _shifted(rows: th.Tensor, by: int) -> th.Tensor:
    """Return bool (B, L) moved along the rows by 1 or -1, False where nothing comes from."""
    moved = rows.roll(by, dims=1)
    moved[:, 0 if by > 0 else -1] = False
    return moved


def _from_transformers(name: str) -> tuple[Any, nn.Module]:
    """Return tokenizer and model; of one with a decoder beside it, the encoder."""
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise ImportError(
            f"text encoder '{HUGGINGFACE}{name}' needs transformers, which is not installed: pip "
            "install 'glimpse-envs[text]', or take text='words'"
        ) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model = AutoModel.from_pretrained(name, trust_remote_code=False, dtype=th.float32)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"got the text model {name!r}, which transformers cannot load ({first}); wanted a name "
            "on the hub, to be had online or downloaded before, or a folder with config.json, "
            "weights and tokenizer, or text='words'"
        ) from error
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    if not isinstance(getattr(model.config, "hidden_size", None), int):
        raise ValueError(f"got {name!r}, {type(model).__name__}; wanted a model of texts alone")
    if tokenizer.pad_token is None:  # of models that only continue texts
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer, model
