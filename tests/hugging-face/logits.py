"""Loads what Troupe exported with Hugging Face's own libraries and writes the logits it gives, for export.test.ts.

logits.py MODEL_FOLDER IDS_JSON OUT_FILE [ADAPTER_FOLDER]
Every weight must be found: a missing or unexpected one is an error. OUT_FILE gets float32 [batch, length, vocab].
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM


def main(model_folder, ids, out, adapter=None):
    model, report = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32, output_loading_info=True)
    wrong = {name: list(found) for name, found in report.items() if found and name in ("missing_keys", "unexpected_keys", "mismatched_keys")}
    if wrong:
        sys.exit(f"weights do not match: {wrong}")
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        logits = model.eval()(torch.tensor(json.loads(ids))).logits
    logits.float().numpy().astype("<f4").tofile(out)


main(*sys.argv[1:])
