"""An estimator class: fit, partial_fit, predict and score; predictions between fits go through eval
and no_grad in a decorator; warm starts keep model and optimizer."""

import functools

import torch
from torch import nn
from weights import fingerprint


def inference(method):
    @functools.wraps(method)
    def wrapper(self, *args, **kwargs):
        training = self.module_.training
        self.module_.eval()
        try:
            with torch.no_grad():
                return method(self, *args, **kwargs)
        finally:
            self.module_.train(training)

    return wrapper


class TorchClassifier:
    def __init__(self, hidden=32, lr=1e-2, epochs=3, batch_size=32, warm_start=False, seed=None):
        self.hidden, self.lr, self.epochs = hidden, lr, epochs
        self.batch_size, self.warm_start, self.seed = batch_size, warm_start, seed

    def _initialize(self, X, y):
        if self.seed is not None:
            torch.manual_seed(self.seed)
        self.classes_ = y.unique()
        self.module_ = nn.Sequential(
            nn.Linear(X.shape[1], self.hidden), nn.BatchNorm1d(self.hidden), nn.ReLU(),
            nn.Dropout(0.1), nn.Linear(self.hidden, len(self.classes_)),
        )  # fmt: skip
        self.optimizer_ = torch.optim.Adam(self.module_.parameters(), lr=self.lr)
        self.history_ = []

    def fit(self, X, y):
        if not (self.warm_start and hasattr(self, "module_")):
            self._initialize(X, y)
        for _ in range(self.epochs):
            self.partial_fit(X, y)
        return self

    def partial_fit(self, X, y):
        self.module_.train()
        total = 0.0
        for i in torch.randperm(len(X)).split(self.batch_size):
            self.optimizer_.zero_grad()
            loss = nn.functional.cross_entropy(self.module_(X[i]), y[i])
            loss.backward()
            self.optimizer_.step()
            total += loss.item() * len(i)
        self.history_.append(total / len(X))
        return self

    @inference
    def predict_proba(self, X):
        return self.module_(X).softmax(-1)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(1)]

    def score(self, X, y):
        return (self.predict(X) == y).float().mean().item()


torch.manual_seed(77)
X = torch.randn(256, 6)
y = (X[:, 0] > 0).long() + (X[:, 1] > 0).long()
clf = TorchClassifier(warm_start=True, seed=0)
for _ in range(2):
    clf.fit(X[:192], y[:192])
    print(clf.score(X[192:], y[192:]), clf.history_[-1])
other = TorchClassifier(hidden=8, seed=1).fit(X[:192], y[:192])
print(other.score(X[192:], y[192:]), fingerprint(clf.module_, other.module_))
