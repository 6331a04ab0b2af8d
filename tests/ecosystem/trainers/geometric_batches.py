"""Graph classification over mini-batches of graphs."""
# trains: conv.lin_l.weight, out.bias

import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import SAGEConv, global_mean_pool


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = SAGEConv(4, 16)
        self.out = torch.nn.Linear(16, 2)

    def forward(self, x: torch.Tensor, edges: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.conv(x, edges))
        return self.out(global_mean_pool(x, batch))


def graph(label: int) -> Data:
    x = torch.randn(6, 4) + label
    return Data(x=x, edge_index=torch.randint(0, 6, (2, 12)), y=torch.tensor([label]))


def main() -> None:
    torch.manual_seed(0)
    graphs = [graph(number % 2) for number in range(48)]
    loader = DataLoader(graphs, batch_size=8, shuffle=True)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for epoch in range(2):
        total = 0.0
        for data in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(data.x, data.edge_index, data.batch), data.y)
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(epoch, f"{total:.3f}")


if __name__ == "__main__":
    main()
