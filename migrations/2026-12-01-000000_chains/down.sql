alter table results drop column certificate_first_end;
