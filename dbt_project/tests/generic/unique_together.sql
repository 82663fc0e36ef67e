{#- Fails for each combination of the columns that occurs more than once; missing values count as values. -#}
{% test unique_together(model, columns) %}

    select
        {{ columns | join(', ') }},
        count(*) as occurrences
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1

{% endtest %}
