"""The DistilBERT that screens, from scratch."""

from __future__ import annotations

import re
from collections import defaultdict

import torch
from transformers import DistilBertConfig, DistilBertForSequenceClassification

LABELS = {0: "legitimate", 1: "fraud"}
FRAUD = 1
_ORDINAL = re.compile(r"^([a-z0-9]*[a-z])(\d{1,2})$")


def build(vocab: dict[str, int], max_tokens: int, layers: int = 6,
          width: int = 384, dropout: float = 0.1) -> DistilBertForSequenceClassification:
    """A fresh model for a vocabulary; heads are 64 wide, the feed-forward four times `width`."""
    config = DistilBertConfig(
        vocab_size=len(vocab), dim=width, n_layers=layers, n_heads=width // 64,
        hidden_dim=4 * width, max_position_embeddings=max_tokens, dropout=dropout,
        attention_dropout=dropout, seq_classif_dropout=dropout, pad_token_id=vocab["[PAD]"],
        id2label=LABELS, label2id={v: k for k, v in LABELS.items()})
    model = DistilBertForSequenceClassification(config)
    order_buckets(model, vocab)
    return model


def order_buckets(model: DistilBertForSequenceClassification, vocab: dict[str, int]) -> None:
    """Starts neighbouring buckets of one slot near each other.

    A vocabulary knows no order: without this, what is learnt about `amt12` says nothing about
    `amt13`, and rare buckets stay noise.
    """
    families: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for word, index in vocab.items():
        if match := _ORDINAL.match(word):
            families[match.group(1)].append((int(match.group(2)), index))
    table = model.distilbert.embeddings.word_embeddings.weight
    with torch.no_grad():
        for members in families.values():
            if len(members) < 3:
                continue
            span = max(number for number, _ in members) + 1
            base = torch.randn(table.shape[1])
            waves = torch.randn(5, table.shape[1])
            for number, index in members:
                at = torch.tensor(number / span)
                smooth = torch.stack([2 * at - 1, torch.sin(3.14159 * at), torch.cos(3.14159 * at),
                                      torch.sin(6.28318 * at), torch.cos(6.28318 * at)])
                noise = torch.randn(table.shape[1])
                table[index] = 0.02 * (0.6 * base + 0.5 * smooth @ waves + 0.2 * noise)
