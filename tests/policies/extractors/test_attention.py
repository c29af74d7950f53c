"""Attention over tokens: the block, the patches, and the memory in the place of an LSTM."""

import pytest
import torch as th
from torch import nn
from torch.nn import functional as F

from policies.extractors.attention import MemoryTransformer, PatchEmbedding, TransformerBlock

th.set_num_threads(1)

BATCH, LENGTH, N, DIM, HEADS = 3, 5, 6, 16, 4


# ---- the block ----


def _by_torch(block: TransformerBlock, tokens: th.Tensor, seen: th.Tensor | None) -> th.Tensor:
    """The block with PyTorch's attention in the place of its own."""
    attention = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
    attention.load_state_dict(
        {
            "in_proj_weight": block.to_qkv.weight,
            "in_proj_bias": block.to_qkv.bias,
            "out_proj.weight": block.from_heads.weight,
            "out_proj.bias": block.from_heads.bias,
        }
    )
    normed = block.norm_attention(tokens)
    hidden = None if seen is None else ~seen
    mixed, _ = attention(normed, normed, normed, key_padding_mask=hidden)
    tokens = tokens + mixed
    return tokens + block.mlp(block.norm_mlp(tokens))


@pytest.mark.parametrize("masked", [False, True])
def test_a_block_is_pytorchs_attention_and_mlp_with_the_norms_first(masked: bool):
    th.manual_seed(0)
    block, tokens = TransformerBlock(DIM, HEADS), th.randn(BATCH, N, DIM)
    for norm in (block.norm_attention, block.norm_mlp):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    seen = th.rand(BATCH, N) < 0.6
    seen[:, 0] = True
    seen = seen if masked else None
    th.testing.assert_close(block(tokens, seen), _by_torch(block, tokens, seen))


