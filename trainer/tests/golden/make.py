#!/usr/bin/env python3
"""Writes the golden values that the trainer's parity tests compare with.

    pip install torch==2.11.0 transformers==5.23.0 safetensors
    python3 trainer/tests/golden/make.py MODELS

MODELS holds all-MiniLM-L6-v2/ (docs/examples/fetch.sh fetches it). Hidden states of real and small
encoders are those of Hugging Face transformers in float32, eager attention, evaluation mode. Modules,
their gradients and ten training losses come from the plain formulas below, in float64.

Small models have no weight files: both sides fill every tensor from its name by `fill`.
"""

import json
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent
SENTENCES = [
    ("A gripping film, told with wit.", None),
    ("The plot goes nowhere, and it takes its time about it.", None),
    ("No.", None),
    ("A man is playing the guitar.", "Somebody makes music."),
]
BERT = dict(model_type="bert", vocab_size=40, hidden_size=16, num_hidden_layers=3, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=24, type_vocab_size=2, pad_token_id=0,
            hidden_act="gelu", layer_norm_eps=1e-12, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
ROBERTA = BERT | dict(model_type="roberta", num_attention_heads=4, max_position_embeddings=26,
                      type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5)
SMALL = {"bert": BERT, "roberta": ROBERTA}
PREFIX_WIDTH = 800
LEARNING_RATE = 0.05
STEPS = 10
LABELS = [0, 2, 1]
M64 = (1 << 64) - 1


def fill(name, shape):
    """Values in [-1, 1) from a tensor's name: SplitMix64 counted from the name's FNV-1a hash."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) & M64
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float64) / 2.0**23 - 1.0
    return torch.tensor(unit, dtype=torch.float64).reshape(shape)


def weight(name, shape):
    """A small model's or a module's tensor: norms around 1, the wide prefix matrix smaller."""
    if name.endswith("LayerNorm.weight"):
        return 1.0 + fill(name, shape) / 8
    if name == "prefix.output.weight":
        return fill(name, shape) / 16
    if name == "prefix.embedding":
        return fill(name, shape)
    return fill(name, shape) / 4


def backbone_shapes(c):
    h, i = c["hidden_size"], c["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (c["vocab_size"], h),
        "embeddings.position_embeddings.weight": (c["max_position_embeddings"], h),
        "embeddings.token_type_embeddings.weight": (c["type_vocab_size"], h),
        "embeddings.LayerNorm.weight": (h,),
        "embeddings.LayerNorm.bias": (h,),
    }
    for layer in range(c["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        for name, rows, columns in [("attention.self.query", h, h), ("attention.self.key", h, h),
                                    ("attention.self.value", h, h), ("attention.output.dense", h, h),
                                    ("intermediate.dense", i, h), ("output.dense", h, i)]:
            shapes[f"{at}{name}.weight"] = (rows, columns)
            shapes[f"{at}{name}.bias"] = (rows,)
        for name in ["attention.output.LayerNorm", "output.LayerNorm"]:
            shapes[f"{at}{name}.weight"] = (h,)
            shapes[f"{at}{name}.bias"] = (h,)
    return shapes


def module_shapes(c, configuration, outputs):
    h = c["hidden_size"]
    active = [i for i, bit in enumerate(configuration["layers"]) if bit == "1"]
    shapes = {}
    for layer in active:
        for module, field in [("serial_adapter", "serialAdapter"), ("parallel_adapter", "parallelAdapter")]:
            d = configuration[field]
            if d:
                at = f"layer.{layer}.{module}"
                shapes |= {f"{at}.down.weight": (d, h), f"{at}.down.bias": (d,),
                           f"{at}.up.weight": (h, d), f"{at}.up.bias": (h,)}
    if configuration["prefix"]:
        wide = 2 * len(active) * h
        shapes |= {"prefix.embedding": (configuration["prefix"], h),
                   "prefix.hidden.weight": (PREFIX_WIDTH, h), "prefix.hidden.bias": (PREFIX_WIDTH,),
                   "prefix.output.weight": (wide, PREFIX_WIDTH), "prefix.output.bias": (wide,)}
    return shapes | {"head.dense.weight": (h, h), "head.dense.bias": (h,),
                     "head.output.weight": (outputs, h), "head.output.bias": (outputs,)}


def hidden_states(c, w, modules, configuration, batch):
    """Embeddings and every layer's output, by the formulas of docs/trainer.md, "Modules"."""
    ids, mask, types = (torch.tensor(batch[k]) for k in ["input_ids", "attention_mask", "token_type_ids"])
    heads = c["num_attention_heads"]
    d = c["hidden_size"] // heads
    norm = lambda x, at: F.layer_norm(x, x.shape[-1:], w[f"{at}.weight"], w[f"{at}.bias"], c["layer_norm_eps"])
    dense = lambda x, at: x @ w[f"{at}.weight"].T + w[f"{at}.bias"]
    adapter = lambda x, at: (torch.relu(x @ modules[f"{at}.down.weight"].T + modules[f"{at}.down.bias"])
                             @ modules[f"{at}.up.weight"].T + modules[f"{at}.up.bias"])
    if c["model_type"] == "roberta":
        token = (ids != c["pad_token_id"]).long()
        positions = token.cumsum(1) * token + c["pad_token_id"]
        types = torch.zeros_like(types)
    else:
        positions = torch.arange(ids.shape[1]).expand_as(ids)
    x = (w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][types]
         + w["embeddings.position_embeddings.weight"][positions])
    states = [norm(x, "embeddings.LayerNorm")]
    slots, active = None, 0
    if configuration["prefix"]:
        inner = torch.tanh(modules["prefix.embedding"] @ modules["prefix.hidden.weight"].T
                           + modules["prefix.hidden.bias"])
        flat = inner @ modules["prefix.output.weight"].T + modules["prefix.output.bias"]
        slots = flat.reshape(configuration["prefix"], -1, c["hidden_size"])  # [L, 2n, H]
    for layer, bit in enumerate(configuration["layers"]):
        at, x = f"encoder.layer.{layer}", states[-1]
        query, key, value = (dense(x, f"{at}.attention.self.{name}") for name in ["query", "key", "value"])
        visible = mask.bool()
        if slots is not None and bit == "1":
            batch_size = len(ids)
            key = torch.cat([slots[:, 2 * active].expand(batch_size, -1, -1), key], 1)
            value = torch.cat([slots[:, 2 * active + 1].expand(batch_size, -1, -1), value], 1)
            visible = torch.cat([torch.ones(batch_size, configuration["prefix"], dtype=torch.bool), visible], 1)
        context = []
        for head in range(heads):
            part = slice(head * d, (head + 1) * d)
            scores = query[..., part] @ key[..., part].mT / d**0.5
            scores = scores.masked_fill(~visible[:, None, :], float("-inf"))
            context.append(scores.softmax(-1) @ value[..., part])
        x = norm(dense(torch.cat(context, -1), f"{at}.attention.output.dense") + x, f"{at}.attention.output.LayerNorm")
        h = dense(F.gelu(dense(x, f"{at}.intermediate.dense")), f"{at}.output.dense")
        out, total = f"{at}.output.LayerNorm", h + x
        if bit == "1" and configuration["serialAdapter"]:
            total = total + adapter(norm(h + x, out), f"layer.{layer}.serial_adapter")
        if bit == "1" and configuration["parallelAdapter"]:
            total = total + 4 * adapter(x, f"layer.{layer}.parallel_adapter")
        active += bit == "1"
        states.append(norm(total, out))
    return states


