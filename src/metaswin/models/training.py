"""Train one network. An interrupted training resumes and gives the same network.

With components of `metaswin.models.guidance`, the training has two phases. In the first, the encoder learns to predict
the principal components of the training rows' radiomics features, also in rows with an unknown outcome. The head is
then set to a regression of the outcome on the predicted components. In the second phase, which may have no epoch, all
weights learn the outcome.
"""

import copy
import hashlib
import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import nn

from metaswin.cohort.folds import seed_of
from metaswin.config.models import DeepSettings
from metaswin.core.errors import UserError
from metaswin.core.files import atomic
from metaswin.models.augmentation import augment
from metaswin.models.backbones import Classifier
from metaswin.models.guidance import Targets, head_weights
from metaswin.models.patches import place_patches, take_rows

logger = logging.getLogger("metaswin.models")


class Scratch:
    """Store the training state in one file, named by a hash of everything that the training depends on.

    Snakemake deletes the declared outputs of an interrupted job, so this file is not declared. The state of other
    settings has another name. It is never resumed from, and it is deleted when the training of the same folder ends.

    Parameters
    ----------
    folder : path
        Folder of this job alone.
    facts : dict
        Everything that the training depends on, as plain values.
    """

    def __init__(self, folder: str | Path, facts: dict[str, Any]) -> None:
        self.key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
        self.path = Path(folder) / f"{self.key}.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Replace the stored state by `state`, which holds tensors and plain values."""
        with atomic(self.path) as temporary:
            torch.save(state, temporary)

    def load(self) -> dict[str, Any] | None:
        """Return the state, or None if no readable state exists."""
        if not self.path.exists():
            return None
        try:
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch passes on any exception of the unpickler
            logger.warning(
                "the state to resume from cannot be read (%s); training starts from the beginning", type(error).__name__
            )
            return None

    def remove(self) -> None:
        """Remove every state of the folder."""
        if self.path.parent.is_dir():
            for file in self.path.parent.glob("*.pt"):
                file.unlink(missing_ok=True)
            # The folder is removed only if it is empty.
            if not any(self.path.parent.iterdir()):
                self.path.parent.rmdir()


MAX_GRADIENT_NORM = 1.0


@dataclass
class Training:
    """Hold the results of a training except the network's weights.

    Attributes
    ----------
    pretraining_losses : list of float
        Mean loss of each epoch of the first phase; empty without targets.
    losses, holdout_losses : list of float
        Mean loss of each epoch of the second phase; the latter is empty without early stopping.
    stopping : str
        ``fixed`` or ``early``.
    best_epoch : int
        Epoch (from 1) whose weights are kept.
    holdout_events, holdout_rows : int
        Size of the split that early stopping looked at.
    """

    pretraining_losses: list[float]
    losses: list[float]
    holdout_losses: list[float]
    stopping: str
    best_epoch: int
    holdout_events: int
    holdout_rows: int


