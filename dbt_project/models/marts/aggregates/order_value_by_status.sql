with

order_items as (
    select * from {{ ref('fct_order_item') }}
),

departments as (
    select * from {{ ref('dim_department') }}
),

final as (
    select
        date_trunc(order_items.order_day, month) as order_month,
        departments.market,
        order_items.order_status,
        order_items.order_status in ({{ "'" ~ var('open_order_statuses') | join("', '") ~ "'" }}) as is_open,
        count(*) as order_items,
        count(distinct order_items.order_id) as orders,
        sum(order_items.order_item_total) as revenue,
        min(order_items.order_date) as first_order_date
    from order_items
    inner join departments on order_items.department_market_key = departments.department_market_key
    group by order_month, departments.market, order_items.order_status, is_open
)

select * from final
