"""What has to be done for some studies: the part of the graph of nodes that still is to run."""

from collections.abc import Collection, Iterator
from pathlib import Path

import networkx as nx

from ksmith.store import Dag, Store

PENDING = frozenset({"blocked", "ready", "leased", "running"})
STOPPED = frozenset({"failed", "cancelled"})


class Plan:
    """The nodes of some studies; an edge leads from a need to what needs it."""

    def __init__(self, dag: Dag, trials: Collection[int] | None = None) -> None:
        self.dag = dag
        self.trials = frozenset(dag.trials if trials is None else trials)
        self.graph: nx.DiGraph[int] = nx.DiGraph()
        self.graph.add_nodes_from(dag.nodes)
        self.graph.add_edges_from((need, node) for node, need in dag.needs)
        self.states = {id: node.state for id, node in dag.nodes.items()}
        self.folders = {id: node.folder for id, node in dag.nodes.items()}

    def update(self, standing: dict[int, tuple[str, str | None]]) -> None:
        """Take in how the nodes stand by now."""
        for id, (state, folder) in standing.items():
            if id in self.states:
                self.states[id], self.folders[id] = state, folder

    def wanted(self) -> frozenset[int]:
        """Return the ids of all that is to run: pending trials that can, and what they lack.

        A trial that a failed need holds up is left out, and so is what only it would use. A
        need that failed and left what it had done holds nothing up: its trials tell of that.
        """
        undone: nx.DiGraph[int] = self.graph.subgraph(
            [id for id in self.states if not self._can_be_used(id)]
        )
        stopped = [id for id in undone if self.states[id] in STOPPED]
        stuck = _reached(undone, stopped)
        runnable = [id for id in self.trials if self.states[id] in PENDING and id not in stuck]
        return frozenset(_reached(undone.reverse(copy=False), runnable))

    def _can_be_used(self, id: int) -> bool:
        state, kind = self.states[id], self.dag.nodes[id].kind
        left = state == "failed" and kind != "trial" and self.folders[id] is not None
        return state == "done" or left

    def vanished(self, home: Path, wanted: Collection[int]) -> Iterator[tuple[str, str]]:
        """Yield (key, folder) of each done asset that `wanted` needs and the disk has not."""
        needed = {need for id in wanted for need in self.graph.predecessors(id)}
        for id in sorted(needed):
            folder = self.folders[id]
            if self.states[id] == "done" and folder and not is_there(home, folder):
                yield self.dag.nodes[id].key, folder


def _reached(graph: "nx.DiGraph[int]", sources: Collection[int]) -> set[int]:
    found: set[int] = set()
    for layer in nx.bfs_layers(graph, sources):
        found.update(layer)
    return found


def is_there(home: Path, folder: str) -> bool:
    """Return whether a finished folder is still on disk."""
    return (home / folder / "outcome.json").is_file()


def make(
    store: Store, study_ids: Collection[int], trials: Collection[int] | None = None
) -> Plan:
    """Return the plan for `study_ids`; assets whose folders are gone are to be built again."""
    while True:
        plan = Plan(store.dag(study_ids), trials)
        gone = list(plan.vanished(store.home, plan.wanted()))
        # Building one again may need others, so it is asked once more.
        if not [key for key, folder in gone if store.undo(key, folder)]:
            return plan
