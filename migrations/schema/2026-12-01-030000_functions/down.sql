-- The functions go with the tables.
select;
