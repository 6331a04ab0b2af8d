"""SL205 gradients-from-another-loss. `# SL205` marks the lines at which the finding must point."""

import itertools

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


class Gan(nn.Module):
    def __init__(self):
        super().__init__()
        self.maker = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 4))
        self.judge = nn.Sequential(nn.Linear(4, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))


def judge_once(gan, optimizer, detached=False):
    """One step on real samples against made ones."""
    fake = gan.maker(torch.randn(32, 3))
    optimizer.zero_grad()
    real = bce(gan.judge(torch.randn(32, 4) + 2), torch.ones(32, 1))
    (real + bce(gan.judge(fake.detach() if detached else fake), torch.zeros(32, 1))).backward()
    optimizer.step()


def make_once(gan, optimizer):
    optimizer.zero_grad()
    bce(gan.judge(gan.maker(torch.randn(32, 3))), torch.ones(32, 1)).backward()
    optimizer.step()


def bad_judges_optimizer_holds_the_maker():
    gan = Gan()
    of_judge = torch.optim.Adam(gan.parameters(), lr=1e-3)  # SL205
    of_maker = torch.optim.Adam(gan.maker.parameters(), lr=1e-3)
    for _ in range(8):
        judge_once(gan, of_judge)
        make_once(gan, of_maker)


def bad_judges_optimizer_holds_the_maker_that_steps_first():
    gan = Gan()
    of_maker = torch.optim.SGD(gan.maker.parameters(), lr=0.05)
    both = itertools.chain(gan.maker.parameters(), gan.judge.parameters())
    of_judge = torch.optim.SGD(both, lr=0.05)  # SL205
    for _ in range(12):
        make_once(gan, of_maker)
        judge_once(gan, of_judge)


def bad_critic_steps_more_often_and_holds_the_maker():
    gan = Gan()
    of_maker = torch.optim.RMSprop(gan.maker.parameters(), lr=5e-4)
    everything = [*gan.judge.parameters(), *gan.maker.parameters()]
    of_critic = torch.optim.RMSprop(everything, lr=5e-4)  # SL205
    for _ in range(8):
        for _ in range(3):
            of_critic.zero_grad()
            gan.judge(torch.randn(32, 4) + 2).mean().neg().backward()
            gan.judge(gan.maker(torch.randn(32, 3))).mean().backward()
            of_critic.step()
        of_maker.zero_grad()
        gan.judge(gan.maker(torch.randn(32, 3))).mean().neg().backward()
        of_maker.step()


def good_judges_optimizer_holds_the_judge():
    gan = Gan()
    of_judge = torch.optim.Adam(gan.judge.parameters(), lr=1e-3)
    of_maker = torch.optim.Adam(gan.maker.parameters(), lr=1e-3)
    for _ in range(12):
        judge_once(gan, of_judge)
        make_once(gan, of_maker)


def fine_judges_optimizer_holds_the_maker_and_fakes_are_detached():
    gan = Gan()
    of_judge = torch.optim.Adam(gan.parameters(), lr=1e-3)
    of_maker = torch.optim.Adam(gan.maker.parameters(), lr=1e-3)
    for _ in range(12):
        judge_once(gan, of_judge, detached=True)
        make_once(gan, of_maker)


def fine_whole_and_head_in_turn():
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    of_all = torch.optim.SGD(model.parameters(), lr=0.01)
    of_head = torch.optim.SGD(model[2].parameters(), lr=0.1)
    for turn in range(24):
        optimizer = of_head if turn % 2 else of_all
        optimizer.zero_grad()
        bce(model(torch.randn(8, 3)), ONES).backward()
        optimizer.step()


def fine_classifiers_that_disagree_and_an_optimizer_of_all():
    """Maximum classifier discrepancy, its first step taken by an optimizer of everything."""
    body, one, two = nn.Linear(3, 8), nn.Linear(8, 4), nn.Linear(8, 4)
    heads = [*one.parameters(), *two.parameters()]
    of_all = torch.optim.Adam([*body.parameters(), *heads], lr=1e-3)
    of_body = torch.optim.Adam(body.parameters(), lr=1e-3)
    of_heads = torch.optim.Adam(heads, lr=1e-3)
    entropy = nn.functional.cross_entropy

    def apart():
        h = torch.tanh(body(torch.randn(16, 3)))
        return (one(h).softmax(1) - two(h).softmax(1)).abs().mean()

    def source():
        x, y = torch.randn(16, 3), torch.randint(0, 4, (16,))
        h = torch.tanh(body(x))
        return entropy(one(h), y) + entropy(two(h), y)

    for _ in range(10):
        for optimizer, loss in ((of_all, source), (of_heads, lambda: source() - apart())):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
        of_body.zero_grad()
        apart().backward()
        of_body.step()


def fine_encoder_of_a_critic_learns_to_rebuild_as_well():
    """As SAC with an autoencoder has it: the critic's optimizer holds the encoder, too."""
    encoder, decoder, critic = nn.Linear(4, 8), nn.Linear(8, 4), nn.Linear(8, 1)
    of_critic = torch.optim.Adam([*encoder.parameters(), *critic.parameters()], lr=1e-3)
    of_encoder = torch.optim.Adam(encoder.parameters(), lr=1e-3)
    of_decoder = torch.optim.Adam(decoder.parameters(), lr=1e-3)
    for _ in range(10):
        x = torch.randn(16, 4)
        of_critic.zero_grad()
        (critic(torch.tanh(encoder(x))) - x.sum(1, keepdim=True)).pow(2).mean().backward()
        of_critic.step()
        of_encoder.zero_grad()
        of_decoder.zero_grad()
        (decoder(torch.tanh(encoder(x))) - x).pow(2).mean().backward()
        of_encoder.step()
        of_decoder.step()


def fine_unlearned_by_all_and_kept_by_a_part():
    """What one loss takes away the other gives back, on purpose, and both are of all."""
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    of_all = torch.optim.SGD(model.parameters(), lr=0.01)
    of_body = torch.optim.SGD(model[0].parameters(), lr=0.01)
    for _ in range(10):
        of_all.zero_grad()
        bce(model(torch.randn(32, 3) + 1), torch.ones(32, 1)).neg().backward()
        of_all.step()
        of_body.zero_grad()
        bce(model(torch.randn(32, 3) + 1), torch.ones(32, 1)).backward()
        of_body.step()


def fine_judges_optimizer_holds_the_maker_at_a_rate_of_zero():
    gan = Gan()
    groups = [{"params": gan.judge.parameters()}, {"params": gan.maker.parameters(), "lr": 0.0}]
    of_judge = torch.optim.SGD(groups, lr=0.05)
    of_maker = torch.optim.SGD(gan.maker.parameters(), lr=0.05)
    for _ in range(12):
        judge_once(gan, of_judge)
        make_once(gan, of_maker)
