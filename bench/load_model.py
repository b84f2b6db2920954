"""Loads a run's `model.safetensors` into plain PyTorch and prints the reconstruction loss on an `.npy` file.

No tensor is renamed or transposed: `load_state_dict(strict=True)` takes the file as it is.
The rows must already be scaled as the run's training data was.

    python bench/load_model.py runs/digits/model.safetensors rows.npy --activation relu
"""

import argparse
import json

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

ACTIVATIONS = {"identity": nn.Identity, "relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "silu": nn.SiLU}


class Autoencoder(nn.Module):
    """`encoder` and `decoder` are `nn.Sequential`: linear layers at even places, activations between them."""

    def __init__(self, encoder_sizes, decoder_sizes, activation):
        super().__init__()
        self.encoder = stack(encoder_sizes, activation)
        self.decoder = stack(decoder_sizes, activation)

    def forward(self, x):
        return self.decoder(self.encoder(x))


def stack(sizes, activation):
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


def sizes(state, part):
    """Widths along `encoder` or `decoder`, from weights of shape [out, in]."""
    places = sorted(int(name.split(".")[1]) for name in state if name.startswith(f"{part}.") and name.endswith(".weight"))
    shapes = [tuple(state[f"{part}.{place}.weight"].shape) for place in places]
    return [shapes[0][1], *(out for out, _ in shapes)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model.safetensors")
    parser.add_argument("rows", help=".npy, [samples, features]")
    parser.add_argument("--activation", choices=ACTIVATIONS, default="relu")
    parser.add_argument("--codes", help="write the codes to this .npy")
    parser.add_argument("--reconstructions", help="write the reconstructions to this .npy")
    parser.add_argument("--save", help="write the module's state_dict back to this .safetensors")
    options = parser.parse_args()

    state = load_file(options.model)
    encoder, decoder = sizes(state, "encoder"), sizes(state, "decoder")
    model = Autoencoder(encoder, decoder, options.activation)
    model.load_state_dict(state, strict=True)
    x = torch.from_numpy(np.load(options.rows).astype(np.float32)).reshape(-1, encoder[0])
    with torch.no_grad():
        codes = model.encoder(x)
        output = model.decoder(codes)
    if options.codes:
        np.save(options.codes, codes.numpy())
    if options.reconstructions:
        np.save(options.reconstructions, output.numpy())
    if options.save:
        save_file(model.state_dict(), options.save)
    squared = (output - x).double().square()
    print(json.dumps({
        "encoder": encoder,
        "decoder": decoder,
        "samples": len(x),
        "loss": squared.sum(1).mean().item(),
        "mse_per_feature": squared.mean().item(),
    }))


if __name__ == "__main__":
    main()
