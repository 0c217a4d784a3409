-- The files of migrations/functions are installed after each migration. A change of them comes with a migration such as this
-- one, which does nothing else.
select;
