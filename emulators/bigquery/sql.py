"""Corrections to how bqemulator translates and runs SQL.

Each function corrects one behaviour and says which; `tests/emulators/test_conformance.py` holds the proof of each.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

import sqlglot
from bqemulator.api.routes import jobs as job_routes
from bqemulator.api.routes.tables import _field_to_rest
from bqemulator.jobs import executor
from bqemulator.scripting import interpreter
from bqemulator.sql import inner_query
from bqemulator.sql.rewriter import information_schema
from bqemulator.sql.translator import SQLTranslator
from bqemulator.storage.type_map import bq_schema_to_duckdb_columns
from bqemulator.versioning.snapshots import SnapshotManager
from sqlglot import exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.dialects.duckdb import DuckDB


def apply() -> None:
    """Install every correction of this module into the running process."""
    numeric_keeps_its_digits()
    dates_are_truncated_to_dates()
    table_aliases_keep_their_columns()
    statements_are_prepared()
    legacy_catalog_views_answer()
    scripts_assign_arrays()
    descriptions_may_hold_quotes()
    dml_copies_no_table()
    stars_expand_to_every_column()


def numeric_keeps_its_digits() -> None:
    """NUMERIC is DECIMAL(38, 9); stock it becomes DuckDB's DECIMAL(18, 3) and loses digits silently."""
    transforms = DuckDB.Generator.TRANSFORMS
    stock = transforms[exp.DataType]
    bare = {exp.DataType.Type.DECIMAL: "DECIMAL(38, 9)", exp.DataType.Type.BIGDECIMAL: "DECIMAL(38, 18)"}

    def data_type(generator: Any, node: exp.DataType) -> str:
        if node.this in bare and not node.expressions:
            return bare[node.this]
        return stock(generator, node)

    transforms[exp.DataType] = data_type


def dates_are_truncated_to_dates() -> None:
    """DATE_TRUNC gives a DATE; stock it gives a DATETIME where its argument is a column."""
    transforms = DuckDB.Generator.TRANSFORMS
    stock = transforms.get(exp.DateTrunc)

    def date_trunc(generator: Any, node: exp.DateTrunc) -> str:
        truncated = stock(generator, node) if stock else generator.datetrunc_sql(node)
        return f"CAST({truncated} AS DATE)"

    transforms[exp.DateTrunc] = date_trunc


def table_aliases_keep_their_columns() -> None:
    """`AS v(col, ...)` survives when INFORMATION_SCHEMA is written into the query as VALUES."""
    BigQuery.Generator.SUPPORTS_TABLE_ALIAS_COLUMNS = True


def statements_are_prepared() -> None:
    """Statements that dbt sends reach the translator in a form that it understands."""
    stock = SQLTranslator.translate

    def translate(self: SQLTranslator, sql: str, *args: Any, **kwargs: Any) -> Any:
        return stock(self, _prepare(sql), *args, **kwargs)

    SQLTranslator.translate = translate


def _prepare(sql: str) -> str:
    upper = sql.upper()
    if "IGNORE NULLS" not in upper and not ("CREATE" in upper and "TABLE" in upper):
        return sql
    try:
        tree = sqlglot.parse_one(sql, read="bigquery")
    except sqlglot.ParseError:
        return sql  # the translator reports it, with BigQuery's error
    changed = _filter_nulls_of_distinct_arrays(tree) | _drop_unenforced_keys(tree)
    return tree.sql(dialect="bigquery") if changed else sql


def _filter_nulls_of_distinct_arrays(tree: exp.Expression) -> bool:
    """ARRAY_AGG(DISTINCT x IGNORE NULLS): DuckDB wants a FILTER clause instead."""
    changed = False
    for node in list(tree.find_all(exp.IgnoreNulls)):
        aggregate = node.this
        if isinstance(aggregate, exp.ArrayAgg) and isinstance(aggregate.this, exp.Distinct):
            not_null = exp.Not(this=exp.Is(this=aggregate.this.expressions[0].copy(), expression=exp.Null()))
            node.replace(exp.Filter(this=aggregate.copy(), expression=exp.Where(this=not_null)))
            changed = True
    return changed


def _drop_unenforced_keys(tree: exp.Expression) -> bool:
    """PRIMARY KEY and FOREIGN KEY ... NOT ENFORCED promise, they do not check; and CTAS may be in brackets."""
    if not (isinstance(tree, exp.Create) and isinstance(tree.this, exp.Schema)):
        return False
    table_keys = (exp.PrimaryKey, exp.ForeignKey, exp.Constraint)
    column_keys = (exp.PrimaryKeyColumnConstraint, exp.Reference)
    changed, kept = False, []
    for definition in tree.this.expressions:
        if isinstance(definition, table_keys):
            changed = True
            continue
        if isinstance(definition, exp.ColumnDef):
            constraints = definition.args.get("constraints") or []
            checked = [each for each in constraints if not isinstance(each.args.get("kind"), column_keys)]
            changed |= len(checked) != len(constraints)
            definition.set("constraints", checked)
        kept.append(definition)
    tree.this.set("expressions", kept)
    if isinstance(tree.expression, exp.Subquery):
        tree.set("expression", tree.expression.this)
        changed = True
    return changed


_DATASET = r"(?:`?([\w-]+)`?\.)?`?([\w-]+)`?\."
_TABLE_COLUMNS = ["project_id", "dataset_id", "table_id", "type", "row_count", "size_bytes"]
_TABLE_COLUMNS += ["creation_time", "last_modified_time"]


