{#-
  The versions of each key, in the total order of events (time, partition, offset): a version is a run of events that
  follow each other and agree in `values`. It is valid from its first event to the first event of the next one. Of two
  events at the same time the one with the higher (partition, offset) comes later; the earlier version then lasts no
  time, and is kept.

  A run reads the changed hours and the standing versions of the keys in them: a row of staging stands for a run of
  events already, so that runs which do not overlap need only be put in order. Staging is read event by event for the
  keys alone of which that does not hold: an event lies within a version and disagrees with it, or the first or last
  event of a version is gone from its hour. A version that is no more comes out with `valid_to` before `valid_from`,
  and `remove_ended` deletes it after the merge, which cannot.

  `relation` is the model of staging, `key` its key column, `values` the columns that make a version, `version_key` the
  name of the versions' own key.
-#}
{% macro history(relation, key, values, version_key) -%}
    {%- set rebuilt = keys_to_rebuild(relation, key, values) if execute and is_incremental() else [] -%}
    with
    {%- if is_incremental() %}

    {{ touched_keys(relation, key) }},

    runs as (
        {{ runs_of_versions(key, values) }}
        where {{ key }} in (select {{ key }} from touched) and not {{ is_rebuilt(key, rebuilt) }}
        union all
        {{ runs_of_staging(relation, key, values) }}
        where {{ in_changed_hours('ingest_hour') }} and not {{ is_rebuilt(key, rebuilt) }}
        {%- if rebuilt != [] %}
        union all
        {{ runs_of_events(relation, key, values, is_rebuilt(key, rebuilt)) }}
        {%- endif %}
    ),
    {%- else %}

    runs as (
        {{ runs_of_events(relation, key, values, 'true') }}
    ),
    {%- endif %}

    {{ collapsed_runs(key) }},

    versions as (
        select
            {{ key }},
            {{ values | join(', ') }},
            {{ surrogate_key([key, 'first_position']) }} as {{ version_key }},
            {{ time_of('first_position') }} as valid_from,
            lead({{ time_of('first_position') }}) over (partition by {{ key }} order by first_position) as valid_to,
            {{ partition_of('first_position') }} as first_event_partition,
            {{ offset_of('first_position') }} as first_event_offset,
            first_ingest_hour,
            {{ time_of('last_position') }} as last_event_time,
            {{ partition_of('last_position') }} as last_event_partition,
            {{ offset_of('last_position') }} as last_event_offset,
            ingest_hour
        from collapsed
    )

    select *, valid_to is null as is_current from versions
    {%- if is_incremental() %}
    union all
    select
        standing.{{ key }},
        {% for name in values %}standing.{{ name }}, {% endfor %}
        standing.{{ version_key }},
        standing.valid_from,
        timestamp_sub(standing.valid_from, interval 1 day),
        standing.first_event_partition,
        standing.first_event_offset,
        standing.first_ingest_hour,
        standing.last_event_time,
        standing.last_event_partition,
        standing.last_event_offset,
        standing.ingest_hour,
        false
    from {{ this }} as standing
    left join versions on standing.{{ version_key }} = versions.{{ version_key }}
    where standing.{{ key }} in (select {{ key }} from touched) and versions.{{ version_key }} is null
    {%- endif %}
{%- endmacro %}

{#- Delete the versions that end before they begin; to run after the merge. -#}
{% macro remove_ended() -%}
    {%- if is_incremental() -%} delete from {{ this }} where valid_to < valid_from {%- endif -%}
{%- endmacro %}

{#- An event's place in the total order of events, as text that sorts like it; the three below read it back. -#}
{% macro position(time, partition, offset) -%}
    concat(
        lpad(cast(unix_micros({{ time }}) + 62135596800000000 as string), 18, '0'),
        lpad(cast({{ partition }} as string), 10, '0'),
        lpad(cast({{ offset }} as string), 19, '0')
    )
{%- endmacro %}

{% macro time_of(position) -%}
    timestamp_micros(cast(substr({{ position }}, 1, 18) as int64) - 62135596800000000)
{%- endmacro %}

{% macro partition_of(position) -%} cast(substr({{ position }}, 19, 10) as int64) {%- endmacro %}

{% macro offset_of(position) -%} cast(substr({{ position }}, 29, 19) as int64) {%- endmacro %}

{#- Rows of staging as runs of events. -#}
{% macro runs_of_staging(relation, key, values) -%}
    select
        {{ key }},
        {{ values | join(', ') }},
        {{ surrogate_key(values) }} as content,
        {{ position('first_event_time', 'first_event_partition', 'first_event_offset') }} as first_position,
        {{ position('last_event_time', 'last_event_partition', 'last_event_offset') }} as last_position,
        ingest_hour as first_ingest_hour,
        ingest_hour
    from {{ relation }}
{%- endmacro %}

{#- The versions as they stand, as runs of events. -#}
{% macro runs_of_versions(key, values) -%}
    select
        {{ key }},
        {{ values | join(', ') }},
        {{ surrogate_key(values) }} as content,
        {{ position('valid_from', 'first_event_partition', 'first_event_offset') }} as first_position,
        {{ position('last_event_time', 'last_event_partition', 'last_event_offset') }} as last_position,
        first_ingest_hour,
        ingest_hour
    from {{ this }}
{%- endmacro %}

{#- Every event of staging as a run of its own, once: of one that several hours delivered the first hour's. -#}
{% macro runs_of_events(relation, key, values, condition) -%}
    {%- set event_position = position('event.event_time', 'event.event_partition', 'event.event_offset') -%}
    select
        {{ key }},
        {{ values | join(', ') }},
        {{ surrogate_key(values) }} as content,
        {{ event_position }} as first_position,
        {{ event_position }} as last_position,
        ingest_hour as first_ingest_hour,
        ingest_hour
    from {{ relation }}, unnest(events) as event
    where {{ condition }}
    qualify row_number() over (partition by {{ key }}, first_position order by ingest_hour) = 1
{%- endmacro %}

{#- From `runs`: those of one key that follow each other and have the same content as one, as `collapsed`. -#}
{% macro collapsed_runs(key) -%}
    {#- A version that stands and the same run of staging are peers: `number`, a sum over a range, counts them once. -#}
    {%- set run_order = 'first_position, first_ingest_hour, last_position, content' -%}
    ordered as (
        select
            *,
            coalesce(
                content != lag(content) over (partition by {{ key }} order by {{ run_order }}),
                true
            ) as begins
        from runs
    ),

    numbered as (
        select
            *,
            sum(if(begins, 1, 0)) over (partition by {{ key }} order by {{ run_order }}) as number
        from ordered
    ),

    collapsed as (
        select
            * except (last_position, ingest_hour, begins, number),
            max(last_position) over (partition by {{ key }}, number) as last_position,
            first_value(ingest_hour) over (
                partition by {{ key }}, number order by last_position desc, ingest_hour
            ) as ingest_hour
        from numbered
        where true
        qualify
            row_number() over (partition by {{ key }}, number order by {{ run_order }}) = 1
    )
{%- endmacro %}

{#- The keys that a run has to do with, as `touched`: those in the changed hours, and those that were in them. -#}
{% macro touched_keys(relation, key) -%}
    touched as (
        select {{ key }} from {{ relation }} where {{ in_changed_hours('ingest_hour') }}
        union distinct
        select {{ key }} from {{ this }}
        where {{ in_changed_hours('first_ingest_hour') }} or {{ in_changed_hours('ingest_hour') }}
    )
{%- endmacro %}

{% macro is_rebuilt(key, rebuilt) -%}
    {%- if rebuilt is none -%} {{ key }} in (select {{ key }} from touched)
    {%- elif rebuilt == [] -%} false
    {%- else -%} {{ key }} in ({{ rebuilt | join(', ') }})
    {%- endif -%}
{%- endmacro %}

{#-
  The keys whose versions follow from their events alone, as constants, by which clustering tells the blocks to read;
  none for all touched keys, if there are too many to name.
-#}
{% macro keys_to_rebuild(relation, key, values, most=5000) -%}
    {%- set query -%}
        with

        {{ touched_keys(relation, key) }},

        standing as (
            {{ runs_of_versions(key, values) }}
            where {{ key }} in (select {{ key }} from touched)
        ),

        runs as (
            select * from standing
            union all
            {{ runs_of_staging(relation, key, values) }}
            where {{ in_changed_hours('ingest_hour') }}
        ),

        {{ collapsed_runs(key) }},

        reached as (
            select
                {{ key }},
                first_position,
                max(last_position) over (
                    partition by {{ key }} order by first_position, last_position
                    rows between unbounded preceding and 1 preceding
                ) as reached_position
            from collapsed
        ),

        edges as (
            select {{ key }}, content, first_position as edge, first_ingest_hour as edge_hour from standing
            where {{ in_changed_hours('first_ingest_hour') }}
            union all
            select {{ key }}, content, last_position as edge, ingest_hour as edge_hour from standing
            where {{ in_changed_hours('ingest_hour') }}
        ),

        events as (
            select
                {{ key }},
                {{ surrogate_key(values) }} as content,
                {{ position('event.event_time', 'event.event_partition', 'event.event_offset') }} as edge,
                ingest_hour
            from {{ relation }}, unnest(events) as event
            where {{ in_changed_hours('ingest_hour') }}
        )

        select {{ key }} from reached where reached_position >= first_position
        union distinct
        select edges.{{ key }}
        from edges
        left join events
            on
                edges.{{ key }} = events.{{ key }}
                and edges.content = events.content
                and edges.edge = events.edge
                and edges.edge_hour = events.ingest_hour
        where events.{{ key }} is null
        limit {{ most + 1 }}
    {%- endset -%}
    {%- set found = run_query(query).columns[0].values() | list -%}
    {%- do return(found if found | length <= most else none) -%}
{%- endmacro %}
