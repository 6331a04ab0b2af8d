"""LoRA on a frozen GPT-2 by PEFT, in the Trainer."""
# trains: base_model.model.transformer.h.0.attn.c_attn.lora_A.default.weight

import tempfile

import torch
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments


def main() -> None:
    torch.manual_seed(0)
    small = GPT2Config(vocab_size=30, n_positions=16, n_embd=16, n_layer=2, n_head=2)
    lora = LoraConfig(r=4, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True)
    model = get_peft_model(GPT2LMHeadModel(small), lora)
    rows = [{"input_ids": row, "labels": row} for row in torch.randint(2, 30, (48, 10))]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=2,
            per_device_train_batch_size=8,
            learning_rate=1e-2,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        Trainer(model, arguments, train_dataset=rows).train()
    merged = model.merge_and_unload()
    merged.eval()
    with torch.no_grad():
        print(merged(torch.zeros(1, 4, dtype=torch.long)).logits.shape)


if __name__ == "__main__":
    main()
