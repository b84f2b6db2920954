"""The PyTorch side of `attar lab autoencoders`: the same protocol, timed, as one line of JSON.

Written as a competent PyTorch user would for a CPU: tensors in memory, batches by index, no DataLoader,
no host synchronisation inside a step. Data and seeds are this script's own.

    python bench/peer_autoencoders.py --only synthetic --optimizer fused --threads 2
    python bench/peer_autoencoders.py --only mnist --data-dir DIR     # the four MNIST files, gzipped IDX
"""

import argparse
import gzip
import json
import platform
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

NOISE_STD = 0.5
MASK_P = 0.25
CODES_PER_PROBE_BATCH = 200

# name -> (objective, hidden sizes of the encoder with the code last, learning rate)
MNIST_RUNS = {
    "vanilla.[20]": ("vanilla", [20], 1e-4),
    "vanilla.[256,64]": ("vanilla", [256, 64], 1e-3),
    "masked.[256,64]": ("masked", [256, 64], 1e-3),
    "denoising.[256,64]": ("denoising", [256, 64], 1e-3),
    "denoising.[512,256,64]": ("denoising", [512, 256, 64], 1e-3),
}


class Autoencoder(nn.Module):
    """Symmetric; ReLU between layers, none after the code nor the output. One layer each way is linear."""

    def __init__(self, sizes):
        super().__init__()
        self.encoder = stack(sizes)
        self.decoder = stack(sizes[::-1])

    def forward(self, x):
        return self.decoder(self.encoder(x))


def stack(sizes):
    layers = []
    for wide, narrow in zip(sizes, sizes[1:]):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def corrupt(x, objective):
    if objective == "denoising":
        return x + NOISE_STD * torch.randn_like(x)
    if objective == "masked":
        return x * (torch.rand_like(x) >= MASK_P)
    return x


def loss(output, target):
    """Squared error summed over features, averaged over samples."""
    return (output - target).square().sum() / len(target)


def adam(parameters, lr, optimizer):
    return torch.optim.Adam(parameters, lr=lr, fused=optimizer == "fused")


def train_epoch(model, optimizer, x, objective, batch):
    order = torch.randperm(len(x))
    total = torch.zeros(())
    for index in order.split(batch):
        target = x[index]
        batch_loss = loss(model(corrupt(target, objective)), target)
        optimizer.zero_grad()
        batch_loss.backward()
        optimizer.step()
        total += batch_loss.detach() * len(index)
    return (total / len(x)).item()


def probe(encoder, fit, test, epochs, optimizer):
    """The course's probe: one linear layer on frozen codes; test accuracy in percent."""
    with torch.no_grad():
        codes, test_codes = encoder(fit[0]), encoder(test[0])
    head = nn.Linear(codes.shape[1], int(fit[1].max()) + 1)
    steps = adam(head.parameters(), 1e-3, optimizer)
    for _ in range(epochs):
        for index in torch.randperm(len(codes)).split(CODES_PER_PROBE_BATCH):
            batch_loss = F.cross_entropy(head(codes[index]), fit[1][index])
            steps.zero_grad()
            batch_loss.backward()
            steps.step()
    with torch.no_grad():
        return 100 * (head(test_codes).argmax(1) == test[1]).float().mean().item()


def run(data, sizes, objective, lr, epochs, batch, probe_epochs, optimizer, seed, clock):
    """One training: validation loss and probe accuracy before it and after each epoch."""
    torch.manual_seed(seed)
    model = Autoencoder(sizes)
    steps = adam(model.parameters(), lr, optimizer)
    train_losses, valid_losses, accuracy = [], [], []
    for epoch in range(epochs + 1):
        start = time.perf_counter()
        if epoch > 0:
            train_losses.append(train_epoch(model, steps, data["train"], objective, batch))
        trained = time.perf_counter()
        with torch.no_grad():
            valid_losses.append(loss(model(data["valid"]), data["valid"]).item())
        accuracy.append(probe(model.encoder, data["probe"], data["test"], probe_epochs, optimizer))
        clock["train"] += trained - start
        clock["evaluate"] += time.perf_counter() - trained
    return {"train_losses": train_losses, "valid_losses": valid_losses, "accuracy": accuracy}


