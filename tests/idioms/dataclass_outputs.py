"""Hugging-Face-like: outputs in a dataclass with the loss inside, a base model with a head on top,
labels given or not, gradients counted by a callback list."""

from dataclasses import dataclass, field

import torch
from torch import nn
from weights import fingerprint


@dataclass
class Output:
    loss: torch.Tensor | None
    logits: torch.Tensor
    hidden_states: tuple = field(default=())


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 16)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True) for _ in range(2)
        )
        self.pooler = nn.Linear(16, 16)

    def forward(self, ids):
        states = (self.embed(ids),)
        for layer in self.layers:
            states = (*states, layer(states[-1]))
        return states, torch.tanh(self.pooler(states[-1][:, 0]))


class ForTagging(nn.Module):
    def __init__(self):
        super().__init__()
        self.base, self.drop, self.head = Base(), nn.Dropout(0.1), nn.Linear(16, 3)

    def forward(self, ids, labels=None):
        states, _ = self.base(ids)
        logits = self.head(self.drop(states[-1]))
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(
                logits.reshape(-1, 3), labels.reshape(-1), ignore_index=-100
            )
        return Output(loss, logits, states)


class Trainer:
    def __init__(self, model, lr, callbacks=()):
        self.model, self.callbacks = model, callbacks
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda s: min((s + 1) / 5, max(0.0, (40 - s) / 35))
        )

    def training_step(self, batch):
        self.model.train()
        out = self.model(**batch)
        out.loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for callback in self.callbacks:
            callback(self.model)
        self.optimizer.step()
        self.scheduler.step()
        self.model.zero_grad()
        return out.loss.detach()

    def evaluate(self, batch):
        self.model.eval()
        with torch.no_grad():
            out = self.model(**batch)
        return out.loss.item()


def batch():
    ids = torch.randint(0, 30, (16, 7))
    labels = ids % 3
    labels[torch.rand(16, 7) < 0.2] = -100
    return {"ids": ids, "labels": labels}


torch.manual_seed(75)
norms = []
trainer = Trainer(ForTagging(), 3e-3, [lambda m: norms.append(m.head.weight.grad.norm().item())])
total = torch.tensor(0.0)
for step in range(1, 37):
    total += trainer.training_step(batch())
    if step % 12 == 0:
        print(step, total.item() / 12, trainer.evaluate(batch()), norms[-1])
        total = torch.tensor(0.0)
print(fingerprint(trainer.model))
