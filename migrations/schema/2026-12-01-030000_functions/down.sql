-- This migration only installs functions. Those that name a table in their definition are dropped with the table.
select;
