#!/usr/bin/env python3
"""Writes the golden hidden states of the models that `docs/examples/fetch.sh bert-base` and `bge-small` fetch.

    pip install torch==2.11.0 transformers==5.23.0 safetensors
    python3 trainer/tests/golden/base.py MODELS

MODELS holds bert-base-uncased/ and bge-small-en-v1.5/. As make.py does for MiniLM, with fewer values.
"""

import pathlib
import sys

from make import SENTENCES, real_encoder, write

for name in ["bert-base-uncased", "bge-small-en-v1.5"]:
    write(f"{name}.json", dict(texts=SENTENCES) | real_encoder(pathlib.Path(sys.argv[1]) / name, 128))
