{#-
  The latest version of each key among rows of staging: the one whose last event comes last in the total order of events
  (time, partition, offset). Where one position was delivered in two hours with different values, the first hour counts.
-#}
{% macro latest_version(relation, key) -%}
    select *
    from {{ relation }}
    qualify
        row_number() over (
            partition by {{ key | join(', ') }}
            order by last_event_time desc, last_event_partition desc, last_event_offset desc, ingest_hour asc
        ) = 1
{%- endmacro %}
