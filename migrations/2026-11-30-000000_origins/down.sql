alter table epochs drop column is_named;
drop table positions;
drop table identity;
