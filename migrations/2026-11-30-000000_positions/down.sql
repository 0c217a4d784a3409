drop table positions;
drop table identity;
