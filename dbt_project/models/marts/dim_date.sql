{{ config(materialized='table', cluster_by=['date_day']) }}

with

days as (
    select date_day
    from unnest(generate_date_array(date '{{ var("first_day") }}', date '{{ var("last_day") }}')) as date_day
),

final as (
    select
        date_day,
        extract(year from date_day) as year_number,
        extract(quarter from date_day) as quarter_number,
        extract(month from date_day) as month_number,
        extract(isoweek from date_day) as iso_week_number,
        -- BigQuery numbers the days of a week from Sunday, ISO 8601 from Monday.
        mod(extract(dayofweek from date_day) + 5, 7) + 1 as iso_day_of_week,
        format_date('%B', date_day) as month_name,
        format_date('%A', date_day) as day_name,
        date_trunc(date_day, month) as month_start,
        date_trunc(date_day, quarter) as quarter_start,
        date_trunc(date_day, year) as year_start,
        extract(dayofweek from date_day) in (1, 7) as is_weekend
    from days
)

select * from final
