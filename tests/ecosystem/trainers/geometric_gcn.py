"""Node classification with a two-layer GCN: full-batch training with masks, as in PyG's guide."""
# trains: conv1.lin.weight, conv2.bias

import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv


class Gcn(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = GCNConv(8, 16)
        self.conv2 = GCNConv(16, 3)

    def forward(self, data: Data) -> torch.Tensor:
        x = F.relu(self.conv1(data.x, data.edge_index))
        x = F.dropout(x, training=self.training)
        return F.log_softmax(self.conv2(x, data.edge_index), dim=1)


def main() -> None:
    torch.manual_seed(0)
    x = torch.randn(60, 8)
    data = Data(x=x, y=x[:, :3].argmax(1), edge_index=torch.randint(0, 60, (2, 180)))
    data.train_mask = torch.arange(60) < 40
    model = Gcn()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)

    for epoch in range(12):
        model.train()
        optimizer.zero_grad()
        out = model(data)
        loss = F.nll_loss(out[data.train_mask], data.y[data.train_mask])
        loss.backward()
        optimizer.step()

        model.eval()
        with torch.no_grad():
            right = (model(data).argmax(1) == data.y)[~data.train_mask].float().mean()
    print(f"{right:.2f}", f"{loss.item():.3f}")


if __name__ == "__main__":
    main()
