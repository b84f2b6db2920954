"""Writes layers of PyTorch with random weights, an input and what they make of it, each to a safetensors file.

    pip install torch==2.15.* safetensors && python make.py

The weights have PyTorch's names. `input.*` are the arguments, `output` is the result, and `gradient.*` are the gradients
of half the sum of the output's squares.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent


def randomised(module):
    """Also what starts as zeros or ones."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.4 * torch.randn_like(parameter) + 0.1)
    return module


def write(name, module, inputs, output, hidden=None):
    output.square().sum().div(2).backward()
    tensors = dict(module.state_dict())
    tensors |= {f"input.{key}": value.detach() for key, value in inputs.items()}
    tensors |= {f"gradient.{key}": value.grad for key, value in inputs.items()}
    tensors |= {f"gradient.{key}": value.grad for key, value in module.named_parameters()}
    tensors["output"] = output.detach()
    if hidden is not None:
        tensors["input.hidden"] = hidden.to(output.dtype)
    save_file({key: value.contiguous() for key, value in tensors.items()}, HERE / f"{name}.safetensors")


def randn(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, requires_grad=True)


def hidden(batch, keys):
    """Some keys, but none of the first sequence."""
    marks = torch.zeros(batch, keys, dtype=torch.bool)
    marks[1:, [0, keys - 2]] = True
    return marks


def self_attention():
    """One input, packed weights, the last query at the last key, keys hidden."""
    module = randomised(nn.MultiheadAttention(6, 3, batch_first=True, dtype=torch.float64))
    x, marks = randn(2, 5, 6), hidden(2, 5)
    # A query that sees no key is no number in PyTorch.
    marks[1:, 0] = False
    later = torch.ones(5, 5, dtype=torch.bool).triu(1)
    output, _ = module(x, x, x, key_padding_mask=marks, attn_mask=later)
    write("self_attention", module, {"query": x}, output, marks)


def cross_attention():
    """Three widths, in `f32`."""
    options = dict(kdim=5, vdim=3, batch_first=True, dtype=torch.float32)
    module = randomised(nn.MultiheadAttention(4, 2, **options))
    shapes = {"query": (2, 3, 4), "key": (2, 7, 5), "value": (2, 7, 3)}
    inputs = {key: randn(*shape, dtype=torch.float32) for key, shape in shapes.items()}
    marks = hidden(2, 7)
    output, _ = module(*inputs.values(), key_padding_mask=marks)
    write("cross_attention", module, inputs, output, marks)


def without_bias():
    module = randomised(nn.MultiheadAttention(4, 2, bias=False, batch_first=True, dtype=torch.float64))
    inputs = {"query": randn(1, 3, 4), "key": randn(1, 5, 4), "value": randn(1, 5, 4)}
    output, _ = module(*inputs.values())
    write("without_bias", module, inputs, output)


def encoder(name, activation, norm_first):
    options = dict(dropout=0.0, batch_first=True, dtype=torch.float64)
    layer = nn.TransformerEncoderLayer(6, 2, 7, activation=activation, norm_first=norm_first, **options)
    layer = randomised(layer)
    x, marks = randn(2, 5, 6), hidden(2, 5)
    output = layer(x, src_key_padding_mask=marks)
    write(name, layer, {"query": x}, output, marks)


torch.manual_seed(5)
self_attention()
cross_attention()
without_bias()
encoder("post_norm", "relu", False)
encoder("pre_norm", "gelu", True)
