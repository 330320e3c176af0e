#!/usr/bin/env python3
"""Writes what the reference libraries compute with each module, for tests/trainer/references.rs:

    $(trainer/tests/python/setup.sh peft) trainer/tests/golden/references.py peft
    $(trainer/tests/python/setup.sh adapters) trainer/tests/golden/references.py adapters
    $(trainer/tests/python/setup.sh peft) trainer/tests/golden/references.py formulas

`formulas` are methods that no kept library has: the published formulas, on the layers of transformers, with the random
draws of training. The small models of make.py, all tensors filled from their names in this project, with modules inserted by the
library; float32, eager attention, no dropout. Of each case: logits, gradients, and the losses of a training of
50 steps by the AdamW of Hugging Face 3 and 4 (which later versions no longer have), gradients clipped to norm 1,
linear decay. With a third argument `check`, nothing is written: what is computed is compared with the files.
"""

import json
import re
import sys

import torch
import torch.nn.functional as F
import transformers

from make import HERE, LABELS, SMALL, rounded, small_backbone, small_batch, summary, weight

STEPS = 50
BATCHES = 4
PEAK_RATE = 0.005
# Between processors.
TOLERANCE = 1e-5
# Of the draws in training.
SEED = 7
EXPERTS = 4
SWITCHED = "serial adapter behind switches"
TEMPERATURE, SWITCH_RATE = 0.1, 0.05
ALL_MATRICES = ["query", "key", "value", "output"]


def case(module, architecture, layers, options=None, **sizes):
    """Sizes by the fields of a configuration; options as in a manifest."""
    return dict(module=module, architecture=architecture, layers=layers, options=options or {}, sizes=sizes)


CASES = {
    "peft": [
        case("LoRA", "bert", "111", lora=4),
        case("LoRA on four matrices, alpha 16", "roberta", "101",
             dict(lora=dict(matrices=ALL_MATRICES, alpha=16, rankStabilized=False)), lora=4),
        case("LoRA, rank-stabilised", "bert", "011",
             dict(lora=dict(matrices=["query", "value"], alpha=16, rankStabilized=True)), lora=3),
        case("(IA)³", "bert", "111", ia3=1),
        case("(IA)³", "roberta", "101", ia3=1),
        case("BitFit", "bert", "011", bitFit=1),
        case("BitFit", "roberta", "111", bitFit=1),
    ],
    "adapters": [
        case("serial adapter", "bert", "111", serialAdapter=3),
        case("serial adapter", "roberta", "101", serialAdapter=3),
        case("parallel adapter", "bert", "010", parallelAdapter=5),
        case("parallel adapter", "roberta", "111", parallelAdapter=5),
        case("prefix", "bert", "101", prefix=4),
        case("prefix, flat", "roberta", "110", dict(prefix=dict(width=0)), prefix=4),
        case("(IA)³ before the activation", "bert", "101", dict(ia3=dict(feedForward="BeforeActivation")), ia3=1),
        case("LoRA", "bert", "110", lora=4),
        case("UniPELT", "bert", "101", dict(gated=True, prefix=dict(width=512)), serialAdapter=3, prefix=4, lora=2),
        case("UniPELT", "roberta", "011", dict(gated=True, prefix=dict(width=512)), serialAdapter=3, prefix=4, lora=2),
        case("MAM", "bert", "011", parallelAdapter=5, prefix=4),
        case("serial adapter, prefix and LoRA", "roberta", "101", serialAdapter=3, prefix=4, lora=4),
        case("parallel adapter, prefix and LoRA", "bert", "110", parallelAdapter=5, prefix=4, lora=4),
    ],
    "formulas": [
        case("AdaMix", "bert", "111", adaMix=3),
        case("AdaMix", "roberta", "101", adaMix=3),
        case(SWITCHED, "bert", "111", serialAdapter=3),
        case(SWITCHED, "roberta", "110", serialAdapter=3),
    ],
}


def active(case):
    return [layer for layer, bit in enumerate(case["layers"]) if bit == "1"]


