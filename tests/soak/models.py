"""The models of the random programs: each maps [batch, 6] to [batch, 6]."""

from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from plans import Shape

FEATURES = 6


def norm_of(kind: str, width: int) -> nn.Module:
    return {
        "batch": lambda: nn.BatchNorm1d(width),
        "layer": lambda: nn.LayerNorm(width),
        "group": lambda: nn.GroupNorm(1, width),
        "none": nn.Identity,
        "instance": nn.Identity,
    }[kind]()


def activation_of(kind: str) -> nn.Module:
    return {
        "relu": nn.ReLU,
        "tanh": nn.Tanh,
        "gelu": nn.GELU,
        "prelu": nn.PReLU,
        "rrelu": nn.RReLU,
        "softmax": lambda: nn.Softmax(-1),
    }[kind]()


class Model(nn.Module):
    """A body of one kind between an entry and a head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.entry = nn.Linear(FEATURES, width)
        self.body = nn.ModuleList([self._block(shape) for _ in range(shape.depth)])
        self.head = nn.Linear(width, FEATURES)
        self.spare = nn.Linear(2, 2)  # no forward uses it
        self.register_buffer("seen", torch.zeros(()))
        if shape.kind == "tied":
            self.twin = nn.Linear(FEATURES, width)
            self.twin.weight = self.entry.weight
        if shape.weights == "weight-norm":
            parametrizations.weight_norm(self.head)
        elif shape.weights == "spectral-norm":
            parametrizations.spectral_norm(self.head)
        elif shape.weights == "orthogonal":
            parametrizations.orthogonal(self.entry)

    def _block(self, shape: Shape) -> nn.Module:
        width = shape.width
        plain = nn.Sequential(
            nn.Linear(width, width),
            norm_of(shape.norm, width),
            activation_of(shape.activation),
            nn.Dropout(shape.dropout),
        )
        return {
            "conv": lambda: nn.Sequential(
                nn.Unflatten(1, (1, width)),
                nn.Conv1d(1, 2, 3, padding=1),
                nn.BatchNorm1d(2) if shape.norm == "batch" else nn.Identity(),
                nn.Conv1d(2, 1, 1),
                nn.Flatten(),
            ),
            "lstm": lambda: nn.LSTM(width, width, 2, dropout=shape.dropout, batch_first=True),
            "gru": lambda: nn.GRU(width, width, batch_first=True),
            "attention": lambda: nn.TransformerEncoderLayer(
                width, 1, 4, dropout=shape.dropout, batch_first=True
            ),
            "embedding": lambda: nn.EmbeddingBag(8, width, mode="mean"),
        }.get(shape.kind, lambda: plain)()

    def _through(self, block: nn.Module, x: torch.Tensor) -> torch.Tensor:
        if isinstance(block, (nn.LSTM, nn.GRU)):
            return block(x.unsqueeze(1))[0].squeeze(1)
        if isinstance(block, nn.TransformerEncoderLayer):
            return block(torch.stack([x, -x], 1)).mean(1)
        if isinstance(block, nn.EmbeddingBag):
            return block((x.detach().nan_to_num().abs() * 3).long().clamp(0, 7)) + x
        return block(x) + x if self.shape.kind == "residual" else block(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.entry(x)
        self.seen.add_(1)
        for block in self.body:
            if self.shape.checkpoint != "none" and torch.is_grad_enabled():
                reentrant = self.shape.checkpoint == "reentrant"
                x = checkpoint(self._through, block, x, use_reentrant=reentrant)
            else:
                x = self._through(block, x)
        if self.shape.kind == "tied":
            return nn.functional.linear(x, self.twin.weight.t())
        return self.head(x)


def make(shape: Shape) -> nn.Module:
    """The model of a Shape."""
    if shape.kind == "normed":  # a norm that two places share
        norm = nn.LayerNorm(FEATURES)
        return nn.Sequential(norm, nn.Linear(FEATURES, FEATURES), norm, nn.Dropout(shape.dropout))
    return Model(shape)


def schedule_of(kind: str, optimizer: Any) -> Any:
    """A learning-rate schedule, or None."""
    lr = torch.optim.lr_scheduler
    return {
        "none": lambda: None,
        "step": lambda: lr.StepLR(optimizer, 2),
        "one-cycle": lambda: lr.OneCycleLR(optimizer, 0.1, total_steps=6, cycle_momentum=False),
        "cosine": lambda: lr.CosineAnnealingLR(optimizer, 4),
        "plateau": lambda: lr.ReduceLROnPlateau(optimizer, patience=0),
        "chain": lambda: lr.SequentialLR(
            optimizer, [lr.LinearLR(optimizer), lr.ExponentialLR(optimizer, 0.9)], [2]
        ),
        "lambda": lambda: lr.LambdaLR(optimizer, lambda step: 0.5**step),
    }[kind]()
