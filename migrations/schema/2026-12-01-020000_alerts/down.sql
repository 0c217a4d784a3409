drop table notifications, alerts;
