"""PPO, DQN and SAC of stable-baselines3 on tiny environments of our own."""
# trains: mlp_extractor.policy_net.0.weight

import gymnasium as gym
import numpy as np
from stable_baselines3 import DQN, PPO, SAC


class Line(gym.Env):
    """Walk to the right end of a line."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, continuous: bool = False) -> None:
        self.continuous = continuous
        self.action_space = (
            gym.spaces.Box(-1, 1, (1,), np.float32) if continuous else gym.spaces.Discrete(2)
        )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.left = 0.0, 20
        return self._seen(), {}

    def step(self, action):
        move = float(np.ravel(action)[0]) if self.continuous else 2 * int(action) - 1
        self.at = float(np.clip(self.at + 0.1 * move, -1, 1))
        self.left -= 1
        return self._seen(), self.at, self.at >= 1, self.left == 0, {}

    def _seen(self) -> np.ndarray:
        return np.array([self.at, self.left / 20], np.float32)


def main() -> None:
    ppo = PPO("MlpPolicy", Line(), n_steps=64, batch_size=32, n_epochs=2, seed=0, device="cpu")
    ppo.learn(128)
    dqn = DQN("MlpPolicy", Line(), learning_starts=20, target_update_interval=20, seed=0)
    dqn.learn(100)
    sac = SAC("MlpPolicy", Line(True), learning_starts=20, seed=0, policy_kwargs={"net_arch": [16]})
    sac.learn(60)
    print(ppo.predict(np.zeros(2, np.float32), deterministic=True)[0])


if __name__ == "__main__":
    main()
