"""The PyTorch side of `training_steps`: the median training step of five autoencoders, as one line of JSON.

Written as `peer_autoencoders.py` is: rows in memory, batches by index, fused Adam, no host synchronisation in a step.
Under bf16, forward and loss run in autocast on f32 weights.

    python bench/peer_steps.py --threads 2
    python bench/peer_steps.py --precision bf16 --only 3,4     # networks by place
"""

import argparse
import json
import statistics
import time
from contextlib import nullcontext

import torch

from peer_autoencoders import Autoencoder, adam, loss

# Widths of the encoder from the features to the code, and the batch: those of the example training_steps.
NETWORKS = [
    ([100, 20], 100),
    ([784, 20], 100),
    ([784, 256, 64], 128),
    ([784, 512, 256, 64], 128),
    ([784, 1024, 512, 256, 64], 256),
]

BATCHES = 40  # of an epoch
PRODUCT = 2048


def arithmetic(precision):
    return torch.autocast("cpu", dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


def epoch(model, optimizer, x, batch, precision):
    """Seconds of each step. Drawing the order is nobody's step."""
    seconds = []
    for index in torch.randperm(len(x)).split(batch):
        start = time.perf_counter()
        target = x[index]
        with arithmetic(precision):
            batch_loss = loss(model(target), target)
        optimizer.zero_grad()
        batch_loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return seconds


def operations(sizes, batch):
    """Floating-point operations of a step's products; nobody needs the first layer's input gradient."""
    products = [a * b for a, b in zip(sizes, sizes[1:])]
    return 2 * batch * (6 * sum(products) - products[0])


def measure(sizes, batch, options):
    torch.manual_seed(options.seed)
    x = torch.randn(BATCHES * batch, sizes[0])
    model = Autoencoder(sizes)
    optimizer = adam(model.parameters(), 1e-3, "fused")
    epoch(model, optimizer, x, batch, options.precision)  # warm-up
    steps = []
    while sum(steps) < options.seconds:
        steps += epoch(model, optimizer, x, batch, options.precision)
    return {
        "name": "-".join(map(str, sizes)),
        "microseconds": 1e6 * statistics.median(steps),
        "gflop": operations(sizes, batch) / 1e9,
    }


def product_rate():
    """GFLOP/s of a product of f32 matrices of 2048 x 2048."""
    factor, out = torch.full((PRODUCT, PRODUCT), 0.5), torch.empty(PRODUCT, PRODUCT)
    rates = []
    for _ in range(9):
        start = time.perf_counter()
        torch.mm(factor, factor, out=out)
        rates.append(2 * PRODUCT**3 / (time.perf_counter() - start) / 1e9)
    return statistics.median(rates)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--only", type=lambda text: [int(place) for place in text.split(",")],
                        default=range(len(NETWORKS)), help="networks to time, by place; all without it")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=2, help="of steps of each network, after the warm-up")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    networks = [measure(*NETWORKS[place], options) for place in options.only]
    print(json.dumps({"networks": networks, "product_gflops": product_rate()}))


if __name__ == "__main__":
    main()
