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

{#- The key of dim_location, on its fields: the source has no id. -#}
{% macro location_key() -%}
    {{- surrogate_key([
        'order_zipcode', 'order_city', 'order_state', 'order_region', 'order_country',
        numeric_text('latitude'), numeric_text('longitude')
    ]) -}}
{%- endmacro %}

{#- The key of dim_department: department_id alone occurs once a market. -#}
{% macro department_market_key() -%}
    {{- surrogate_key(['department_id', 'market']) -}}
{%- endmacro %}