def legacy_catalog_views_answer() -> None:
    """`__TABLES__` and COLUMN_FIELD_PATHS, which `dbt docs` reads, answer; GRANT and REVOKE are accepted."""
    stock = executor.execute_query_job

    async def execute(project_id: str, job_id: str, sql: str, parameters: Any, ctx: Any, **kwargs: Any) -> Any:
        return await stock(project_id, job_id, _fill_catalog_views(sql, project_id, ctx), parameters, ctx, **kwargs)

    executor.execute_query_job = job_routes.execute_query_job = execute


def _fill_catalog_views(sql: str, project: str, ctx: Any) -> str:
    if re.match(r"\s*(/\*.*?\*/\s*)*(grant|revoke)\b", sql, re.I | re.S):
        return "select 1"
    sql = re.sub(_DATASET + r"`?__TABLES__`?", lambda match: _tables_view(match, project, ctx), sql)
    return re.sub(
        _DATASET + r"`?INFORMATION_SCHEMA`?\.`?COLUMN_FIELD_PATHS`?",
        lambda match: _field_paths_view(match.group(1) or project, match.group(2), ctx),
        sql,
    )


def _quoted(text: str) -> str:
    """A BigQuery string literal of `text`."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def _inline(columns: list[str], rows: list[list[Any]]) -> str:
    """A bracketed SELECT that yields `rows`; its first row names and types the columns and is filtered away."""

    def literal(value: Any) -> str:
        if value is None:
            return "cast(null as string)"
        return str(value) if isinstance(value, int) else _quoted(value)

    types = [int if rows and isinstance(rows[0][i], int) else str for i in range(len(columns))]
    first = ", ".join(f"{'0' if types[i] is int else literal('')} as {name}" for i, name in enumerate(columns))
    body = "".join(f" union all select {', '.join(map(literal, row))}, true" for row in rows)
    return f"(select * except (is_row) from (select {first}, false as is_row{body}) where is_row)"


def _tables_view(match: re.Match[str], default_project: str, ctx: Any) -> str:
    project, dataset = match.group(1) or default_project, match.group(2)
    tables = ctx.catalog.list_tables(project, dataset) if ctx.catalog.get_dataset(project, dataset) else []
    rows = [
        [
            project,
            dataset,
            table.table_id,
            2 if table.table_type == "VIEW" else 1,
            table.num_rows or 0,
            table.num_bytes or 0,
            int(table.creation_time.timestamp() * 1000),
            int(table.last_modified_time.timestamp() * 1000),
        ]
        for table in tables
    ]
    return _inline(_TABLE_COLUMNS, rows)


def _field_paths_view(project: str, dataset: str, ctx: Any) -> str:
    tables = ctx.catalog.list_tables(project, dataset) if ctx.catalog.get_dataset(project, dataset) else []
    columns = ["table_catalog", "table_schema", "table_name", "column_name", "field_path", "data_type", "description"]
    rows = [
        [project, dataset, table.table_id, field.name, field.name, field.type, field.description]
        for table in tables
        for field in (table.schema_.fields if table.schema_ else ())
    ]
    return _inline(columns, rows)


def scripts_assign_arrays() -> None:
    """`SET v = (SELECT AS STRUCT ARRAY_AGG(...))` assigns the array, as dbt's insert_overwrite needs."""
    cls: Any = interpreter.ScriptInterpreter
    stock = cls._exec_set

    async def exec_set(self: Any, statement: Any) -> None:
        pattern = r"(\(\s*select)\s+as\s+struct\b"
        if len(statement.targets) == 1 and re.match(rf"\s*{pattern}", statement.source_expr, re.I):
            source = re.sub(pattern, r"\1", statement.source_expr, count=1, flags=re.I)
            self._frames.set(statement.targets[0], (await self._eval_expr_row(source))[0])
            return
        await stock(self, statement)

    cls._exec_set = exec_set


def descriptions_may_hold_quotes() -> None:
    """A quote, backslash or line break in a description is data; stock it breaks INFORMATION_SCHEMA."""

    information_schema._sql_literal = lambda value: "NULL" if value is None else _quoted(str(value))
    information_schema._quote_for_option = partial(json.dumps, ensure_ascii=False)


def dml_copies_no_table() -> None:
    """DML does not copy the whole table first; FOR SYSTEM_TIME AS OF is given up for it."""
    stock = SnapshotManager.capture

    def capture(self: Any, *args: Any, kind: str = "AUTO") -> Any:
        return stock(self, *args, kind=kind) if kind == "USER" else None

    SnapshotManager.capture = capture


def stars_expand_to_every_column() -> None:
    """`select *` keeps a column that is a record; stock the snapshot of a table's columns leaves it out."""
    stock = inner_query.build_catalog_schema

    def build(sql: str, *, project_id: str, catalog: Any) -> dict[str, dict[str, str]]:
        schema = stock(sql, project_id=project_id, catalog=catalog)
        for table in sqlglot.parse_one(sql, read="bigquery").find_all(exp.Table) if schema else ():
            if table.name in schema and table.db:
                found = catalog.get_table(table.catalog or project_id, table.db, table.name)
                schema[table.name] = dict(
                    bq_schema_to_duckdb_columns([_field_to_rest(f) for f in found.schema_.fields])
                )
        return schema

    inner_query.build_catalog_schema = build
