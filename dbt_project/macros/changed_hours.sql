{#-
  True for rows of the ingest hours that changed since the tables were built. The pipeline passes them as the variable
  `changed_hours`, a list of [start, end); without it, in a run of dbt by hand, every hour counts as changed.
  The bounds are constants, so that BigQuery reads the partitions of those hours alone.
-#}
{% macro in_changed_hours(column) -%}
    {%- set ranges = var('changed_hours', none) -%}
    {%- if ranges is none -%}
        true
    {%- else -%}
        (
            {%- for bounds in ranges %}
            ({{ column }} >= timestamp '{{ bounds[0] }}' and {{ column }} < timestamp '{{ bounds[1] }}') or
            {%- endfor %} false
        )
    {%- endif -%}
{%- endmacro %}

{#-
  Row tests read what this run could have changed: rows of other hours passed when they came. `unique` and `history` are
  about the table as a whole and read it all. A model without ingest_hour is read as a whole too, and so is every one
  where the variable `test_everything` says that the tests themselves changed.
-#}
{% macro get_where_subquery(relation) -%}
    {%- set table_tests = ['unique', 'unique_together', 'history'] -%}
    {%- set tested = graph.nodes.get(model.attached_node, {}) if execute else {} -%}
    {%- if var('changed_hours', none) is not none and not var('test_everything', false) and model.test_metadata.name not in table_tests
        and 'ingest_hour' in tested.get('columns', {}) -%}
        {%- do return('(select * from ' ~ relation ~ ' where ' ~ in_changed_hours('ingest_hour') ~ ') dbt_subquery') -%}
    {%- endif -%}
    {%- do return(relation) -%}
{%- endmacro %}
