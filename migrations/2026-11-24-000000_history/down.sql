drop view website_status;
drop table rejected;
drop table rollup_due;
drop table results;
drop table monitors;
drop function monitor_hash(text, text, text, text);
drop table epochs;
drop table agents;
