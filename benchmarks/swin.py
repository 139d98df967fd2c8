"""Training of a plain MONAI SwinTransformer loop and of ours, on the same data, in one run.

    python benchmarks/swin.py [--threads 2] [--rounds 3] [--window 4] [--device auto] [--quick] [SIZE:EMBED:BATCH …]

plain   MONAI's SwinTransformer as it is, in the loop of any tutorial: float32, AdamW, `loss.item()` at every step
tuned   the same, in a process that keeps freed memory and flushes denormal numbers as our jobs do (CPU only)
ours    `metaswin.models.training.fit`

All have the same weights to begin with, patches (random, five channels), order, augmentation, rates and classifier.
Each side of a round runs in a process of its own, one after the other. The first epoch warms up; the others count.
Ratios
are of samples a second, and on the CPU also of samples a second of processor time, which other jobs disturb least.
"""

import argparse
import logging
import math
import multiprocessing
import os
import platform
import resource
import statistics
import time
from tempfile import TemporaryDirectory

import numpy as np

CHANNELS, SEED = 5, 1


def settings_of(case: dict):
    """The settings that all sides share."""
    from metaswin.config.models import DeepSettings

    keys = ("embed_dim", "window_size", "batch_size", "threads", "device", "epochs", "compile")
    own = {key: case[key] for key in keys}
    return DeepSettings(**own, warmup_epochs=0, checkpoint_every=case["epochs"], early_stopping_events=1000)


def data_of(case: dict):
    """Patches (half precision, on the CPU) whose tumour channel tells the label a little, and labels."""
    import torch

    rows, size = case["steps"] * case["batch_size"], case["size"]
    patches = torch.rand((rows, CHANNELS, size, size, size), generator=torch.Generator().manual_seed(SEED))
    labels = np.arange(rows) % 2
    patches[:, 1] *= torch.from_numpy(0.7 + 0.3 * labels)[:, None, None, None]
    return patches.half(), labels


def plain_network(settings):
    """Our classifier, but MONAI computes its Swin Transformer."""
    import torch
    from torch import nn

    from metaswin.models.backbones import build, moments

    class Plain(nn.Module):
        def __init__(self, encoder: nn.Module) -> None:
            super().__init__()
            self.swin, self.norm = encoder.swin, encoder.norm

        def forward(self, patches: torch.Tensor) -> torch.Tensor:
            tokens = self.swin(patches, normalize=False)[-1]
            last = self.norm(tokens.flatten(2).transpose(1, 2)).mean(dim=1)
            embedded = self.swin.patch_embed(patches)
            return torch.cat([last, *moments(embedded, patches[:, 1]), *moments(embedded, patches[:, 2])], dim=1)

    torch.manual_seed(SEED)
    network = build("swin", settings, CHANNELS)
    network.encoder = Plain(network.encoder)
    return network