def logits(modules, states):
    first = states[-1][:, 0]
    inner = torch.tanh(first @ modules["head.dense.weight"].T + modules["head.dense.bias"])
    return inner @ modules["head.output.weight"].T + modules["head.output.bias"]


def small_batch(c):
    """Three texts of 7, 4 and 2 tokens."""
    lengths, width, pad = [7, 4, 2], 7, c["pad_token_id"]
    ids = [[(5 + 11 * row + 7 * column) % 38 + 2 if column < n else pad for column in range(width)]
           for row, n in enumerate(lengths)]
    mask = [[int(column < n) for column in range(width)] for n in lengths]
    types = [[int(n == 7 and 4 <= column and c["type_vocab_size"] > 1) for column in range(width)] for n in lengths]
    return dict(input_ids=ids, attention_mask=mask, token_type_ids=types)


def rounded(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().double().flatten().tolist()]


def small_backbone(c):
    return {name: weight(name, shape) for name, shape in backbone_shapes(c).items()}


def small_encoder(name):
    """Hugging Face's hidden states of a small model, which the plain formulas have to give too."""
    c, batch = SMALL[name], small_batch(SMALL[name])
    kinds = {"bert": (transformers.BertConfig, transformers.BertModel),
             "roberta": (transformers.RobertaConfig, transformers.RobertaModel)}
    config, model = kinds[name]
    model = model(config(**c, attn_implementation="eager"), add_pooling_layer=False).eval()
    w = small_backbone(c)
    missing, unexpected = model.load_state_dict({k: v.float() for k, v in w.items()}, strict=False)
    assert not unexpected and all("ids" in key for key in missing), (missing, unexpected)
    inputs = {k: torch.tensor(v) for k, v in batch.items()}
    with torch.no_grad():
        found = model(**inputs, output_hidden_states=True).hidden_states
    none = dict(layers="0" * c["num_hidden_layers"], serialAdapter=0, parallelAdapter=0, prefix=0)
    for ours, theirs in zip(hidden_states(c, w, {}, none, batch), found, strict=True):
        assert (ours - theirs).abs().max() < 1e-5
    return dict(config=c, batch=batch, states=[rounded(state) for state in found])


