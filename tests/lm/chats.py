"""Chat templates of the shapes that models have, written anew, and tokenizers that bring them."""

from functools import cache
from typing import Any

from tests.lm.test_text import byte_level, marked_spaces

LLAMA_3 = """{{- bos_token }}
{%- if not date_string is defined %}{% set date_string = strftime_now("%d %b %Y") %}{% endif %}
{%- set told = namespace(system="") %}
{%- if messages[0]["role"] == "system" %}
    {%- set told.system = messages[0]["content"] | trim %}{% set messages = messages[1:] %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{{- "Today Date: " + date_string + "\n\n" + told.system + "<|eot_id|>" }}
{%- for turn in messages %}
    {{- "<|start_header_id|>" + turn["role"] + "<|end_header_id|>\n\n" }}
    {{- turn["content"] | trim + "<|eot_id|>" }}
{%- endfor %}
{%- if add_generation_prompt %}{{- "<|start_header_id|>assistant<|end_header_id|>\n\n" }}{% endif %}
"""
CHATML = """{% for turn in messages %}
{{- "<|im_start|>" + turn.role + "\n" + turn.content + "<|im_end|>\n" }}
{%- endfor %}
{%- if add_generation_prompt %}{{- "<|im_start|>assistant\n" }}{% endif %}
"""
# As Qwen 3: of a model that can think first, an answer comes after thoughts that are empty.
THINKING = CHATML.replace(
    "{% endif %}\n",
    """
    {%- if enable_thinking is defined and not enable_thinking %}
        {{- "<think>\n\n</think>\n\n" }}
    {%- endif %}{% endif %}
""",
).replace(
    "turn.content +",
    """("<think>\n\n</think>\n\n" if turn.role == "assistant" else "") + turn.content +""",
)
LLAMA_2 = """{{- bos_token }}
{%- for turn in messages %}
    {%- if turn.role == "system" %}{{- raise_exception("no system turn here") }}
    {%- elif turn.role == "user" %}{{- "[INST] " + turn.content | trim + " [/INST]" }}
    {%- else %}{{- " " + turn.content | trim + " " + eos_token }}
    {%- endif %}
{%- endfor %}
"""
MARKS = {
    "llama 3": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "thinking": ("<|im_start|>", "<|im_end|>"),
    "llama 2": (),
}
TEMPLATES = {"llama 3": LLAMA_3, "chatml": CHATML, "thinking": THINKING, "llama 2": LLAMA_2}
ENDS = {
    "llama 3": "<|eot_id|>",
    "chatml": "<|im_end|>",
    "thinking": "<|im_end|>",
    "llama 2": "</s>",
}


def chatting(shape: str, template: str | None = None) -> Any:
    """Return a new tokenizer of a shape, with its template or another."""
    made = marked_spaces() if shape == "llama 2" else byte_level()
    if shape == "llama 3":
        made.add_special_tokens({"bos_token": "<|begin_of_text|>"})
    made.add_special_tokens({"additional_special_tokens": list(MARKS[shape])})
    made.chat_template = TEMPLATES[shape] if template is None else template
    return made


@cache
def chat(shape: str) -> Any:
    """Return the tokenizer of a shape that goes by its template."""
    from ksmith.lm import template

    made = chatting(shape)
    template.put(made, {"template": "chat"})
    return made
