"""The thirteen notes of the reference notebook, as its author has them. No torch."""

NOTES = {
    1: "`model.eval()` turns Dropout off.",
    2: "`model.eval()` makes BatchNorm stop updating its mean and variance.",
    3: "`model.eval()` still computes gradients, only does no backward pass.",
    4: "`model.train()` turns Dropout on.",
    5: "`model.train()` makes BatchNorm go on updating its mean and variance.",
    6: "`with torch.no_grad()` switches the backward pass of gradients off and saves computation.",
    7: "`loss.backward()` inside `with torch.no_grad()` raises an error.",
    8: "`model.zero_grad()` and `optimizer.step()` both clear the gradients; the one does not "
    "train, the other does.",
    9: "In eval mode gradients are still updated.",
    10: "If the loss is computed again with no `optimizer.step()` between, the new gradient is "
    "added to the old.",
    11: "In eval mode `optimizer.step()` can still be called by hand.",
    12: "A heading, 'decorators', with nothing under it.",
    13: "`model.zero_grad()` and `optimizer.zero_grad()` do not differ on one machine with one "
    "GPU, and cannot be shown there, so it is skipped.",
}
