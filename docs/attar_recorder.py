"""Records a PyTorch training loop for `attar doctor`: one event a line, as crates/attar-doctor/README.md specifies.

Standard library and torch only; copy this file beside your loop. The loop calls the recorder where it would call
PyTorch, in the same order, so that the record holds what the loop does, mistakes included:

    recorder = Recorder("run.jsonl", model, optimizer, batch_size=32, classes=10)
    for epoch in range(10):
        for inputs, targets in batches:
            recorder.zero_grad()                       # optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), targets)
            recorder.backward(loss, len(inputs))       # loss.backward()
            recorder.step(loss)                        # optimizer.step()
        recorder.epoch()
    recorder.finish()

A call that the loop forgets is missing in the record, and found. Where another call steps, as with a gradient scaler or
an optimizer that wants a closure, `step` is given it. Nothing is hooked; the stages of a model are the
tensors that the caller hands to `activations`. docs/recorded_loop.py is a whole loop with the probes.
"""

import copy
import json
import math
from datetime import datetime, timezone

import torch

FORMAT = 1

# No epoch's length keeps step with its multiples.
GOLDEN = (math.sqrt(5) - 1) / 2


class Recorder:
    """Writes the record of one run, and makes the calls that it writes of."""

    def __init__(self, path, model, optimizer, *, batch_size, accumulation=1, seed=0, classes=None, target_norm=None,
                 stages=None, schedule="constant", norms_every=1, fresh_every=10, notes=None):
        """Begins the record at `path`, where no file may be.

        batch_size: samples per optimizer step; accumulation: backward passes they are processed in.
        classes: of a classifier with cross-entropy; target_norm: mean squared norm of the target, for squared error.
        stages: {name: activation}, from the input to the output, as `activations` will get them; activation is
        "relu", "tanh", "sigmoid" or "".
        norms_every: steps between records of the sizes; fresh_every: steps, on average, between fresh backward passes,
        which tell a stale gradient from others at the price of one more pass (0: never). They come unevenly, lest they
        all fall on the same step of an epoch.
        """
        self.model, self.optimizer = model, optimizer
        self.norms_every, self.fresh_every = norms_every, fresh_every
        self.epochs, self.steps, self.pending, self.fresh = 0, 0, 0, 0
        self.loss_sum, self.loss_count = 0.0, 0
        self.optimised = [p for group in optimizer.param_groups for p in group["params"]]
        self.named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.stages = dict(stages or {})
        held = {id(p) for p in self.optimised}
        tensors = [tensor_entry(name, p, id(p) in held) for name, p in self.named]
        settings = {k: number(v) for k, v in optimizer.defaults.items()
                    if k != "lr" and isinstance(v, (int, float)) and not isinstance(v, bool)}
        header = {
            "format": FORMAT, "framework": f"torch {torch.__version__}",
            "created": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "seed": seed,
            "optimizer": {"name": type(optimizer).__name__.lower(), "settings": settings},
            "schedule": {"name": schedule, "settings": {}}, "batch_size": batch_size, "accumulation": accumulation,
            "dtype": dtype_name(self.named[0][1].dtype), "parameters": sum(p.numel() for _, p in self.named),
            "data_fingerprint": "",
        }
        optional = {"classes": classes, "target_norm": target_norm and number(target_norm), "tensors": tensors,
                    "stages": [{"name": name, "activation": kind} for name, kind in self.stages.items()],
                    "order": True, "notes": {str(key): str(note) for key, note in (notes or {}).items()}}
        self.file = open(path, "x", encoding="utf-8", buffering=1 << 16)
        self._write("header", **header, **{key: value for key, value in optional.items() if value})
        self.file.flush()

    # The calls of the loop, in its order.

    def zero_grad(self):
        """optimizer.zero_grad()."""
        self._write("zero_grad", epoch=self.epochs + 1, step=self.steps + 1)
        self.optimizer.zero_grad()

    def backward(self, loss, samples):
        """loss.backward(); `samples` are those whose losses are in it."""
        event = {"epoch": self.epochs + 1, "step": self.steps + 1, "samples": samples}
        first = self.pending == 0
        if first:
            event["buffer"] = number(norm(p.grad for p in self.optimised))
        self._write("backward", **event, training=self.model.training)
        self.pending += 1
        if not (first and self._fresh_is_due()):
            return loss.backward()
        before = [None if p.grad is None else p.grad.clone() for p in self.optimised]
        trained = [p for p in self.optimised if p.requires_grad]
        found = iter(torch.autograd.grad(loss, trained, retain_graph=True, allow_unused=True))
        fresh = [next(found) if p.requires_grad else None for p in self.optimised]
        loss.backward()
        self._stale(before, fresh)

    def clip(self, limit):
        """torch.nn.utils.clip_grad_norm_ over what the optimizer holds."""
        length = torch.nn.utils.clip_grad_norm_(self.optimised, limit)
        self._write("clip", epoch=self.epochs + 1, step=self.steps + 1, norm=number(length),
                    limit=number(limit))

    def step(self, loss, call=None):
        """optimizer.step(), or `call`; `loss` is that of the whole batch.

        With a gradient scaler: `scaler.unscale_(optimizer)`, so that gradients are recorded as they are, then
        `recorder.step(loss, lambda: (scaler.step(optimizer), scaler.update()))`. With a closure:
        `recorder.step(loss, lambda: optimizer.step(closure))`; what the closure calls is not recorded.
        """
        measured = self.steps % self.norms_every == 0
        before = [p.detach().clone() for _, p in self.named] if measured else None
        gradients = [p.grad for _, p in self.named]
        sizes = [None if g is None else number(norm([g])) for g in gradients] if measured else None
        nonfinite = [0 if g is None else int((~g.isfinite()).sum()) for g in gradients] if measured else [0]
        rate = self.optimizer.param_groups[0]["lr"]
        (call or self.optimizer.step)()
        self.steps, self.pending = self.steps + 1, 0
        self.loss_sum, self.loss_count = self.loss_sum + plain(loss), self.loss_count + 1
        place = {"epoch": self.epochs + 1, "step": self.steps}
        self._write("step", **place, loss=number(loss), learning_rate=number(rate))
        if measured:
            updates = [number(norm([p.detach() - old])) for (_, p), old in zip(self.named, before)]
            weights = [number(norm([old])) for old in before]
            extra = {"nonfinite": nonfinite} if any(nonfinite) else {}
            self._write("norms", **place, gradient=sizes, weight=weights, update=updates, **extra)

    def schedule(self, scheduler):
        """scheduler.step()."""
        scheduler.step()
        step = self.steps + 1 if self.pending else self.steps
        rate = self.optimizer.param_groups[0]["lr"]
        self._write("schedule", epoch=self.epochs + 1, step=step, learning_rate=number(rate))

    def epoch(self):
        """The end of an epoch."""
        self.epochs, self.pending = self.epochs + 1, 0
        loss = self.loss_sum / max(self.loss_count, 1)
        self.loss_sum, self.loss_count = 0.0, 0
        rate = self.optimizer.param_groups[0]["lr"]
        self._write("epoch", epoch=self.epochs, step=self.steps, loss=number(loss), learning_rate=number(rate))
        self.file.flush()

    def evaluation(self, split, **metrics):
        """Metrics by name on "train", "validation" or "test"."""
        values = {name: number(value) for name, value in metrics.items()}
        self._write("evaluation", epoch=self.epochs, step=self.steps, split=split, metrics=values)

    def finish(self, status="completed", reason=""):
        """How the run ended: "completed", "interrupted" or "failed"."""
        self._write("finish", status=status, **({"reason": reason} if reason else {}))
        self.file.close()

    # What is measured on purpose.

    def activations(self, outputs, loss=None):
        """Statistics of {stage: output} on a fixed probe batch; with its `loss`, gradients with respect to them too."""
        gradients = [None] * len(outputs)
        if loss is not None:
            gradients = torch.autograd.grad(loss, list(outputs.values()), retain_graph=True, allow_unused=True)
        stages = [stage_entry(name, output, self.stages.get(name, ""), gradient)
                  for (name, output), gradient in zip(outputs.items(), gradients)]
        self._write("activations", epoch=self._epoch_now(), step=self.steps, stages=stages)

    def probe(self, kind, values, stage=""):
        """Any probe of the format's list: numbers by name."""
        where = {"stage": stage} if stage else {}
        values = {name: number(value) for name, value in values.items()}
        self._write("probe", epoch=self._epoch_now(), step=self.steps, kind=kind, **where, values=values)

    def probe_one_batch(self, loss_of, steps=300, rate=1e-2):
        """Trains a copy of the model on one batch; `loss_of(model)` is the loss on it."""
        state = generators()
        model = copy.deepcopy(self.model)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = loss_of(model)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        set_generators(state)
        self.probe("one_batch", {"first": losses[0], "last": losses[-1], "steps": steps})

    def probe_reduction(self, loss_of, inputs, targets):
        """The loss of the same weights on both halves of a batch, their mean, and on the same samples at once;
        `loss_of(model, inputs, targets)`."""
        half = len(inputs) // 2
        halves = [slice(half), slice(half, 2 * half)]
        with self._undisturbed(), torch.no_grad():
            small = sum(float(loss_of(self.model, inputs[part], targets[part])) for part in halves) / 2
            large = loss_of(self.model, inputs[:2 * half], targets[:2 * half])
        values = {"small": small, "large": large, "small_samples": half, "large_samples": 2 * half}
        self.probe("reduction", values)

    def probe_train_eval(self, loss_of, inputs, targets):
        """The loss of one batch in training and in evaluation mode."""
        with self._undisturbed() as found, torch.no_grad():
            # First: a pass in training mode moves the running statistics towards this batch.
            evaluated = float(loss_of(self.model.eval(), inputs, targets))
            found.set_training()
            train = float(loss_of(self.model, inputs, targets))
        self.probe("train_eval", {"train": train, "eval": evaluated})

    def probe_input(self, loss_of, inputs, targets):
        """Whether the outputs follow the inputs."""
        with self._undisturbed(), torch.no_grad():
            outputs = self.model(inputs).double()
            spread = (outputs - outputs.mean(0)).square().mean().sqrt() / outputs.square().mean().sqrt()
            loss, zeroed = (float(loss_of(self.model, x, targets)) for x in (inputs, torch.zeros_like(inputs)))
        self.probe("input", {"variation": spread, "loss": loss, "loss_zeroed": zeroed})

    def probe_accumulation(self, window, sample_losses, inputs, targets, splits=None, clip=None):
        """The accumulation certificate on one batch, for the loop's own window.

        window(micro_batches): what the loop does from zero_grad to before the step, given a list of (inputs, targets);
        it is called outside the record, so let it call PyTorch and not the recorder. If it returns the loss that the
        loop reports, that is compared too.
        sample_losses(model, inputs, targets): the losses of the samples, one each; their mean in one pass gives g0.
        splits: lists of sizes; by default the batch in 1, 2, 4, ... equal parts, and in three unequal ones.
        clip: the norm to which the loop clips, to tell clipping inside the window from other mistakes.
        """
        for sizes in splits or default_splits(len(inputs)):
            counts = {"micro_batches": len(sizes), "samples": len(inputs), "smallest": min(sizes),
                      "largest": max(sizes)}
            with self._undisturbed():
                try:
                    values = self._accumulation(window, sample_losses, inputs, targets, sizes, clip)
                except ValueError:  # batch norm refuses one value per channel
                    values = dict.fromkeys(("error", "scale", "angle"), math.nan)
            self.probe("accumulation", {**counts, **values})

    def probe_coupling(self, stages_of, inputs, sizes):
        """Which stage lets the samples of a batch see each other; `stages_of(inputs)` gives {stage: output} in order,
        in the mode the model trains in."""
        with self._undisturbed():
            seed = generators()
            x = inputs.clone().requires_grad_()
            whole = stages_of(x)
            slopes = {name: first_row_slopes(output, x) for name, output in whole.items()}
            set_generators(seed)
            with torch.no_grad():
                parts = [stages_of(part) for part in inputs.split(sizes)]
        for name, output in whole.items():
            outputs = difference(torch.cat([part[name] for part in parts]), output.detach())
            self.probe("coupling", {"outputs": outputs, "coupling": slopes[name]}, stage=name)

    # Below: how it is done.

    def _write(self, event, **fields):
        # The whole line first: what cannot be written leaves no half of one.
        line = json.dumps({"event": event, **fields}, separators=(",", ":"), allow_nan=False)
        self.file.write(line + "\n")

    def _epoch_now(self):
        return self.epochs + 1 if self.loss_count or self.pending else self.epochs

    def _fresh_is_due(self):
        jitter = (self.fresh + 1) * GOLDEN % 1
        if not self.fresh_every or self.steps < max(1, int(self.fresh_every * (self.fresh + jitter))):
            return False
        self.fresh += 1
        return True

    def _stale(self, before, fresh):
        zeros = [torch.zeros_like(p) for p in self.optimised]
        old = flat(zeros if g is None else g for g, zeros in zip(before, zeros))
        new = flat(zeros if g is None else g for g, zeros in zip(fresh, zeros))
        after = flat(zeros if p.grad is None else p.grad for p, zeros in zip(self.optimised, zeros))
        length = new.norm()
        values = {"buffer": old.norm(), "fresh": length, "r": (after - new).norm() / length,
                  "q": (after - old - new).norm() / length}
        values = {name: number(value) for name, value in values.items()}
        self._write("probe", epoch=self.epochs + 1, step=self.steps + 1, kind="stale", values=values)

    def _undisturbed(self):
        return Undisturbed(self.model)

    def _accumulation(self, window, sample_losses, inputs, targets, sizes, clip):
        parts = list(zip(inputs.split(sizes), targets.split(sizes)))
        start = {name: value.clone() for name, value in self.model.state_dict().items()}
        seed = generators()

        def gradient(run):
            self.model.load_state_dict(start)
            set_generators(seed)
            self.model.zero_grad()
            loss = run()
            return flat(torch.zeros_like(p) if p.grad is None else p.grad for _, p in self.named), loss

        def outputs(batches):
            self.model.load_state_dict(start)
            set_generators(seed)
            with torch.no_grad():
                return torch.cat([self.model(x) for x, _ in batches])

        def mean_loss(x, y):
            loss = sample_losses(self.model, x, y).mean()
            loss.backward()
            return loss.item()

        whole, loss = gradient(lambda: mean_loss(inputs, targets))
        found, reported = gradient(lambda: window(parts))
        own = [gradient(lambda part=part: mean_loss(*part))[0] for part in (parts if clip else parts[-1:])]
        clipped = distance_to_clipped(found, own, sizes, clip) if clip else None
        optional = {"clipped": clipped, "loss": None if reported is None else abs(plain(reported) / loss - 1)}
        one, cut = outputs([(inputs, targets)]), outputs(parts)
        self.model.load_state_dict(start)
        return {
            "outputs": difference(cut, one), "error": (found - whole).norm() / whole.norm(),
            "scale": found @ whole / (whole @ whole), "angle": one_less_cosine(found, whole),
            "last_angle": one_less_cosine(found, own[-1]),
            **{name: value for name, value in optional.items() if value is not None},
        }


