"""Time of a training step and peak memory of the training loop (augmentation included), at two sizes by default.

    python benchmarks/swin.py [--threads 1] [--backbone swin] [--window 4] [--device cpu] [SIZE:EMBED:BATCH …]

Each size runs in a process of its own on random patches of five channels. A step is the difference of trainings of
three epochs and one, so that start and end do not count.
"""

import argparse
import multiprocessing
import resource
import time
from tempfile import TemporaryDirectory

import numpy as np

SIZES = ["48:24:4", "64:48:4"]
CHANNELS, STEPS = 5, 3


def measure(size: int, settings: dict) -> dict[str, float]:
    """Seconds a step (wall, CPU), MB at the peak and weights of one network."""
    import torch

    from metaswin.deep.backbones import build
    from metaswin.deep.compute import choose_device, keep_freed_memory, reproducible
    from metaswin.deep.scratch import Scratch
    from metaswin.deep.settings import DeepSettings
    from metaswin.deep.train import fit

    keep_freed_memory()
    rows = STEPS * settings["batch_size"]
    patches = torch.rand((rows, CHANNELS, size, size, size)).half()
    labels = np.arange(rows) % 2
    seconds = {}
    for epochs in (1, 3):
        wanted = DeepSettings(**settings, epochs=epochs, checkpoint_every=epochs)
        device = choose_device(wanted.device)
        with TemporaryDirectory() as folder, reproducible(wanted.threads, device):
            network = build(wanted.backbone, wanted, CHANNELS).to(device)
            start = np.array([time.perf_counter(), time.process_time()])
            fit(network, patches, labels, wanted, seed=1, scratch=Scratch(folder, {}))
            seconds[epochs] = np.array([time.perf_counter(), time.process_time()]) - start
    wall, cpu = (seconds[3] - seconds[1]) / (2 * STEPS)
    return {
        "wall": wall,
        "cpu": cpu,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "weights": sum(weight.numel() for weight in network.parameters()),
    }


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", default=SIZES, metavar="SIZE:EMBED:BATCH")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--backbone", default="swin", choices=["swin", "resnet", "densenet"])
    parser.add_argument("--window", type=int, default=4)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    arguments = parser.parse_args()
    for text in arguments.sizes:
        size, embed_dim, batch = map(int, text.split(":"))
        settings = {
            "backbone": arguments.backbone,
            "embed_dim": embed_dim,
            "window_size": arguments.window,
            "batch_size": batch,
            "threads": arguments.threads,
            "device": arguments.device,
        }
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            facts = pool.apply(measure, (size, settings))
        print(
            f"{arguments.backbone} {size}³, embed {embed_dim}, batch {batch}, {arguments.threads} threads: "
            f"{facts['wall']:.2f} s a step ({facts['cpu']:.2f} s of CPU), peak {facts['mb']:.0f} MB, "
            f"{facts['weights'] / 1e6:.1f} M weights",
            flush=True,
        )


if __name__ == "__main__":
    main()