def encoder(architecture):
    kinds = {"bert": (transformers.BertConfig, transformers.BertModel),
             "roberta": (transformers.RobertaConfig, transformers.RobertaModel)}
    config, model = kinds[architecture]
    c = SMALL[architecture] | dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model = model(config(**c, attn_implementation="eager"), add_pooling_layer=False)
    missing, unexpected = model.load_state_dict({k: v.float() for k, v in small_backbone(c).items()}, strict=False)
    assert not unexpected and all("ids" in key for key in missing), (missing, unexpected)
    return model


def with_peft(case):
    """By peft, or, for BitFit, by transformers alone. `target_modules` of (IA)³ is not peft's default for BERT,
    which scales the input of attention's dense layer too."""
    import peft

    model, sizes, lora = encoder(case["architecture"]), case["sizes"], case["options"].get("lora", {})
    layer = rf".*layer\.({'|'.join(map(str, active(case)))})\."
    if "bitFit" in sizes:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(bool(re.match(layer + r".*bias$", "." + name)))
        return model
    if "ia3" in sizes:
        config = peft.IA3Config(target_modules=layer + r"(attention\.self\.(key|value)|output\.dense)",
                                feedforward_modules=layer + r"output\.dense")
    else:
        names = [f"self.{matrix}" if matrix != "output" else "output.dense"
                 for matrix in lora.get("matrices", ["query", "value"])]
        config = peft.LoraConfig(r=sizes["lora"], lora_alpha=lora.get("alpha", 8),
                                 use_rslora=lora.get("rankStabilized", False),
                                 target_modules=layer + rf"attention\.({'|'.join(map(re.escape, names))})")
    return peft.get_peft_model(model, config)


def with_adapters(case):
    import adapters

    model, sizes, options = encoder(case["architecture"]), case["sizes"], case["options"]
    hidden = model.config.hidden_size
    common = dict(leave_out=[layer for layer, bit in enumerate(case["layers"]) if bit == "0"])
    gated = common | dict(use_gating=options.get("gated", False))
    # The library rounds H / reduction_factor down.
    build = dict(
        serialAdapter=lambda d: adapters.SeqBnConfig(reduction_factor=hidden / (d + 0.5), **gated),
        parallelAdapter=lambda d: adapters.ParBnConfig(reduction_factor=hidden / (d + 0.5), **common),
        prefix=lambda length: adapters.PrefixTuningConfig(prefix_length=length, **prefix_form(options), **gated),
        lora=lambda rank: adapters.LoRAConfig(r=rank, alpha=8, **gated),
        ia3=lambda _: adapters.IA3Config(**common),
    )
    configs = [build[field](size) for field, size in sizes.items()]
    adapters.init(model)
    model.add_adapter("case", config=adapters.ConfigUnion(*configs) if len(configs) > 1 else configs[0])
    model.train_adapter("case")
    return model


def with_formulas(case):
    """AdaMix (arXiv:2205.12410, section 3) and the switches of Adaptable Adapters (arXiv:2205.01549, section 3.2)."""
    model, ours = encoder(case["architecture"]).requires_grad_(False), {}
    hidden, [(field, size)] = model.config.hidden_size, case["sizes"].items()

    def dense(name, inputs, outputs):
        ours[f"{name}.weight"] = weight = torch.zeros(outputs, inputs, requires_grad=True)
        ours[f"{name}.bias"] = bias = torch.zeros(outputs, requires_grad=True)
        return lambda x: F.linear(x, weight, bias)

    def mixed(place, output):
        downs = [dense(f"{place}.adamix.down.{expert}", hidden, size) for expert in range(EXPERTS)]
        up = dense(f"{place}.adamix.up", size, hidden)
        output.dense.register_forward_hook(
            lambda _, inputs, o: o + up(F.gelu(downs[torch.randint(EXPERTS, (1,)).item()](o))))

    def switched(place, output):
        down = dense(f"{place}.serial_adapter.down", hidden, size)
        up = dense(f"{place}.serial_adapter.up", size, hidden)
        ours[f"{place}.serial_adapter.switch.logits"] = logits = torch.zeros(2, requires_grad=True)

        def forward(hidden_states, input_tensor):
            total = output.dense(hidden_states) + input_tensor
            noise = -torch.empty(len(total), 2).exponential_().log()
            open = ((noise + logits) / TEMPERATURE).softmax(1)[:, 1, None, None]
            return output.LayerNorm(total + open * up(torch.relu(down(output.LayerNorm(total)))))

        output.forward = forward

    for layer in active(case):
        insert = mixed if field == "adaMix" else switched
        insert(f"layer.{layer}", model.encoder.layer[layer].output)
    model.ours = ours
    return model


