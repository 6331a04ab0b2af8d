"""Style transfer: the network is fixed, the image is the parameter; LBFGS with clamping inside the
closure, then Adam on a second image."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from weights import fingerprint

torch.manual_seed(63)
cnn = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)).eval()
cnn.requires_grad_(False)
content_img, style_img = torch.rand(1, 3, 12, 12), torch.rand(1, 3, 12, 12)


def gram(t):
    a, b, c, d = t.size()
    features = t.view(a * b, c * d)
    return torch.mm(features, features.t()) / (a * b * c * d)


with torch.no_grad():
    content_target, style_target = cnn(content_img), gram(cnn(style_img))

input_img = content_img.clone().requires_grad_(True)
optimizer = torch.optim.LBFGS([input_img], max_iter=4)
run = [0]
while run[0] <= 8:

    def closure():
        with torch.no_grad():
            input_img.clamp_(0, 1)
        optimizer.zero_grad()
        features = cnn(input_img)
        loss = F.mse_loss(features, content_target) + 1e3 * F.mse_loss(gram(features), style_target)
        loss.backward()
        run[0] += 1
        return loss

    loss = optimizer.step(closure)
    print(run[0], loss.item())
with torch.no_grad():
    input_img.clamp_(0, 1)

second = torch.randn(1, 3, 12, 12, requires_grad=True)
adam = torch.optim.Adam([second], lr=0.05)
for it in range(15):
    adam.zero_grad()
    loss = F.mse_loss(cnn(second.sigmoid()), content_target)
    loss.backward()
    adam.step()
print(loss.item(), fingerprint(input_img, second))
