"""Spark schemas, derived from the declarations."""

from __future__ import annotations

from pyspark.sql import types as t

from gcs_export_pipeline import declaration

#: BigQuery's type names in Spark; a NUMERIC has 38 digits, 9 of them decimals.
SPARK_TYPES: dict[str, t.DataType] = {
    "STRING": t.StringType(),
    "INT64": t.LongType(),
    "FLOAT64": t.DoubleType(),
    "NUMERIC": t.DecimalType(38, 9),
    "TIMESTAMP": t.TimestampType(),
}


def raw_schema() -> t.StructType:
    """The raw event as it is read: every raw field but those that must not leave the raw zone, all nullable."""
    return t.StructType(
        [
            t.StructField(
                struct,
                t.StructType(
                    [
                        t.StructField(name, SPARK_TYPES[type_name])
                        for name, type_name in raw.items()
                        if name not in declaration.NEVER_READ
                    ]
                ),
            )
            for struct, raw in declaration.raw_event().items()
        ]
    )


def dimension_schema(dimension: declaration.Dimension) -> t.StructType:
    """The dimension's Parquet. Nullability is BigQuery's to enforce: Parquet read back is always nullable."""
    return t.StructType([_struct_field(column) for column in declaration.staging_columns(dimension)])


def _struct_field(column: declaration.Column) -> t.StructField:
    if column.fields:
        element = t.StructType([_struct_field(each) for each in column.fields])
        return t.StructField(column.name, t.ArrayType(element))
    return t.StructField(column.name, SPARK_TYPES[column.type])


def difference(found: t.StructType, expected: t.StructType) -> str | None:
    """Name the first field in which two schemas differ, nullability aside; None if they agree."""
    for have, want in zip(found.fields, expected.fields, strict=False):
        if have.name != want.name:
            return f"field {have.name} stands where {want.name} is declared"
        if have.dataType.simpleString() != want.dataType.simpleString():
            return f"{want.name} is {have.dataType.simpleString()}, declared {want.dataType.simpleString()}"
    if len(found) != len(expected):
        more, fewer = sorted([found.names, expected.names], key=len, reverse=True)
        return f"field {more[len(fewer)]} is {'not declared' if more == found.names else 'missing'}"
    return None
