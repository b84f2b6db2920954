"""The PyTorch side of `bench/convolution`: convolutions and steps of He's nets, in the faster layout of images.

Each line of standard input is a case, each line of output its JSON: `layer 14 4 128 0.5` is side, channels, samples,
seconds; `plain 3 14 4 128 0.5` or `residual ..` n, side, width, samples, seconds. The first time a case comes, both
layouts are timed and the faster one is kept.
"""

import argparse
import json
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn.functional import cross_entropy, pad, relu

LAYOUTS = [torch.contiguous_format, torch.channels_last]


class Block(nn.Module):
    """Two convolutions, and for a residual net the shortcut of option A (He et al. 2015, section 3.3)."""

    def __init__(self, inputs, outputs, stride, residual):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.stride, self.new, self.residual = stride, outputs - inputs, residual

    def forward(self, x):
        branch = self.norm2(self.conv2(relu(self.norm1(self.conv1(x)), inplace=True)))
        if self.residual:
            shortcut = x if self.stride == 1 else x[:, :, :: self.stride, :: self.stride]
            branch = branch + (pad(shortcut, (0, 0, 0, 0, 0, self.new)) if self.new else shortcut)
        return relu(branch, inplace=True)


def network(kind, n, width):
    layers, inputs = [nn.Conv2d(1, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)], width
    for group, outputs in enumerate((width, 2 * width, 4 * width)):
        for block in range(n):
            layers.append(Block(inputs, outputs, 2 if group and not block else 1, kind == "residual"))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def layer(side, width, samples, layout):
    convolution = nn.Conv2d(width, width, 3, 1, 1, bias=False).to(memory_format=layout)
    images = torch.randn(samples, width, side, side).to(memory_format=layout).requires_grad_()
    of_output = torch.randn(samples, width, side, side).to(memory_format=layout)

    def work():
        images.grad = convolution.weight.grad = None
        convolution(images).backward(of_output)

    return work


def step(kind, n, side, width, samples, layout):
    net = network(kind, n, width).to(memory_format=layout)
    descent = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4, foreach=True)
    images = torch.randn(samples, 1, side, side).to(memory_format=layout)
    labels = torch.arange(samples) % 10

    def work():
        descent.zero_grad(set_to_none=True)
        cross_entropy(net(images), labels).backward()
        descent.step()

    return work


def milliseconds(work, seconds):
    """The median of the tries, after one that is not counted."""
    work()
    start, tries = time.perf_counter(), []
    while len(tries) < 5 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        work()
        tries.append(1e3 * (time.perf_counter() - before))
    return statistics.median(tries)


def made(case):
    kind, *numbers = case
    numbers = [int(number) for number in numbers]
    make = (lambda layout: layer(*numbers, layout)) if kind == "layer" else (lambda layout: step(kind, *numbers, layout))
    return min((make(layout) for layout in LAYOUTS), key=lambda work: milliseconds(work, 0.3))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    cases = {}
    for line in sys.stdin:
        *case, seconds = line.split()
        if tuple(case) not in cases:
            cases[tuple(case)] = made(case)
        print(json.dumps({"ms": milliseconds(cases[tuple(case)], float(seconds))}), flush=True)


if __name__ == "__main__":
    main()
