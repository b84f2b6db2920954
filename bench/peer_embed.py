"""The PyTorch side of `attar embed`: from gzipped IDX images to codes in an `.npy` file, timed, as one line of JSON.

The clock runs from opening the images to the saved codes: importing torch, loading the model and a first batch
that warms it up are not counted.

    python bench/peer_embed.py RUN/model.safetensors train-images-idx3-ubyte.gz codes.npy --threads 2
"""

import argparse
import gzip
import json
import time

import numpy as np
import torch
from safetensors.torch import load_file

from load_model import ACTIVATIONS, Autoencoder, sizes

BATCH = 1_000


def load(path, activation):
    state = load_file(path)
    model = Autoencoder(sizes(state, "encoder"), sizes(state, "decoder"), activation)
    model.load_state_dict(state, strict=True)
    return model


def embed(encoder, images, out):
    features = encoder[0].in_features
    with gzip.open(images) as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, features)
    codes = []
    with torch.no_grad():
        for start in range(0, len(pixels), BATCH):
            x = torch.from_numpy(pixels[start:start + BATCH].astype(np.float32)).div_(255)
            codes.append(encoder(x))
    np.save(out, torch.cat(codes).numpy())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model.safetensors")
    parser.add_argument("images", help="IDX images, gzipped")
    parser.add_argument("out", help=".npy for the codes")
    parser.add_argument("--activation", choices=ACTIVATIONS, default="relu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--against", help="other codes; the largest difference from them is reported")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    encoder = load(options.model, options.activation).encoder
    with torch.no_grad():
        encoder(torch.zeros(BATCH, encoder[0].in_features))
    start = time.perf_counter()
    embed(encoder, options.images, options.out)
    report = {"seconds": time.perf_counter() - start}
    if options.against:
        mine, theirs = np.load(options.out), np.load(options.against)
        report |= {"difference": float(np.abs(mine - theirs).max()), "largest": float(np.abs(mine).max())}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
