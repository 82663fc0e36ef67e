{#- A model's dataset is the one it names, or the target's; not the two joined by an underscore. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
