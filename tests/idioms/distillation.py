"""Knowledge distillation: a teacher trained first and then kept in eval, KL between tempered
log-softmax and softmax, a student on top of the hard labels."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
from weights import fingerprint


def mlp(width):
    return nn.Sequential(nn.Linear(10, width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 4))


def train_teacher(model, loader, epochs):
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
    return loss.item()


def distill(teacher, student, loader, epochs, T=3.0, alpha=0.7):
    optimizer = torch.optim.Adam(student.parameters(), lr=3e-3)
    teacher.eval()
    student.train()
    for epoch in range(epochs):
        for x, y in loader:
            with torch.no_grad():
                teacher_logits = teacher(x)
            logits = student(x)
            soft = F.kl_div(
                F.log_softmax(logits / T, dim=1),
                F.softmax(teacher_logits / T, dim=1),
                reduction="batchmean",
            )
            loss = alpha * T * T * soft + (1 - alpha) * F.cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(epoch, loss.item())


torch.manual_seed(40)
x = torch.randn(320, 10)
data = TensorDataset(x, (x @ torch.randn(10, 4)).argmax(1))
loader = DataLoader(data, batch_size=32, shuffle=True)
teacher, student = mlp(64), mlp(12)
print("teacher", train_teacher(teacher, loader, 4))
distill(teacher, student, loader, 4)
student.eval()
with torch.no_grad():
    print((student(x).argmax(1) == teacher(x).argmax(1)).float().mean().item())
print(fingerprint(teacher, student))
