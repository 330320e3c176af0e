#!/usr/bin/env python3
"""Both directions of the interchange, in one process a library; started by tests/trainer/interchange.rs:

    interchange.py peft|adapters WORK

WORK/cases.json names exported adapters, their base models, batches and the logits that this project computes; each is
loaded as docs/python.md says. Then the library makes adapters of its own in WORK/made, with their logits in
WORK/made.json. Prints the largest difference of each exported one.
"""

import contextlib
import io
import json
import pathlib
import re
import sys

import huggingface_hub
import torch
import transformers

TOLERANCE = 1e-5


def tensors(batch):
    return {name: torch.tensor(rows) for name, rows in batch.items()}


def logits(model, batch, choices):
    batch = tensors(batch)
    if choices:
        batch = {name: rows.unsqueeze(0) for name, rows in batch.items()}
    with torch.no_grad():
        return model.eval()(**batch).logits


def load_peft(case):
    import peft

    kind = "MultipleChoice" if case["choices"] else "SequenceClassification"
    more = {} if case["choices"] else dict(num_labels=case["outputs"])
    model = getattr(transformers, f"AutoModelFor{kind}").from_pretrained(case["base"], **more)
    return peft.PeftModel.from_pretrained(model, case["folder"])


def load_adapters(case):
    import adapters

    model = adapters.AutoAdapterModel.from_pretrained(case["base"])
    if (pathlib.Path(case["folder"]) / "adapter_setup.json").exists():
        model.load_adapter_setup(case["folder"], set_active=True)
    else:
        model.load_adapter(case["folder"], set_active=True)
    return model


def follow(card, case):
    """Runs the card's Python on the case's base and folder: its prediction and its logits."""
    code = re.search(r"```python\n(.*?)\n```", card, re.DOTALL)[1]
    code = re.sub(r'from_pretrained\("[^"]*"', f"from_pretrained({case['base']!r}", code)
    names, said = {}, io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(code.replace('"DIR"', repr(case["folder"])), names)
    assert said.getvalue().strip(), code
    return names["logits"]


def disturb(model):
    """Other values for everything that is trained, so that no module is the identity."""
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)


def made_by_peft(base, architecture):
    import peft

    bert = architecture == "bert"
    configs = {
        "LoRA": peft.LoraConfig(task_type="SEQ_CLS", r=4, lora_alpha=16, target_modules=["query", "value"]),
        "LoRA on four matrices, rank-stabilised, in two layers": peft.LoraConfig(
            task_type="SEQ_CLS", r=3, lora_alpha=8, use_rslora=True, layers_to_transform=[0, 2],
            target_modules=["query", "key", "value", "attention.output.dense"],
            modules_to_save=["pooler"] if bert else None),
        "LoRA with an alpha that this project has not": peft.LoraConfig(
            task_type="SEQ_CLS", r=2, lora_alpha=5000, target_modules=["key"]),
        "LoRA with its biases": peft.LoraConfig(
            task_type="SEQ_CLS", r=2, bias="lora_only", target_modules=["query", "value"]),
        "(IA)³": peft.IA3Config(task_type="SEQ_CLS"),
        "(IA)³ before the activation": peft.IA3Config(
            task_type="SEQ_CLS", target_modules=["value", "intermediate.dense"], feedforward_modules=[]),
        "prefix": peft.PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=4),
        "prefix with a network": peft.PrefixTuningConfig(
            task_type="SEQ_CLS", num_virtual_tokens=3, prefix_projection=True, encoder_hidden_size=8),
    }
    for number, (name, config) in enumerate(configs.items()):
        torch.manual_seed(7)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=3)
        model = peft.get_peft_model(model, config)
        disturb(model)
        # Both kinds of files.
        safe = number % 2 == 0
        yield name, model, lambda folder, model=model, safe=safe: model.save_pretrained(
            folder, safe_serialization=safe)


def made_by_adapters(base, _):
    import adapters

    union = adapters.ConfigUnion
    configs = {
        "serial adapter": adapters.SeqBnConfig(reduction_factor=4),
        "parallel adapter": adapters.ParBnConfig(reduction_factor=0.5, leave_out=[1]),
        "parallel adapter, another scale": adapters.ParBnConfig(reduction_factor=4, scaling=1.5),
        "prefix": adapters.PrefixTuningConfig(prefix_length=5),
        "prefix, flat": adapters.PrefixTuningConfig(prefix_length=2, flat=True, leave_out=[0, 2]),
        "LoRA": adapters.LoRAConfig(r=2, alpha=16, attn_matrices=["q", "k", "v"]),
        "(IA)³": adapters.IA3Config(),
        "MAM": union(adapters.PrefixTuningConfig(prefix_length=3), adapters.ParBnConfig(reduction_factor=4)),
        "UniPELT": union(adapters.LoRAConfig(r=2, use_gating=True), adapters.SeqBnConfig(reduction_factor=4, use_gating=True),
                         adapters.PrefixTuningConfig(prefix_length=3, use_gating=True)),
    }
    for name, config in configs.items():
        torch.manual_seed(7)
        model = adapters.AutoAdapterModel.from_pretrained(base)
        model.add_adapter("mine", config=config)
        model.add_classification_head("mine", num_labels=3, id2label={0: "a", 1: "b", 2: "c"})
        model.train_adapter("mine")
        disturb(model)
        # The library cannot save a prefix as safetensors.
        safe = name in ["serial adapter", "LoRA"]
        yield name, model, lambda folder, model=model, safe=safe: model.save_adapter(
            str(folder), "mine", with_head=True, use_safetensors=safe)


def main():
    library, work = sys.argv[1], pathlib.Path(sys.argv[2])
    torch.set_num_threads(1)
    cases = json.loads((work / "cases.json").read_text())
    load, make = {"peft": (load_peft, made_by_peft), "adapters": (load_adapters, made_by_adapters)}[library]
    failed = False
    for case in cases["exported"]:
        card = huggingface_hub.ModelCard.load(pathlib.Path(case["folder"]) / "README.md")
        data = card.data
        assert data.library_name == library and data.license == "unknown" and "autopeft" in data.tags, data
        expected = 2 if case["choices"] else case["outputs"]
        # Small models have a tokenizer that transformers does not read.
        if (pathlib.Path(case["base"]) / "tokenizer_config.json").exists():
            assert follow(card.content, case).numel() == expected, case["name"]
        found = logits(load(case), case["batch"], case["choices"])
        difference = (found.flatten() - torch.tensor(case["logits"])).abs().max().item()
        print(f"| {case['name']} | {case['architecture']} | {library} | to Python | {difference:.1e} |")
        failed |= not difference <= TOLERANCE
    made = []
    for architecture, base in cases["bases"].items():
        for number, (name, model, save) in enumerate(make(base["folder"], architecture)):
            folder = work / "made" / f"{architecture}-{number}"
            folder.parent.mkdir(exist_ok=True)
            save(folder)
            made.append(dict(name=name, architecture=architecture, folder=str(folder),
                             logits=logits(model, base["batch"], False).flatten().tolist()))
    (work / "made.json").write_text(json.dumps(made))
    sys.exit(failed)


if __name__ == "__main__":
    main()
