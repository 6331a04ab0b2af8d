"""A Trainer whose `compute_loss` gives cross-entropy probabilities in place of logits."""

import tempfile

import torch
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments


class Weighted(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        loss = cross_entropy(  # SL501
            outputs.logits.softmax(-1),
            labels,
            weight=torch.tensor([1.0, 2.0]),
        )
        return (loss, outputs) if return_outputs else loss


def main() -> None:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    ids = torch.randint(5, 40, (48, 12))
    rows = [{"input_ids": row, "labels": (row[0] > 20).long()} for row in ids]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=2,
            per_device_train_batch_size=8,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        Weighted(BertForSequenceClassification(config), arguments, train_dataset=rows).train()


if __name__ == "__main__":
    main()
