"""Ids and chat text that transformers gives with an exported tokenizer, as JSON, for export.test.ts.

tokens.py MODEL_FOLDER TEXT
"""

import json
import sys

from transformers import AutoTokenizer

folder, text = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder)
chat = tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True)
print(json.dumps({"ids": tokenizer(text)["input_ids"], "chat": chat, "text": tokenizer.decode(tokenizer(text)["input_ids"])}))
