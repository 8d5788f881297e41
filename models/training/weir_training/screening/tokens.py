"""The WordPiece tokenizer: every bucket word of the template is one token."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from ..shared.renders import Renders, slot_count

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def _frequent_slot_words(texts: list[str], slots: int, bound: int) -> list[str]:
    """Words of the fixed slots seen at least `bound` times, most frequent first."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.lower().split(None, slots)[:slots])
    return [w for w, n in counts.most_common() if n >= bound and w.isalnum() and w.isascii()]


def _shell(model: models.WordPiece) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer


def train_tokenizer(texts: list[str], vocab_size: int, bound: int = 5) -> Tokenizer:
    """Learns word pieces from the free text and adds the slot words whole."""
    slots = slot_count(texts)
    words = _frequent_slot_words(texts, slots, bound)
    free = Counter(t.split(None, slots)[slots] for t in texts if len(t.split(None, slots)) > slots)
    # Repeated counterparties and memos would drown the rare words: each text counts at most 8 times.
    corpus = [text for text, n in free.items() for _ in range(min(n, 8))]
    learner = _shell(models.WordPiece(unk_token="[UNK]"))
    learner.train_from_iterator(corpus, trainers.WordPieceTrainer(
        vocab_size=vocab_size - len(words), min_frequency=4, special_tokens=SPECIAL,
        limit_alphabet=200, initial_alphabet=list("abcdefghijklmnopqrstuvwxyz0123456789"),
        show_progress=False))
    learned = learner.get_vocab()
    pieces = sorted(learned, key=learned.__getitem__)
    ordered = dict.fromkeys([*SPECIAL, *words, *pieces])
    vocab = {token: i for i, token in enumerate(ordered)}
    tokenizer = _shell(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])])
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, max_tokens: int) -> None:
    """Writes tokenizer.json and what `AutoTokenizer` wants beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]", model_max_length=max_tokens,
        model_input_names=["input_ids", "attention_mask"])
    fast.save_pretrained(folder)


def load_tokenizer(folder: Path, max_tokens: int) -> Tokenizer:
    """The saved tokenizer, truncating as the server does, without padding."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


class Encoded:
    """Token ids of many texts in one flat array; cached on disk by what produced them."""

    def __init__(self, flat: np.ndarray, offsets: np.ndarray) -> None:
        self.flat, self.offsets = flat, offsets
        self.lengths = np.diff(offsets).astype(np.int32)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.flat[self.offsets[row] : self.offsets[row + 1]]

    def pick(self, rows: np.ndarray) -> Encoded:
        """Some rows, in the order given."""
        offsets = np.concatenate([[0], np.cumsum(self.lengths[rows], dtype=np.int64)])
        return Encoded(np.concatenate([self[row] for row in rows]), offsets)

    def padded(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`input_ids` and `attention_mask`, int64 `[n, longest]`, padded with 0."""
        longest = int(self.lengths[rows].max())
        ids = np.zeros((len(rows), longest), np.int64)
        mask = np.zeros_like(ids)
        for i, row in enumerate(rows):
            piece = self[row]
            ids[i, : len(piece)] = piece
            mask[i, : len(piece)] = 1
        return ids, mask


def encode(tokenizer: Tokenizer, texts: list[str], cache: Path | None = None) -> Encoded:
    """Tokenizes all texts."""
    stamp = hashlib.sha256(tokenizer.to_str().encode())
    for text in texts:
        stamp.update(text.encode())
        stamp.update(b"\n")
    if cache is not None and cache.exists():
        with np.load(cache) as saved:
            if str(saved["stamp"]) == stamp.hexdigest():
                return Encoded(saved["flat"], saved["offsets"])
    pieces: list[np.ndarray] = []
    for start in range(0, len(texts), 20_000):
        chunk = tokenizer.encode_batch_fast(texts[start : start + 20_000])
        pieces += [np.array(e.ids, np.uint16) for e in chunk]
    offsets = np.concatenate([[0], np.cumsum([len(p) for p in pieces])]).astype(np.int64)
    flat = np.concatenate(pieces)
    if cache is not None:
        np.savez(cache, flat=flat, offsets=offsets, stamp=stamp.hexdigest())
    return Encoded(flat, offsets)


def coverage(tokenizer: Tokenizer, renders: Renders, rows: np.ndarray) -> dict[str, float]:
    """Share of slot words that are one token, and of unknown tokens, over some rows."""
    slots = renders.slots
    words = Counter(w for r in rows for w in renders.texts[r].lower().split(None, slots)[:slots])
    whole = sum(n for w, n in words.items()
                if len(tokenizer.encode(w, add_special_tokens=False).ids) == 1)
    unknown = tokenizer.token_to_id("[UNK]")
    ids = [i for r in rows[:20_000] for i in tokenizer.encode(renders.texts[r]).ids]
    return {"slot_words_whole": whole / max(sum(words.values()), 1),
            "unknown_tokens": ids.count(unknown) / max(len(ids), 1),
            "mean_tokens": len(ids) / max(len(rows[:20_000]), 1)}
