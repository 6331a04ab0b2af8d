"""A tiny GPT-2 (tied embeddings) and a tiny T5, each in a plain loop with a schedule."""
# trains: transformer.h.0.attn.c_attn.weight, shared.weight

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
    get_cosine_schedule_with_warmup,
)


def train(model: torch.nn.Module, ids: torch.Tensor) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = get_cosine_schedule_with_warmup(optimizer, 2, 12)
    model.train()
    for step in range(12):
        batch = ids[torch.randperm(len(ids))[:8]]
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
    print(type(model).__name__, f"{loss.item():.3f}")


def main() -> None:
    torch.manual_seed(0)
    ids = torch.randint(2, 30, (40, 10))
    small = GPT2Config(vocab_size=30, n_positions=16, n_embd=16, n_layer=2, n_head=2)
    gpt = GPT2LMHeadModel(small)
    train(gpt, ids)
    gpt.eval()
    with torch.no_grad():
        print(gpt.generate(ids[:2], max_new_tokens=4, do_sample=False, pad_token_id=0).shape)
    t5 = T5ForConditionalGeneration(
        T5Config(
            vocab_size=30, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
            decoder_start_token_id=0,
        )
    )  # fmt: skip
    train(t5, ids)


if __name__ == "__main__":
    main()
