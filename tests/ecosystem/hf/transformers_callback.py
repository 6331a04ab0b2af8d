"""The transformers callback: epochs and stages on the timeline."""
# trains: bert.encoder.layer.0.attention.self.query.weight

import tempfile

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from steplens.adapters.transformers import StepLens


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
    ids = torch.randint(5, 40, (32, 12))
    rows = [{"input_ids": row, "labels": (row[0] > 20).long()} for row in ids]
    callback = StepLens(stop_on="error")
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=2,
            per_device_train_batch_size=8,
            eval_strategy="epoch",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        model = BertForSequenceClassification(config)
        trainer = Trainer(
            model, arguments, train_dataset=rows, eval_dataset=rows, callbacks=[callback]
        )
        trainer.train()
    marks = [each.text for each in callback.report.timeline.events if hasattr(each, "text")]
    assert marks == [
        "epoch 1, training",
        "epoch 1, evaluation",
        "epoch 2, training",
        "epoch 2, evaluation",
    ], marks
    assert trainer.state.global_step == 8


if __name__ == "__main__":
    main()
