-- A check relies on more than the certificate that was shown last: on those of earlier hops, and on those of the issuers. What
-- ends first among them ends the site for its visitors.
alter table results add column certificate_first_end timestamptz;
comment on column results.certificate_first_end is
    'the earliest end among the certificates that the check relied on: those of each hop''s verified chain; null where that is certificate_not_after';
