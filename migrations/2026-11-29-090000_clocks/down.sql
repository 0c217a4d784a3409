alter table agents drop clock_behind_us;
