select
    {{ masked_columns('dim_customer') }}
from {{ ref('dim_customer') }}
