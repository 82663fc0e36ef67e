with

order_months as (
    select distinct
        customer_id,
        date_trunc(order_day, month) as order_month
    from {{ ref('fct_order_item') }}
),

cohort_members as (
    select
        customer_id,
        order_month,
        min(order_month) over (partition by customer_id) as cohort_month
    from order_months
),

active as (
    select
        cohort_month,
        date_diff(order_month, cohort_month, month) as months_since_first_order,
        count(*) as customers
    from cohort_members
    group by cohort_month, months_since_first_order
),

final as (
    select
        active.cohort_month,
        active.months_since_first_order,
        cohorts.customers as cohort_customers,
        active.customers,
        active.customers / cohorts.customers as retention_rate
    from active
    inner join active as cohorts
        on active.cohort_month = cohorts.cohort_month and cohorts.months_since_first_order = 0
)

select * from final
