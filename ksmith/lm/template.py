"""How a prompt is put to a model: as plain text, or as a user's turn in the template of a chat.

    plain     prompt + " " + answer
    a form    before + prompt + after + joint + answer    the same around every prompt

The text before and after is found once, by rendering a turn of known words; each prompt's own
rendering must then be that text around it, so that a template which changes some prompts is
found out. Where an answer begins is where the template's own conversation has it: after its
generation prompt, and what more it writes before an assistant's words (Llama 2: a space).

A template comes with the model and is a program. transformers renders it in Jinja's sandbox,
which has no files, no modules and no attributes that lead to any; but one that never ends, or
that writes without end, is not stopped. Nothing that it renders depends on the day: it is told
`date`, whatever the clock says.

An answer of a user's own ends with a token, which is learnt and scored as its last: the one that
a chat template closes an answer with, else the tokenizer's end token. It follows the answer's
last word, as in public code, whatever a template writes between the two (Llama 2: a space).
"""

import datetime
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ksmith.records import UserError, digest
from ksmith.settings.model import ANSWER, ASKED_IN, AUTO, CHAT, DATE, NONE, PROMPT

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

KEPT = 1 << 14  # prompts whose rendering is kept
SHOWN = 8  # tokens in a message
# Turns that are rendered to find the rest.
MARK, REPLY = "Which of them is it", "It is that one"
NAME = "ksmith_form"  # of the tokenizer's attribute, which no file of a tokenizer holds
CLOCK = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1")
# A macro of the same name hides the function that asks the clock.
STOPPED = (
    "{% macro strftime_now(format) %}{{ ksmith_days[format] if format in ksmith_days else "
    "raise_exception('the day is asked for in a form that is not written out') }}"
    "{% endmacro %}\n"
)
Render = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Form:
    """What stands around a prompt, and what ends an answer."""

    before: str = ""
    after: str = ""
    joint: str = " "  # between what is asked and its answer: a space, or nothing
    special: bool = True  # the tokenizer adds the special tokens that it opens a text with
    ends: frozenset[int] = frozenset()  # tokens that end an answer, beside the tokenizer's own
    rendered: Render | None = None  # a prompt as the template itself has it
    end: int | None = None  # the token that is an answer's last; None: it ends with its words

    @property
    def plain(self) -> bool:
        """Whether nothing stands around a prompt."""
        around = self.before, self.after, self.joint, self.special
        return self.rendered is None and around == ("", "", " ", True)

    def asked(self, prompt: str) -> str:
        """Return the text up to where the answer's own space or first word comes.

        Nothing where there is no prompt: a text that answers nothing is nobody's turn.

        Raises:
            UserError: the template makes something else of this prompt.
        """
        if not prompt:
            return ""
        text = f"{self.before}{prompt}{self.after}"
        if self.rendered is not None and self.rendered(prompt) != text:
            raise UserError(
                f"the chat template changes the prompt {_short(prompt)}: it would not be asked "
                "as it stands"
            )
        return text

    def answered(self, prompt: str, answer: str) -> str:
        """Return the text with an answer, which has no space of its own in front."""
        head = self.asked(prompt)
        return f"{head}{self.joint}{answer}" if head else answer

    @property
    def digest(self) -> str:
        """The digest of what every row of tokens has in common."""
        texts = [self.before, self.after, self.joint]
        end = [] if self.end is None else [self.end]
        return digest([*texts, self.special, sorted(self.ends), *end])


PLAIN = Form()


def form_of(tokenizer: "PreTrainedTokenizerBase") -> Form:
    """Return the form in which this tokenizer's model is asked."""
    return getattr(tokenizer, NAME, PLAIN)


