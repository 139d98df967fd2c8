"""Train one network; a killed training resumes and ends with the same network.

With targets of `metaswin.models.guidance` the training has two phases. In the first, the encoder learns to predict the
principal components of the training rows' radiomics features. In the second, it learns the outcome: the head begins as
the logistic regression of the outcome on the predicted components, and all weights are then fine-tuned.
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
from metaswin.models.patches import place_patches, take_rows

logger = logging.getLogger("metaswin.models")


class Scratch:
    """One file of training state, named by a hash of all that the training depends on.

    Snakemake deletes the declared outputs of an interrupted job, so this file is not declared. A state left by other
    settings has another name: it is never resumed from, and goes when the training of the same folder ends.

    Parameters
    ----------
    folder : path
        Folder of this job alone.
    facts : dict
        What the training depends on; plain values.
    """

    def __init__(self, folder: str | Path, facts: dict[str, Any]) -> None:
        self.key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
        self.path = Path(folder) / f"{self.key}.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state by `state`: tensors and plain values."""
        with atomic(self.path) as temporary:
            torch.save(state, temporary)

    def load(self) -> dict[str, Any] | None:
        """The state, or None where there is none that can be read."""
        if not self.path.exists():
            return None
        try:
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises whatever its unpickler meets
            logger.warning(
                "the state to resume from cannot be read (%s); training starts from the beginning", type(error).__name__
            )
            return None

    def remove(self) -> None:
        """Remove every state of the folder."""
        if self.path.parent.is_dir():
            for file in self.path.parent.glob("*.pt"):
                file.unlink(missing_ok=True)
            # Only our own empty folder goes.
            if not any(self.path.parent.iterdir()):
                self.path.parent.rmdir()


MAX_GRADIENT_NORM = 1.0

# 1/C of the logistic regression that the head begins as. The predicted components of the training rows have variance 1.
HEAD_PENALTY = 10.0


@dataclass
class Training:
    """What a training leaves besides the network's weights.

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
    """Rows to train on and rows to watch, or None where the latter would hold too few events.

    The split has `early_stopping_fraction` of the events and of the non-events, drawn with `seed`.
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
    return np.setdiff1d(np.arange(len(labels)), holdout), holdout


