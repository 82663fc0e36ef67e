with

order_items as (
    select * from {{ ref('fct_order_item') }}
),

customers as (
    select * from {{ ref('dim_customer') }}
),

departments as (
    select * from {{ ref('dim_department') }}
),

totals as (
    select
        departments.market,
        customers.customer_segment,
        count(*) as order_items,
        countif(order_items.order_status = 'SUSPECTED_FRAUD') as suspected_order_items,
        sum(order_items.order_item_total) as revenue,
        sum(if(order_items.order_status = 'SUSPECTED_FRAUD', order_items.order_item_total, 0)) as suspected_revenue
    from order_items
    inner join customers on order_items.customer_key = customers.customer_key
    inner join departments on order_items.department_market_key = departments.department_market_key
    group by departments.market, customers.customer_segment
),

final as (
    select
        *,
        suspected_order_items / order_items as suspected_share,
        cast(safe_divide(suspected_revenue, revenue) as float64) as suspected_revenue_share
    from totals
)

select * from final
