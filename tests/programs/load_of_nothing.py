"""SL317 load-of-nothing. `# SL317` marks where the finding must point."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        return self.head(self.body(x).relu())


def train(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        x = torch.randn(8, 4)
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), x.sum(1, keepdim=True)).backward()
        optimizer.step()


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


def bad_prefix_of_a_wrapper():
    saved = prefixed(Net().state_dict(), "module.")
    model = Net()
    model.load_state_dict(saved, strict=False)  # SL317
    train(model)


def bad_whole_checkpoint():
    checkpoint = {"epoch": 3, "state_dict": Net().state_dict()}
    model = Net()
    model.load_state_dict(checkpoint, strict=False)  # SL317
    train(model)


def bad_evaluated_only():
    model = Net().eval()
    model.load_state_dict(prefixed(Net().state_dict(), "net."), strict=False)  # SL317
    with torch.no_grad():
        model(torch.randn(8, 4))


def good_prefix_taken_off():
    saved = prefixed(Net().state_dict(), "module.")
    model = Net()
    model.load_state_dict({k.removeprefix("module."): v for k, v in saved.items()}, strict=False)
    train(model)


def fine_prefixes_tried_in_turn():
    saved = prefixed(Net().state_dict(), "net.")
    model = Net()
    for prefix in ("module.", "model.", "net."):
        state = {k.removeprefix(prefix): v for k, v in saved.items()}
        missing, _ = model.load_state_dict(state, strict=False)
        if not missing:
            break
    train(model)


def fine_fallback_on_another_line():
    saved = prefixed(Net().state_dict(), "net.")
    model = Net()
    missing, _ = model.load_state_dict(saved, strict=False)
    if missing:
        model.load_state_dict({k.removeprefix("net."): v for k, v in saved.items()})
    train(model)


def fine_part_of_the_names():
    model = Net()
    model.load_state_dict({"body.weight": torch.randn(8, 4), "other": torch.ones(1)}, strict=False)
    train(model)


def fine_one_state_offered_to_several_modules():
    state, modules = Net().state_dict(), [nn.Linear(4, 4), Net()]
    for module in modules:
        module.load_state_dict(state, strict=False)
    train(nn.Sequential(*modules))


def fine_names_given_by_a_hook():
    class Old(Net):
        def __init__(self):
            super().__init__()
            self._register_load_state_dict_pre_hook(self.rename)

        def rename(self, state, *_):
            for name in list(state):
                state[name.removeprefix("old.")] = state.pop(name)

    model = Old()
    model.load_state_dict(prefixed(Net().state_dict(), "old."), strict=False)
    train(model)


def fine_empty_state():
    model = Net()
    model.load_state_dict({}, strict=False)
    train(model)


def fine_loaded_in_parts_later():
    saved = Net().state_dict()
    model = Net()
    model.load_state_dict(prefixed(saved, "net."), strict=False)
    model.body.load_state_dict({"weight": saved["body.weight"], "bias": saved["body.bias"]})
    model.head.load_state_dict({"weight": saved["head.weight"], "bias": saved["head.bias"]})
    train(model)


def drawn(module):
    if isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight.data)
        module.bias.data.zero_()


def bad_pretrained_weights_drawn_anew():
    saved = Net().state_dict()
    model = Net()
    model.load_state_dict(saved)  # SL317
    model.apply(drawn)
    train(model)


def bad_backbone_drawn_anew_with_the_head():
    saved = nn.Linear(4, 8).state_dict()
    model = Net()
    model.body.load_state_dict(saved)  # SL317
    model.apply(drawn)
    train(model)


def good_drawn_before_the_load():
    saved = Net().state_dict()
    model = Net()
    model.apply(drawn)
    model.load_state_dict(saved)
    train(model)


def fine_a_new_head():
    saved = Net().state_dict()
    model = Net()
    model.load_state_dict(saved)
    model.head.apply(drawn)
    train(model)


def fine_weights_made_smaller():
    saved = Net().state_dict()
    model = Net()
    model.load_state_dict(saved)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(0.9)
    train(model)


def fine_drawn_between_two_loads():
    saved, other = Net().state_dict(), Net().state_dict()
    model = Net()
    model.load_state_dict(saved)
    model.apply(drawn)
    model.load_state_dict(other)
    train(model)


def fine_asked_and_then_drawn_anew():
    saved = Net().state_dict()
    model = Net()
    model.load_state_dict(saved)
    model(torch.randn(2, 4))
    model.apply(drawn)
    train(model)