class Undisturbed:
    """Puts weights, running statistics, gradients, modes and generator back as they were."""

    def __init__(self, model):
        self.model = model

    def __enter__(self):
        self.modes = [(module, module.training) for module in self.model.modules()]
        self.state = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.gradients = [(p, p.grad) for p in self.model.parameters()]
        for p, _ in self.gradients:
            p.grad = None
        self.generator = generators()
        return self

    def __exit__(self, *_):
        self.model.load_state_dict(self.state)
        self._set_modes()
        for p, gradient in self.gradients:
            p.grad = gradient
        set_generators(self.generator)

    def set_training(self):
        """Modes as the loop has them, frozen parts too; all in training mode if it evaluates now."""
        self._set_modes()
        if not self.model.training:
            self.model.train()

    def _set_modes(self):
        for module, training in self.modes:
            module.training = training


def generators():
    """The states of all generators that masks may be drawn from."""
    return [torch.random.get_rng_state()] + (torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])


def set_generators(states):
    torch.random.set_rng_state(states[0])
    if states[1:]:
        torch.cuda.set_rng_state_all(states[1:])


def default_splits(samples):
    """Powers of two that divide the batch, and 3 unequal parts (12, 12, 8 of 32)."""
    counts = [1 << i for i in range(samples.bit_length()) if samples % (1 << i) == 0]
    most = math.ceil(samples * 0.375)
    uneven = [most, most, samples - 2 * most]
    return [[samples // k] * k for k in counts] + ([uneven] if 0 < uneven[2] != most else [])


def tensor_entry(name, parameter, optimised):
    entry = {"name": name, "stage": name.rpartition(".")[0], "shape": list(parameter.shape)}
    return {**{key: value for key, value in entry.items() if value != ""}, "optimised": optimised}


def stage_entry(name, output, activation, gradient):
    """Statistics of one stage; a unit is a channel of an image, else a feature of the last dimension."""
    output = output.detach()
    unit = 1 if output.dim() == 4 else output.dim() - 1
    by_unit = output.movedim(unit, 0).flatten(1)
    entry = {"name": name, "mean": number(output.mean()), "deviation": number(output.std(correction=0)),
             "dead": number((by_unit == 0).all(1).double().mean())}
    bounds = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}.get(activation)
    if bounds:
        near = (by_unit < bounds[0] + 0.01) | (by_unit > bounds[1] - 0.01)
        entry["saturated"] = number((near.double().mean(1) >= 0.95).double().mean())
    nonfinite = int((~output.isfinite()).sum())
    if nonfinite:
        entry["nonfinite"] = nonfinite
    if gradient is not None:
        entry["gradient"] = number(norm([gradient]))
    return entry


def plain(value):
    return value.item() if isinstance(value, torch.Tensor) else float(value)


def number(value):
    """A number as the format writes it, to six digits."""
    value = plain(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(f"{value:.6g}")


def norm(tensors):
    """The Euclidean norm of all that is there, in double precision."""
    squares = [t.detach().double().square().sum() for t in tensors if t is not None]
    return math.sqrt(float(sum(squares))) if squares else 0.0


def flat(tensors):
    return torch.cat([t.detach().double().flatten() for t in tensors])


def difference(found, expected):
    """Largest difference over the largest entry."""
    found, expected = found.double(), expected.double()
    return (found - expected).abs().max() / expected.abs().max().clamp_min(1e-300)


def first_row_slopes(output, inputs):
    """Largest |d out_0 / d x_j|, j > 0, over |d out_0 / d x_0|, along one random direction of out_0."""
    direction = torch.randn_like(output[0])
    rows = torch.autograd.grad((output[0] * direction).sum(), inputs, retain_graph=True)[0].flatten(1).norm(dim=1)
    return rows[1:].max() / rows[0].clamp_min(1e-300)


def one_less_cosine(a, b):
    """1 - cos(a, b) without cancellation: half the squared distance of the two directions; 1 where one is none."""
    if not (a.any() and b.any()):
        return 1.0
    return float((a / a.norm() - b / b.norm()).square().sum() / 2)


def distance_to_clipped(found, own, sizes, limit):
    """Relative distance to what clipping inside the window gives: the mean of the micro-batches' clipped gradients, or
    buffers that are clipped after every pass but the last; the nearer. None where nothing is clipped."""
    mean, buffer, longest = torch.zeros_like(found), torch.zeros_like(found), 0.0
    for gradient, size in zip(own, sizes):
        longest = max(longest, float(buffer.norm()), float(gradient.norm()))
        share = size / sum(sizes)
        mean = mean + share * shortened(gradient, limit)
        buffer = shortened(buffer, limit) + share * gradient
    return min((found - to).norm() / to.norm() for to in (mean, buffer)) if longest > limit else None


def shortened(gradient, limit):
    """As torch.nn.utils.clip_grad_norm_ does it."""
    return gradient * min(1.0, limit / (float(gradient.norm()) + 1e-6))


def dtype_name(dtype):
    return {torch.float64: "f64", torch.bfloat16: "bf16", torch.float16: "f16"}.get(dtype, "f32")
