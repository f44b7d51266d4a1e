"""Putting a study into the store, and taking it out.

Adding says INSERT ... ON CONFLICT DO NOTHING for everything that is named by content, so
creating a study twice changes nothing and a trial that another study has is linked, not made
again.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

from ksmith.records import KEY_VERSION, Node, UserError
from ksmith.store.database import Database, loaded
from ksmith.store.needs import COMPLETE
from ksmith.store.queue import PRIORITY
from ksmith.study import Point, Study, difference, flat, nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What adding a study did, or (of `preview`) would do."""

    study_id: int | None
    trials: int
    new: int  # trials that no study had
    shared: int  # trials that were there already
    done: int  # of the shared ones
    unchanged: bool  # the study was there with this very grid
    replaced: bool  # the study was there with another grid
    todo: tuple[Node, ...]  # trials that are not done
    assets: tuple[Node, ...]  # what must be built for them, needs first


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What deleting a study left behind: trials that no other study has are kept, not run."""

    trials: int
    orphans: int


@dataclass(frozen=True, slots=True)
class _Grid:
    trials: dict[str, Point]  # key -> the first point that gives it
    nodes: dict[str, Node]  # key -> node, needs before what needs them


def _grid(study: Study) -> _Grid:
    trials: dict[str, Point] = {}
    every: dict[str, Node] = {}
    for point in study.points:
        roles = nodes(point)
        for node in roles.values():
            every.setdefault(node.key, node)
        trials.setdefault(roles["trial"].key, point)
    return _Grid(trials, _needs_first(every))


def _needs_first(every: Mapping[str, Node]) -> dict[str, Node]:
    ordered: dict[str, Node] = {}

    def visit(key: str) -> None:
        if key not in ordered:
            for need in every[key].needs.values():
                visit(need)
            ordered[key] = every[key]

    for key in every:
        visit(key)
    return ordered


def add(database: Database, study: Study, *, replace: bool = False) -> Added:
    """Return what was added; the study and its nodes are stored in one transaction.

    Raises:
        UserError: the name is taken by a study with another grid, and not `replace`.
    """
    grid = _grid(study)
    with database.write() as connection:
        found = _look(connection, database, study, grid)
        if found.replaced and not replace:
            raise UserError(_clash(connection, study))
        study_id = _save_study(connection, database, study, found.study_id)
        if found.unchanged:
            _see_files(connection, grid.nodes.values())
            return found
        _save_nodes(connection, database, grid)
        _link(connection, database, study_id, grid)
        return dataclasses.replace(found, study_id=study_id)


def preview(database: Database, study: Study) -> Added:
    """Return what adding the study would do; nothing is stored."""
    grid = _grid(study)
    with database.read() as connection:
        return _look(connection, database, study, grid)


def _look(connection: Connection, database: Database, study: Study, grid: _Grid) -> Added:
    row = connection.execute(
        text("SELECT id FROM study WHERE name = :name"), {"name": study.name}
    ).one_or_none()
    linked = _linked(connection, row.id) if row else set[str]()
    known = _states(connection, database, grid.nodes)
    old = [key for key in grid.trials if key in known]
    done = sum(known[key] == "done" for key in old)
    pending = [key for key in grid.trials if known.get(key) != "done"]
    return Added(
        study_id=row.id if row else None,
        trials=len(grid.trials),
        new=len(grid.trials) - len(old),
        shared=len(old),
        done=done,
        unchanged=row is not None and linked == set(grid.trials),
        replaced=row is not None and linked != set(grid.trials),
        todo=tuple(grid.nodes[key] for key in pending),
        assets=tuple(_to_build(grid, known, pending)),
    )


def _to_build(grid: _Grid, known: Mapping[str, str], pending: Iterable[str]) -> Iterable[Node]:
    needed = {key for trial in pending for key in grid.nodes[trial].needs.values()}
    for key, node in reversed(grid.nodes.items()):  # what needs before what is needed
        if key in needed and known.get(key) != "done":
            needed |= set(node.needs.values())
    return (
        node for key, node in grid.nodes.items() if key in needed and known.get(key) != "done"
    )


def _linked(connection: Connection, study_id: int) -> set[str]:
    rows = connection.execute(
        text(
            "SELECT node.key FROM study_trial JOIN node ON node.id = study_trial.node_id "
            "WHERE study_trial.study_id = :id"
        ),
        {"id": study_id},
    )
    return {row.key for row in rows}


def _states(connection: Connection, database: Database, keys: Iterable[str]) -> dict[str, str]:
    rows = connection.execute(
        text(
            f"SELECT key, state FROM node WHERE key IN {database.dialect.named.format('keys')}"
        ),
        {"keys": json.dumps(list(keys))},
    )
    return {row.key: row.state for row in rows}


def _clash(connection: Connection, study: Study) -> str:
    stored = connection.execute(
        text("SELECT grid FROM study WHERE name = :name"), {"name": study.name}
    ).scalar_one()
    return (
        f"study {study.name!r} is there already, with another grid:\n"
        + "".join(f"  {line}\n" for line in difference(loaded(stored), study.grid))
        + "give this one another name, or say --replace (no trial is deleted)"
    )


def _save_study(
    connection: Connection, database: Database, study: Study, study_id: int | None
) -> int:
    given = {"name": study.name, "question": study.question, "text": study.told}
    given["grid"] = json.dumps(study.grid)
    if study_id is not None:
        connection.execute(
            text(
                "UPDATE study SET question = :question, text = :text, grid = :grid, "
                f"key_version = {KEY_VERSION} WHERE name = :name"
            ),
            given,
        )
        return study_id
    return connection.execute(
        text(
            "INSERT INTO study(name, question, text, grid, key_version, created) "
            f"VALUES (:name, :question, :text, :grid, {KEY_VERSION}, {database.dialect.now}) "
            "RETURNING id"
        ),
        given,
    ).scalar_one()


def _save_nodes(connection: Connection, database: Database, grid: _Grid) -> None:
    connection.execute(
        text(
            "INSERT INTO node(key, kind, recipe, files, group_key, priority, state, created) "
            "VALUES (:key, :kind, :recipe, :files, :group, :priority, 'blocked', "
            f"{database.dialect.now}) ON CONFLICT (key) DO NOTHING"
        ),
        [
            {"key": key, "kind": node.kind, "recipe": json.dumps(node.recipe)}
            | {"files": json.dumps(node.files), "priority": PRIORITY[node.kind]}
            | {"group": node.needs.get("model", key)}
            for key, node in grid.nodes.items()
        ],
    )
    _see_files(connection, grid.nodes.values())
    needs = [
        {"node": key, "role": role, "need": need}
        for key, node in grid.nodes.items()
        for role, need in node.needs.items()
    ]
    if needs:
        connection.execute(
            text(
                "INSERT INTO need(node_id, role, needs_id) SELECT one.id, :role, other.id "
                "FROM node AS one, node AS other WHERE one.key = :node AND other.key = :need "
                "ON CONFLICT (node_id, role) DO NOTHING"
            ),
            needs,
        )
    connection.execute(
        text(
            "UPDATE node SET state = 'ready' WHERE state = 'blocked' "
            f"AND key IN {database.dialect.named.format('keys')} {COMPLETE}"
        ),
        {"keys": json.dumps(list(grid.nodes))},
    )


def _see_files(connection: Connection, every: Iterable[Node]) -> None:
    """Note where data files are now: they may have moved since the node was made."""
    moved = [{"key": node.key, "files": json.dumps(node.files)} for node in every if node.files]
    if moved:
        connection.execute(
            text("UPDATE node SET files = :files WHERE key = :key AND state <> 'done'"), moved
        )


def _link(connection: Connection, database: Database, study_id: int, grid: _Grid) -> None:
    gone = f"NOT IN {database.dialect.named.format('keys')}"
    connection.execute(
        text(
            "DELETE FROM study_trial WHERE study_id = :id "
            f"AND node_id IN (SELECT id FROM node WHERE key {gone})"
        ),
        {"id": study_id, "keys": json.dumps(list(grid.trials))},
    )
    connection.execute(
        text(
            "INSERT INTO study_trial(study_id, node_id, position, axes, settings) "
            "SELECT :study, id, :position, :axes, :settings FROM node WHERE key = :key "
            "ON CONFLICT (study_id, node_id) DO UPDATE SET position = excluded.position, "
            "axes = excluded.axes, settings = excluded.settings"
        ),
        [
            {"study": study_id, "position": position, "key": key}
            | {
                "axes": json.dumps(dict(point.axes)),
                "settings": json.dumps(flat(point.settings)),
            }
            for position, (key, point) in enumerate(grid.trials.items())
        ],
    )


def delete(database: Database, study_id: int) -> Deleted:
    """Return what is left of the study's trials: none is deleted, orphans are no longer run."""
    with database.write() as connection:
        given = {"id": study_id}
        mine = "SELECT node_id FROM study_trial WHERE study_id = :id"
        trials = connection.execute(
            text(f"SELECT COUNT(*) FROM ({mine}) AS mine"), given
        ).scalar_one()
        orphans = connection.execute(
            text(
                f"SELECT COUNT(*) FROM ({mine}) AS mine WHERE node_id NOT IN "
                "(SELECT node_id FROM study_trial WHERE study_id <> :id)"
            ),
            given,
        ).scalar_one()
        connection.execute(text("DELETE FROM study_trial WHERE study_id = :id"), given)
        connection.execute(text("DELETE FROM study WHERE id = :id"), given)
        return Deleted(trials=trials, orphans=orphans)
