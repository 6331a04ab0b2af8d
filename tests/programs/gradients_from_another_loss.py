"""SL205 gradients-from-another-loss. `# SL205` marks the lines at which the finding must point."""

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce

ONES, ZEROS = torch.ones(8, 1), torch.zeros(8, 1)


def build():
    maker, judge = nn.Linear(3, 4), nn.Linear(4, 1)
    return (
        maker,
        judge,
        torch.optim.Adam(maker.parameters(), lr=1e-3),
        torch.optim.Adam(judge.parameters(), lr=1e-3),
    )


def bad_fakes_are_not_detached():
    maker, judge, of_maker, of_judge = build()
    for _ in range(3):
        of_maker.zero_grad()
        of_judge.zero_grad()
        fake = maker(torch.randn(8, 3))
        loss = bce(judge(torch.randn(8, 4)), ONES) + bce(judge(fake), ZEROS)
        loss.backward(retain_graph=True)  # SL205
        of_judge.step()
        bce(judge(fake), ONES).backward()
        of_maker.step()


def bad_makers_loss_stays_in_the_judge():
    maker, judge, of_maker, of_judge = build()
    for _ in range(3):
        of_maker.zero_grad()
        fake = maker(torch.randn(8, 3))
        bce(judge(fake), ONES).backward()  # SL205
        of_maker.step()
        (bce(judge(torch.randn(8, 4)), ONES) + bce(judge(fake.detach()), ZEROS)).backward()
        of_judge.step()
        of_judge.zero_grad()


def good_detached():
    maker, judge, of_maker, of_judge = build()
    for _ in range(3):
        of_maker.zero_grad()
        of_judge.zero_grad()
        fake = maker(torch.randn(8, 3))
        bce(judge(torch.randn(8, 4)), ONES).backward()
        bce(judge(fake.detach()), ZEROS).backward()
        of_judge.step()
        bce(judge(fake), ONES).backward()
        of_maker.step()


def fine_cleared_before_each():
    maker, judge, of_maker, of_judge = build()
    for _ in range(3):
        of_judge.zero_grad()
        fake = maker(torch.randn(8, 3))
        (bce(judge(torch.randn(8, 4)), ONES) + bce(judge(fake), ZEROS)).backward()
        of_judge.step()
        of_maker.zero_grad()
        bce(judge(maker(torch.randn(8, 3))), ONES).backward()
        of_maker.step()


def fine_all_losses_then_all_steps():
    maker, judge, of_maker, of_judge = build()
    for _ in range(3):
        of_maker.zero_grad()
        of_judge.zero_grad()
        fake = maker(torch.randn(8, 3))
        bce(judge(fake), ONES).backward()
        bce(judge(torch.randn(8, 4)), ZEROS).backward()
        of_maker.step()
        of_judge.step()


def fine_a_slow_and_a_fast_optimizer():
    body, head, slow, fast = build()
    for batch in range(8):
        fast.zero_grad()
        (bce(head(body(torch.randn(8, 3))), ONES) / 2).backward()
        fast.step()
        if batch % 2:
            slow.step()
            slow.zero_grad()


def fine_two_heads_with_optimizers_of_their_own():
    body, head, of_body, of_head = build()
    other = nn.Linear(4, 1)
    of_other = torch.optim.Adam(other.parameters(), lr=1e-3)
    for _ in range(3):
        for optimizer in (of_body, of_head, of_other):
            optimizer.zero_grad()
        bce(head(body(torch.randn(8, 3))), ONES).backward()
        of_head.step()
        bce(other(body(torch.randn(8, 3))), ZEROS).backward()
        of_other.step()
        of_body.step()


def fine_actor_and_critic():
    actor, critic, of_actor, of_critic = build()
    for _ in range(4):
        of_critic.zero_grad()
        (critic(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        of_critic.step()
        of_actor.zero_grad()
        (-critic(actor(torch.randn(8, 3))).mean()).backward()
        of_actor.step()


def fine_critic_is_frozen_for_the_actor():
    actor, critic, of_actor, of_critic = build()
    for _ in range(4):
        critic.requires_grad_(True)
        of_critic.zero_grad()
        (critic(actor(torch.randn(8, 3)).detach()) - 1).pow(2).mean().backward()
        of_critic.step()
        critic.requires_grad_(False)
        of_actor.zero_grad()
        (-critic(actor(torch.randn(8, 3))).mean()).backward()
        of_actor.step()


def fine_a_sum_for_both_and_one_more_loss_for_one():
    """As BicycleGAN has it: the encoder steps on the sum, the generator on one loss more."""
    encoder, maker, judge = nn.Linear(4, 3), nn.Linear(3, 4), nn.Linear(4, 1)
    of_encoder, of_maker, of_judge = (
        torch.optim.Adam(m.parameters(), lr=1e-3) for m in (encoder, maker, judge)
    )
    for _ in range(4):
        of_encoder.zero_grad()
        of_maker.zero_grad()
        x, noise = torch.randn(8, 4), torch.randn(8, 3)
        again, fake = maker(encoder(x)), maker(noise)
        loss = 10 * (again - x).abs().mean() + (judge(fake) - 1).pow(2).mean()
        loss.backward(retain_graph=True)
        of_encoder.step()
        (encoder(maker(noise)) - noise).abs().mean().backward()
        of_maker.step()
        of_judge.zero_grad()
        ((judge(x) - 1).pow(2).mean() + judge(fake.detach()).pow(2).mean()).backward()
        of_judge.step()


def bad_a_judges_loss_of_several_terms_stays_in_the_maker():
    maker, judge, of_maker, of_judge = build()
    for _ in range(3):
        of_maker.zero_grad()
        of_judge.zero_grad()
        real, fake = torch.randn(8, 4), maker(torch.randn(8, 3))
        loss = (judge(real) - 1).pow(2).mean() + 0.5 * judge(fake).pow(2).mean()
        loss.backward(retain_graph=True)  # SL205
        of_judge.step()
        (judge(maker(torch.randn(8, 3))) - 1).pow(2).mean().backward()
        of_maker.step()
