"""The PyTorch side of `bench/attention`: attention forward and backward, in the fastest way that PyTorch has for it.

Each line of standard input is a case, each line of output its JSON: `elu causal 4096 8 64 0.5` is similarity, `causal` or
`full`, length, heads, width, seconds to spend; `product` asks for the rate of a product. The first time a case comes, all
ways to write it are tried: eager ones first, then `torch.compile` of those that are not far behind; after that the
fastest few are timed alone.
"""

import argparse
import json
import math
import statistics
import sys
import time

import torch
from torch.nn.functional import elu, pad, scaled_dot_product_attention

WORTH_COMPILING = 3  # times the fastest eager way
WORTH_TIMING = 1.5  # times the fastest way, for at most three
BIGGEST = 6e9  # bytes of the largest array a way may keep, times how many it keeps
MOST_TRIES = 25
LONG = 5  # seconds after which a way is not tried again before it is timed
PRODUCT = 2048


def with_ones(v):
    """Values with a column for the denominator."""
    return pad(v, (0, 1), value=1.0)


def divided(sums):
    return sums[..., :-1] / sums[..., -1:]


def elu_features(x):
    return elu(x) + 1


def all_products(x):
    """D^2 features of the quadratic kernel."""
    return (x.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2)


def symmetric_products(x):
    """D (D + 1) / 2 of them."""
    i, j = torch.triu_indices(x.shape[-1], x.shape[-1])
    return x[..., i] * x[..., j] * torch.where(i == j, 1.0, 2.0**0.5)


def elu_kernel(q, k):
    return elu_features(q) @ elu_features(k).transpose(-1, -2)


def quadratic_kernel(q, k):
    return (q @ k.transpose(-1, -2)).square()


def by_kernel(kernel):
    """All pairs of queries and keys."""

    def attend(q, k, v, causal):
        weights = kernel(q, k)
        if causal:
            weights = weights.tril()
        return divided(weights @ with_ones(v))

    return attend


def by_features(features):
    def attend(q, k, v, causal):
        sums = torch.einsum("bhnc,bhnm->bhcm", features(k), with_ones(v))
        return divided(torch.einsum("bhnc,bhcm->bhnm", features(q), sums))

    return attend


def by_features_apart(features):
    """The denominator by itself, so that products have no odd column."""

    def attend(q, k, v, causal):
        q, k = features(q), features(k)
        numerators = torch.einsum("bhnc,bhcm->bhnm", q, torch.einsum("bhnc,bhnm->bhcm", k, v))
        return numerators / torch.einsum("bhnc,bhc->bhn", q, k.sum(2)).unsqueeze(-1)

    return attend


def by_chunks(features, kernel, size):
    """Causal: sums of features over earlier chunks, the kernel within a chunk."""

    def attend(q, k, v, causal):
        chunks = [x.unflatten(2, (-1, size)) for x in (q, k, with_ones(v))]
        q, k, v = chunks
        sums = torch.einsum("bhtnc,bhtnm->bhtcm", features(k), v)
        before = sums.cumsum(2) - sums
        across = torch.einsum("bhtnc,bhtcm->bhtnm", features(q), before)
        return divided(across + kernel(q, k).tril() @ v).flatten(2, 3)

    return attend


def by_chunks_apart(features, kernel, size):
    """The same, with the denominator by itself."""

    def attend(q, k, v, causal):
        q, k, v = (x.unflatten(2, (-1, size)) for x in (q, k, v))
        of_q, of_k = features(q), features(k)
        sums, lengths = torch.einsum("bhtnc,bhtnm->bhtcm", of_k, v), of_k.sum(3)
        sums, lengths = sums.cumsum(2) - sums, lengths.cumsum(2) - lengths
        within = kernel(q, k).tril()
        numerators = torch.einsum("bhtnc,bhtcm->bhtnm", of_q, sums) + within @ v
        denominators = torch.einsum("bhtnc,bhtc->bhtn", of_q, lengths) + within.sum(-1)
        return (numerators / denominators.unsqueeze(-1)).flatten(2, 3)

    return attend


def softmax_kernel(q, k, causal):
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -torch.inf)
    return scores.softmax(-1)


def softmax(q, k, v, causal):
    return softmax_kernel(q, k, causal) @ v


def sdpa(q, k, v, causal):
    return scaled_dot_product_attention(q, k, v, is_causal=causal)


def straight_through(q, k, v, causal):
    soft = softmax_kernel(q, k, causal)
    hard = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
    return (hard + soft - soft.detach()) @ v


def straight_through_sdpa(q, k, v, causal):
    """The same without an array of all pairs: the gradient of queries and keys is that of the soft output."""
    with torch.no_grad():
        chosen = []
        for start in range(0, q.shape[2], 1024):
            rows = q[:, :, start : start + 1024]
            seen = start + rows.shape[2] if causal else k.shape[2]
            scores = rows @ k[:, :, :seen].transpose(-1, -2)
            if causal:
                block = scores[..., start:]
                block += torch.full(block.shape[-2:], -torch.inf).triu(1)
            chosen.append(scores.argmax(-1))
        chosen = torch.cat(chosen, 2).unsqueeze(-1).expand(-1, -1, -1, v.shape[-1])
    soft = sdpa(q, k, v.detach(), causal)
    return v.gather(2, chosen) + soft - soft.detach()


KERNELS = {"elu": elu_kernel, "quadratic": quadratic_kernel}
FEATURES = {
    "elu": {"features": (elu_features, 1)},
    "quadratic": {"D^2 features": (all_products, 64), "D(D+1)/2 features": (symmetric_products, 32.5)},
}


