"""SL213: a sample drawn without a gradient from a distribution that is being trained."""

from steplens.model.event import Drawn
from steplens.model.roster import Roster
from steplens.rules.base import Cases, rule, seen


@rule("SL213", "sample-without-gradient", "warning", needs=("backward",))
class SampleWithoutGradient:
    """A sample drawn without a gradient from a distribution that is being trained.

    ## What it does
    Reports `sample()` of a distribution that has `rsample`, and `torch.normal`, whose derivative is
    0 by definition, when what the sample is made of carries a gradient, and two losses went through
    such a sample (of `torch.normal`, through a layer that was given it) and through the
    distribution's own parameters, with no `log_prob` of a trained distribution in between. Reports
    it, too, when the loss takes the `log_prob` of what was drawn, and multiplies it by one number
    for all: for a whole batch, or the same number at four steps.

    ## Why is this bad?
    `sample()` draws under `no_grad`. What the loss says of the sample, as the reconstruction of a
    variational autoencoder does, does not reach the encoder: it learns from the other terms alone,
    as a KL divergence, which wants the code to hold nothing. In soft actor-critic what the critic
    says of the action does not reach the policy, and the mean of the `log_prob` of samples has a
    gradient of 0 on average: the policy is moved by noise.

    ## Example
        code = posterior.sample()
        loss = mse_loss(decoder(code), x) + kl_divergence(posterior, prior).mean()

    ## Use instead
        code = posterior.rsample()

    ## When it is fine
    Policy gradients, which weigh the `log_prob` of what was drawn; distributions without `rsample`;
    samples that no loss goes through, as actions that are only carried out.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def drawn(self, event: Drawn) -> None:
        if self.cases.again(event.site, event.step + 1):
            return
        self.cases.open(
            event.site,
            event.step + 1,
            event.site,
            (
                "`torch.normal` has a gradient of 0 for its mean and its deviation: "
                if event.family == "torch.normal"
                else f"`sample()` of `{event.family}` cut the gradient: "
            )
            + (
                "the loss takes its `log_prob` with one weight for all that was drawn, of which "
                "the gradient is 0 on average"
                if event.weight
                else "the loss goes through the sample, and nothing of that reaches what the "
                "distribution is made of"
            ),
            label="drawn without a gradient",
            evidence=(
                seen("weight of each `log_prob`", event.weight, "what came of the sample")
                if event.weight
                else seen("losses through the sample, with no `log_prob`", event.times, 0),
            ),
            help="draw it with `mean + std * torch.randn_like(std)`"
            if event.family == "torch.normal"
            else "draw it with `rsample()`, which keeps the gradient",
            event=event.index,
        )