def prefix_form(options):
    width = options.get("prefix", dict(width=800))["width"]
    return dict(bottleneck_size=width) if width else dict(flat=True)


OUR_NAMES = [
    (r"attention\.self\.(query|key|value)\.(?:lora_|loras\.case\.lora_)(A|B).*", "lora.{0}.{1}"),
    (r"attention\.output\.dense\.lora_(A|B).*", "lora.output.{0}"),
    (r"attention\.self\.(query|value)\.loras\.case\.gate\.(\w+)", "lora.{0}.gate.{1}"),
    (r"attention\.self\.(key|value)\.ia3_l.*", "ia3.{0}"),
    (r"output\.dense\.ia3_l.*", "ia3.feed_forward"),
    (r"intermediate\.dense\.loras\.case\.lora_B", "ia3.feed_forward"),
    (r"output\.adapters\.case\.adapter_(down)\.0\.(\w+)", "ADAPTER.{0}.{1}"),
    (r"output\.adapters\.case\.adapter_(up)\.(\w+)", "ADAPTER.{0}.{1}"),
    (r"output\.adapters\.case\.gate\.(\w+)", "ADAPTER.gate.{0}"),
]
PREFIX_NAMES = {"wte.weight": "embedding", "control_trans": "key_values", "control_trans.0.weight": "hidden.weight",
                "control_trans.0.bias": "hidden.bias", "control_trans.2.weight": "output.weight",
                "control_trans.2.bias": "output.bias"}


def our_name(case, name):
    """This project's name of a library's tensor."""
    sizes = case["sizes"]
    name = name.removeprefix("base_model.model.")
    if "bitFit" in sizes:
        return f"backbone.{name}"
    if (found := re.search(r"prefix_tunings\.case\.self_prefix\.(.*)", name)):
        return f"prefix.{PREFIX_NAMES[found[1]]}"
    layer, rest = re.fullmatch(r"encoder\.layer\.(\d+)\.(.*)", name).groups()
    if (found := re.fullmatch(r"attention\.self\.prefix_tuning\.prefix_gates\.case\.(\w+)", rest)):
        return f"prefix.gate.{active(case).index(int(layer))}.{found[1]}"
    for pattern, ours in OUR_NAMES:
        if (found := re.fullmatch(pattern, rest)):
            ours = ours.format(*(dict(A="down", B="up").get(group, group) for group in found.groups()))
            ours = ours.replace("ADAPTER", "serial_adapter" if "serialAdapter" in sizes else "parallel_adapter")
            if "ia3" in sizes and ours.startswith("lora."):
                ours = f"ia3.{ours.split('.')[1]}"
            return f"layer.{layer}.{ours}"
    raise KeyError(name)


def trained(case, model):
    """The trained tensors by this project's names, with the values that it gives them, and the head's."""
    hidden = model.config.hidden_size
    named = {our_name(case, name): p for name, p in model.named_parameters() if p.requires_grad}
    tensors = getattr(model, "ours", named)
    with torch.no_grad():
        for name, tensor in tensors.items():
            if not name.startswith("backbone."):
                tensor.copy_(weight(name, tensor.shape).float())
    head = {"head.dense.weight": (hidden, hidden), "head.dense.bias": (hidden,),
            "head.output.weight": (3, hidden), "head.output.bias": (3,)}
    return tensors | {name: weight(name, shape).float().requires_grad_() for name, shape in head.items()}


