-- An agent whose clock is wrong is told of, and is not taken for one that is silent.

-- By how much the database's clock is ahead of the agent's at least, in microseconds; negative: the agent's is ahead.
alter table agents add clock_behind_us bigint not null default 0;
