select gap, count(*) as calls
from public.voice_calls c cross join unnest(c.usage_gaps) as gap
where not c.usage_complete
group by gap order by gap
