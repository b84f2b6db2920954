"""A training loop recorded by attar_recorder.py, with the mistakes that the doctor tells apart:

    python docs/recorded_loop.py run.jsonl [sound|no-zero-grad|high-rate|summed-accumulation]

Ten classes of points about ten centres in 20 dimensions, a network of one hidden layer, 120 steps. `no-zero-grad` and
`high-rate` end alike, far above where they began; the record tells which is which.
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
    rate = {"high-rate": 30.0, "no-zero-grad": 0.1}.get(variant, 0.1)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    summed = variant == "summed-accumulation"
    recorder = Recorder(path, model, optimizer, batch_size=BATCH, accumulation=MICRO_BATCHES if summed else 1, seed=7,
                        classes=CLASSES, stages={"hidden": "relu", "output": ""}, norms_every=2)
    probe = (inputs[:BATCH], targets[:BATCH])
    recorder.probe_one_batch(lambda model: loss_of(model, *probe))
    recorder.probe_reduction(loss_of, *probe)
    if summed:
        recorder.probe_accumulation(window_of(model), sample_losses, *probe)
    for _ in range(6):
        for x, y in zip(inputs.split(BATCH), targets.split(BATCH)):
            if variant != "no-zero-grad" or recorder.steps == 0:
                recorder.zero_grad()
            parts = [(x, y)] if not summed else list(zip(x.chunk(MICRO_BATCHES), y.chunk(MICRO_BATCHES)))
            losses = []
            for part in parts:
                losses.append(loss_of(model, *part))
                # The mistake of `summed-accumulation`: it should be losses[-1] / len(parts).
                recorder.backward(losses[-1], len(part[0]))
            recorder.step(sum(float(loss) for loss in losses) / len(losses))
        recorder.epoch()
        stages = model.stages(probe[0])
        recorder.activations(stages, F.cross_entropy(stages["output"], probe[1]))
    recorder.probe_input(loss_of, *probe)
    recorder.probe_train_eval(loss_of, *probe)
    recorder.finish()


def window_of(model):
    """What the loop does from zero_grad to before the step, for the accumulation probe."""
    def window(parts):
        model.zero_grad()
        for x, y in parts:
            loss_of(model, x, y).backward()
    return window


if __name__ == "__main__":
    train(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "sound")