def fit(
    network: Classifier,
    patches: torch.Tensor,
    labels: np.ndarray,
    settings: DeepSettings,
    seed: int,
    scratch: Scratch,
    targets: np.ndarray | None = None,
) -> Training:
    """Train `network` in place, on the device it lies on.

    Binary cross-entropy without class weights, so that logits stay on the scale of the prevalence, and start at
    its log-odds. AdamW, linear warm-up, then cosine to zero, in each phase; gradients clipped to norm 1. Every epoch
    seeds its own order, augmentation and dropout, so that the state to resume from needs no generators.

    Parameters
    ----------
    network : Classifier
        As initialised; not changed by `seed`.
    patches : Tensor, shape (n, channel, x, y, z)
        Training rows only, float16 on the CPU.
    labels : ndarray of int, shape (n,)
        0 or 1, both present.
    settings, seed
        Settings and the seed of this network.
    scratch : Scratch
        Where the state is kept every `checkpoint_every` epochs.
    targets : ndarray of float32, shape (n, components), optional
        Components of the same rows, see `metaswin.models.guidance.radiomics_components`. Without them, or with
        `pretrain_epochs` 0, the training begins with the outcome.
    """
    if not settings.epochs and (targets is None or not targets.shape[1]):
        raise UserError(
            "deep.epochs is 0, but no radiomics feature of the training rows varies, so there is no component to "
            "learn; set deep.components to 0 and deep.epochs to 50 or more"
        )
    split = early_stopping_split(labels, settings, seed_of(seed, "holdout")) if settings.epochs else None
    train, holdout = (np.arange(len(labels)), np.array([], dtype=int)) if split is None else split
    run = _Run(network, patches, labels, targets, torch.from_numpy(train), settings, seed)
    run.start(scratch.load())
    logger.info(
        "%d rows, %d events; %s",
        len(train),
        int(labels[train].sum()),
        f"early stopping on {len(holdout)} other rows" if split is not None else "a fixed number of epochs",
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
    """The moving parts of one training."""

    def __init__(
        self,
        network: Classifier,
        patches: torch.Tensor,
        labels: np.ndarray,
        targets: np.ndarray | None,
        train: torch.Tensor,
        settings: DeepSettings,
        seed: int,
    ) -> None:
        self.network = network
        self.forward = torch.compile(network) if settings.compile else network
        self.labels, self.train = torch.tensor(labels, dtype=torch.float32), train
        self.settings, self.seed = settings, seed
        self.device = next(network.parameters()).device
        self.patches, self.outcome = place_patches(patches, self.device), self.labels.to(self.device)
        if self.device.type == "cuda":
            # What the tensor cores' convolutions want.
            network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        count = 0 if targets is None else targets.shape[1]
        self.pretrained_at = settings.pretrain_epochs if count else 0
        if targets is not None and self.pretrained_at:
            self.components = torch.from_numpy(targets).to(self.device)
            # One linear layer from the features to the components; only the first phase and the head's start need it.
            self.guide = nn.Linear(network.width, count).to(self.device)
        self.epoch = 0
        self.pretraining_losses: list[float] = []
        self.losses: list[float] = []
        self.holdout_losses: list[float] = []
        self.best: dict[str, Any] = {"epoch": 0, "loss": math.inf, "weights": None}
        # At least batch_size rows a batch: a last one of a single row would upset batch normalisation.
        self.batches = max(1, len(train) // settings.batch_size)
        self.new_optimizer()

    def new_optimizer(self) -> None:
        """Begin a phase with an optimiser of its own."""
        weights = [*self.network.parameters(), *(self.guide.parameters() if self.pretraining else [])]
        self.optimizer = torch.optim.AdamW(
            weights, lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay, fused=True
        )
        amp = self.settings.amp and self.device.type == "cuda"
        # bfloat16 needs no scaling of the loss; older GPUs have float16 only.
        kind = torch.float16 if amp and not torch.cuda.is_bf16_supported() else torch.bfloat16
        self.autocast = torch.autocast(self.device.type, dtype=kind, enabled=amp)
        self.scaler = torch.amp.GradScaler("cuda", enabled=amp and kind is torch.float16)

    @property
    def pretraining(self) -> bool:
        """Whether the next epoch belongs to the first phase."""
        return self.epoch < self.pretrained_at

    @property
    def outcome_epoch(self) -> int:
        """Epochs of the second phase so far."""
        return self.epoch - self.pretrained_at

    def start(self, state: dict[str, Any] | None) -> None:
        """Begin at the first epoch, or where `state` ends."""
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
        """Learn the components for one epoch: smooth L1 loss, without dropout."""
        rate = partial(self.learning_rate, self.settings.pretrain_learning_rate, self.pretrained_at, self.epoch)
        self.pretraining_losses.append(self.one_epoch(self.guided_loss, rate))

    def train_epoch(self) -> None:
        """Learn the outcome for one epoch."""
        rate = partial(self.learning_rate, self.settings.learning_rate, self.settings.epochs, self.outcome_epoch)
        self.losses.append(self.one_epoch(self.loss, rate))

    def one_epoch(self, loss_of: Callable, rate_of: Callable[[float], float]) -> float:
        """Step once through the training rows in random order; return the mean loss."""
        seed = seed_of(self.seed, "epoch", self.epoch)
        torch.manual_seed(seed)  # dropout
        generator = torch.Generator().manual_seed(seed)
        order = self.train[torch.randperm(len(self.train), generator=generator)]
        self.network.train()
        total = self.nothing()
        for step, rows in enumerate(torch.tensor_split(order, self.batches)):
            for group in self.optimizer.param_groups:
                group["lr"] = rate_of(step / self.batches)
            batch = augment(self.batch(rows), self.settings.augmentation, generator)
            loss = loss_of(batch, rows)
            self.optimizer.zero_grad()
            self.scaler.scale(loss).backward()
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), MAX_GRADIENT_NORM)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            total += loss.detach().double() * len(rows)
        self.epoch += 1
        mean = total.item() / len(order)
        if not math.isfinite(mean):
            name = "learning_rate" if self.epoch > self.pretrained_at else "pretrain_learning_rate"
            raise UserError(
                f"the loss of epoch {self.epoch} is {mean}, expected a finite number; lower "
                f"deep.{name} (now {getattr(self.settings, name):g})"
            )
        return mean

    def begin_outcome(self) -> None:
        """Start the head as the logistic regression of the outcome on the predicted components of the training rows."""
        from sklearn.linear_model import LogisticRegression

        self.refresh_statistics()
        self.network.eval()
        with torch.inference_mode():
            predicted = torch.cat([self.predicted(rows) for rows in self.train.split(self.settings.batch_size)])
        values = predicted.double().cpu().numpy()
        centre, spread = values.mean(axis=0), values.std(axis=0) + 1e-6
        model = LogisticRegression(C=1 / HEAD_PENALTY, max_iter=1000)
        model.fit((values - centre) / spread, self.labels[self.train].numpy())
        slope = torch.tensor(model.coef_[0] / spread, dtype=torch.float32, device=self.device)
        offset = float(model.intercept_[0] - (model.coef_[0] * centre / spread).sum())
        with torch.no_grad():
            self.network.head.weight.copy_((slope @ self.guide.weight)[None])
            self.network.head.bias.copy_(slope @ self.guide.bias + offset - self.network.prior)
        self.new_optimizer()

    def predicted(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the predicted components (rows, component)."""
        with self.autocast:
            features = self.network(self.batch(rows))[1]
        return self.guide(self.network.standardise(features.float()))

    def guided_loss(self, batch: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return the smooth L1 loss of the predicted components."""
        with self.autocast:
            features = self.network.encode(batch)
        predicted = self.guide(self.network.standardise(features.float()))
        return functional.smooth_l1_loss(predicted, self.components[rows.to(self.device, non_blocking=True)])

    def nothing(self) -> torch.Tensor:
        """A sum of losses that stays on the device: the CPU waits for it once an epoch, not at every step."""
        return torch.zeros((), dtype=torch.float64, device=self.device)

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        return take_rows(self.patches, rows, self.device)

    def loss(self, batch: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return the binary cross-entropy."""
        with self.autocast:
            logits, _ = self.forward(batch)
        targets = self.outcome[rows.to(self.device, non_blocking=True)]
        return functional.binary_cross_entropy_with_logits(logits.float(), targets)

    def learning_rate(self, largest: float, epochs: int, before: int, within: float) -> float:
        """Return the rate: linear warm-up to `largest`, then half a cosine down to zero after `epochs`.

        `before` is the number of finished epochs of the phase, `within` the part of the present one that is done.
        """
        epoch = before + within
        warm = min(self.settings.warmup_epochs, epochs - 1)
        if epoch < warm:
            return largest * (epoch + 1 / self.batches) / warm
        done = (epoch - warm) / (epochs - warm)
        return largest * 0.5 * (1 + math.cos(math.pi * done))

    def watch(self, holdout: torch.Tensor) -> None:
        """Loss on the rows that early stopping looks at; remembers the best weights."""
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

        The running ones lag behind in trainings of few steps, by an offset of the network's own in every score.
        """
        batches = (self.batch(rows) for rows in torch.tensor_split(self.train, self.batches))
        torch.optim.swa_utils.update_bn(batches, self.network)

    def waited(self) -> int:
        """Epochs since the best one."""
        return self.outcome_epoch - self.best["epoch"]