def early_stopping_split(labels: np.ndarray, settings: DeepSettings, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the rows for training and the rows for early stopping, or None if the latter would have too few events.

    The latter are `early_stopping_fraction` of the events and of the non-events, drawn with `seed`. Rows whose label is
    NaN are in neither.
    """
    random = np.random.default_rng(seed)
    watched = []
    for value in (1, 0):
        rows = np.flatnonzero(labels == value)
        count = round(settings.early_stopping_fraction * len(rows))
        if value == 1 and count < settings.early_stopping_events:
            return None
        watched.append(random.permutation(rows)[:count])
    holdout = np.sort(np.concatenate(watched))
    return np.setdiff1d(np.flatnonzero(~np.isnan(labels)), holdout), holdout


def fit(
    network: Classifier,
    patches: torch.Tensor,
    targets: Targets,
    settings: DeepSettings,
    seed: int,
    scratch: Scratch,
) -> Training:
    """Train `network` in place, on its own device.

    The loss is the binary cross-entropy without class weights, so that the logits stay on the scale of the prevalence.
    They start at its log-odds. Each phase uses AdamW with a linear warm-up and then a cosine to zero. Gradients are
    clipped to norm 1. Order, augmentation and dropout of every epoch have their own seed, so the training state
    contains no random generators.

    Parameters
    ----------
    network : Classifier
        Initialised network. `seed` does not change its initial weights.
    patches : Tensor, shape (n, channel, x, y, z)
        Training rows only, float16 on the CPU.
    targets : Targets
        Of the same rows. Both labels are present. Without components, or if `pretrain_epochs` is 0, the training has
        only the second phase, which uses the rows with a known label.
    settings, seed
        Settings and the seed of this network.
    scratch : Scratch
        Storage of the state, which is written every `checkpoint_every` epochs.
    """
    if not settings.epochs and not targets.components.shape[1]:
        raise UserError(
            "deep.epochs is 0, but no radiomics feature of the training rows varies, so there is no component to "
            "learn; set deep.components to 0 and deep.epochs to 50 or more"
        )
    labels = targets.labels
    split = early_stopping_split(labels, settings, seed_of(seed, "holdout")) if settings.epochs else None
    train, holdout = (np.flatnonzero(targets.labelled), np.array([], dtype=int)) if split is None else split
    run = _Run(network, patches, targets, train, np.setdiff1d(np.arange(len(labels)), holdout), settings, seed)
    run.start(scratch.load())
    logger.info(
        "%d rows, %d of them with a known outcome, %d events; %s",
        len(labels) - len(holdout),
        len(train),
        int(labels[train].sum()),
        f"early stopping on {len(holdout)} other rows" if split is not None else "fixed number of epochs",
    )
    while run.pretraining:
        run.pretrain_epoch()
        logger.info("pretraining epoch %d of %d: loss %.4f", run.epoch, run.pretrained_at, run.pretraining_losses[-1])
        if not run.pretraining:
            run.begin_outcome()
        if run.epoch % settings.checkpoint_every == 0:
            scratch.save(run.state())
    while run.outcome_epoch < settings.epochs and not (split is not None and run.waited() >= settings.patience):
        run.train_epoch()
        if split is not None:
            run.watch(torch.from_numpy(holdout))
        if run.epoch % settings.checkpoint_every == 0 and run.outcome_epoch < settings.epochs:
            scratch.save(run.state())
        logger.info("epoch %d of %d: loss %.4f", run.outcome_epoch, settings.epochs, run.losses[-1])
    if split is not None and run.losses:
        network.load_state_dict(run.best["weights"])
    run.refresh_statistics()
    return Training(
        pretraining_losses=run.pretraining_losses,
        losses=run.losses,
        holdout_losses=run.holdout_losses,
        stopping="fixed" if split is None else "early",
        best_epoch=run.outcome_epoch if split is None else run.best["epoch"],
        holdout_events=int(labels[holdout].sum()),
        holdout_rows=len(holdout),
    )


class _Run:
    """Hold the state of one training and run its epochs."""

    def __init__(
        self,
        network: Classifier,
        patches: torch.Tensor,
        targets: Targets,
        train: np.ndarray,
        images: np.ndarray,
        settings: DeepSettings,
        seed: int,
    ) -> None:
        self.network = network
        self.forward = torch.compile(network) if settings.compile else network
        self.targets, self.labels = targets, torch.tensor(targets.labels, dtype=torch.float32)
        self.settings, self.seed = settings, seed
        self.device = next(network.parameters()).device
        self.patches, self.outcome = place_patches(patches, self.device), self.labels.to(self.device)
        if self.device.type == "cuda":
            # The memory format that convolutions on tensor cores use.
            network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        count = targets.components.shape[1]
        self.pretrained_at = settings.pretrain_epochs if count else 0
        # The rows of the second phase have a known label. The first phase also uses rows without one.
        self.train = torch.from_numpy(train)
        self.images = torch.from_numpy(images) if self.pretrained_at else self.train
        if self.pretrained_at:
            self.components = torch.from_numpy(targets.components).to(self.device)
            # One linear layer from the features to the components. It is used in the first phase and to start the head.
            self.guide = nn.Linear(network.width, count).to(self.device)
        self.epoch = 0
        self.pretraining_losses: list[float] = []
        self.losses: list[float] = []
        self.holdout_losses: list[float] = []
        self.best: dict[str, Any] = {"epoch": 0, "loss": math.inf, "weights": None}
        self.new_optimizer()

    def new_optimizer(self) -> None:
        """Create a new optimiser for the current phase."""
        weights = [*self.network.parameters(), *(self.guide.parameters() if self.pretraining else [])]
        self.optimizer = torch.optim.AdamW(
            weights, lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay, fused=True
        )
        amp = self.settings.amp and self.device.type == "cuda"
        # bfloat16 needs no scaling of the loss. Older GPUs support only float16.
        kind = torch.float16 if amp and not torch.cuda.is_bf16_supported() else torch.bfloat16
        self.autocast = torch.autocast(self.device.type, dtype=kind, enabled=amp)
        self.scaler = torch.amp.GradScaler("cuda", enabled=amp and kind is torch.float16)

    @property
    def pretraining(self) -> bool:
        """Return whether the next epoch belongs to the first phase."""
        return self.epoch < self.pretrained_at

    @property
    def outcome_epoch(self) -> int:
        """Return the number of finished epochs of the second phase."""
        return self.epoch - self.pretrained_at

    def start(self, state: dict[str, Any] | None) -> None:
        """Start at the first epoch, or after the last epoch of `state`."""
        if state is None:
            prevalence = float(self.labels[self.train].mean())
            self.network.prior.fill_(math.log(prevalence / (1 - prevalence)))
            return
        self.epoch, self.best = state["epoch"], state["best"]
        self.new_optimizer()
        self.network.load_state_dict(state["network"])
        if self.pretraining:
            self.guide.load_state_dict(state["guide"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.pretraining_losses = state["pretraining_losses"]
        self.losses, self.holdout_losses = state["losses"], state["holdout_losses"]
        logger.info("resumed after epoch %d", self.epoch)

    def state(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "guide": self.guide.state_dict() if self.pretraining else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "pretraining_losses": self.pretraining_losses,
            "losses": self.losses,
            "holdout_losses": self.holdout_losses,
            "best": self.best,
        }

    def pretrain_epoch(self) -> None:
        """Learn the components for one epoch, with the smooth L1 loss and without dropout."""
        rate = partial(self.learning_rate, self.settings.pretrain_learning_rate, self.pretrained_at, self.epoch)
        self.pretraining_losses.append(self.one_epoch(self.images, self.guided_loss, rate))

    def train_epoch(self) -> None:
        """Learn the outcome for one epoch."""
        rate = partial(self.learning_rate, self.settings.learning_rate, self.settings.epochs, self.outcome_epoch)
        self.losses.append(self.one_epoch(self.train, self.loss, rate))

    def batches(self, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Split rows into batches of at least `batch_size`; batch normalisation fails with a last batch of one row."""
        return torch.tensor_split(rows, max(1, len(rows) // self.settings.batch_size))

    def one_epoch(self, rows: torch.Tensor, loss_of: Callable, rate_of: Callable[[float, int], float]) -> float:
        """Train on some rows once, in random order, and return the mean loss."""
        seed = seed_of(self.seed, "epoch", self.epoch)
        torch.manual_seed(seed)  # dropout
        generator = torch.Generator().manual_seed(seed)
        batches = self.batches(rows[torch.randperm(len(rows), generator=generator)])
        self.network.train()
        total = self.nothing()
        for step, chosen in enumerate(batches):
            for group in self.optimizer.param_groups:
                group["lr"] = rate_of(step, len(batches))
            batch = augment(self.batch(chosen), self.settings.augmentation, generator)
            loss = loss_of(batch, chosen)
            self.optimizer.zero_grad()
            self.scaler.scale(loss).backward()
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), MAX_GRADIENT_NORM)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            total += loss.detach().double() * len(chosen)
        self.epoch += 1
        mean = total.item() / len(rows)
        if not math.isfinite(mean):
            name = "learning_rate" if self.epoch > self.pretrained_at else "pretrain_learning_rate"
            raise UserError(
                f"the loss of epoch {self.epoch} is {mean}, expected a finite number; lower "
                f"deep.{name} (now {getattr(self.settings, name):g})"
            )
        return mean

    def begin_outcome(self) -> None:
        """Set the head to the regression of the outcome on the predicted components of the training rows."""
        self.refresh_statistics()
        self.network.eval()
        with torch.inference_mode():
            predicted = torch.cat([self.predicted(rows) for rows in self.images.split(self.settings.batch_size)])
        weights, intercept = head_weights(predicted.double().cpu().numpy(), self.targets.of(self.images.numpy()))
        slope = torch.tensor(weights, dtype=torch.float32, device=self.device)
        with torch.no_grad():
            self.network.head.weight.copy_((slope @ self.guide.weight)[None])
            self.network.head.bias.copy_(slope @ self.guide.bias + intercept - self.network.prior)
        self.new_optimizer()

    def predicted(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the predicted components (rows, component)."""
        with self.autocast:
            features = self.network(self.batch(rows))[1]
        return self.guide(self.network.standardise(features.float()))

    def guided_loss(self, batch: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return the smooth L1 loss of the predicted components."""
        with self.autocast:
            _, features = self.forward(batch)
        predicted = self.guide(self.network.standardise(features.float()))
        return functional.smooth_l1_loss(predicted, self.components[rows.to(self.device, non_blocking=True)])

    def nothing(self) -> torch.Tensor:
        """Return a zero on the device, to sum losses. The CPU waits for the sum once per epoch, not at every step."""
        return torch.zeros((), dtype=torch.float64, device=self.device)

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        return take_rows(self.patches, rows, self.device)

    def loss(self, batch: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return the binary cross-entropy."""
        with self.autocast:
            logits, _ = self.forward(batch)
        targets = self.outcome[rows.to(self.device, non_blocking=True)]
        return functional.binary_cross_entropy_with_logits(logits.float(), targets)

    def learning_rate(self, largest: float, epochs: int, before: int, step: int, steps: int) -> float:
        """Return the rate: linear warm-up to `largest`, then half a cosine down to zero after `epochs`.

        `before` is the number of finished epochs of the phase, `step` the number of finished steps (of `steps`) of the
        current epoch.
        """
        epoch = before + step / steps
        warm = min(self.settings.warmup_epochs, epochs - 1)
        if epoch < warm:
            return largest * (epoch + 1 / steps) / warm
        done = (epoch - warm) / (epochs - warm)
        return largest * 0.5 * (1 + math.cos(math.pi * done))

    def watch(self, holdout: torch.Tensor) -> None:
        """Record the loss on the rows of early stopping, and keep a copy of the best weights."""
        self.network.eval()
        total = self.nothing()
        with torch.inference_mode():
            for rows in holdout.split(self.settings.batch_size):
                total += self.loss(self.batch(rows), rows).double() * len(rows)
        self.holdout_losses.append(total.item() / len(holdout))
        if self.holdout_losses[-1] < self.best["loss"]:
            weights = copy.deepcopy(self.network.state_dict())
            self.best = {"epoch": self.outcome_epoch, "loss": self.holdout_losses[-1], "weights": weights}

    def refresh_statistics(self) -> None:
        """Set the means and variances of batch normalisation to those of the training rows under the final weights.

        In trainings of few steps, the running statistics lag behind. They would add an offset to every score, which
        differs between networks.
        """
        batches = (self.batch(rows) for rows in self.batches(self.images))
        torch.optim.swa_utils.update_bn(batches, self.network)

    def waited(self) -> int:
        """Return the number of epochs since the best epoch."""
        return self.outcome_epoch - self.best["epoch"]