def synthetic(seed, path=None):
    """20 of 100 coordinates have variance 10, the rest 1; label = sign of their sum; then a random rotation."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(20_000, 100, generator=g)
    x[:, :20] *= 10**0.5
    y = (x[:, :20].sum(1) > 0).long()
    x = x @ torch.linalg.qr(torch.randn(100, 100, generator=g)).Q
    if path is not None:  # what `attar lab autoencoders --save-data` wrote: the same data and splits
        table = torch.from_numpy(np.load(path))
        x, y = table[:, :-1].contiguous(), table[:, -1].long()
    return {
        "train": x[:14_000],
        "valid": x[14_000:18_000],
        "probe": (x[14_000:18_000], y[14_000:18_000]),
        "test": (x[18_000:], y[18_000:]),
    }


def idx(folder, name, header):
    path = next(folder.glob(f"*{name}"), None)
    if path is None:
        raise SystemExit(f"no *{name} in {folder}; name the folder of the MNIST files with --data-dir")
    with gzip.open(path) as file:
        return torch.from_numpy(np.frombuffer(file.read(), np.uint8, offset=header).copy())


def mnist(folder, seed):
    """Pixels / 255; 54,000 train, 6,000 validation; the 200 labels are 20 of each class from validation."""
    def read(kind):
        x = idx(folder, f"{kind}-images-idx3-ubyte.gz", 16).view(-1, 784).float() / 255
        return x, idx(folder, f"{kind}-labels-idx1-ubyte.gz", 8).long()

    (x, y), test = read("train"), read("t10k")
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    train, valid = order[:54_000], order[54_000:]
    labelled = torch.cat([valid[y[valid] == digit][:20] for digit in range(10)])
    return {"train": x[train], "valid": x[valid], "probe": (x[labelled], y[labelled]), "test": test}


def table(runs):
    """Means over repeats of the last evaluation, beside every value."""
    means = {key: sum(r[key][-1] for r in runs) / len(runs) for key in ("valid_losses", "accuracy")}
    return {"valid_loss": means["valid_losses"], "accuracy": means["accuracy"], "repeats": runs}


def experiment(jobs, repeats, seed):
    """Every job `repeats` times: its table, and whole, training and evaluation seconds."""
    clock = {"train": 0.0, "evaluate": 0.0}
    start = time.perf_counter()
    results = {
        name: table([job(seed=seed + repeat, clock=clock) for repeat in range(repeats)])
        for name, job in jobs.items()
    }
    return {"seconds": {"whole": time.perf_counter() - start, **clock}, "results": results}


def default(value, otherwise):
    return otherwise if value is None else value


def synthetic_experiment(options):
    def job(data, objective, latent):
        return lambda **kw: run(
            data, [100, latent], objective, lr=5e-4, epochs=default(options.epochs, 10), batch=100,
            probe_epochs=50, optimizer=options.optimizer, **kw,
        )

    data = synthetic(options.seed, options.data)
    jobs = {
        f"{objective}.{latent}": job(data, objective, latent)
        for objective in ["vanilla", "denoising", "masked"]
        for latent in [5, 20, 100, 500]
    }
    return experiment(jobs, default(options.repeats, 3), options.seed)


def mnist_experiment(options):
    def job(data, objective, hidden, lr):
        return lambda **kw: run(
            data, [784, *hidden], objective, lr=lr, epochs=default(options.epochs, 5), batch=100,
            probe_epochs=1_000, optimizer=options.optimizer, **kw,
        )

    data = mnist(options.data_dir, options.seed)
    jobs = {name: job(data, *config) for name, config in MNIST_RUNS.items()}
    return experiment(jobs, default(options.repeats, 2), options.seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optimizer", choices=["fused", "default"], default="fused")
    parser.add_argument("--only", choices=["synthetic", "mnist"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="synthetic data as NPY, the label as the last column")
    parser.add_argument("--repeats", type=int, help="default: 3 synthetic, 2 MNIST")
    parser.add_argument("--epochs", type=int, help="default: 10 synthetic, 5 MNIST")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    report = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "optimizer": options.optimizer,
        "threads": options.threads,
        "seed": options.seed,
    }
    if options.only != "mnist":
        report["synthetic"] = synthetic_experiment(options)
    if options.only != "synthetic":
        report["mnist"] = mnist_experiment(options)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
