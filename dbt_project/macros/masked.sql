{#-
  The columns of a model, without what its properties tag as personal: text as ****, anything else as missing. It reads
  no personal column, so that a role which may not see them can read it.
-#}
{% macro masked_columns(model_name) -%}
    {%- if execute -%}
        {%- set node = graph.nodes['model.orders.' ~ model_name] -%}
        {%- for column in node.columns.values() %}
        {%- if 'personal' not in column.tags %}
        {{ column.name }}
        {%- elif column.data_type == 'string' %}
        '****' as {{ column.name }}
        {%- else %}
        cast(null as {{ column.data_type }}) as {{ column.name }}
        {%- endif %}{{ ',' if not loop.last }}
        {%- endfor %}
    {%- else -%} * {%- endif -%}
{%- endmacro %}

{#-
  Sets, beside the descriptions that dbt sets here, the policy tag that PERSONAL_POLICY_TAG names on every column that
  is tagged personal. Only those to whom the tag grants it can read such a column then.
-#}
{% macro bigquery__alter_column_comment(relation, column_dict) -%}
    {%- set policy_tag = env_var('PERSONAL_POLICY_TAG', '') -%}
    {%- for column in column_dict.values() if policy_tag and 'personal' in column.tags -%}
        {%- do column.update({'policy_tags': [policy_tag]}) -%}
    {%- endfor -%}
    {%- do adapter.update_columns(relation, column_dict) -%}
{%- endmacro %}
