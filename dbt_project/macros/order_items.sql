{#-
  The order items whose fact may have changed: those in the changed hours, those that were in them, and those whose
  customer or product has another version at the time of the order now.
-#}
{% macro touched_order_items() -%}
    select order_item_id from {{ ref('stg_order_events__order') }}
        where {{ in_changed_hours('ingest_hour') }}
        union distinct
        select order_item_id from {{ this }}
        where {{ in_changed_hours('first_ingest_hour') }} or {{ in_changed_hours('ingest_hour') }}
        {%- for dimension, key in [('dim_customer', 'customer_key'), ('dim_product', 'product_key')] %}
        union distinct
        select standing.order_item_id
        from {{ this }} as standing
        left join {{ ref(dimension) }} as version
            on
                standing.{{ key }} = version.{{ key }}
                and standing.first_event_time >= version.valid_from
                and standing.first_event_time < coalesce(version.valid_to, timestamp '9999-12-31')
        where version.{{ key }} is null
        {%- endfor %}
{%- endmacro %}

{#- True for rows of staging in the hours that hold the deciding events of the touched order items; as constants. -#}
{% macro in_hours_of_touched_items(most=1000) -%}
    {%- set query -%}
        select distinct cast(ingest_hour as string) as ingest_hour
        from {{ ref('dim_order') }}
        where
            not {{ in_changed_hours('ingest_hour') }}
            and order_item_id in ({{ touched_order_items() }})
        limit {{ most + 1 }}
    {%- endset -%}
    {%- set others = run_query(query).columns[0].values() | list -%}
    {%- if others | length > most -%} {%- do return('true') -%} {%- endif -%}
    {%- set condition -%}
        ({{ in_changed_hours('ingest_hour') }}
        {%- for hour in others %} or ingest_hour = timestamp '{{ hour }}'{% endfor -%})
    {%- endset -%}
    {%- do return(condition) -%}
{%- endmacro %}

{#- Delete the facts whose order item is no more; to run after the merge. -#}
{% macro remove_vanished_order_items() -%}
    {%- if is_incremental() -%}
        delete from {{ this }} as standing
        where
            {{ in_changed_hours('standing.ingest_hour') }}
            and not exists (
                select 1 from {{ ref('dim_order') }} as order_item
                where order_item.order_item_id = standing.order_item_id
            )
    {%- endif -%}
{%- endmacro %}