def step_batch(c, step):
    """The batch of a training step, and its labels: the small batch with its words moved."""
    batch, turn = small_batch(c), step % BATCHES
    ids = [[(word + 5 * turn) % 38 + 2 if visible else word for word, visible in zip(row, mask)]
           for row, mask in zip(batch["input_ids"], batch["attention_mask"])]
    return batch | dict(input_ids=ids), [(label + turn) % 3 for label in LABELS]


def forward(model, tensors, batch):
    first = model(**{name: torch.tensor(rows) for name, rows in batch.items()}).last_hidden_state[:, 0]
    inner = torch.tanh(F.linear(first, tensors["head.dense.weight"], tensors["head.dense.bias"]))
    return F.linear(inner, tensors["head.output.weight"], tensors["head.output.bias"])


def adamw(named, state, rate):
    """A step of transformers.AdamW with its defaults: epsilon before the correction of the bias, no decay."""
    tensors = list(named.values())
    state["step"] = state.get("step", 0) + 1
    torch.nn.utils.clip_grad_norm_(tensors, 1.0)
    with torch.no_grad():
        for name, tensor in named.items():
            mean, square = state.setdefault(name, (torch.zeros_like(tensor), torch.zeros_like(tensor)))
            mean.mul_(0.9).add_(tensor.grad, alpha=0.1)
            square.mul_(0.999).addcmul_(tensor.grad, tensor.grad, value=0.001)
            own = SWITCH_RATE / PEAK_RATE if name.endswith("switch.logits") else 1
            size = own * rate * (1 - 0.999 ** state["step"]) ** 0.5 / (1 - 0.9 ** state["step"])
            tensor.addcdiv_(mean, square.sqrt().add_(1e-8), value=-size)


def computed(case, library):
    model = {"peft": with_peft, "adapters": with_adapters, "formulas": with_formulas}[library](case).train()
    c, tensors = SMALL[case["architecture"]], trained(case, model)
    torch.manual_seed(SEED)
    scores = forward(model, tensors, small_batch(c))
    loss = F.cross_entropy(scores, torch.tensor(LABELS))
    gradients = torch.autograd.grad(loss, list(tensors.values()), allow_unused=True)
    kept = {name: summary(g.double()) for name, g in zip(tensors, gradients, strict=True) if g is not None}
    losses, state = [], {}
    torch.manual_seed(SEED)
    for step in range(STEPS):
        batch, labels = step_batch(c, step)
        loss = F.cross_entropy(forward(model, tensors, batch), torch.tensor(labels))
        for tensor in tensors.values():
            tensor.grad = torch.zeros_like(tensor)
        loss.backward()
        adamw(tensors, state, PEAK_RATE * (STEPS - step) / STEPS)
        losses.append(float(f"{loss.item():.7g}"))
    return case | dict(logits=rounded(scores), gradients=kept, losses=losses)


def numbers(value):
    if isinstance(value, dict):
        return [n for key in sorted(value) for n in numbers(value[key])]
    if isinstance(value, list):
        return [n for part in value for n in numbers(part)]
    return [float(value)] if isinstance(value, (int, float)) else []


def main():
    library = sys.argv[1]
    torch.set_num_threads(1)
    golden = HERE / f"references-{library}.json"
    batches = {name: [dict(step_batch(c, step)[0], labels=step_batch(c, step)[1]) for step in range(BATCHES)]
               for name, c in SMALL.items()}
    found = dict(peakRate=PEAK_RATE, batches=batches, cases=[computed(case, library) for case in CASES[library]])
    if sys.argv[2:] == ["check"]:
        pairs = zip(numbers(found), numbers(json.loads(golden.read_text())), strict=True)
        difference = max(abs(a - b) for a, b in pairs)
        print(f"{golden.name}: largest difference {difference:.1e}")
        sys.exit(difference > TOLERANCE)
    golden.write_text(json.dumps(found, separators=(",", ":")) + "\n")
    print(f"{golden.name}: {golden.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
