"""Five-fold cross-validation: model, optimizer and scheduler made anew for every fold, the mean
taken of the scores."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset
from weights import fingerprint


def make_model():
    return nn.Sequential(nn.Linear(7, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 1))


def train_fold(dataset, train_ids, val_ids, epochs=3):
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1)
    criterion = nn.BCEWithLogitsLoss()
    train = DataLoader(Subset(dataset, train_ids), batch_size=20, shuffle=True)
    val = DataLoader(Subset(dataset, val_ids), batch_size=40)
    for _ in range(epochs):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            loss = criterion(model(x).squeeze(1), y)
            loss.backward()
            optimizer.step()
        scheduler.step()
    model.eval()
    with torch.no_grad():
        hits = sum(((model(x).squeeze(1) > 0) == (y > 0.5)).sum().item() for x, y in val)
    return model, hits / len(val_ids)


def main(k=5):
    torch.manual_seed(33)
    x = torch.randn(200, 7)
    dataset = TensorDataset(x, (x[:, 0] + x[:, 1] > 0).float())
    folds = torch.randperm(200).chunk(k)
    scores = []
    for f in range(k):
        train_ids = torch.cat([fold for j, fold in enumerate(folds) if j != f]).tolist()
        model, score = train_fold(dataset, train_ids, folds[f].tolist())
        scores.append(score)
        print(f"fold {f}: {score:.4f}")
    print("mean", sum(scores) / k, fingerprint(model))


if __name__ == "__main__":
    main()
