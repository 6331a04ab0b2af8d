"""A fastai Learner with fastai's own Adam, not torch's: its writes are by hand."""
# no steps

import torch
from fastai.callback import progress, schedule  # noqa: F401 - they give the Learner its methods
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.metrics import accuracy
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(96, 1, 8, 8), torch.randint(0, 3, (96,))
    train = DataLoader(TensorDataset(x[:64], y[:64]), batch_size=16, shuffle=True)
    valid = DataLoader(TensorDataset(x[64:], y[64:]), batch_size=16)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    )
    learner = Learner(
        DataLoaders(train, valid), model, loss_func=nn.CrossEntropyLoss(), metrics=accuracy
    )
    with learner.no_bar():
        learner.fit_one_cycle(2, 1e-2)
    print(learner.get_preds(dl=valid)[0].shape)


if __name__ == "__main__":
    main()
