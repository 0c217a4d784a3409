-- A receiver's addresses are told each on its own: one that is refused holds up no other, and who has the mail is not
-- sent it again.

-- Null: of all of the receiver's addresses, until it is due; or of a receiver that has none.
alter table notifications add address text;