def summary(gradient):
    """What is kept of a tensor: its norm, its product with a fixed direction, its first values."""
    flat = gradient.flatten()
    return dict(norm=rounded(flat.norm())[0], product=rounded(flat @ fill("direction", flat.shape))[0],
                first=rounded(flat[:3]))


def training(name, layers, sa, pa, prefix, full=False):
    """Logits, gradients and the losses of ten steps of gradient descent, dropout off."""
    c, batch = SMALL[name], small_batch(SMALL[name])
    configuration = dict(layers=layers, serialAdapter=sa, parallelAdapter=pa, prefix=prefix)
    w = small_backbone(c)
    modules = {k: weight(k, s) for k, s in module_shapes(c, configuration, 3).items()}
    trained = modules | ({f"backbone.{k}": v for k, v in w.items()} if full else {})
    for tensor in trained.values():
        tensor.requires_grad_(True)
    losses, gradients, first = [], {}, None
    for step in range(STEPS):
        scores = logits(modules, hidden_states(c, w, modules, configuration, batch))
        loss = F.cross_entropy(scores, torch.tensor(LABELS))
        for tensor in trained.values():
            tensor.grad = None
        loss.backward()
        if step == 0:
            first, gradients = rounded(scores), {k: summary(t.grad) for k, t in trained.items()}
        with torch.no_grad():
            for tensor in trained.values():
                tensor -= LEARNING_RATE * tensor.grad
        losses.append(rounded(loss)[0])
    return dict(architecture=name, method="FullFineTuning" if full else "Peft", configuration=configuration,
                logits=first, gradients=gradients, losses=losses)


def real_encoder(directory, step):
    """Every `step`th hidden unit of every position and layer, and the norm of each position's state."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.enable_padding(pad_id=0)
    encoded = tokenizer.encode_batch([s if pair is None else (s, pair) for s, pair in SENTENCES])
    batch = dict(input_ids=[e.ids for e in encoded], attention_mask=[e.attention_mask for e in encoded],
                 token_type_ids=[e.type_ids for e in encoded])
    model = transformers.BertModel.from_pretrained(directory, attn_implementation="eager", dtype=torch.float32).eval()
    with torch.no_grad():
        found = model(**{k: torch.tensor(v) for k, v in batch.items()}, output_hidden_states=True).hidden_states
    states = [dict(norms=rounded(state.norm(dim=-1)), values=rounded(state[..., ::step])) for state in found]
    if len(sys.argv) > 2:  # every value, for a look by hand
        from safetensors.torch import save_file
        save_file({f"layer.{i}": state.contiguous() for i, state in enumerate(found)}, sys.argv[2])
    return dict(batch=batch, states=states)


def write(name, value):
    text = json.dumps(value, indent=None, separators=(",", ":"))
    (HERE / name).write_text(text + "\n")
    print(f"{name}: {len(text) // 1024} KiB")


def main():
    torch.manual_seed(0)
    write("minilm.json", real_encoder(pathlib.Path(sys.argv[1]) / "all-MiniLM-L6-v2", 32))
    write("encoders.json", {name: small_encoder(name) for name in SMALL})
    cases = [training("bert", "111", 3, 0, 0), training("bert", "010", 0, 5, 0), training("bert", "101", 0, 0, 4),
             training("bert", "011", 3, 5, 0), training("bert", "110", 3, 5, 4), training("roberta", "101", 3, 5, 4),
             training("bert", "000", 0, 0, 0), training("bert", "000", 0, 0, 0, full=True)]
    write("training.json", cases)


if __name__ == "__main__":
    main()
