"""
PyTorch at the same work as the benches beside it: a decoder of the same shape with random weights, written as plainly as
PyTorch's own functions allow (fused attention, preallocated keys and values), measured the same way. Reads one JSON object
from standard input (device, dtype, model, prompt, tokens, batches, examples, response, rank) and prints one JSON line, or
null where PyTorch or the device is missing.
"""

import json
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print("null")
    sys.exit()

LINEARS = ("q", "k", "v", "o", "gate", "up", "down")


def sizes(c):
    q, kv = c["heads"] * c["headDim"], c["kvHeads"] * c["headDim"]
    h, wide = c["hidden"], c["intermediate"]
    return dict(q=(q, h), k=(kv, h), v=(kv, h), o=(h, q), gate=(wide, h), up=(wide, h), down=(h, wide))


class Decoder:
    def __init__(self, c, device, dtype):
        self.c, self.device, self.dtype = c, device, dtype
        new = lambda *shape: (torch.randn(*shape, device=device) * 0.02).to(dtype)
        ones = lambda: torch.ones(c["hidden"], device=device, dtype=dtype)
        self.embedding = new(c["vocab"], c["hidden"])
        self.head = self.embedding if c["tied"] else new(c["vocab"], c["hidden"])
        self.layers = [{name: new(*shape) for name, shape in sizes(c).items()} for _ in range(c["layers"])]
        for layer in self.layers:
            layer["norm1"], layer["norm2"] = ones(), ones()
        self.norm = ones()
        self.lora = None

    def parameters(self):
        named = [self.embedding, self.norm] + ([] if self.c["tied"] else [self.head])
        return named + [w for layer in self.layers for w in layer.values()]

    def add_lora(self, rank):
        zeros = lambda *s: torch.zeros(*s, device=self.device, dtype=self.dtype).requires_grad_()
        some = lambda *s: (torch.randn(*s, device=self.device) * 0.02).to(self.dtype).requires_grad_()
        self.lora = [
            {name: (some(rank, columns), zeros(rows, rank)) for name, (rows, columns) in sizes(self.c).items()}
            for _ in self.layers
        ]
        return [x for layer in self.lora for pair in layer.values() for x in pair]

    def linear(self, x, i, name):
        y = F.linear(x, self.layers[i][name])
        if self.lora is None:
            return y
        a, b = self.lora[i][name]
        return y + 2.0 * F.linear(F.linear(x, a), b)

    def rms(self, x, w):
        return F.rms_norm(x, (self.c["hidden"],), w, self.c["rmsEps"])

    def rotate(self, x, first):
        d = self.c["headDim"]
        rates = self.c["ropeTheta"] ** (-torch.arange(0, d, 2, device=self.device).float() / d)
        angles = torch.outer(torch.arange(first, first + x.shape[-2], device=self.device).float(), rates)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        low, high = x.chunk(2, -1)
        return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)

    def states(self, ids, cache=None, first=0):  # [batch, length] -> [batch, length, hidden]
        c = self.c
        batch, length = ids.shape
        split = lambda y, heads: y.view(batch, length, heads, c["headDim"]).transpose(1, 2)
        x = F.embedding(ids, self.embedding)
        for i, layer in enumerate(self.layers):
            n = self.rms(x, layer["norm1"])
            q = self.rotate(split(self.linear(n, i, "q"), c["heads"]), first)
            k = self.rotate(split(self.linear(n, i, "k"), c["kvHeads"]), first)
            v = split(self.linear(n, i, "v"), c["kvHeads"])
            if cache is not None:
                cache[i][0][:, :, first : first + length] = k
                cache[i][1][:, :, first : first + length] = v
                k, v = (part[:, :, : first + length] for part in cache[i])
            a = F.scaled_dot_product_attention(q, k, v, is_causal=length > 1, enable_gqa=True)
            x = x + self.linear(a.transpose(1, 2).reshape(batch, length, -1), i, "o")
            n = self.rms(x, layer["norm2"])
            x = x + self.linear(F.silu(self.linear(n, i, "gate")) * self.linear(n, i, "up"), i, "down")
        return self.rms(x, self.norm)


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def fastest(device, run, times):
    best = float("inf")
    for turn in range(times + 1):
        wait(device)
        started = time.perf_counter()
        run()
        wait(device)
        if turn > 0:
            best = min(best, time.perf_counter() - started)
    return best


@torch.inference_mode()
def generate(model, batch, prompt, tokens):
    c = model.c
    shape = (batch, c["kvHeads"], prompt + tokens, c["headDim"])
    cache = [
        [torch.zeros(shape, device=model.device, dtype=model.dtype) for _ in range(2)] for _ in model.layers
    ]
    ids = torch.randint(c["vocab"], (batch, prompt), device=model.device)
    at = 0
    for _ in range(tokens):
        last = model.states(ids, cache, at)[:, -1]
        at += ids.shape[1]
        logits = F.linear(last, model.head).float()
        ids = torch.multinomial(torch.softmax(logits / 0.8, -1), 1)


def train(model, trained, ask, times):
    """Tokens a second, prompt and response, of the fastest optimiser step."""
    c, rows, columns = model.c, ask["examples"], ask["prompt"] + ask["response"]
    for w in trained:
        w.requires_grad_()
    optimiser = torch.optim.AdamW(trained, lr=1e-5)
    ids = torch.randint(c["vocab"], (rows, columns), device=model.device)

    def step():
        hidden = model.states(ids[:, :-1])[:, ask["prompt"] - 1 :]
        logits = F.linear(hidden, model.head).float()
        loss = F.cross_entropy(logits.reshape(-1, c["vocab"]), ids[:, ask["prompt"] :].reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        optimiser.zero_grad()

    seconds = fastest(ask["device"], step, times)
    for w in trained:
        w.requires_grad_(False)
    return rows * columns / seconds


def main():
    ask = json.load(sys.stdin)
    device = ask["device"]
    if device == "cuda" and not torch.cuda.is_available():
        return None
    model = Decoder(ask["model"], device, getattr(torch, ask["dtype"]))
    decode, prefill = {}, None
    for batch in ask["batches"]:
        first = fastest(device, lambda: generate(model, batch, ask["prompt"], 1), 2)
        whole = fastest(device, lambda: generate(model, batch, ask["prompt"], ask["tokens"]), 2)
        decode[batch] = batch * (ask["tokens"] - 1) / max(whole - first, 1e-6)
        prefill = batch * ask["prompt"] / first
    rates = dict(decodeTokensPerSecond=decode, prefillTokensPerSecond=prefill, trainTokensPerSecond={})
    for method in ask["methods"]:
        if method == "lora":
            trained = model.add_lora(ask["rank"])
        else:
            trained, model.lora = model.parameters(), None
        rates["trainTokensPerSecond"][method] = train(model, trained, ask, 3)
    where = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    return dict(name=f"PyTorch {torch.__version__}, {where}", dtype=ask["dtype"], **rates)


print(json.dumps(main()))
