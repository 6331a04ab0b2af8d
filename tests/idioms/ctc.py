"""CTC on sequences of varying length: log-softmax over classes of a [T, N, C] tensor, greedy
decoding in evaluation."""

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from weights import fingerprint


class Recognizer(nn.Module):
    def __init__(self, feats=8, classes=6):
        super().__init__()
        self.conv = nn.Conv1d(feats, 24, 3, padding=1)
        self.rnn = nn.GRU(24, 16, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(32, classes)

    def forward(self, x):
        h = torch.relu(self.conv(x.transpose(1, 2))).transpose(1, 2)
        h, _ = self.rnn(h)
        return self.fc(h).log_softmax(-1).transpose(0, 1)


torch.manual_seed(43)
letters = torch.randn(6, 8)
samples = []
for _ in range(48):
    word = torch.randint(1, 6, (int(torch.randint(2, 5, (1,))),))
    frames = letters[word].repeat_interleave(4, 0)
    samples.append((frames + 0.1 * torch.randn_like(frames), word))


def collate(batch):
    xs, ys = zip(*batch, strict=True)
    return (
        pad_sequence(xs, batch_first=True),
        torch.cat(ys),
        torch.tensor([len(x) for x in xs]),
        torch.tensor([len(y) for y in ys]),
    )


loader = torch.utils.data.DataLoader(samples, batch_size=12, shuffle=True, collate_fn=collate)
model, ctc = Recognizer(), nn.CTCLoss(blank=0, zero_infinity=True)
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(4):
    model.train()
    for x, y, nx, ny in loader:
        loss = ctc(model(x), y, nx, ny)
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        opt.step()
    model.eval()
    with torch.no_grad():
        best = model(samples[0][0][None]).argmax(-1).squeeze(1)
    decoded = [c for c in torch.unique_consecutive(best).tolist() if c]
    print(epoch, loss.item(), decoded, samples[0][1].tolist())
print(fingerprint(model))
