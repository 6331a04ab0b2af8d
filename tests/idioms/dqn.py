"""DQN: a replay buffer, epsilon-greedy acting, a target network copied by load_state_dict."""

import random
from collections import deque, namedtuple

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from weights import fingerprint

Transition = namedtuple("Transition", ("state", "action", "next_state", "reward"))


class DQN(nn.Module):
    def __init__(self, n_observations, n_actions):
        super().__init__()
        self.layer1 = nn.Linear(n_observations, 32)
        self.layer2 = nn.Linear(32, n_actions)

    def forward(self, x):
        return self.layer2(F.relu(self.layer1(x)))


random.seed(2)
torch.manual_seed(2)
policy_net, target_net = DQN(3, 2), DQN(3, 2)
target_net.load_state_dict(policy_net.state_dict())
target_net.eval()
optimizer = optim.AdamW(policy_net.parameters(), lr=1e-3, amsgrad=True)
memory = deque(maxlen=500)
BATCH, GAMMA, TARGET_UPDATE = 32, 0.9, 10


def select_action(state, eps):
    if random.random() > eps:
        with torch.no_grad():
            return policy_net(state).max(1).indices.view(1, 1)
    return torch.tensor([[random.randrange(2)]], dtype=torch.long)


def optimize_model():
    if len(memory) < BATCH:
        return None
    batch = Transition(*zip(*random.sample(memory, BATCH), strict=True))
    mask = torch.tensor([s is not None for s in batch.next_state])
    following = torch.cat([s for s in batch.next_state if s is not None])
    values = policy_net(torch.cat(batch.state)).gather(1, torch.cat(batch.action))
    next_values = torch.zeros(BATCH)
    with torch.no_grad():
        next_values[mask] = target_net(following).max(1).values
    expected = next_values * GAMMA + torch.cat(batch.reward)
    loss = nn.SmoothL1Loss()(values, expected.unsqueeze(1))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_value_(policy_net.parameters(), 100)
    optimizer.step()
    return loss.item()


steps = 0
for episode in range(12):
    state, total, loss = torch.randn(1, 3), 0.0, None
    for t in range(15):
        action = select_action(state, max(0.05, 0.9 - steps / 100))
        reward = torch.tensor([1.0 if action.item() == int(state[0, 0] > 0) else 0.0])
        next_state = None if t == 14 else torch.randn(1, 3)
        memory.append(Transition(state, action, next_state, reward))
        state = next_state
        loss = optimize_model()
        steps += 1
        total += reward.item()
        if steps % TARGET_UPDATE == 0:
            target_net.load_state_dict(policy_net.state_dict())
    print(episode, total, loss)
print(fingerprint(policy_net, target_net))
