"""Regression on graphs: the target is [N], the prediction [N, 1], and the loss broadcasts."""

import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import SAGEConv, global_mean_pool


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = SAGEConv(4, 16)
        self.out = torch.nn.Linear(16, 1)

    def forward(self, x: torch.Tensor, edges: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        return self.out(global_mean_pool(F.relu(self.conv(x, edges)), batch))


def main() -> None:
    torch.manual_seed(0)
    graphs = [
        Data(x=torch.randn(6, 4), edge_index=torch.randint(0, 6, (2, 12)), y=torch.rand(1))
        for _ in range(48)
    ]
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for data in DataLoader(graphs, batch_size=8, shuffle=True):
        optimizer.zero_grad()
        out = model(data.x, data.edge_index, data.batch)
        loss = ((out - data.y) ** 2).mean()  # SL504
        loss.backward()
        optimizer.step()


if __name__ == "__main__":
    main()
