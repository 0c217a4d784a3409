drop table notifications;
drop table alerts;