def train_plain(case: dict, device, clock) -> list[float]:
    """The loop of a tutorial; the losses of its epochs."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    from metaswin.cohort.folds import seed_of
    from metaswin.models.augmentation import augment

    settings = settings_of(case)
    patches, labels = data_of(case)
    target = torch.tensor(labels, dtype=torch.float32)
    network = plain_network(settings).to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    losses = []
    for epoch in range(case["epochs"]):
        seed = seed_of(SEED, "epoch", epoch)
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        order, total = torch.randperm(len(labels), generator=generator), 0.0
        for step, rows in enumerate(order.split(settings.batch_size)):
            done = (epoch + step / case["steps"]) / case["epochs"]
            optimizer.param_groups[0]["lr"] = settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
            batch = augment(patches[rows].float().to(device), settings.augmentation, generator)
            loss = binary_cross_entropy_with_logits(network(batch)[0], target[rows].to(device))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / len(labels))
        clock()
    return losses


def train_ours(case: dict, device, clock) -> list[float]:
    """Our training, as the job train_deep calls it; the losses of its epochs."""
    import torch

    from metaswin.models.backbones import build
    from metaswin.models.compute import reproducible
    from metaswin.models.guidance import Targets
    from metaswin.models.training import Scratch, fit

    class Clock(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("epoch "):
                clock()

    logger = logging.getLogger("metaswin.models")
    logger.setLevel(logging.INFO)
    logger.addHandler(Clock())
    settings = settings_of(case)
    patches, labels = data_of(case)
    with TemporaryDirectory() as folder, reproducible(settings.threads, device):
        torch.manual_seed(SEED)
        network = build("swin", settings, CHANNELS).to(device)
        return fit(network, patches, Targets.of_labels(labels), settings, SEED, Scratch(folder, {})).losses


def measure(side: str, case: dict) -> dict:
    """Samples a second (wall, processor), peak MB and losses of one side, in this process."""
    import torch

    from metaswin.models.compute import choose_device, keep_freed_memory

    device = choose_device(case["device"])
    torch.set_num_threads(case["threads"])
    if side != "plain":
        keep_freed_memory()
        torch.set_flush_denormal(True)
    times = []
    losses = (train_ours if side == "ours" else train_plain)(
        case, device, lambda: times.append((time.perf_counter(), time.process_time()))
    )
    samples = case["steps"] * case["batch_size"] * (case["epochs"] - 1)
    wall, processor = (last - first for first, last in zip(times[0], times[-1], strict=True))
    peak = (
        torch.cuda.max_memory_allocated() / 2**20
        if device.type == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )
    return {"wall": samples / wall, "processor": samples / processor, "mb": peak, "losses": losses}


def difference(case: dict) -> float:
    """Largest difference of the features of a batch, MONAI's and ours, in float32, over their standard deviation."""
    import torch

    from metaswin.models.backbones import build
    from metaswin.models.compute import choose_device

    device = choose_device(case["device"])
    patches = data_of({**case, "steps": 1})[0].float().to(device)
    plain = plain_network(settings_of(case)).to(device).eval()
    torch.manual_seed(SEED)
    ours = build("swin", settings_of(case), CHANNELS).to(device).eval()
    # With gradients, since then the CPU computes as in training.
    theirs, mine = plain(patches)[1].detach(), ours(patches)[1].detach()
    return float((theirs - mine).abs().max() / theirs.std())


def alone(function, *arguments):
    """`function` in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def device_name(device: str) -> str:
    """What computes, in words, with the versions."""
    import monai
    import torch

    from metaswin.models.compute import choose_device

    gpu = choose_device(device).type == "cuda"
    name = torch.cuda.get_device_name(0) if gpu else f"CPU ({platform.machine()}, {os.cpu_count()} cores)"
    return f"{name}; torch {torch.__version__}, MONAI {monai.__version__}, Python {platform.python_version()}"


def compare(case: dict, rounds: int, gpu: bool) -> None:
    """Print a table of one size."""
    sides = ("plain", "ours") if gpu else ("plain", "tuned", "ours")
    print(
        f"\n{case['size']}³, embed {case['embed_dim']}, window {case['window_size']}, batch {case['batch_size']}, "
        f"{case['threads']} threads, compile {'on' if case['compile'] else 'off'}: features differ by at most "
        f"{alone(difference, case):.1e} (MONAI's and ours, float32)",
        flush=True,
    )
    found: dict[str, list[dict]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            found[side].append(alone(measure, side, case))
            last = found[side][-1]
            print(f"  {side}: {last['wall']:.3f} samples/s, {last['processor']:.3f} a processor second", flush=True)
    for side in sides:
        runs = found[side]
        line = f"{side:6} {statistics.median(run['wall'] for run in runs):8.2f} samples/s, peak {runs[-1]['mb']:.0f} MB"
        for kind in ("wall",) if gpu else ("wall", "processor"):
            ratios = [run[kind] / other[kind] for run, other in zip(runs, found["plain"], strict=True)]
            line += f", {statistics.median(ratios):.2f} × plain by {kind} ({min(ratios):.2f}-{max(ratios):.2f})"
        print(f"{line}; losses {' '.join(f'{loss:.4f}' for loss in runs[-1]['losses'])}", flush=True)


def main() -> None:
    """Compare the sides at each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", default=["48:24:4", "64:48:4"], metavar="SIZE:EMBED:BATCH")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3, help="steps an epoch")
    parser.add_argument("--window", type=int, default=4)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--quick", action="store_true", help="one small size, one round, two epochs")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.sizes, arguments.rounds, arguments.epochs = ["32:12:2"], 1, 2
    name = alone(device_name, arguments.device)
    print(name, flush=True)
    for text in arguments.sizes:
        size, embed_dim, batch = map(int, text.split(":"))
        case = {
            "size": size,
            "embed_dim": embed_dim,
            "batch_size": batch,
            "window_size": arguments.window,
            "threads": arguments.threads,
            "device": arguments.device,
            "epochs": arguments.epochs,
            "steps": arguments.steps,
            "compile": arguments.compile,
        }
        compare(case, arguments.rounds, not name.startswith("CPU"))


if __name__ == "__main__":
    main()
