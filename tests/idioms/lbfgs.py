"""LBFGS: zero_grad and backward inside a closure that a step runs many times."""

import torch
from torch import nn
from weights import fingerprint

torch.manual_seed(0)
T, L, N = 20, 40, 12
phase = torch.randint(-4 * T, 4 * T, (N, 1))
data = torch.sin((torch.arange(L) + phase) / 1.0 / T).double()


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm1 = nn.LSTMCell(1, 12)
        self.linear = nn.Linear(12, 1)

    def forward(self, series, future=0):
        outputs = []
        h_t = torch.zeros(series.size(0), 12, dtype=torch.double)
        c_t = torch.zeros(series.size(0), 12, dtype=torch.double)
        for input_t in series.split(1, dim=1):
            h_t, c_t = self.lstm1(input_t, (h_t, c_t))
            output = self.linear(h_t)
            outputs += [output]
        for _ in range(future):
            h_t, c_t = self.lstm1(output, (h_t, c_t))
            output = self.linear(h_t)
            outputs += [output]
        return torch.cat(outputs, dim=1)


series, target = data[3:, :-1], data[3:, 1:]
test_input, test_target = data[:3, :-1], data[:3, 1:]
seq = Sequence()
seq.double()
criterion = nn.MSELoss()
optimizer = torch.optim.LBFGS(seq.parameters(), lr=0.8, max_iter=5)
for i in range(3):
    print("STEP: ", i)

    def closure():
        optimizer.zero_grad()
        out = seq(series)
        loss = criterion(out, target)
        print("loss:", loss.item())
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        pred = seq(test_input, future=5)
        loss = criterion(pred[:, :-5], test_target)
        print("test loss:", loss.item())
print(fingerprint(seq))