def ways(similarity, causal, length, heads, dim):
    """Functions by name, those left out whose arrays would be too large."""
    pairs, row = 4 * heads * length**2, 4 * heads * length * dim
    if similarity == "softmax":
        found = {"SDPA": (sdpa, 0), "all pairs": (softmax, 4 * pairs)}
    elif similarity == "hard":
        found = {"all pairs": (straight_through, 6 * pairs), "SDPA and argmax": (straight_through_sdpa, 0)}
    else:
        kernel = KERNELS[similarity]
        found = {"all pairs": (by_kernel(kernel), 4 * pairs)}
        for name, (features, times) in FEATURES[similarity].items():
            if not causal:
                found[name] = (by_features(features), 5 * times * row)
                found[f"{name}, sums apart"] = (by_features_apart(features), 5 * times * row)
                continue
            for size in (64, 128, 256, 512):
                states = 4 * heads * length / size * times * dim * (dim + 1)
                bytes_kept = 5 * times * row + 4 * states
                found[f"{name}, chunks of {size}"] = (by_chunks(features, kernel, size), bytes_kept)
                if size <= 128:
                    found[f"{name}, chunks of {size}, sums apart"] = (by_chunks_apart(features, kernel, size), bytes_kept)
    return {name: way for name, (way, size) in found.items() if size < BIGGEST}


def seconds_of(way, inputs, causal):
    """Of one pass forward and backward."""
    *inputs, of_output = inputs
    start = time.perf_counter()
    output = way(*inputs, causal)
    torch.autograd.grad(output, inputs, of_output)
    return time.perf_counter() - start


def tried(way, inputs, causal, best=math.inf):
    """The best of three, or the first if that is far from the best so far, or long."""
    first = seconds_of(way, inputs, causal)
    return first if first > min(4 * best, LONG) else min(first, *(seconds_of(way, inputs, causal) for _ in range(2)))


def agrees(way, inputs, causal, want):
    with torch.no_grad():
        return (way(*inputs[:3], causal) - want).abs().mean() < 1e-3 * want.abs().mean()


def compiled(eager, seconds, limit, left_out):
    """Compiled ways by name, of those that are not far behind; names those for which no time was left."""
    start = time.perf_counter()
    for name in sorted(eager, key=seconds.get):
        # The compiler has nothing to do in one operation; of the loop over queries it makes as many as there are turns.
        if "SDPA" in name or seconds[name] > WORTH_COMPILING * min(seconds.values()):
            continue
        if time.perf_counter() - start > limit:
            left_out.append(name)
            continue
        yield name + ", compiled", torch.compile(eager[name], dynamic=False)


def explore(similarity, causal, sizes, inputs, limit):
    """Milliseconds of every way, and the fastest few."""
    torch._dynamo.reset()
    eager = ways(similarity, causal, *sizes)
    with torch.no_grad():
        want = next(iter(eager.values()))(*inputs[:3], causal)
    for name, way in eager.items():
        if not agrees(way, inputs, causal, want):
            raise SystemExit(f"{name} does not agree")
    all_ways = dict(eager)
    seconds = {}
    for name, way in eager.items():
        seconds[name] = tried(way, inputs, causal, min(seconds.values(), default=math.inf))
    left_out = []
    for name, way in compiled(eager, dict(seconds), limit, left_out):
        all_ways[name] = way
        # The first call compiles.
        seconds_of(way, inputs, causal)
        seconds[name] = tried(way, inputs, causal, min(seconds.values()))
    order = sorted(seconds, key=seconds.get)
    best = [name for name in order[:3] if seconds[name] < WORTH_TIMING * seconds[order[0]]]
    return {name: 1e3 * seconds[name] for name in order}, {name: all_ways[name] for name in best}, left_out


def product_rate():
    """GFLOP/s of a product of square matrices."""
    factor = torch.full((PRODUCT, PRODUCT), 0.5)
    tries = []
    for _ in range(20):
        start = time.perf_counter()
        factor @ factor
        tries.append(time.perf_counter() - start)
    return 2 * PRODUCT**3 / statistics.median(tries[1:]) / 1e9


def median_ms(way, inputs, causal, budget):
    """After one try that is not counted, as on the other side."""
    seconds_of(way, inputs, causal)
    tries, start = [], time.perf_counter()
    while not tries or (time.perf_counter() - start < budget and len(tries) < MOST_TRIES):
        tries.append(seconds_of(way, inputs, causal))
    return 1e3 * statistics.median(tries)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile-seconds", type=float, default=150, help="after which a case compiles nothing more")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    last, tried_ways, best, left_out = None, {}, {}, []
    for line in sys.stdin:
        if line.strip() == "product":
            print(json.dumps({"gflops": product_rate()}), flush=True)
            continue
        similarity, causal, *sizes, budget = line.split()
        causal, sizes, budget = causal == "causal", [int(size) for size in sizes], float(budget)
        if line != last:
            torch.manual_seed(0)
            length, heads, dim = sizes
            inputs = [torch.randn(1, heads, length, dim, requires_grad=part < 3) for part in range(4)]
            tried_ways, best, left_out = explore(similarity, causal, sizes, inputs, options.compile_seconds)
            last = line
        timed = {name: median_ms(way, inputs, causal, budget / len(best)) for name, way in best.items()}
        print(json.dumps({"ms": timed, "ways": tried_ways, "not_compiled": left_out}), flush=True)


if __name__ == "__main__":
    main()