def put(
    tokenizer: "PreTrainedTokenizerBase",
    settings: Mapping[str, Any],
    ends: int | Iterable[int] | None = None,
    *,
    ended: bool = False,
) -> Form:
    """Return the form that a model's `settings` say; the tokenizer goes by it from now on.

    Args:
        tokenizer: of the model.
        settings: those of a loaded model that are not at their defaults.
        ends: the tokens at which the model's own generation stops.
        ended: a token ends an answer, where there is one.

    Raises:
        UserError: no chat template, or one that can't be used, with the reason; no such token.
    """
    said = settings.get("template", NONE)
    if said == NONE:
        form = PLAIN
    elif said == CHAT:
        day = datetime.date.fromisoformat(settings.get("date", DATE))
        form = _of_chat(tokenizer, settings.get("system", ""), day, _ids(ends))
    else:
        form = _of_text(tokenizer, said, _ids(ends))
    _check_apart(tokenizer, form)
    if ended:
        form = _ended(tokenizer, form, settings.get("end", AUTO))
    elif form.end is not None:
        form = replace(form, end=None)
    setattr(tokenizer, NAME, form)
    return form


def opened(
    folder: Path, settings: Mapping[str, Any], *, ended: bool = False
) -> "PreTrainedTokenizerBase":
    """Return the tokenizer in a folder, which goes by the form of `settings`; see `put`.

    Raises:
        UserError: it can't be opened; or see `put`.
    """
    from transformers import AutoTokenizer

    try:
        made = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # of several libraries, each with its own
        raise UserError(f"cannot open the tokenizer in {folder}: {_first(error)}") from error
    put(made, settings, ended=ended)
    return made


def texts(form: Form, pairs: Mapping[str, Iterable[tuple[str, str]]]) -> dict[str, list[str]]:
    """Return the text of each prompt with its answer, in a form.

    Raises:
        UserError: see `Form.asked`.
    """
    return {
        name: [form.answered(prompt, answer) for prompt, answer in mine]
        for name, mine in pairs.items()
    }


