drop function results_changed() cascade;
drop trigger changing on results;
