"""What a search asks of its rows: the answers' tokens, and what is to be said as before.

The KL term compares what is said after "{subject}" in "{subject} is a", and at the end of other
prompts about the subject, where there are such. Where the request's own prompt starts with the
very same tokens, no row more is needed.

Shapes: n rows, m positions, b requests.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ksmith.lm.rows import Rows


@dataclass(frozen=True, slots=True)
class Wanted:
    """Rows, those of KL terms last, and the positions in them that are looked at."""

    asked: Rows
    n: int  # rows that go on after their subject: they come first
    number: Tensor  # (n,) which they were among the rows they are taken from
    row: Tensor  # (m,) each position once, those at subjects first
    column: Tensor  # (m,) from the subject's last token on
    at: Tensor  # (a,) which position, for each token of an answer
    gold: Tensor  # (a,) the token that should follow
    shares: Tensor  # (b, a) float64, of requests' losses: means over tokens, then over contexts
    stay_at: Tensor  # (k,) which position, for each KL term
    stay_owner: Tensor  # (k,)
    stay_share: Tensor  # (k,) float64: a request's KL term is a mean over its prompts

    def to(self, device: torch.device) -> "Wanted":
        """Return the same, with what a loss needs on `device`."""
        names = ("at", "gold", "shares", "stay_at", "stay_owner", "stay_share")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


def wanted_of(asked: Rows, requests: Tensor) -> Wanted:
    """Return what is asked of the rows of some requests, (b,) bool.

    KL rows that are the start of another row are left out.
    """
    mine = requests[asked.owner]
    twin = _twins(asked)
    said, kept = mine & ~asked.stay, mine & asked.stay & (twin < 0)
    end = asked.mask[:, asked.at :].sum(1) - 1  # (n,) the column of each row's last token
    longer = said | (kept & (end > 0))
    groups = (said, kept & longer, kept & ~longer)
    number = torch.cat([group.nonzero()[:, 0] for group in groups])
    place = torch.full((len(asked.ids),), -1)
    place[number] = torch.arange(len(number))
    row, column = ((asked.gold >= 0) & said[:, None]).nonzero(as_tuple=True)
    stay = (mine & asked.stay).nonzero()[:, 0]
    tokens = asked.spans()
    contexts = torch.bincount(asked.owner[said], minlength=asked.b)
    width = asked.gold.shape[1]
    stay_row = torch.where(twin[stay] < 0, stay, twin[stay])
    rows, columns = torch.cat([row, stay_row]), torch.cat([column, end[stay]])
    # At subjects by the row, the others after all rows.
    every = torch.where(columns > 0, len(number) + place[rows] * width + columns, place[rows])
    positions, at = every.unique(return_inverse=True)
    others = positions - len(number)
    share = 1 / (tokens[row] * contexts[asked.owner[row]]).double()
    return Wanted(
        asked=asked.take(number),
        n=int(longer.sum()),
        number=number,
        row=torch.where(others < 0, positions, others // width),
        column=torch.where(others < 0, 0, others % width),
        at=at[: len(row)],
        gold=asked.gold[row, column],
        shares=torch.where(asked.owner[row] == torch.arange(asked.b)[:, None], share, 0.0),
        stay_at=at[len(row) :],
        stay_owner=asked.owner[stay],
        stay_share=1 / torch.bincount(asked.owner[stay])[asked.owner[stay]].double(),
    )


def _twins(asked: Rows) -> Tensor:
    """Return for each KL row the bare row that starts with its tokens; -1 elsewhere."""
    bare = torch.full((asked.b,), -1)
    bare[asked.owner[asked.bare]] = asked.bare.nonzero()[:, 0]
    twin = torch.full((len(asked.ids),), -1)
    stay = asked.stay.nonzero()[:, 0]
    other = bare[asked.owner[stay]]
    here, there = asked.mask[stay], asked.mask[other]
    tokens = (asked.ids[other] == asked.ids[stay]) | ~here
    start = slice(0, asked.at + 1)
    same = tokens.all(1) & (there[:, start] == here[:, start]).all(1) & (there | ~here).all(1)
    twin[stay] = torch.where(same, other, -1)
    return twin
