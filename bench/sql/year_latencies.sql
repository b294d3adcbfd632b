-- As if two workers had written all the time: each adds to a row of its own.
insert into voice_worker.latency_totals
select quarter_hour, model, 1, 0, 0, 0, 0, 0, 0, 0, 0
from voice_worker.latency_totals
