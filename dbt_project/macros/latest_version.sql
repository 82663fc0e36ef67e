{#-
  The latest version of each key among rows of staging: the one whose last event comes last in the total order of events
  (time, partition, offset). Where one position was delivered in two hours with different values, the first hour counts.
-#}
{% macro latest_version(relation, key) -%}
    select *
    from {{ relation }}
    where true
    qualify
        row_number() over (
            partition by {{ key | join(', ') }}
            order by last_event_time desc, last_event_partition desc, last_event_offset desc, ingest_hour asc
        ) = 1
{%- endmacro %}

{#-
  The rows of staging that decide the rows of a dimension which the changed hours touch; all rows in a full refresh.

  A row of the dimension that came from another hour stands, and beats what is older: staging is not read for it. Only
  where the changed hours no longer hold what a row of the dimension came from, since they were made again and a row is
  gone or another, all of staging is asked for the versions of its key; and if there is none, `remove_vanished` deletes
  the row. So a run reads the changed hours, and one that takes nothing away nothing else.

  `relation` is the model of staging, `key` the expression on it for each key column of the dimension.
-#}
{% macro deciding_versions(relation, key) -%}
    {%- if not is_incremental() -%}
        select *{{ made_keys(key) }} from {{ relation }}
    {%- else -%}
        select changed.*
        from ({{ in_changed_staging(relation, key) }}) as changed
        left join {{ this }} as standing
            on {{ same_key(key, 'changed', 'standing') }} and not {{ in_changed_hours('standing.ingest_hour') }}
        where
            standing.ingest_hour is null
            or changed.last_event_time > standing.last_event_time
            or (
                changed.last_event_time = standing.last_event_time
                and changed.last_event_partition > standing.last_event_partition
            )
            or (
                changed.last_event_time = standing.last_event_time
                and changed.last_event_partition = standing.last_event_partition
                and changed.last_event_offset > standing.last_event_offset
            )
            or (
                changed.last_event_time = standing.last_event_time
                and changed.last_event_partition = standing.last_event_partition
                and changed.last_event_offset = standing.last_event_offset
                and changed.ingest_hour < standing.ingest_hour
            )
        {%- if execute and lost_rows(relation, key) > 0 %}
        union all
        select version.*
        from (select *{{ made_keys(key) }} from {{ relation }} where not {{ in_changed_hours('ingest_hour') }}) as version
        inner join ({{ select_lost(relation, key) }}) as lost on {{ same_key(key, 'version', 'lost') }}
        {%- endif %}
    {%- endif -%}
{%- endmacro %}

{#- Delete the rows of the dimension whose key no row of staging has any more; to run after the merge. -#}
{% macro remove_vanished(relation, key) -%}
    {%- if is_incremental() -%}
        delete from {{ this }} as standing
        where
            {{ in_changed_hours('standing.ingest_hour') }}
            and not exists (
                select 1 from ({{ in_changed_staging(relation, key) }}) as changed
                where {{ same_key(key, 'changed', 'standing') }}
            )
    {%- endif -%}
{%- endmacro %}

{% macro made_keys(key) -%}
    {%- for column, expression in key.items() if column != expression %}, {{ expression }} as {{ column }}{% endfor -%}
{%- endmacro %}

{% macro same_key(key, one, other) -%}
    {%- for column in key -%}
        {{ one }}.{{ column }} = {{ other }}.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro in_changed_staging(relation, key) -%}
    select *{{ made_keys(key) }} from {{ relation }} where {{ in_changed_hours('ingest_hour') }}
{%- endmacro %}

{#- Keys whose row in the dimension came from a changed hour that no longer holds it. -#}
{% macro select_lost(relation, key) -%}
    select {% for column in key %}standing.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
    from {{ this }} as standing
    left join ({{ in_changed_staging(relation, key) }}) as changed
        on
            {{ same_key(key, 'changed', 'standing') }}
            and changed.ingest_hour = standing.ingest_hour
            and changed.last_event_time = standing.last_event_time
            and changed.last_event_partition = standing.last_event_partition
            and changed.last_event_offset = standing.last_event_offset
    where {{ in_changed_hours('standing.ingest_hour') }} and changed.ingest_hour is null
{%- endmacro %}

{% macro lost_rows(relation, key) -%}
    {%- set found = run_query('select count(*) as lost from (' ~ select_lost(relation, key) ~ ') as lost') -%}
    {%- do return(found.columns[0].values()[0] | int) -%}
{%- endmacro %}
