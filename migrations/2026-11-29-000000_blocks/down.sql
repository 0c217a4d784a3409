-- `outages` says the same in its newer words, and stays.
drop function summaries_change() cascade;
drop function summaries_changed() cascade;
drop function results_changed() cascade;
drop table summary_blocks;
drop function summary_block(integer);
alter table rollup_due drop column since;
