"""The training programs whose steps are timed: each makes its models once and gives one step."""

from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

Step = Callable[[], object]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
WORDS = 1000  # of the language models


def training(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of: Loss,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    clip: float | None = None,
) -> Step:
    """A plain training step on one batch; ``clip`` bounds the norm of the gradients. It gives the
    model, the optimizer and the loss."""

    def step() -> object:
        optimizer.zero_grad()
        loss = loss_of(model(inputs), targets)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return model, optimizer, loss

    return step


def next_word(logits: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """The loss of a language model: logits (batch, length, words) for words (batch, length)."""
    return functional.cross_entropy(logits.reshape(-1, WORDS), words.reshape(-1))


def mlp() -> Step:
    """Three linear layers, a batch of 64: about 0.3 ms."""
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    inputs, targets = torch.randn(64, 64), torch.randint(0, 10, (64,))
    return training(model, optimizer, nn.CrossEntropyLoss(), inputs, targets)


class Decoder(nn.Module):
    """A small transformer, of 4 million parameters with four layers."""

    def __init__(self, layers: int = 4) -> None:
        super().__init__()
        self.tokens = nn.Embedding(WORDS, 256)
        self.places = nn.Embedding(64, 256)
        layer = nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(256, WORDS)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits of the next token at each place."""
        length = tokens.shape[1]
        hidden = self.tokens(tokens) + self.places.weight[:length]
        later = nn.Transformer.generate_square_subsequent_mask(length, device=tokens.device)
        return self.head(self.layers(hidden, mask=later, is_causal=True))


def transformer() -> Step:
    """Four layers of width 256, 4 sequences of 64 tokens, AdamW, clipping."""
    model = Decoder()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    tokens = torch.randint(0, WORDS, (4, 65))
    return training(model, optimizer, next_word, tokens[:, :-1], tokens[:, 1:], clip=1.0)


def large() -> Step:
    """Twelve layers of width 768, 8 sequences of 256 tokens: for a GPU."""
    layer = nn.TransformerEncoderLayer(768, 12, 3072, dropout=0.1, batch_first=True)
    model = nn.Sequential(
        nn.Embedding(WORDS, 768),
        nn.TransformerEncoder(layer, 12, enable_nested_tensor=False),
        nn.Linear(768, WORDS),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    tokens = torch.randint(0, WORDS, (8, 257))
    return training(model, optimizer, next_word, tokens[:, :-1], tokens[:, 1:], clip=1.0)


def conv() -> Step:
    """Six convolutions with batch norm, 16 images of 32 by 32, SGD with momentum."""
    widths = [3, 16, 16, 32, 32, 64, 64]
    layers: list[nn.Module] = []
    for place in range(6):
        layers += [
            nn.Conv2d(widths[place], widths[place + 1], 3, padding=1, stride=1 + place % 2),
            nn.BatchNorm2d(widths[place + 1]),
            nn.ReLU(),
        ]
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images, labels = torch.randn(16, 3, 32, 32), torch.randint(0, 10, (16,))
    return training(model, optimizer, functional.cross_entropy, images, labels)


def each_place(logits: torch.Tensor, tags: torch.Tensor) -> torch.Tensor:
    """The loss of a tagger: logits (batch, length, classes) for tags (batch, length)."""
    return functional.cross_entropy(logits.transpose(1, 2), tags)


class Tagger(nn.Module):
    """An LSTM over a sequence, and a class for each place."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(32, 128, num_layers=2, batch_first=True)
        self.head = nn.Linear(128, 10)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """Logits for each place."""
        hidden, _ = self.lstm(sequence)
        return self.head(hidden)


def lstm() -> Step:
    """Two LSTM layers of width 128 over 16 sequences of 50, Adam."""
    model = Tagger()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    sequence, tags = torch.randn(16, 50, 32), torch.randint(0, 10, (16, 50))
    return training(model, optimizer, each_place, sequence, tags)


def tensors() -> Step:
    """1,000 parameter tensors: 500 linear layers of width 16, Adam."""
    model = nn.Sequential(*[nn.Linear(16, 16) for _ in range(500)])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    inputs, targets = torch.randn(8, 16), torch.randn(8, 16)
    return training(model, optimizer, functional.mse_loss, inputs, targets)


def gan() -> Step:
    """A generator and a discriminator with an Adam each, as in the DCGAN tutorial."""
    generator = nn.Sequential(
        nn.Linear(32, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 256), nn.Tanh()
    )
    discriminator = nn.Sequential(
        nn.Linear(256, 128), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(128, 1)
    )
    first = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    second = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    criterion = nn.BCEWithLogitsLoss()
    real, ones, zeros = torch.randn(64, 256), torch.ones(64, 1), torch.zeros(64, 1)

    def step() -> object:
        second.zero_grad()
        criterion(discriminator(real), ones).backward()
        fake = generator(torch.randn(64, 32))
        criterion(discriminator(fake.detach()), zeros).backward()
        second.step()
        first.zero_grad()
        criterion(discriminator(fake), ones).backward()
        first.step()
        return generator

    return step


def scaled() -> Step:
    """The MLP with autocast to bfloat16, a GradScaler and clipping; cleared before the backward."""
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    scaler = torch.amp.GradScaler("cpu")
    inputs, targets = torch.randn(64, 64), torch.randint(0, 10, (64,))

    def step() -> object:
        with torch.autocast("cpu", torch.bfloat16):
            loss = functional.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        return model

    return step


def rollout() -> Step:
    """A policy and a value net: 128 moves without gradient, then one update from them, Adam."""
    policy = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
    actor, critic = nn.Sequential(policy, nn.Linear(64, 4)), nn.Linear(8, 1)
    optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=1e-4)
    rewards = torch.randn(128)

    def step() -> object:
        state, states, moves = torch.randn(8), list[torch.Tensor](), list[torch.Tensor]()
        for _ in range(128):
            with torch.no_grad():
                move = torch.distributions.Categorical(logits=actor(state)).sample()
                states.append(state)
                moves.append(move)
                state = torch.tanh(state + critic(state))
        seen = torch.stack(states)
        chances = torch.distributions.Categorical(logits=actor(seen)).log_prob(torch.stack(moves))
        loss = (critic(seen).squeeze(1) - rewards).square().mean() - (chances * rewards).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return actor, critic

    return step


