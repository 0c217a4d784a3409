alter table notifications drop address;
