drop table dropped_hourly, dropped_days, summary_blocks, late_arrivals, daily_due, daily, hourly, rollup_due cascade;
