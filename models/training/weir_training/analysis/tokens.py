"""The decoder's byte-level BPE."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from .teacher import BUCKET

PAD, BEGIN, END = "<pad>", "<s>", "</s>"


def frequent_buckets(prompts: list[str], bound: int = 5) -> list[str]:
    """Bucket words (`name_letters`) seen at least `bound` times, most frequent first."""
    counts = Counter(f"{name}_{letters}" for prompt in prompts
                     for name, letters in BUCKET.findall(prompt))
    return [word for word, count in counts.most_common() if count >= bound]


def train_tokenizer(texts: list[str], size: int, buckets: list[str]) -> Tokenizer:
    """Learns `size` tokens and adds the bucket words whole, each with the space before it.

    Digits stay single, so that numbers can be copied digit by digit.
    """
    texts = [BUCKET.sub(" ", text) for text in texts]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True),
         pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[PAD, BEGIN, END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(word, single_word=True, lstrip=True, normalized=False)
                          for word in buckets])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))])
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """`tokenizer.json` and what `AutoTokenizer` wants beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BEGIN, "eos_token": END,
              "pad_token": PAD, "model_max_length": 512, "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    special = {"bos_token": BEGIN, "eos_token": END, "pad_token": PAD}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")


def encode_cases(tokenizer: Tokenizer, prompts: list[str],
                 answers: list[str]) -> tuple[list[np.ndarray], np.ndarray]:
    """Token ids of prompt and answer together, and where each answer begins."""
    end = tokenizer.token_to_id(END)
    rows, starts = [], []
    encoded_prompts = tokenizer.encode_batch(prompts)
    encoded_answers = tokenizer.encode_batch(answers, add_special_tokens=False)
    for prompt, answer in zip(encoded_prompts, encoded_answers, strict=True):
        rows.append(np.array([*prompt.ids, *answer.ids, end], np.int64))
        starts.append(len(prompt.ids))
    return rows, np.array(starts)