def said(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those settings of a model that decide its form; none for a plain one."""
    return {name: settings[name] for name in ASKED_IN if name in settings}


def _check_apart(tokenizer: "PreTrainedTokenizerBase", form: Form) -> None:
    """Raise UserError where an answer's first word changes the tokens before it."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if form.plain or backend is None:
        return
    texts = form.asked(MARK), form.answered(MARK, REPLY)
    head, whole = (backend.encode(text, add_special_tokens=False).ids for text in texts)
    if whole[: len(head)] != head:
        raise UserError(
            f"the tokenizer joins the end of the template, {form.after[-20:]!r}, and an answer's "
            "first word: what is asked would not be how an answer begins"
        )


def _ended(tokenizer: "PreTrainedTokenizerBase", form: Form, said: str) -> Form:
    """Return the form with the token that ends an answer, at which generated text ends, too.

    Args:
        tokenizer: of the model.
        form: its `end` is the token that a template closes an answer with, where one does.
        said: "auto", "none", or a token of the tokenizer.

    Raises:
        UserError: the tokenizer has no such token.
    """
    if said == NONE:
        return replace(form, end=None)
    if said != AUTO:
        end = _named(tokenizer, said)
    else:
        eos: Any = tokenizer.eos_token_id
        end = eos if form.end is None else form.end
    return replace(form, end=end, ends=form.ends if end is None else form.ends | {end})


def _named(tokenizer: "PreTrainedTokenizerBase", said: str) -> int:
    for number, token in tokenizer.added_tokens_decoder.items():
        if str(token) == said:
            return int(number)
    there: list[str] = list(tokenizer.all_special_tokens)
    raise UserError(
        f"model.end = {said!r}: the tokenizer has no such token; there are "
        f"{', '.join(there[:SHOWN]) or 'none'}"
    )


# --- a text of the user's ---------------------------------------------------------------------


def _of_text(tokenizer: "PreTrainedTokenizerBase", text: str, ends: set[int]) -> Form:
    before, _, rest = text.partition(PROMPT)
    after = rest.removesuffix(ANSWER)
    space = after.endswith(" ") if rest.endswith(ANSWER) else not after[-1:].isspace()
    start = str(tokenizer.bos_token or "")
    return Form(
        before=before,
        after=after.removesuffix(" "),
        joint=" " if space else "",
        special=not (start and before.startswith(start)),
        ends=frozenset(ends),
    )


# --- the tokenizer's own template -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Chat:
    """A chat template, and all that it is told beside the turns."""

    tokenizer: "PreTrainedTokenizerBase"
    system: str
    told: Mapping[str, Any]

    def render(self, *turns: str) -> str:
        """Return the text of a conversation, begun by the user, up to what the model writes.

        Raises:
            UserError: the template can't be rendered.
        """
        roles = ["system"] * bool(self.system) + ["user", "assistant"]
        texts = [self.system] * bool(self.system) + list(turns)
        said = [
            {"role": role, "content": text} for role, text in zip(roles, texts, strict=False)
        ]
        try:
            text: Any = self.tokenizer.apply_chat_template(
                said, tokenize=False, add_generation_prompt=len(turns) == 1, **self.told
            )
        except Exception as error:  # a template is a program: there is nothing it can't raise
            raise UserError(f"the chat template can't be rendered: {_first(error)}") from error
        return str(text)


def _of_chat(
    tokenizer: "PreTrainedTokenizerBase", system: str, day: datetime.date, ends: set[int]
) -> Form:
    chat = _Chat(tokenizer, system, _told(_source(tokenizer), day))
    before, after = _around(chat.render(MARK))
    if system.strip() not in before:
        raise UserError("the chat template leaves model.system out, or changes it")
    begun, close = _said_by_it(chat, f"{before}{MARK}{after}")
    whole = after + begun
    # A space belongs to the first word of the answer, as in running text.
    space = " " if whole.endswith(" ") else ""

    def rendered(prompt: str) -> str:
        return f"{chat.render(prompt)}{begun}".removesuffix(space)

    closing = _closing(tokenizer, close)
    return Form(
        before=before,
        after=whole.removesuffix(" "),
        joint=space,
        special=False,  # a template writes its own
        ends=frozenset(ends | closing),
        rendered=lru_cache(KEPT)(rendered),
        end=next(iter(closing), None),
    )


def _source(tokenizer: "PreTrainedTokenizerBase") -> str:
    try:
        return str(tokenizer.get_chat_template())
    except ValueError as error:
        why = _first(error) if tokenizer.chat_template else "its tokenizer has none"
        raise UserError(f"the model brings no chat template: {why}") from None


def _told(source: str, day: datetime.date) -> dict[str, Any]:
    """Return what a template is told, with a clock that stands still."""
    if "strftime_now" in source:
        source = STOPPED + source
    return {
        "chat_template": source,
        "date_string": day.strftime(
            "%d %b %Y"
        ),  # the name that Llama 3's templates have for it
        "enable_thinking": False,  # an answer follows at once
        "ksmith_days": {form: day.strftime(form) for _, form in CLOCK.findall(source)},
    }


def _around(text: str) -> tuple[str, str]:
    """Return what stands before and after the words of a prompt."""
    before, found, after = text.partition(MARK)
    if not found:
        raise UserError("the chat template leaves the prompt out, or changes it")
    if MARK in after:
        raise UserError("the chat template says the prompt more than once")
    return before, after


def _said_by_it(chat: _Chat, asked: str) -> tuple[str, str]:
    """Return what a template writes between what is `asked` and its answer, and after that.

    Nothing where its conversations do not go on from there: an answer then follows what the
    template opens it with, as when text is generated.
    """
    try:
        whole = chat.render(MARK, REPLY)
    except UserError:  # it has the user's turns alone
        return "", ""
    if not whole.startswith(asked):
        return "", whole.partition(REPLY)[2]
    begun, found, close = whole[len(asked) :].partition(REPLY)
    return (begun, close) if found else ("", "")


def _closing(tokenizer: "PreTrainedTokenizerBase", close: str) -> set[int]:
    """Return the token that ends an answer, by what a template writes after one."""
    ids: list[int] = tokenizer.encode(close.strip(), add_special_tokens=False) if close else []
    special = {int(token) for token in tokenizer.added_tokens_decoder}
    return set(ids[:1]) & special


def _ids(ends: int | Iterable[int] | None) -> set[int]:
    return {ends} if isinstance(ends, int) else set(ends or ())


def _first(error: Exception) -> str:
    """Return the first line of what an error says."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
