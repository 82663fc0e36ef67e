select
    {{ masked_columns('dim_location') }}
from {{ ref('dim_location') }}