def epochs() -> Step:
    """An MLP trained as most are: batches from a DataLoader, an evaluation after each pass."""
    net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 5))
    data, labels = torch.randn(1600, 20), torch.randint(0, 5, (1600,))
    train = DataLoader(TensorDataset(data, labels), batch_size=32, shuffle=True)
    held_out = DataLoader(TensorDataset(data[:320], labels[:320]), batch_size=32)
    optimizer, criterion = torch.optim.Adam(net.parameters(), lr=1e-3), nn.CrossEntropyLoss()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1000)

    def run() -> Iterator[None]:
        while True:
            net.train()
            for x, y in train:
                optimizer.zero_grad()
                criterion(net(x), y).backward()
                optimizer.step()
                yield
            net.eval()
            with torch.no_grad():
                for x, y in held_out:
                    (net(x).argmax(1) == y).sum().item()
            scheduler.step()

    running = run()

    def step() -> object:
        next(running)
        return net

    return step


def penalty() -> Step:
    """A critic whose slope is held near 1 at points between real and made samples (WGAN-GP), and at
    each fifth step its generator."""
    generator = nn.Sequential(nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 64))
    critic = nn.Sequential(nn.Linear(64, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1))
    first = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.5, 0.9))
    second = torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.5, 0.9))
    real, done = torch.randn(64, 64), 0

    def step() -> object:
        nonlocal done
        fake, part = generator(torch.randn(64, 16)).detach(), torch.rand(64, 1)
        between = (part * real + (1 - part) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        bound = (slope.norm(dim=1) - 1).square().mean()
        second.zero_grad()
        (critic(fake).mean() - critic(real).mean() + 10 * bound).backward()
        second.step()
        done += 1
        if done % 5 == 0:
            first.zero_grad()
            (-critic(generator(torch.randn(64, 16))).mean()).backward()
            first.step()
        return critic

    return step


class Speller(nn.Module):
    """A recurrent cell that its loop calls letter by letter."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(57 + 128, 128), nn.Linear(128, 18)

    def forward(
        self, letter: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the classes, and the next state."""
        state = self.hidden(torch.cat((letter, state), 1)).tanh()
        return self.head(state), state


def letters() -> Step:
    """A name of 4 to 12 letters for each step, as in the tutorial that classifies names."""
    model = Speller()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005)
    names = [torch.randn(length, 1, 57) for length in torch.randint(4, 13, (64,)).tolist()]
    classes, done = torch.randint(0, 18, (64, 1)), 0

    def step() -> object:
        nonlocal done
        state, logits = torch.zeros(1, 128), torch.zeros(1, 18)
        optimizer.zero_grad()
        for letter in names[done % 64]:
            logits, state = model(letter, state)
        functional.cross_entropy(logits, classes[done % 64]).backward()
        optimizer.step()
        done += 1
        return model

    return step


def explorer() -> Step:
    """A value net that learns from a slowly moved copy of itself (DQN); half of its moves are
    drawn, the other half asked of it."""
    net, target = (nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2)) for _ in "ab")
    target.load_state_dict(net.state_dict())
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, amsgrad=True)
    draws = torch.Generator().manual_seed(0)

    def step() -> object:
        if torch.rand((), generator=draws) < 0.5:
            with torch.no_grad():
                net(torch.randn(1, 4)).argmax(1)
        seen, moves = torch.randn(64, 4), torch.randint(0, 2, (64, 1))
        with torch.no_grad():
            aim = 1 + 0.99 * target(torch.randn(64, 4)).max(1, keepdim=True).values
        loss = functional.smooth_l1_loss(net(seen).gather(1, moves), aim)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(net.parameters(), 100)
        optimizer.step()
        kept = target.state_dict()
        for name, tensor in net.state_dict().items():
            kept[name] = 0.005 * tensor + 0.995 * kept[name]
        target.load_state_dict(kept)
        return net

    return step


WORKLOADS: dict[str, Callable[[], Step]] = {
    "mlp": mlp,
    "transformer": transformer,
    "conv": conv,
    "large": large,
    "lstm": lstm,
    "tensors": tensors,
    "gan": gan,
    "scaled": scaled,
    "rollout": rollout,
    "epochs": epochs,
    "penalty": penalty,
    "letters": letters,
    "explorer": explorer,
}
TITLES = {
    "mlp": "MLP, 3 layers",
    "transformer": "transformer, 4 million parameters",
    "large": "transformer, 86 million parameters",
    "conv": "convolutional net, batch norm",
    "lstm": "LSTM, 2 layers",
    "tensors": "1,000 parameter tensors",
    "gan": "GAN, 2 optimizers",
    "scaled": "MLP, autocast, `GradScaler`, clipping",
    "rollout": "policy gradient, 128 moves a step",
    "epochs": "MLP, `DataLoader`, 50 steps and an evaluation in turn",
    "penalty": "gradient penalty, a leaf made anew at each step",
    "letters": "recurrent cell called by the loop, 4 to 12 times a step",
    "explorer": "DQN, half of the moves drawn",
}