def test_a_block_is_pytorchs_encoder_layer():
    th.manual_seed(0)
    block, tokens = TransformerBlock(DIM, HEADS, mlp_ratio=3.0), th.randn(BATCH, N, DIM)
    layer = nn.TransformerEncoderLayer(
        DIM, HEADS, 3 * DIM, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    for name, module in {
        "self_attn.in_proj_": block.to_qkv,
        "self_attn.out_proj.": block.from_heads,
        "norm1.": block.norm_attention,
        "norm2.": block.norm_mlp,
        "linear1.": block.mlp[0],
        "linear2.": block.mlp[2],
    }.items():
        for kind, weights in module.named_parameters():
            layer.get_parameter(name + kind).data.copy_(weights)
    th.testing.assert_close(block(tokens), layer(tokens))


def test_tokens_that_are_not_seen_have_no_influence_on_the_others():
    block, tokens = TransformerBlock(DIM, HEADS), th.randn(BATCH, N, DIM)
    seen = th.ones(BATCH, N, dtype=th.bool)
    seen[0, 2] = seen[1, 3:] = False
    changed = th.where(seen[..., None], tokens, 100.0 * th.randn(BATCH, N, DIM))
    assert th.equal(block(changed, seen)[seen], block(tokens, seen)[seen])
    # and they are as good as absent
    th.testing.assert_close(block(tokens, seen)[1, :3], block(tokens[1:2, :3])[0])
    assert not th.allclose(block(changed)[seen], block(tokens)[seen])


def test_a_block_knows_no_order():
    block, tokens, order = TransformerBlock(DIM, HEADS), th.randn(BATCH, N, DIM), th.randperm(N)
    th.testing.assert_close(block(tokens[:, order]), block(tokens)[:, order])


def test_a_block_needs_heads_that_divide_the_token():
    with pytest.raises(ValueError, match="tokens of 16 numbers and 3 heads; wanted a divisor"):
        TransformerBlock(16, 3)


# ---- patches ----


@pytest.mark.parametrize(
    ("shape", "patch"),
    [((1, 8, 8), 4), ((3, 8, 24), 4), ((3, 8, 24), 2), ((2, 6, 6), 6), ((1, 4, 4), 1)],
)
def test_patches_are_a_strided_convolution(shape: tuple[int, int, int], patch: int):
    channels, height, width = shape
    embed, picture = PatchEmbedding(*shape, patch, DIM), th.rand(BATCH, *shape)
    linear, norm = embed.stem.project, embed.norm
    weight = linear.weight.view(DIM, channels, patch, patch)
    # pixels from -1 to 1
    seen = F.conv2d(2.0 * picture - 1.0, weight, linear.bias, stride=patch)
    want = norm(seen.flatten(2).transpose(1, 2)) + embed.places  # row after row
    assert embed.n_tokens == height * width // patch**2
    assert want.shape == (BATCH, embed.n_tokens, DIM)
    th.testing.assert_close(embed(picture), want)


def test_a_patch_is_seen_by_its_own_token_alone():
    embed, picture = PatchEmbedding(1, 8, 24, 4, DIM), th.rand(1, 1, 8, 24)
    changed = picture.clone()
    changed[..., 4:8, 8:12] = 0.0  # second row, third column
    moved = (embed(changed) != embed(picture)).any(dim=2)[0]
    assert moved.nonzero().flatten().tolist() == [6 + 2]


def test_channels_that_were_last_are_taken_without_a_copy():
    embed, picture = PatchEmbedding(3, 8, 8, 4, DIM), th.rand(BATCH, 8, 8, 3)
    transposed = picture.permute(0, 3, 1, 2)
    th.testing.assert_close(embed(transposed), embed(transposed.contiguous()))


@pytest.mark.parametrize(("height", "width", "patch"), [(8, 8, 3), (8, 12, 8), (8, 8, 0)])
def test_patches_must_tile_the_glimpse(height: int, width: int, patch: int):
    with pytest.raises(ValueError, match=f"patches of {patch} x .* {height} x {width}; wanted"):
        PatchEmbedding(1, height, width, patch, DIM)


@pytest.mark.parametrize(("shape", "patch"), [((3, 8, 8), 4), ((1, 8, 24), 2), ((3, 6, 10), 2)])
def test_a_stem_of_convolutions_gives_as_many_tokens_in_the_same_order(
    shape: tuple[int, int, int], patch: int
):
    embed = PatchEmbedding(*shape, patch, DIM, stem="conv")
    picture = th.rand(1, *shape, requires_grad=True)
    assert embed(picture).shape == PatchEmbedding(*shape, patch, DIM)(picture).shape
    tokens = embed.stem(picture)  # the norm hides what is common to a token
    columns = shape[2] // patch
    for token in (0, columns - 1, embed.n_tokens - 1):
        (gradient,) = th.autograd.grad(tokens[0, token].sum(), picture, retain_graph=True)
        seen = gradient[0].abs().sum(dim=0)
        row, column = token // columns * patch, token % columns * patch
        assert seen[row : row + patch, column : column + patch].min() > 0  # its own patch


def test_a_stem_of_convolutions_sees_beyond_the_edge_of_a_patch():
    embed = PatchEmbedding(1, 8, 8, 4, DIM, stem="conv")
    picture = th.rand(1, 1, 8, 8)
    changed = picture.clone()
    changed[..., 3, 3] = 0.0  # the last of the first patch
    moved = (embed(changed) != embed(picture)).any(dim=2)[0]
    assert moved.all()


@pytest.mark.parametrize(
    ("patch", "stem", "message"),
    [
        (6, "conv", "patches of 6 x 6 and the stem 'conv'.* wanted 2, 4, 8"),
        (1, "conv", "patches of 1 x 1 and the stem 'conv'"),
        (4, "fourier", r"stem is 'fourier', wanted one of \('linear', 'conv'\)"),
    ],
)
def test_stems_that_do_not_fit_are_named(patch: int, stem: str, message: str):
    with pytest.raises(ValueError, match=message):
        PatchEmbedding(1, 12, 12, patch, DIM, stem)


# ---- memory ----


def _memory(n_memory: int = 4, **kwargs) -> MemoryTransformer:
    th.manual_seed(0)
    return MemoryTransformer(N * DIM, DIM, n_memory, **kwargs)


def _zeros(memory: MemoryTransformer) -> tuple[th.Tensor, th.Tensor]:
    return (th.zeros(memory.num_layers, BATCH, DIM),) * 2


@pytest.mark.parametrize("n_blocks", [1, 2])
@pytest.mark.parametrize("n_memory", [1, 4])
def test_the_memory_is_called_as_an_lstm_is(n_memory: int, n_blocks: int):
    memory, lstm = _memory(n_memory, n_blocks=n_blocks), nn.LSTM(N * DIM, DIM, n_memory)
    for name in ("input_size", "hidden_size", "num_layers"):
        assert getattr(memory, name) == getattr(lstm, name)
    inputs = th.randn(LENGTH, BATCH, N * DIM)
    state = th.randn(n_memory, BATCH, DIM), th.randn(n_memory, BATCH, DIM)
    output, last = memory(inputs, state)
    want, want_last = lstm(inputs, state)
    assert output.shape == want.shape == (LENGTH, BATCH, DIM)
    assert [part.shape for part in last] == [part.shape for part in want_last]
    assert not th.allclose(last[0], state[0])
    assert th.equal(last[1], state[1])  # c is not used


def test_one_call_is_as_many_as_there_are_steps():
    memory, inputs = _memory(), th.randn(LENGTH, BATCH, N * DIM)
    output, last = memory(inputs, _zeros(memory))
    state, outputs = _zeros(memory), []
    for step in inputs:
        one, state = memory(step[None], state)
        outputs.append(one[0])
    th.testing.assert_close(th.stack(outputs), output)
    th.testing.assert_close(state, last)


def test_sequences_of_a_batch_know_nothing_of_one_another():
    memory, inputs = _memory(), th.randn(LENGTH, BATCH, N * DIM)
    output, (last, _) = memory(inputs, _zeros(memory))
    changed = inputs.clone()
    changed[:, 1] = th.randn(LENGTH, N * DIM)
    changed_output, (changed_last, _) = memory(changed, _zeros(memory))
    assert th.equal(changed_output[:, ::2], output[:, ::2])
    assert th.equal(changed_last[:, ::2], last[:, ::2])
    assert not th.allclose(changed_output[:, 1], output[:, 1])


def test_zeros_are_the_learnt_first_memory():
    memory, inputs = _memory(), th.randn(1, BATCH, N * DIM)
    output, (last, _) = memory(inputs, _zeros(memory))
    shift = th.randn(4, DIM)
    zeros = _zeros(memory)
    with th.no_grad():
        memory.first += shift
    # what is a shift of the first memory is that of the state
    shifted = (zeros[0] - shift[:, None], zeros[1])
    same, (same_last, _) = memory(inputs, shifted)
    th.testing.assert_close(same, output)
    th.testing.assert_close(same_last + shift[:, None], last)
    assert not th.allclose(memory(inputs, zeros)[0], output)


def test_gradients_reach_back_to_the_beginning():
    memory, inputs = _memory(), th.randn(LENGTH, BATCH, N * DIM, requires_grad=True)
    output, _ = memory(inputs, _zeros(memory))
    output[-1].square().sum().backward()
    # every number of the first input, of every sequence
    assert (inputs.grad[0].abs().amax(dim=1) > 0).all()
    assert (inputs.grad[0] != 0).float().mean() > 0.99
    for name, weight in memory.named_parameters():
        assert weight.grad.isfinite().all() and weight.grad.abs().sum() > 0, name
    assert (memory.first.grad.abs().sum(dim=1) > 0).all()


def test_an_output_knows_nothing_of_what_comes_later():
    memory, inputs = _memory(), th.randn(LENGTH, BATCH, N * DIM, requires_grad=True)
    output, _ = memory(inputs, _zeros(memory))
    output[2, :, 0].sum().backward()  # all of a layer norm add up to a constant
    assert (inputs.grad[:3].abs().sum(dim=(1, 2)) > 0).all() and not inputs.grad[3:].any()


@pytest.mark.parametrize(("bias", "keeps"), [(-100.0, True), (100.0, False)])
def test_the_gate_keeps_or_writes(bias: float, keeps: bool):
    memory, inputs = _memory(), th.randn(LENGTH, BATCH, N * DIM)
    nn.init.constant_(memory.gate.bias, bias)
    state = th.randn(4, BATCH, DIM), th.zeros(4, BATCH, DIM)
    _, (last, _) = memory(inputs, state)
    assert th.allclose(last, state[0], atol=1e-6) == keeps
    if not keeps:  # what was written has passed through the layer norm
        whole = last + memory.first[:, None]
        th.testing.assert_close(whole.mean(dim=2), th.zeros(4, BATCH), atol=1e-5, rtol=0)


def test_training_and_evaluation_compute_the_same():
    memory, inputs = _memory(n_blocks=2), th.randn(LENGTH, BATCH, N * DIM)
    trained = memory.train()(inputs, _zeros(memory))
    assert th.equal(memory.eval()(inputs, _zeros(memory))[0], trained[0])


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match=r"features have 100 numbers, wanted a multiple .* 64"):
        MemoryTransformer(100, 64)
    with pytest.raises(ValueError, match="tokens of 64 numbers and 5 heads"):
        MemoryTransformer(128, 64, n_heads=5)
