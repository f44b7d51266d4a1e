"""The blocks above a written one, forward and backward, for a vector at the subject.

What a pass costs is what the vector can change:

- before the subject's last token, nothing: keys and values are there from the start;
- in the first block, the tokens after it have queries, keys and values that never change. What
  each of them sees is what it saw without the subject, and the subject, in changing shares:
  s = sigmoid(q k0 - log sum of the others), (1 - s) others + s v0;
- in the last block only the tokens that are asked about look, and go through the MLP;
- the KL term has one token of its own, or none.

Shapes: n rows of prompts, R rows with those of the KL term after them, at = tokens before the
subject's last one, T = tokens from there on of the longest row, N = R + L tokens: first each
row's lead, the subject's last token, then the later ones row by row; M <= N of them that look,
leads first, S = at + T tokens to look at, d = d_model, H heads, G groups of them, e = width of a
head.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ksmith.lm.blocks import Block
from ksmith.lm.ops import Turn, by_group, by_token, widened
from ksmith.lm.seats import Seats
from ksmith.lm.tree import masked, repeated


@dataclass(frozen=True, slots=True)
class Layout:
    """Which tokens there are, and which of them look at which; on the model's device."""

    n: int
    leads: int  # R
    later: int  # T - 1
    at: int
    there: Tensor  # (R, at) bool: not padding
    place: Tensor  # (L,) of each later token, in n (T - 1)

    @property
    def tokens(self) -> int:
        """N."""
        return self.leads + len(self.place)

    def keys(self, block: Block) -> Seats:
        """Return where keys and values of all T tokens sit, those of leads first in each row."""
        rows, later = torch.arange(self.n, device=self.place.device), self.later
        behind = self.place // max(later, 1) * (1 + later) + self.place % max(later, 1) + 1
        place = torch.cat([rows * (1 + later), behind])
        token = torch.cat([rows, torch.arange(self.leads, self.tokens, device=rows.device)])
        return Seats.of(place, token, (self.n, 1 + later, block.groups, block.groups))

    def seen(self, window: int | None, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return masks to be added: of leads (R, 1, at + 1), of later tokens (n, T - 1, S)."""
        device = like.device
        past = torch.arange(self.at, device=device) - self.at  # from the lead
        here = torch.arange(1 + self.later, device=device)
        keys = torch.cat([past, here])
        near = here[:, None] >= keys
        if window is not None:
            near = near & (here[:, None] - keys < window)
        itself = torch.ones(self.leads, 1 + self.later, dtype=torch.bool, device=device)
        there = torch.cat([self.there, itself], 1)[:, None]  # (R, 1, S)
        lead = there[..., : self.at + 1] & near[:1, : self.at + 1]
        return masked(lead, like), masked(there[: self.n] & near[1:], like)


@dataclass(frozen=True, slots=True)
class Picks:
    """The tokens that look, where not all do."""

    tokens: Tensor  # (M,) their numbers in order of N
    leads: Tensor  # (m,) rows whose lead looks
    later: Tensor  # (n, A) later tokens of each row, as numbers from 0 to T - 2; some fill up
    place: Tensor  # (M - m,) of those that do not, in n A


class Layer:
    """One block, for the rows of a layout."""

    def __init__(
        self,
        block: Block,
        layout: Layout,
        past: tuple[Tensor, Tensor],
        turn: Turn | None,
        picks: Picks | None,
    ) -> None:
        """`past` is keys and values before the subject, (R, at, G, e); without `picks` all look."""
        self.block, self.layout, self.turn = block, layout, turn
        self.picks = None if picks is None else picks.tokens
        self.looking_leads = None if picks is None else picks.leads
        self.turn_q = turn if self.picks is None or turn is None else turn.at(self.picks)
        self.m = layout.leads if picks is None else len(picks.leads)
        self.a = layout.later if picks is None else picks.later.shape[1]
        place = layout.place if picks is None else picks.place
        token = torch.arange(self.m, self.m + len(place), device=place.device)
        shape = (layout.n, self.a, block.heads, block.groups)
        # Where queries sit, and keys and values from leads on.
        self.seats, self.key_seats = Seats.of(place, token, shape), layout.keys(block)
        # What later tokens look at, (n, G, S, e), and what leads do, (m, G, at + 1, e).
        self.keys, self.values = (self._room(x[: layout.n], layout.later) for x in past)
        looking = slice(None) if picks is None else picks.leads
        self.lead_keys, self.lead_values = (self._room(x[looking], 0) for x in past)
        lead, later = layout.seen(block.window, past[0])
        if picks is not None:
            lead = lead[picks.leads]
            later = later.gather(1, picks.later[..., None].expand(-1, -1, later.shape[2]))
        padded = not bool(layout.there.all()) or block.window is not None
        self.lead_mask = repeated(lead, block) if padded else None
        self.later_mask = repeated(later, block)

    def _room(self, past: Tensor, later: int) -> Tensor:
        """Return room for tokens after those of `past` (rows, at, G, e): (rows, G, .., e)."""
        rows, at, groups, width = past.shape
        made = past.new_zeros(rows, groups, at + 1 + later, width)
        made[:, :, :at] = past.transpose(1, 2)
        return made

    # --- forward ------------------------------------------------------------------------------

    def forward(self, h: Tensor) -> Tensor:
        """Return the stream after the block of the tokens that look, (M, d)."""
        block, picks = self.block, self.picks
        x, self.of_norm = block.norm(h)
        k, v, self.of_kv = block.keys_values(x, self.turn)
        self._keep_leads(k, v)
        self._keep_later(k, v)
        if picks is not None:
            h, x = h.index_select(0, picks), x.index_select(0, picks)
        q, self.of_q = block.queries(x, self.turn_q)
        seen = q.new_empty(len(q), block.heads * block.width)
        self._leads_look(q, seen)
        self._later_look(q, seen)
        out, self.of_leave = block.leave(h, x, seen)
        return out

    def _keep_leads(self, k: Tensor, v: Tensor) -> None:
        """Take, of keys and values (N, G, e), those of the leads that look."""
        for kept, new in ((self.lead_keys, k), (self.lead_values, v)):
            if self.looking_leads is None:
                kept[:, :, -1] = new[: self.m]
            elif self.m:
                kept[:, :, -1] = new.index_select(0, self.looking_leads)

    def _keep_later(self, k: Tensor, v: Tensor) -> None:
        """Take, of keys and values (N, G, e), those that later tokens look at."""
        if not self.a:
            return
        for kept, new in ((self.keys, k), (self.values, v)):
            here = kept[:, :, self.layout.at :]
            here.copy_(self.key_seats.filled(new).view(here.shape))

    def _leads_look(self, q: Tensor, seen: Tensor) -> None:
        """Fill in what leads see: what stands before them, and themselves."""
        if not self.m:
            return
        block = self.block
        found, self.of_leads = block.looking(
            by_group(q[: self.m], self.m, block.groups),
            self.lead_keys.flatten(0, 1),
            self.lead_values.flatten(0, 1),
            self.lead_mask,
        )
        by_token(found, self.m, block.groups, seen[: self.m])

    def _later_look(self, q: Tensor, seen: Tensor) -> None:
        if not self.a:
            return
        found, self.of_later = self.block.looking(
            self.seats.filled(q),
            self.keys.flatten(0, 1),
            self.values.flatten(0, 1),
            self.later_mask,
        )
        self.seats.left(found, seen[self.m :])

    # --- backward -----------------------------------------------------------------------------

    def backward(self, gradient: Tensor) -> Tensor:
        """Return the gradient of what went in, (N, d), for that of what came out, (M, d)."""
        block, picks = self.block, self.picks
        of_h, of_x, of_seen = block.leave_back(self.of_leave, gradient)
        of_q = of_seen.new_empty(len(of_seen), block.heads, block.width)
        of_k, of_v = self._no_gradients(self.layout.tokens)
        self._leads_back(of_seen, of_q, of_k, of_v)
        self._later_back(of_seen, of_q, of_k, of_v)
        of_kv = block.keys_values_back(self.of_kv, of_k, of_v, self.turn)
        if picks is None:
            block.queries_back(self.of_q, of_q, self.turn, of_kv)
            if of_x is not None:
                of_kv.add_(of_x)
            return block.norm.back(self.of_norm, of_kv).add_(of_h)
        of_kv.index_add_(0, picks, block.queries_back(self.of_q, of_q, self.turn_q, of_x))
        return block.norm.back(self.of_norm, of_kv).index_add_(0, picks, of_h)

    def _no_gradients(self, tokens: int) -> tuple[Tensor, Tensor]:
        shape = (tokens, self.block.groups, self.block.width)
        return self.keys.new_zeros(shape), self.keys.new_zeros(shape)

    def _leads_back(self, of_seen: Tensor, of_q: Tensor, of_k: Tensor, of_v: Tensor) -> None:
        if not self.m:
            return
        block, m = self.block, self.m
        given = by_group(of_seen[:m].view(m, block.heads, -1), m, block.groups)
        q, k, v = block.looking.back(self.of_leads, given, 1)
        by_token(q, m, block.groups, of_q[:m].flatten(1))
        for total, new in ((of_k, k), (of_v, v)):
            if self.looking_leads is None:
                total[:m] = new.view(m, block.groups, -1)
            else:
                total.index_copy_(0, self.looking_leads, new.view(m, block.groups, -1))

    def _later_back(self, of_seen: Tensor, of_q: Tensor, of_k: Tensor, of_v: Tensor) -> None:
        if not self.a:
            return
        block, n, m = self.block, self.layout.n, self.m
        given = self.seats.gradient(of_seen.view(len(of_seen), block.heads, -1))
        q, *found = block.looking.back(self.of_later, given, 1 + self.layout.later)
        self.seats.left(q, of_q[m:])
        for total, new in zip((of_k, of_v), found, strict=True):
            total[:n] += new.view(n, block.groups, -1, block.width)[:, :, 0]
            self.key_seats.left(new, total[self.layout.leads :], skip=n)


class First(Layer):
    """The block right above the written one: of what goes in, only leads ever change."""

    def __init__(
        self,
        block: Block,
        layout: Layout,
        past: tuple[Tensor, Tensor],
        turn: Turn | None,
        picks: Picks | None,
        stream: Tensor,
    ) -> None:
        """`stream` (N, d) is what goes in, with any leads."""
        super().__init__(block, layout, past, turn, picks)
        leads, at = layout.leads, layout.at
        self.h = stream.clone()
        self.x, _ = block.norm(stream)
        k, v, _ = block.keys_values(self.x, turn)
        self._keep_later(k, v)
        self.turn_k = None if turn is None else turn.at(slice(0, leads))
        self.turn_q = None if self.turn_q is None else self.turn_q.at(slice(0, self.m))
        self.x_picked = self.x if self.picks is None else self.x[self.picks]
        self.h_picked = self.h if self.picks is None else self.h[self.picks]
        if not self.a:
            return
        whole = turn if self.picks is None or turn is None else turn.at(self.picks)
        q, _ = block.queries(self.x_picked, whole)
        self.q = self.seats.filled(q)
        keys, values = self.keys.flatten(0, 1), self.values.flatten(0, 1)
        scores = widened(block.looking.scores(self.q, keys, self.later_mask)[0])
        self.lead_seen = self.later_mask[..., at, None]  # a window may end before it
        scores[..., at] = float("-inf")
        self.others = torch.logsumexp(scores, -1, keepdim=True)
        self.found = torch.bmm(torch.softmax(scores, -1).to(values.dtype), values)

    def forward(self, h: Tensor) -> Tensor:
        """See `Layer`; `h` (R, d) holds the leads."""
        block, m = self.block, self.m
        x, self.of_norm = block.norm(h)
        k, v, self.of_kv = block.keys_values(x, self.turn_k)
        self._keep_leads(k, v)
        rows = self.looking_leads
        if rows is not None:
            h, x = h.index_select(0, rows), x.index_select(0, rows)
        self.h_picked[:m] = h
        if block.mlp_norm is None:
            self.x_picked[:m] = x
        seen = h.new_empty(len(self.h_picked), block.heads * block.width)
        if m:
            q, self.of_q = block.queries(x, self.turn_q)
            self._leads_look(q, seen)
        self._later_look_at(k, v, seen)
        out, self.of_leave = block.leave(self.h_picked, self.x_picked, seen)
        return out

    def _later_look_at(self, k: Tensor, v: Tensor, seen: Tensor) -> None:
        if not self.a:
            return
        block, n = self.block, self.layout.n
        self.k, self.v = (one[:n].reshape(n * block.groups, 1, -1) for one in (k, v))
        score, self.of_score = block.looking.scores(self.q, self.k, None)
        share = widened(score.add_(self.lead_seen)).sub(self.others).sigmoid_()
        self.share = share.to(score.dtype)
        self.seats.left(torch.lerp(self.found, self.v, self.share), seen[self.m :])

    def backward(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the leads, (R, d)."""
        block, m = self.block, self.m
        of_h, of_x, of_seen = block.leave_back(self.of_leave, gradient)
        of_q = of_seen.new_empty(m, block.heads, block.width)
        of_k, of_v = self._no_gradients(self.layout.leads)
        self._leads_back(of_seen, of_q, of_k, of_v)
        self._later_look_back(of_seen, of_k, of_v)
        of_kv = block.keys_values_back(self.of_kv, of_k, of_v, self.turn_k)
        rows = self.looking_leads
        if rows is None:
            block.queries_back(self.of_q, of_q, self.turn_q, of_kv)
            if of_x is not None:
                of_kv.add_(of_x[:m])
            return block.norm.back(self.of_norm, of_kv).add_(of_h[:m])
        onto = None if of_x is None else of_x[:m]
        if m:
            onto = block.queries_back(self.of_q, of_q, self.turn_q, onto)
            of_kv.index_add_(0, rows, onto)
        return block.norm.back(self.of_norm, of_kv).index_add_(0, rows, of_h[:m])

    def _later_look_back(self, of_seen: Tensor, of_k: Tensor, of_v: Tensor) -> None:
        if not self.a:
            return
        block, n = self.block, self.layout.n
        given = self.seats.gradient(of_seen.view(len(of_seen), block.heads, -1))
        of_share = torch.bmm(given, self.v.mT) - (given * self.found).sum(-1, keepdim=True)
        of_score = of_share.mul_(self.share).mul_(1 - self.share)
        of_score = block.looking.scores_back(self.of_score, of_score)
        of_k[:n] += torch.bmm(of_score.mT, self.q).view(n, block.groups, -1)
        of_v[:n] += torch.bmm(self.share.mT, given).view(n, block.groups, -1)
