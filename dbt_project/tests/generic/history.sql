{#-
  Fails for each version of a key that overlaps the next, leaves a gap before it, lasts longer than it says, or is not
  the one current version; and for each key of the changed hours whose first version begins after its first event.
-#}
{% test history(model, staged, key) %}

    with

    versions as (
        select
            {{ key }} as history_key,
            valid_from,
            valid_to,
            is_current,
            lead(valid_from) over (
                partition by {{ key }} order by valid_from, first_event_partition, first_event_offset
            ) as next_valid_from,
            sum(if(is_current, 1, 0)) over (partition by {{ key }}) as current_versions
        from {{ model }}
    ),

    first_events as (
        select {{ key }} as history_key, min(first_event_time) as first_event_time
        from {{ staged }}
        where {{ in_changed_hours('ingest_hour') }}
        group by history_key
    ),

    first_versions as (
        select history_key, min(valid_from) as valid_from from versions group by history_key
    )

    select history_key, 'next version begins at another time' as problem from versions
    where coalesce(valid_to != next_valid_from, (valid_to is null) != (next_valid_from is null))
    union all
    select history_key, 'ends before it begins' as problem from versions
    where valid_to < valid_from
    union all
    select history_key, 'current is not the version without an end' as problem from versions
    where is_current != (valid_to is null)
    union all
    select history_key, 'has not one current version' as problem from versions
    where current_versions != 1
    union all
    select first_events.history_key, 'first version does not cover the first event' as problem
    from first_events
    left join first_versions on first_events.history_key = first_versions.history_key
    where first_versions.valid_from is null or first_versions.valid_from > first_events.first_event_time

{% endtest %}
