"""An Ignite update function that never clears its gradients."""

import torch
from ignite.engine import Engine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main() -> None:
    torch.manual_seed(0)
    x = torch.randn(96, 6)
    data = DataLoader(TensorDataset(x, (x.sum(1) > 0).long()), batch_size=16, shuffle=True)
    model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()

    def update(engine: Engine, batch: list[torch.Tensor]) -> float:
        model.train()
        loss = criterion(model(batch[0]), batch[1])
        loss.backward()
        optimizer.step()  # SL201
        return loss.item()

    Engine(update).run(data, max_epochs=2)


if __name__ == "__main__":
    main()
