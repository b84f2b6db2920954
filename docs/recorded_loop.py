"""A training loop recorded by attar_recorder.py, with the mistakes that the doctor tells apart:

    python docs/recorded_loop.py run.jsonl [VARIANT]

sound                  nothing is wrong
no-zero-grad           zero_grad once, before the loop
no-zero-grad-low-rate  the same at a two-hundredth of the learning rate: the curve looks healthy
high-rate              zero_grad is there, the learning rate is too high: the curve looks like no-zero-grad
accumulation           gradients of 4 micro-batches are averaged: sound
summed-accumulation    they are summed: the division by 4 is missing

Ten classes of points about ten centres in 20 dimensions, a network of one hidden layer, 120 steps.
"""

import sys

import torch
import torch.nn.functional as F

from attar_recorder import Recorder

CLASSES, DIMENSIONS, BATCH, MICRO_BATCHES = 10, 20, 32, 4


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = torch.nn.Linear(DIMENSIONS, 32)
        self.output = torch.nn.Linear(32, CLASSES)

    def stages(self, inputs):
        """All stages by name: what the recorder's `activations` takes."""
        hidden = F.relu(self.hidden(inputs))
        return {"hidden": hidden, "output": self.output(hidden)}

    def forward(self, inputs):
        return self.stages(inputs)["output"]


def loss_of(model, inputs, targets):
    return F.cross_entropy(model(inputs), targets)


def sample_losses(model, inputs, targets):
    return F.cross_entropy(model(inputs), targets, reduction="none")


def data():
    centres = torch.randn(CLASSES, DIMENSIONS)
    targets = torch.arange(20 * BATCH) % CLASSES
    inputs = 0.7 * centres[targets] + torch.randn(len(targets), DIMENSIONS)
    order = torch.randperm(len(targets))
    return inputs[order], targets[order]


def train(path, variant):
    torch.manual_seed(7)
    inputs, targets = data()
    model = Net()
    rate = {"high-rate": 3.0, "no-zero-grad-low-rate": 0.0005}.get(variant, 0.1)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    parts_of_batch = MICRO_BATCHES if "accumulation" in variant else 1
    averaged = variant != "summed-accumulation"
    recorder = Recorder(path, model, optimizer, batch_size=BATCH, accumulation=parts_of_batch, seed=7,
                        classes=CLASSES, stages={"hidden": "relu", "output": ""}, norms_every=4)
    probe = (inputs[:BATCH], targets[:BATCH])
    recorder.probe_one_batch(lambda model: loss_of(model, *probe))
    recorder.probe_reduction(loss_of, *probe)
    if parts_of_batch > 1:
        recorder.probe_accumulation(window_of(model, averaged), sample_losses, *probe)
        recorder.probe_coupling(model.stages, probe[0], [BATCH // MICRO_BATCHES] * MICRO_BATCHES)
    for _ in range(6):
        for x, y in zip(inputs.split(BATCH), targets.split(BATCH)):
            if not variant.startswith("no-zero-grad") or recorder.steps == 0:
                recorder.zero_grad()
            mean = 0.0
            for part in zip(x.chunk(parts_of_batch), y.chunk(parts_of_batch)):
                loss, share = loss_of(model, *part), len(part[0]) / len(x)
                recorder.backward(loss * share if averaged else loss, len(part[0]))
                mean += share * loss.item()
            recorder.step(mean)
        recorder.epoch()
        stages = model.stages(probe[0])
        recorder.activations(stages, F.cross_entropy(stages["output"], probe[1]))
    recorder.probe_input(loss_of, *probe)
    recorder.probe_train_eval(loss_of, *probe)
    recorder.finish()


def window_of(model, averaged):
    """What the loop does from zero_grad to before the step, for the accumulation probe."""
    def window(parts):
        model.zero_grad()
        samples, mean = sum(len(x) for x, _ in parts), 0.0
        for x, y in parts:
            loss, share = loss_of(model, x, y), len(x) / samples
            (loss * share if averaged else loss).backward()
            mean += share * loss.item()
        return mean
    return window


if __name__ == "__main__":
    train(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "sound")
