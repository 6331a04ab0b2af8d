"""A skorch classifier: fit with its own validation split, then a small grid search."""
# trains: hidden.weight, out.bias

import numpy as np
import torch
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from skorch.callbacks import EpochScoring
from torch import nn


class Net(nn.Module):
    def __init__(self, width: int = 10) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, width)
        self.dropout = nn.Dropout(0.2)
        self.out = nn.Linear(width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.dropout(torch.relu(self.hidden(x))))


def main() -> None:
    torch.manual_seed(0)
    drawn = np.random.default_rng(0)
    x = drawn.normal(size=(120, 6)).astype(np.float32)
    y = (x.sum(1) > 0).astype(np.int64)
    net = NeuralNetClassifier(
        Net,
        criterion=nn.CrossEntropyLoss,
        max_epochs=3,
        lr=0.1,
        batch_size=32,
        iterator_train__shuffle=True,
        callbacks=[EpochScoring("accuracy", name="train_acc", on_train=True)],
        verbose=0,
    )
    net.fit(x, y)
    print(net.predict(x[:3]).shape, net.predict_proba(x[:3]).shape)
    search = GridSearchCV(net, {"module__width": [4, 8]}, cv=2, refit=False, scoring="accuracy")
    search.fit(x, y)


if __name__ == "__main__":
    main()
