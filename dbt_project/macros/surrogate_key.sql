{#- A key from business keys: the same values give the same key on every run and platform; a missing value counts. -#}
{% macro surrogate_key(expressions) -%}
    to_hex(md5(concat(
        {%- for expression in expressions %}
        coalesce(cast({{ expression }} as string), '<null>'){{ ", '|'," if not loop.last }}
        {%- endfor %}
    )))
{%- endmacro %}

{#- A NUMERIC as text without trailing zeros, which platforms write or leave out as they please. -#}
{% macro numeric_text(column) -%}
    rtrim(rtrim(cast({{ column }} as string), '0'), '.')
{%- endmacro %}
